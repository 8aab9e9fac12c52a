"""Training again, round after round: commands of duetal, one after the other, in their own process.

FOLDER/1/round.json    what the round is made of, and how it ended
FOLDER/1/log.txt       what its commands printed
FOLDER/1/dataset/      what was learnt from
FOLDER/1/run/          the run
FOLDER/1/found/        what it finds in the videos

A round that was interrupted, by whatever, goes on by `Rounds.go_on`.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import FiniteFloat, PositiveInt

from duetal.core.errors import DuetalError, UsageError
from duetal.core.files import read_json
from duetal.core.known_times import LabelUse
from duetal.core.records import Record
from duetal.core.url_paths import explained

if TYPE_CHECKING:
    # It imports PyTorch, which correcting does not need.
    from duetal.runs.run import Run

#: A command of duetal, by its words.
Command = tuple[str, ...]
#: Seconds that a command which is stopped has to end.
_PATIENCE = 10.0
#: Bytes of the end of a log in which the last line is.
_TAIL = 4000
#: What duetal prints before the line that says why it failed.
_ERROR = "duetal: error: "
COMPARISON = "comparison.json"
#: Of the warm-up of a run, the part that a round which goes on from it has: one of so many.
_WARM_UP = 4


class RoundState(StrEnum):
    """How far a round is."""

    RUNNING = "running"
    STOPPED = "stopped"  #: By a person, or with the program.
    FAILED = "failed"
    DONE = "done"


class Gain(Record):
    """How much better a round's run is than the one it began with, on videos that were held out."""

    headline: str  #: The average: "0.3:0.7".
    before: FiniteFloat  #: mAP, from 0 to 1.
    after: FiniteFloat
    low: FiniteFloat  #: Of the difference's 95 % interval.
    high: FiniteFloat
    videos: int


class Round(Record):
    """A round, as its folder keeps it."""

    number: PositiveInt
    start: str  #: The run that it goes on from; empty where it begins with none.
    told: str  #: How much was known, in words.
    commands: tuple[Command, ...]
    began: FiniteFloat  #: Seconds since 1970.
    state: RoundState = RoundState.RUNNING
    seconds: FiniteFloat = 0.0  #: That it has taken.
    cause: str = ""  #: Of its failure.
    gain: Gain | None = None


class Rounds:
    """The rounds in a folder, of which one at most is under way. Any thread may call its methods.

    Args:
        folder: made with the first round.
        program: what is called with the words of a command.
    """

    def __init__(
        self, folder: Path, program: Sequence[str] = (sys.executable, "-m", "duetal")
    ) -> None:
        self.folder, self._program = folder, program
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._number = 0  # Of the round under way, or of the last one that was.
        self._stopped = False

    def place(self, number: int) -> Path:
        """The folder of a round."""
        return self.folder / str(number)

    def run_of(self, number: int) -> Path:
        """The folder of a round's run."""
        return self.place(number) / "run"

    def all(self) -> list[Round]:
        """Every round, in order; one that was interrupted as stopped."""
        with self._lock:
            numbers = [int(file.parent.name) for file in self.folder.glob("[0-9]*/round.json")]
            rounds = [Round.read(self.place(n) / "round.json") for n in sorted(numbers)]
            if rounds and rounds[-1].state is RoundState.RUNNING and not self.is_busy:
                rounds[-1] = rounds[-1].model_copy(update={"state": RoundState.STOPPED})
            return rounds

    @property
    def is_busy(self) -> bool:
        """Whether a round is under way."""
        return self._thread is not None and self._thread.is_alive()

    def progress(self) -> str:
        """The last line that the round under way printed."""
        if not self.is_busy:
            return ""
        with contextlib.suppress(OSError), self._log(self._number).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
            told = [line.strip() for line in lines if line.strip() and not line.startswith("$ ")]
            return told[-1] if told else ""
        return ""

    def next_number(self) -> int:
        """The number of the round that comes next."""
        rounds = self.all()
        return 1 + (rounds[-1].number if rounds else 0)

    def begin(self, start: Path | None, told: str, commands: Sequence[Command]) -> Round:
        """Begin the next round; a UsageError if one is under way."""
        with self._lock:
            if self.is_busy:
                raise UsageError("training is under way: wait for its end, or stop it")
            begun = Round(
                number=self.next_number(),
                start=str(start or ""),
                told=told,
                commands=tuple(commands),
                began=time.time(),
            )
            begun.write(self.place(begun.number) / "round.json")
            self._run(begun)
            return begun

    def go_on(self) -> Round:
        """Go on with the last round, where it was stopped, interrupted or has failed."""
        with self._lock:
            rounds = self.all()
            if self.is_busy or not rounds or rounds[-1].state is RoundState.DONE:
                raise UsageError("no round is to be gone on with")
            self._run(rounds[-1])
            return rounds[-1]

    def wait(self) -> None:
        """Wait for the end of the round that is under way, if any."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def stop(self) -> None:
        """Stop the round that is under way, if any, and wait for that."""
        with self._lock:
            self._stopped = True
            process, thread = self._process, self._thread
        if process is not None:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _log(self, number: int) -> Path:
        return self.place(number) / "log.txt"

    def _run(self, round_: Round) -> None:
        self._number, self._stopped = round_.number, False
        self._thread = threading.Thread(target=self._work, args=[round_], daemon=True)
        self._thread.start()

    def _work(self, round_: Round) -> None:
        """Run the commands of a round, and keep how that ended."""
        began, state, cause, gain = time.monotonic(), RoundState.DONE, "", None
        round_ = round_.model_copy(update={"state": RoundState.RUNNING, "cause": ""})
        try:
            round_.write(self.place(round_.number) / "round.json")
            for words in round_.commands:
                if cause := self._call(round_.number, words):
                    state = RoundState.STOPPED if self._stopped else RoundState.FAILED
                    break
            else:
                gain = _gain(self.place(round_.number) / COMPARISON)
        except DuetalError as error:
            state, cause = RoundState.FAILED, str(error)
        ended = {
            "state": state,
            "cause": "" if state is RoundState.STOPPED else cause,
            "seconds": round(round_.seconds + time.monotonic() - began, 1),
            "gain": gain,
        }
        with contextlib.suppress(DuetalError):
            round_.model_copy(update=ended).write(self.place(round_.number) / "round.json")

    def _call(self, number: int, words: Command) -> str:
        """Run a command of duetal to its end; the last line it printed where that is a failure."""
        log = self._log(number)
        with explained("write", log), log.open("ab") as file:
            file.write(f"$ duetal {' '.join(words)}\n".encode("utf-8", "replace"))
            file.flush()
            begins = file.tell()
            with self._lock:
                if self._stopped:
                    return "stopped"
                self._process = subprocess.Popen(
                    [*self._program, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                )
            code = self._process.wait()
        if code == 0:
            return ""
        told = log.read_bytes()[begins:].decode("utf-8", "replace").split("\n")
        errors = [line.removeprefix(_ERROR) for line in told if line.startswith(_ERROR)]
        # Videos that can't be read are listed, and the others have been worked through.
        if code == 1 and not errors:
            return ""
        return errors[-1] if errors else f"duetal {words[0]} ended with {code}"


def training(
    start: "Run | None", dataset: Path, use: LabelUse, out: Path, settings: Iterable[str] = ()
) -> Command:
    """The command that trains in a round: from a run, in a part of its time, or from nothing.

    Args:
        start: the run to go on from: with one alternation, and a part of its warm-up.
        dataset: what is learnt from.
        use: which labels of it.
        out: the new run's folder.
        settings: further `key=value` words, which count before those of the round.
    """
    how: tuple[str, ...] = ("auto",)
    if start is not None:
        schedule = start.config.schedule
        warm_up = max(1, round(schedule.warmup_epochs / _WARM_UP))
        shortened = f"warmup_epochs={warm_up}", f"alternations={min(1, schedule.alternations)}"
        how = ("--from", str(start.folder.path), *shortened)
    data = f"dataset={dataset}", f"labels.use={use}"
    return ("train", *how, *settings, *data, "--out", str(out), "--resume")


def _gain(comparison: Path) -> Gain | None:
    """What `duetal compare --json` found; None where nothing was compared."""
    if not comparison.is_file():
        return None
    found = read_json(comparison)
    headline, versus = found["headline"], found["versus"][0]
    before, after = (each[headline] for each in found["scores"].values())
    difference = versus["averages"][headline]
    return Gain(
        headline=headline,
        before=before,
        after=after,
        low=difference["low"],
        high=difference["high"],
        videos=found["videos"],
    )
