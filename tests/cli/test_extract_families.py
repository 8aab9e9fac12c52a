"""Real clips through every family, from the command line to the page."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from _tiny_models import TINY, make_tiny_model
from duetal.backbones.presets import PRESETS
from duetal.extraction.store import open_store
from duetal.formats import read_detections

Duetal = Callable[..., tuple[int, str, str]]
CLIPS = ("v_GGSY1Qvo990", "v_ZNVhz7ctTq0")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in TINY:
        make_tiny_model(name, folder / name)
    return folder


@pytest.mark.real
@pytest.mark.recipe
@pytest.mark.parametrize("seen", [True, False])
def test_real_clips_through_every_family_to_the_page(
    real_data: Path,
    models: Path,
    tmp_path: Path,
    tiny_extraction: tuple[str, ...],
    tiny_settings: tuple[str, ...],
    duetal: Duetal,
    seen: bool,
) -> None:
    """All that see and hear in one store; and sound alone."""
    names = [*TINY] if seen else ["ast", "clap"]
    i3d = ["rgb", "flow"] if seen else []
    options = [f"--{'vlp' if PRESETS[n].has_text else 'cbp'}={models / n}" for n in names]
    store, videos = tmp_path / "store", real_data / "video"
    how = ["--device", "cpu", "--threads", "1"]
    if seen:
        how += ["--cbp", "i3d", *(word for word in tiny_extraction if "--clip" not in word)]
    code, out, err = duetal("extract", videos, *options, "--out", store, *how)
    assert (code, "2 extracted" in out) == (0, True)
    saved = "no backbone reads flow, which saves about 78 core-minutes an hour of video"
    assert (saved in err) is not seen
    assert sorted(open_store(store).modalities) == sorted([*names, *i3d])
    for name in [*names, *i3d]:
        shapes = [np.load(store / "features" / name / f"{clip}.npy").shape for clip in CLIPS]
        assert [length for length, _ in shapes] == [28, 21]
    rows = [f"{clip}\t{label}" for clip, label in zip(CLIPS, ("Lifting", "Walking"), strict=True)]
    (store / "weak_train.tsv").write_text("\n".join(["filename\tevent_labels", *rows, ""]))
    chosen = ("cbp=vjepa2", "vlp=videoprism-lvt") if seen else ()
    words = [word for word in tiny_settings if word != "text_encoder="]
    code, out, _ = duetal("probe", store, *(["--cbp", "vivit", "--vlp", "clip"] if seen else []))
    told = {
        line.split()[0] for line in out.partition("each backbone of the store")[2].splitlines()[1:]
    }
    assert (code, told) == (0, {*names, "i3d"} if seen else set())
    run, found = tmp_path / "run", tmp_path / "found"
    assert duetal("train", "demo", f"dataset={store}", *chosen, *words, "--out", run)[0] == 0
    code, _, err = duetal("localize", run, videos, "--out", found, "--accelerator", "cpu")
    assert (code, err) == (0, "")
    assert set(read_detections(found / "detections.json").videos) == set(CLIPS)
    assert (found / "index.html").is_file()
    # A store that has them all is used.
    code, out, err = duetal("localize", run, videos, "--features", store, "--out", tmp_path / "2")
    assert (code, err, "T = " in out) == (0, "", False)
    # The streams that the run reads are made, and no other.
    read = ["vjepa2", "videoprism-lvt"] if seen else names
    assert sorted(path.name for path in (found / "features/features").iterdir()) == sorted(read)


def test_what_there_is_is_listed(duetal: Duetal) -> None:
    code, out, _ = duetal("backbones", "ls")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == ["name", "i3d", *PRESETS]
    costs = {line.split("  ")[0].strip(): line for line in lines}
    assert "1.92 s" in costs["ast"]
    assert "cbp, vlp" in costs["videoprism-lvt"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--vlp", "videomae"), "videomae has no text encoder, which VLP needs"),
        (("--cbp", "none"), "--cbp: unknown backbone 'none'"),
        (("--cbp", "vjepa2", "--window", "16"), "grid: vjepa2 reads 64 frames, and the window has"),
        (("--cbp", "vivit", "--stride", "40"), "the stride must be from 1 to the window's 32"),
        (("--cbp", "vivit", "--i3d-flow", "x"), "--i3d-flow: the flow features are not extracted"),
        (("--cbp", "vivit", "--cbp", "vivit"), "two backbones would make the vivit features"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path, duetal: Duetal, words: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    code, _, err = duetal("extract", tmp_path / "a.mp4", *words, "--out", tmp_path / "store")
    assert (code, reason in err, err.count("\n")) == (2, True, 1)
