"""How far a long job has come, on a terminal and in a file."""

import io
import re
import time
from functools import partial

import pytest
from rich.console import Console

from duetal.cli import progress as progress_module
from duetal.cli.progress import DownloadProgress, ExtractionProgress, StepProgress, VideoProgress
from duetal.core import bars
from duetal.core.bars import remaining


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    monkeypatch.setattr(bars, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("elapsed", "share", "text"),
    [
        (10, 0.5, "0:00:10"),
        (10, 0.1, "0:01:30"),
        (0.4, 0.5, "0:00:00"),
        (59.6, 0.5, "0:01:00"),
        (3599, 0.5, "0:59:59"),
        (90061, 0.5, "25:01:01"),
        (3600, 0.25, "3:00:00"),
        (5, 0, "unknown time"),
        (5, 1.0, "0:00:00"),
        (5, 1.5, "0:00:00"),
    ],
)
def test_the_time_left_is_as_much_again_as_the_work_left(elapsed, share, text):
    assert remaining(elapsed, share) == text


def test_without_a_terminal_there_is_a_line_now_and_then(clock, capsys):
    with ExtractionProgress({"a": 300, "b\x1b": 100}) as progress:
        for step in range(1, 5):
            clock.now += 6
            progress.working("a", step / 4)
        progress.ended("a", "a: T = 4")
        clock.now += 11
        progress.working("b\x1b", 0.0)
        clock.now += 11
        progress.working("b\x1b", 0.5)
        progress.ended("b\x1b", "failed: b\x1b")
    assert capsys.readouterr().out.splitlines() == [
        "a: 50%, 0:00:06 left; 0 of 2 videos done, 0:00:20 left",
        "a: 100%, 0:00:00 left; 0 of 2 videos done, 0:00:08 left",
        "a: T = 4",
        "b\N{REPLACEMENT CHARACTER}: 0%, unknown time left; 1 of 2 videos done, 0:00:12 left",
        "b\N{REPLACEMENT CHARACTER}: 50%, 0:00:11 left; 1 of 2 videos done, 0:00:07 left",
        "failed: b\N{REPLACEMENT CHARACTER}",
    ]


def test_work_of_many_steps_tells_what_is_left_of_it(clock):
    progress = VideoProgress("steps")
    assert progress.state() == ""
    told = []
    for what, done, total in (
        *(("reading", 1, 3), ("reading", 2, 3), ("reading", 3, 3)),
        *(("resampling", 1, 1020), ("resampling", 2, 1020), ("resampling", 4, 1020)),
    ):
        progress(what, done, total)
        clock.now += 6
        told.append(progress.state())
    assert told == [
        "reading: 1 of 3 steps (6 s)",
        "reading: 2 of 3 steps, 0:00:12 left",
        "reading: 3 of 3 steps, 0:00:00 left",
        "resampling: 1 of 1,020 steps (6 s)",
        "resampling: 2 of 1,020 steps, 3:23:36 left",
        "resampling: 4 of 1,020 steps, 1:41:36 left",
    ]


def test_where_a_size_is_unknown_all_videos_count_alike(clock, capsys):
    with ExtractionProgress({"a": 0, "b": 1000}) as progress:
        progress.ended("a", "a")
        clock.now += 20
        progress.working("b", 0.0)
    assert capsys.readouterr().out.splitlines()[-1].endswith("1 of 2 videos done, 0:00:20 left")


def test_no_video_is_no_progress(capsys):
    with ExtractionProgress({}):
        pass
    assert capsys.readouterr().out == ""


def test_on_a_terminal_there_are_two_bars_and_names_are_escaped(monkeypatch):
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=90, markup=False, highlight=False)
    monkeypatch.setattr(progress_module, "PlainConsole", lambda: console)
    with ExtractionProgress({"[red]a\x1b[31m": 10, "b": 30}) as progress:
        progress.working("[red]a\x1b[31m", 0.5)
        progress.bars.refresh()
        progress.ended("[red]a\x1b[31m", "a: done")
        progress.working("b", 0.25)
        progress.bars.refresh()
    text = output.getvalue()
    assert "0 of 2 videos done" in text
    assert "[red]a\N{REPLACEMENT CHARACTER}[31m" in text
    assert "a: done" in text
    assert " 50 %" in text
    assert " 44 %" in text


def test_a_download_is_reported_now_and_then_on_standard_error(clock, capsys):
    report = DownloadProgress("downloading weights")
    for step in range(4):
        clock.now += 6
        report(step * 10**7, 5 * 10**7)
    clock.now += 11
    report(4 * 10**7, None)
    assert capsys.readouterr().err.splitlines() == [
        "downloading weights: 10 of 50 MB",
        "downloading weights: 30 of 50 MB",
        "downloading weights: 40 MB",
    ]


@pytest.mark.parametrize(
    ("kind", "how", "told"),
    [
        (StepProgress, (), r"judging \(\d+ s\)\n"),
        (partial(VideoProgress, to_error=True), (0, 1), r"judging: 0 of 1 videos \(\d+ s\)\n"),
    ],
)
def test_what_takes_long_is_told_without_a_terminal(kind, how, told, monkeypatch, capsys):
    monkeypatch.setattr(progress_module, "PAUSE", 0.01)
    with kind() as progress:
        progress("judging", *how)
        deadline = time.monotonic() + 20
        while not (err := capsys.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert re.match(told, err)
