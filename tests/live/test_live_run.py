"""`duetal localize --live`, from the pictures of a source to its two files."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duetal.core.annotations import Segment
from duetal.extraction.networks import Network
from duetal.formats.webvtt import read_detections
from duetal.simulation.clips import render_clip

Duetal = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.recipe
CPU = ("--accelerator", "cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    actions = [Segment(1.0, 3.0, "HighJump"), Segment(5.0, 8.0, "GolfSwing")]
    render_clip(path, duration=10.0, actions=actions, seed=7)
    return path


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("how", [(), ("--branch", "both"), ("--classes", "GolfSwing, a dog")])
def test_with_a_delay_as_long_as_the_clip_it_finds_what_the_clip_has(
    video_run: Path, clip: Path, tmp_path: Path, duetal: Duetal, how: tuple[str, ...]
) -> None:
    out, whole = tmp_path / "live", tmp_path / "whole"
    words = ("--live", clip, "--speed", 0, "--delay", 20, "--min-score", 0, *how, *CPU)
    assert duetal("localize", video_run, *words, "--out", out)[0] == 0
    assert duetal("localize", video_run, clip, *how, *CPU, "--no-copies", "--out", whole)[0] == 0
    begin, *found, end = lines(out)
    assert (begin["event"], begin["begin"], end["event"]) == ("begin", 0.0, "end")
    expected = json.loads((whole / "detections.json").read_text())["results"]["clip"]
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one["label"] == other["label"]
        # A video of known length ends there, not at the end of its last snippet's window.
        assert one["segment"] == pytest.approx(other["segment"], abs=0.4)
        assert one["score"] == pytest.approx(other["score"], rel=1e-3)
    cues = read_detections(out / "live.vtt")
    assert sorted(cues.score) == pytest.approx(sorted(one["score"] for one in found))


def test_it_is_told_while_the_source_plays(
    video_run: Path, clip: Path, tmp_path: Path, duetal: Duetal
) -> None:
    words = ("--live", clip, "--speed", 4, "--delay", 2)
    code, printed, err = duetal("localize", video_run, *words, *CPU, "--out", tmp_path)
    assert (code, err) == (0, "")
    found = [one for one in lines(tmp_path) if one["event"] == "detection"]
    early = [one for one in found if one["told"] < 9]
    assert early
    assert all(one["told"] - one["segment"][1] <= 2.01 for one in early)
    assert f"{len(found)} detections" in printed


def test_what_comes_too_fast_is_skipped_and_said(
    video_run: Path, clip: Path, tmp_path: Path, duetal: Duetal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duetal.live.live_frames.LATEST", 1.0)
    encode = Network.__call__

    def slow(network: Network, inputs: Any) -> Any:
        time.sleep(0.3)
        return encode(network, inputs)

    monkeypatch.setattr(Network, "__call__", slow)
    words = ("--live", clip, "--speed", 8, "--delay", 2)
    code, printed, _ = duetal("localize", video_run, *words, *CPU, "--out", tmp_path)
    assert code == 0
    skipped = [one for one in lines(tmp_path) if one["event"] == "skipped"]
    lost = sum(one["end"] - one["start"] for one in skipped)
    assert 0.6 < lost < 10
    assert f"{lost:.1f} s came faster than they could be looked at" in printed
    # The clock goes on.
    assert lines(tmp_path)[-1]["end"] == pytest.approx(10.0, abs=0.7)


def test_words_alone_are_watched_without_a_run(
    clip: Path, tmp_path: Path, duetal: Duetal, tiny_backbones: dict[str, str]
) -> None:
    words = ("--classes", "a golf swing, a dog", "--clip", tiny_backbones["clip"], *CPU)
    live, whole = tmp_path / "live", tmp_path / "whole"
    watching = ("--live", clip, "--speed", 0, "--delay", 20)
    code, _, err = duetal("localize", *watching, *words, "--out", live)
    assert (code, err) == (0, "")
    assert duetal("localize", clip, *words, "--no-copies", "--out", whole)[0] == 0
    found = [one["label"] for one in lines(live) if one["event"] == "detection"]
    results = json.loads((whole / "detections.json").read_text())["results"]["clip"]
    assert found == [one["label"] for one in results]
    assert found


def test_a_call_without_a_run_or_words(duetal: Duetal, tmp_path: Path, clip: Path) -> None:
    for words in ((), ("--live", clip), ("--classes", "a dog")):
        code, _, err = duetal("localize", *words, "--out", tmp_path / "out")
        assert (code, "give a run and what to find actions in" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--live", "none.mp4"), "none.mp4: no such file"),
        (("--live", "none.mp4", "more.mp4"), "--live: is watched in place of INPUTS"),
        (("clip.mp4", "--delay", "2"), "--delay: is for --live"),
        (("--live", "{clip}", "--delay", "0.1"), "delay: must be from 1.28 s"),
        (("--live", "{clip}", "--no-copies"), "--no-copies: is not for --live"),
        (("--live", "gopher://x"), "unknown kind of address 'gopher'"),
    ],
)
def test_wrong_calls(
    video_run: Path, clip: Path, tmp_path: Path, duetal: Duetal, words: tuple[str, ...], cause: str
) -> None:
    given = [word.format(clip=clip) for word in words]
    code, printed, err = duetal("localize", video_run, *given, *CPU, "--out", tmp_path / "out")
    assert code in (1, 2)
    assert cause in printed + err


def test_results_are_not_overwritten_unasked(
    video_run: Path, clip: Path, tmp_path: Path, duetal: Duetal
) -> None:
    (tmp_path / "events.jsonl").write_text("mine")
    words = ("localize", video_run, "--live", clip, "--speed", 0, *CPU, "--out", tmp_path)
    code, _, err = duetal(*words)
    assert (code, "events.jsonl" in err) == (2, True)
    assert (tmp_path / "events.jsonl").read_text() == "mine"
    assert duetal(*words, "--force")[0] == 0
    assert lines(tmp_path)
