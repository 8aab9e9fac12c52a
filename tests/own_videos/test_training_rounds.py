"""Rounds of training: one after the other, stopped, failed, interrupted, and gone on with."""

import json
import sys
import time
from pathlib import Path

import pytest

from duetal.core.errors import UsageError
from duetal.own_videos.training_rounds import Round, Rounds, RoundState

#: Words that stand for commands of duetal: Python, run by `-c`.
SAY = "print('warmup 1/2'); print('warmup 2/2')"
FAIL = "import sys; print('duetal: error: d.csv: bad', file=sys.stderr); sys.exit(1)"
CRASH = "import os; os._exit(9)"
#: Some videos could not be read; they are listed.
PARTLY = "import sys; print('failed:'); print('  a.mp4: no video'); sys.exit(1)"
WAIT = "import time; print('waiting', flush=True); time.sleep(60)"


def rounds_in(folder: Path) -> Rounds:
    return Rounds(folder, (sys.executable, "-c"))


def wait(rounds: Rounds) -> Round:
    end = time.monotonic() + 30
    while rounds.is_busy and time.monotonic() < end:
        time.sleep(0.02)
    return rounds.all()[-1]


@pytest.mark.parametrize(
    ("commands", "state", "cause"),
    [
        ([SAY], RoundState.DONE, ""),
        ([SAY, FAIL, SAY], RoundState.FAILED, "d.csv: bad"),
        ([PARTLY, SAY], RoundState.DONE, ""),
        ([CRASH], RoundState.FAILED, f"duetal {CRASH} ended with 9"),
    ],
)
def test_commands_run_one_after_the_other(
    tmp_path: Path, commands: list[str], state: RoundState, cause: str
) -> None:
    rounds = rounds_in(tmp_path / "rounds")
    begun = rounds.begin(None, "2 videos: 3 labels", [(words,) for words in commands])
    assert begun.number == 1
    ended = wait(rounds)
    assert (ended.state, ended.cause, ended.gain) == (state, cause, None)
    log = (tmp_path / "rounds" / "1" / "log.txt").read_text()
    ran = commands.index(FAIL) + 1 if FAIL in commands else len(commands)
    assert [line for line in log.splitlines() if line.startswith("$ ")] == [
        f"$ duetal {words}" for words in commands[:ran]
    ]


def test_one_at_a_time_stopped_and_gone_on_with(tmp_path: Path) -> None:
    rounds = rounds_in(tmp_path / "rounds")
    flag = tmp_path / "flag"
    waits = f"import pathlib\nif not pathlib.Path({str(flag)!r}).exists():\n {WAIT}"
    rounds.begin(Path("run"), "", [(waits,), (SAY,)])
    while rounds.progress() != "waiting":
        time.sleep(0.02)
    with pytest.raises(UsageError, match="training is under way"):
        rounds.begin(None, "", [])
    rounds.stop()
    assert rounds.all()[-1].state is RoundState.STOPPED
    assert not rounds.is_busy
    flag.touch()
    assert rounds.go_on().number == 1
    assert wait(rounds).state is RoundState.DONE
    assert rounds.progress() == ""
    with pytest.raises(UsageError, match="no round is to be gone on with"):
        rounds.go_on()
    assert rounds.begin(None, "", [(SAY,)]).number == 2
    wait(rounds)


def test_a_round_that_was_killed_is_shown_as_stopped(tmp_path: Path) -> None:
    rounds = rounds_in(tmp_path / "rounds")
    rounds.begin(None, "", [(SAY,)])
    ended = wait(rounds)
    ended.model_copy(update={"state": RoundState.RUNNING}).write(tmp_path / "rounds/1/round.json")
    again = rounds_in(tmp_path / "rounds")
    assert again.all()[-1].state is RoundState.STOPPED
    again.go_on()
    assert wait(again).state is RoundState.DONE


def test_the_gain_is_what_compare_found(tmp_path: Path) -> None:
    difference = {"difference": 0.1, "low": 0.02, "high": 0.2}
    found = {"headline": "0.1:0.7", "videos": 5,
             "scores": {"before": {"0.1:0.7": 0.3}, "after": {"0.1:0.7": 0.4}},
             "versus": [{"averages": {"0.1:0.7": difference}}]}  # fmt: skip
    rounds = rounds_in(tmp_path / "rounds")
    file = rounds.place(1) / "comparison.json"
    write = f"import pathlib; pathlib.Path({str(file)!r}).write_text({json.dumps(found)!r})"
    rounds.begin(Path("run"), "", [(write,)])
    gain = wait(rounds).gain
    assert gain is not None
    assert (gain.before, gain.after, gain.low, gain.high, gain.videos) == (0.3, 0.4, 0.02, 0.2, 5)
