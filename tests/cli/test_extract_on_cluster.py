"""`duetal extract --cluster` as a command: what it refuses, and how it shows its progress."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from duetal.cli import progress as progress_module
from duetal.cli.progress import ExtractionProgress

Duetal = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers=2"], "--workers: only goes with --cluster"),
        (["--cpus-per-worker=2"], "--cpus-per-worker: only goes with --cluster"),
        (["--cluster=nowhere"], "--cluster: must be auto, local, HOST:PORT or ray://HOST:PORT"),
        (["--cluster=local", "--workers=0"], "0 is not in the range"),
        (["--cluster=auto", "--crop=8"], "8 is not in the range"),
        (["--cluster=auto"], 'pip install "duetal[cluster]"'),
    ],
)
def test_wrong_words_are_refused(
    duetal: Duetal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "a.mp4").touch()
    code, output, error = duetal("extract", tmp_path, "--out", tmp_path / "store", *words)
    assert (code, output, error.count("\n")) == (2, "", 1)
    assert said in error
    assert not (tmp_path / "store").exists()


def test_the_time_that_is_left_counts_all_videos_at_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with ExtractionProgress({"a": 50, "b": 30, "c": 20}, lambda: 2) as progress:
        now[0] = 22.0
        progress.working("a", 0.5)
        now[0] = 44.0
        progress.working("b", 0.5)
        now[0] = 66.0
        progress.ended("b", "b: T = 3")
        now[0] = 88.0
        progress.ended("c", "c: failed\x1b[2J")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines if "videos" in line] == [
        "0 of 3 videos done",
        "0 of 3 videos done",
        "1 of 3 videos done",
        "2 of 3 videos done",
    ]
    assert "2 workers, " in lines[0]
    # 25 of 100 in 22 seconds.
    assert lines[0].endswith("0:01:06 left")
    assert [line for line in lines if ":" in line and "videos" not in line] == [
        "b: T = 3",
        "c: failed\N{REPLACEMENT CHARACTER}[2J",
    ]


def test_videos_of_unknown_size_count_alike(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with ExtractionProgress({"a": 5, "b": 0}, lambda: 1) as progress:
        now[0] = 40.0
        progress.ended("b", "b")
    assert capsys.readouterr().out.splitlines()[1] == "1 of 2 videos done, 1 worker, 0:00:40 left"
