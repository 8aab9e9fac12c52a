"""`duetal extract`: bad videos among good ones, interruptions, refusals, and what it prints."""

import contextlib
import ctypes
import io
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from duetal.backbones import BACKBONES
from duetal.backbones.i3d import random_weights
from duetal.cli.main import main
from duetal.core.errors import DuetalError
from duetal.datasets.examination import examine
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.store import open_store
from duetal.simulation.clips import render_clip

Duetal = Callable[..., tuple[int, str, str]]
Forked = Callable[..., Any]
pytestmark = pytest.mark.recipe
SIZE = (40, 32)


def truncated(path: Path) -> None:
    render_clip(path, duration=6, size=SIZE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def truncated_stream(path: Path) -> None:
    """Matroska, unlike MP4, can still be decoded up to there."""
    whole = path.with_suffix(".whole.mkv")
    render_clip(whole, duration=8, size=SIZE, audio=True)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()


def corrupt_in_the_middle(path: Path) -> None:
    # One keyframe, so that nothing after the damage can be decoded either.
    render_clip(path, duration=8, size=(128, 96), keyframes=200)
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 5, len(content) // 2)
    content[middle] = np.random.default_rng(0).bytes(middle.stop - middle.start)
    path.write_bytes(content)


def eight_thousand_across(path: Path) -> None:
    """One grey picture of 8K, which is shown for a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuv420p"
        grey = av.VideoFrame.from_ndarray(np.full((6480, 7680), 128, np.uint8), format="yuv420p")
        container.mux(stream.encode(grey))
        container.mux(stream.encode(None))


def frames(count: int) -> Callable[[Path], object]:
    return lambda path: render_clip(path, duration=count / 25, size=SIZE)


def clip(**how: object) -> Callable[[Path], object]:
    return lambda path: render_clip(path, **({"duration": 0.8, "size": SIZE} | how))  # type: ignore[arg-type]


#: Videos that cannot be extracted: file name, how it is made, and the reason.
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "zero.mp4": (Path.touch, "empty file: 0 bytes"),
    "truncated.mp4": (truncated, "an MP4 without its index (moov): cut off"),
    "cut short.mkv": (truncated_stream, "ends early: "),
    "audio only.mp4": (clip(video=False), "no video in it, only sound"),
    "corrupt.mp4": (corrupt_in_the_middle, "damaged: "),
    "one frame.mp4": (frames(1), "too short: 1 frames at 25 a second, one snippet needs 16"),
    "seven frames.mp4": (frames(7), "too short: 7 frames at 25 a second, one snippet needs 16"),
    "text.mp4": (lambda path: path.write_text("To be or not to be"), "not a video: "),
    "new\nline.mp4": (clip(), "not a usable video name: 'new\\nline'"),
    os.fsdecode(b"bytes \xff.mp4"): (clip(), "not a usable video name: 'bytes \\udcff'"),
    "pair.mp4": (clip(), "several videos would be called 'pair'"),
}
#: Videos that look strange and can be extracted, and how many snippets they have.
STRANGE: dict[str, tuple[Callable[[Path], object], int]] = {
    "good.mp4": (clip(), 1),
    "one pixel.mkv": (clip(size=(1, 1), codec="ffv1"), 1),
    "8k.mp4": (eight_thousand_across, 1),
    "half a frame a second.mp4": (clip(fps=0.5, duration=4), 6),
    "fast.mp4": (clip(fps=240), 1),
    "'quotes\" & <script>alert(1)<.mp4": (clip(), 1),
}


@pytest.fixture(scope="module")
def bad_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all of them; beside it, a file that `..` would lead to."""
    folder = tmp_path_factory.mktemp("bad") / "videos"
    (folder / "deep").mkdir(parents=True)
    for name, (make, _) in {**BROKEN, **STRANGE}.items():
        make(folder / name)
    render_clip(folder / "deep" / "pair.mkv", duration=0.8, size=SIZE)
    return folder


def extract_words(place: Path, store: Path, options: tuple[str, ...]) -> list[str]:
    return ["extract", str(place), "--out", str(store), *options]


@pytest.fixture(scope="module")
def bad_store(
    bad_videos: Path, tiny_extraction: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int, str]:
    """All of them extracted by one command: the store, the exit code and the output."""
    store = tmp_path_factory.mktemp("bad") / "store"
    return store, *run_here(extract_words(bad_videos, store, tiny_extraction))


def run_here(arguments: list[str]) -> tuple[int, str]:
    """Run a command line in this process; give exit code and output. For fixtures of a module."""
    output = io.StringIO()
    with pytest.raises(SystemExit) as stop, contextlib.redirect_stdout(output):
        main(arguments)
    assert isinstance(stop.value.code, int)
    return stop.value.code, output.getvalue()


@pytest.mark.parametrize("name", sorted(BROKEN, key=ascii), ids=ascii)
def test_a_broken_video_is_recorded_and_listed_with_its_reason(
    bad_store: tuple[Path, int, str], name: str
) -> None:
    store, code, output = bad_store
    reason = BROKEN[name][1]
    assert code == 1
    _, _, listed = output.partition("failed:\n")
    stem = ascii(Path(name).stem).strip("'")
    (line,) = [line for line in listed.splitlines() if reason in line and stem in line]
    recorded = {failure.reason for failure in open_store(store).failures()}
    assert line.strip() in recorded
    assert Path(name).stem not in open_store(store).names()


@pytest.mark.parametrize("name", sorted(STRANGE))
def test_a_strange_video_is_extracted(bad_store: tuple[Path, int, str], name: str) -> None:
    store = open_store(bad_store[0])
    stem = name.rpartition(".")[0]
    assert store.is_complete(stem)
    record = store.record(stem)
    assert record is not None
    assert record.snippets == STRANGE[name][1]


def test_nothing_is_written_outside_the_store_and_no_half_file_stays(
    bad_store: tuple[Path, int, str], bad_videos: Path
) -> None:
    store, _, output = bad_store
    assert [path.name for path in store.parent.iterdir()] == ["store"]
    assert len(list(bad_videos.rglob("*.*"))) == len(BROKEN) + len(STRANGE) + 1
    assert not list(store.rglob("*.part"))
    assert len(list((store / "records").iterdir())) == len(STRANGE)
    assert len(list((store / "failures").iterdir())) == len(BROKEN)
    assert f"{len(STRANGE)} extracted, {len(BROKEN)} failed: {store}" in output


def test_what_was_extracted_is_a_dataset_that_lacks_labels_alone(
    bad_store: tuple[Path, int, str],
) -> None:
    problems = [problem.message for problem in examine(bad_store[0]).problems]
    assert problems == [
        "no annotation: features alone can be localized, not trained on",
        "no training video with labels and features",
    ]


def test_the_next_run_lists_what_failed_before_and_does_nothing(
    duetal: Duetal,
    bad_store: tuple[Path, int, str],
    bad_videos: Path,
    tiny_extraction: tuple[str, ...],
) -> None:
    store, _, _ = bad_store
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")}
    code, output, _ = duetal(*extract_words(bad_videos, store, tiny_extraction))
    # Names and pairs are judged anew by every run, before anything is decoded.
    assert f"{len(STRANGE)} there already, 3 failed, {len(BROKEN) - 3} failed before" in output
    assert "seven frames.mp4: too short" in output.partition("--retry-failed")[2]
    assert code == 1
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")} == before


def test_failed_videos_are_tried_again_on_demand(
    duetal: Duetal, tmp_path: Path, tiny_extraction: tuple[str, ...]
) -> None:
    video = tmp_path / "v.mp4"
    frames(7)(video)
    arguments = extract_words(video, tmp_path / "store", (*tiny_extraction, "--without=flow"))
    assert duetal(*arguments)[0] == 1
    frames(20)(video)
    assert duetal(*arguments)[0] == 1
    code, output, _ = duetal(*arguments, "--retry-failed")
    assert (code, output) == (0, f"v: T = 1, 0.8 s\n1 extracted: {tmp_path / 'store'}\n")
    assert not list((tmp_path / "store" / "failures").iterdir())


def test_what_fails_again_is_set_aside_and_the_manifest_tells(
    duetal: Duetal, tmp_path: Path, tiny_extraction: tuple[str, ...]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    videos, store = tmp_path / "videos", tmp_path / "store"
    clip()(videos / "good.mp4")
    frames(7)(videos / "short.mp4")
    words = (*tiny_extraction, "--without=flow", "--retry-failed", "--attempts=2")
    arguments = extract_words(videos, store, words)
    assert "1 extracted, 1 failed: " in duetal(*arguments, "--part=1/1")[1]
    assert "1 there already, 1 failed: " in duetal(*arguments)[1]
    code, output, _ = duetal(*arguments, "--manifest")
    assert code == 1
    assert f"1 there already, 1 set aside: {store}\nmanifest: {store}/manifest.parquet\n" in output
    assert "set aside after 2 attempts, in failures/ there (--retry-set-aside):\n" in output
    rows = {row["name"]: row for row in parquet.read_table(store / "manifest.parquet").to_pylist()}
    assert {name: row["state"] for name, row in rows.items()} == {
        "good": "done",
        "short": "set aside",
    }
    assert rows["good"]["seconds"] > 0
    again = extract_words(store / "manifest.parquet", store, (*words, "--retry-set-aside"))
    assert "1 there already, 1 failed: " in duetal(*again)[1]
    assert "no video in this part: " in duetal(*again, "--part=3/3")[1]


@pytest.fixture(scope="module")
def three_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    # The last is long, so that a signal after the first comes in time on a busy machine too.
    for seed, (name, seconds) in enumerate({"a": 4, "b": 4, "c": 16}.items()):
        render_clip(folder / f"{name}.mp4", duration=seconds, size=SIZE, seed=seed, velocity=(1, 0))
    return folder


@pytest.fixture(scope="module")
def quick(tiny_extraction: tuple[str, ...]) -> tuple[str, ...]:
    """Options for processes of their own, which have to load all networks anew."""
    return (*tiny_extraction, "--without=rgb")


@pytest.fixture(scope="module")
def whole(
    three_clips: Path, quick: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store whose extraction nobody disturbed."""
    store = tmp_path_factory.mktemp("whole") / "store"
    assert run_here(extract_words(three_clips, store, quick))[0] == 0
    return store


def arrays(store: Path) -> dict[str, np.ndarray]:
    return {str(path.relative_to(store)): np.load(path) for path in sorted(store.rglob("*.npy"))}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, values in found.items():
        # Batches differ by where the extraction was interrupted; features are kept as float16.
        np.testing.assert_allclose(values, expected[name], rtol=0.01, atol=0.01)


def stopped(process: Any, reached: Callable[[], object], how: signal.Signals) -> int:
    """Let a process run until a moment is reached, send a signal, and give the exit code."""
    deadline = time.monotonic() + 300
    while not reached():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(how)
    return int(process.wait(300))


def test_an_extraction_that_was_stopped_is_gone_on_with(
    duetal: Duetal,
    forked: Forked,
    three_clips: Path,
    whole: Path,
    quick: tuple[str, ...],
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    arguments = extract_words(three_clips, store, quick)

    def records() -> set[Path]:
        return set((store / "records").glob("[abc].json"))

    # Between the arrays of the first video, and when its record is there.
    half = store / "features" / "flow" / "a.npy"
    assert stopped(forked(main, arguments), half.exists, signal.SIGKILL) == -signal.SIGKILL
    # On a busy machine the kill may come when the first record is there already.
    before = records()
    assert stopped(forked(main, arguments), lambda: records() - before, signal.SIGINT) == 130
    finished = {path: path.stat().st_mtime_ns for path in records()}
    (store / "records" / ".b.json.k1lled.duetal.part").write_text("{")
    code, output, _ = duetal(*arguments)
    assert code == 0
    assert f"{len(finished)} there already" in output
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    assert not list(store.rglob("*.part"))
    assert_same(arrays(store), arrays(whole))


def test_two_processes_do_not_spoil_each_others_work(
    forked: Forked,
    three_clips: Path,
    whole: Path,
    quick: tuple[str, ...],
    tmp_path: Path,
) -> None:
    arguments = extract_words(three_clips, tmp_path / "store", (*quick, "--without=flow"))
    both = [forked(main, arguments) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    store = open_store(tmp_path / "store")
    assert all(store.is_complete(name) for name in "abc")
    clip = {name: rows for name, rows in arrays(whole).items() if "/clip/" in name}
    assert_same(arrays(tmp_path / "store"), clip)


@pytest.mark.parametrize(
    ("change", "code", "expected_message"),
    [
        (["--crop=33", "--short-side=40"], 2, "short_side is 32 there and 40 here; crop is 32"),
        (["--dtype=float32"], 2, "dtype is float16 there and float32 here"),
        (["--without=rgb"], 2, "modalities is ['rgb', 'flow', 'clip'] there"),
        (["--crop=64"], 2, "crop: must be from 32 to the short side of 32 pixels, not 64"),
        (["--device=cuda:7"], 2, "no such device here: 'cuda:7'"),
        (["--batch=0"], 2, "0 is not in the range"),
        (["--i3d-rgb=nosuch"], 2, "no such file, and no weights of that name"),
        (["--part=0/4"], 2, "'0/4' is not I/N with I from 1 to N, such as 3/16"),
        (["--part=5/4"], 2, "'5/4' is not I/N with I from 1 to N, such as 3/16"),
        (["--part=²/4"], 2, "'²/4' is not I/N"),
        (["--attempts=0"], 2, "0 is not in the range"),
    ],
)
def test_other_settings_and_wrong_words_are_refused(
    duetal: Duetal,
    bad_store: tuple[Path, int, str],
    bad_videos: Path,
    tiny_extraction: tuple[str, ...],
    change: list[str],
    code: int,
    expected_message: str,
) -> None:
    arguments = extract_words(bad_videos / "good.mp4", bad_store[0], tiny_extraction)
    found, _, error = duetal(*arguments, *change)
    assert (found, error.count("\n")) == (code, 1)
    assert expected_message in error


def test_other_weights_are_refused(
    duetal: Duetal,
    bad_store: tuple[Path, int, str],
    bad_videos: Path,
    tiny_extraction: tuple[str, ...],
    tmp_path: Path,
) -> None:
    random_weights(tmp_path / "rgb.pt", "rgb", seed=9)
    arguments = extract_words(bad_videos / "good.mp4", bad_store[0], tiny_extraction)
    code, _, error = duetal(*arguments, f"--i3d-rgb={tmp_path}/rgb.pt")
    assert code == 2
    assert "rgb.sha256 is " in error


def test_weights_with_a_wrong_hash_are_refused_before_anything_is_done(
    duetal: Duetal, three_clips: Path, tiny_extraction: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = extract_words(three_clips, tmp_path / "store", tiny_extraction)
    weights = next(argument for argument in tiny_extraction if argument.startswith("--i3d-flow"))
    code, output, error = duetal(*arguments, f"{weights}@sha256:{'0' * 64}")
    assert (code, output, error.count("\n")) == (1, "", 1)
    assert "its sha256 is " in error
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line_and_nothing_is_lost(
    duetal: Duetal,
    three_clips: Path,
    tiny_extraction: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, options = tmp_path / "store", (*tiny_extraction, "--without=flow")
    assert duetal(*extract_words(three_clips / "a.mp4", store, options))[0] == 0
    before = arrays(store)
    with monkeypatch.context() as full:
        full.setattr("tempfile.TemporaryFile", lambda dir: open("/dev/full", "wb"))  # noqa: PTH123, SIM115
        code, _, error = duetal(*extract_words(three_clips, store, options))
    assert code == 1
    assert error == f"duetal: error: {store}: cannot write features: No space left on device\n"
    assert_same(arrays(store), before)
    code, output, _ = duetal(*extract_words(three_clips, store, options))
    assert (code, "2 extracted, 1 there already" in output) == (0, True)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities of Linux")
def test_a_read_only_store_is_one_line_and_nothing_is_lost(
    forked: Forked, bad_videos: Path, whole: Path, quick: tuple[str, ...], tmp_path: Path
) -> None:
    store = shutil.copytree(whole, tmp_path / "store")
    before = arrays(store)
    for folder in (store, *(path for path in store.rglob("*") if path.is_dir())):
        folder.chmod(0o555)

    def extract() -> None:
        # Permissions do not bind root, unless it gives up all its capabilities.
        if os.geteuid() == 0:
            version_3, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
            assert ctypes.CDLL(None).capset(version_3, nothing) == 0
        main(extract_words(bad_videos / "good.mp4", store, quick))

    process = forked(extract)
    assert process.wait(300) == 1
    assert process.err == f"duetal: error: {store}: cannot write features: Permission denied\n"
    assert_same(arrays(store), before)


def test_a_name_that_leads_elsewhere_or_is_hidden_is_a_failure(
    duetal: Duetal, three_clips: Path, tiny_extraction: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("..mp4", "...mp4", ".hidden.mp4"):
        shutil.copy(three_clips / "a.mp4", tmp_path / "in" / name)
    listing = tmp_path / "in" / "list.txt"
    listing.write_text("..mp4\n...mp4\n.hidden.mp4\n../in/../nowhere.mp4\n")
    code, output, _ = duetal(*extract_words(listing, tmp_path / "store", tiny_extraction))
    assert code == 1
    assert output.count("not a usable video name") == 3
    assert "nowhere.mp4: no such file" in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "store"]


def test_the_defaults_in_the_help_are_those_of_the_settings(duetal: Duetal) -> None:
    _, text, _ = duetal("extract", "--help")
    text = " ".join(text.split())
    settings = ExtractionSettings()
    defaults = {record.option: record.weights for record in BACKBONES}
    for name in ("flow", "short_side", "crop", "dtype"):
        defaults[f"--{name.replace('_', '-')}"] = getattr(settings, name)
    for option, default in defaults.items():
        described = text.partition(f"{option} ")[2].partition(" --")[0]
        assert f"[default: {default}" in described


def test_all_weights_that_are_not_here_are_said_before_the_first_download(
    duetal: Duetal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUETAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("duetal.backbones.weights.download", _no_network)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"not read before the weights are there")
    code, _, err = duetal("extract", clip, "--out", tmp_path / "store")
    note, error = err.splitlines()
    assert code == 1
    assert note == (
        "note: weights to be downloaded: i3d-rgb-kinetics (--i3d-rgb), i3d-flow-kinetics "
        "(--i3d-flow), openai/clip-vit-base-patch16 (--clip); each option takes a local file or "
        "folder instead"
    )
    assert "i3d-rgb-kinetics: no network; it can also be downloaded by hand" in error


def _no_network(*_: object) -> None:
    raise DuetalError("no network")
