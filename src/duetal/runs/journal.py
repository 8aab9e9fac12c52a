"""The log of a run that trains: metrics.jsonl, log.txt, the terminal, TensorBoard."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import TextColumn, TimeElapsedColumn

from duetal.core.bars import LiveProgress, remaining
from duetal.core.console import PlainConsole
from duetal.core.errors import DuetalError
from duetal.method.schedule import Phase
from duetal.results.folder import RunFolder
from duetal.results.log_events import EpochEvent, PhaseEnd, PhaseStart
from duetal.results.schema import PhaseRecord


class Journal(LiveProgress):
    """Writes a run's records and shows its progress.

    A terminal gets a live bar with phase, loss terms and remaining time; anything else gets one
    plain line an epoch. Only the process of rank 0 writes: another one is not `active`. `steps` are
    the optimizer steps of the whole run, and `after` the seconds that the evaluation after them
    will take, for the remaining time.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        *,
        after: float = 0.0,
        active: bool = True,
        tensorboard: bool = False,
    ):
        super().__init__(
            PlainConsole() if active else None,
            TextColumn("{task.percentage:3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            TextColumn("{task.fields[losses]}"),
            transient=False,
        )
        if self.bars is not None:
            self._task = self.bars.add_task("starting", total=steps, losses="", left="")
        self.folder = RunFolder(folder)
        self.steps, self.after = steps, after
        self.active = active
        self._board = _open_board(folder) if tensorboard and active else None
        self._epochs = self._done = self._skipped = 0
        self._phase_began = self._epoch_began = time.monotonic()

    def __exit__(self, *error: object) -> None:
        if error[1] is not None and self.active:
            # The caller shows it.
            self.folder.log(f"stopped: {str(error[1]) or type(error[1]).__name__}")
        self.close()
        if self._board is not None:
            self._board.close()

    def position(self) -> int:
        """Bytes of metrics.jsonl so far, safely on disk."""
        if not self.folder.metrics_file.exists():
            return 0
        with self.folder.metrics_file.open("rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def rewind(self, position: int) -> None:
        """Drop records made after the checkpoint that a resumed run starts from."""
        path = self.folder.metrics_file
        if not self.active or not (path.exists() or position):
            return
        if not path.exists():
            raise DuetalError("missing, but the run has a checkpoint", file=path)
        if path.stat().st_size < position:
            raise DuetalError("shorter than when the checkpoint was made", file=path)
        os.truncate(path, position)
        self._epochs = path.read_bytes().count(b'"event": "epoch"')
        if self._board is not None:
            self._board.close()
            self._board = _open_board(self.folder.path, purge_step=self._epochs + 1)

    def record(self, event: Mapping[str, Any]) -> None:
        """Append one record to metrics.jsonl."""
        if not self.active:
            return
        with self.folder.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(event), allow_nan=False) + "\n")
        if event["event"] != "epoch":
            return
        self._epochs += 1
        if self._board is not None:
            for term, value in {"loss": event["loss"], **event["terms"]}.items():
                self._board.add_scalar(f"{event['branch']}/{term}", value, self._epochs)

    def log(self, line: str) -> None:
        """Write a line to log.txt and show it."""
        if self.active:
            self.folder.log(line)
            self.print(line)

    def skip(self, steps: int) -> None:
        """Count steps that an earlier start of this run has done."""
        self._skipped += steps
        if self.bars is not None:
            self.bars.update(self._task, advance=steps)

    def step(self, phase: str, terms: Mapping[str, float], count: int = 1) -> None:
        """Count one optimizer step, or more."""
        self._done += count
        if self.bars is not None:
            losses, left = _losses(terms), self._left()
            self.bars.update(self._task, advance=count, description=phase, losses=losses, left=left)

    def begin_phase(self, phase: Phase | PhaseRecord, *, resumed: bool = False) -> None:
        """Start the clock of a phase, and record it unless an earlier start has."""
        self._phase_began = time.monotonic()
        self.begin_epoch()
        if not resumed and phase.epochs:
            self.record(PhaseStart.model_validate(phase, from_attributes=True).to_json())

    def begin_epoch(self) -> None:
        """Start the clock of an epoch."""
        self._epoch_began = time.monotonic()

    def end_epoch(
        self, phase: Phase | PhaseRecord, epoch: int, losses: Mapping[str, float]
    ) -> None:
        """Record epoch 1, 2, … of a phase with its mean weighted terms, and begin the next one."""
        event = EpochEvent(
            phase=phase.name,
            branch=phase.student,
            epoch=epoch,
            epochs=phase.epochs,
            loss=sum(losses.values()),
            terms=dict(losses),
            seconds=round(time.monotonic() - self._epoch_began, 3),
        )
        self.epoch(event.to_json())
        self.begin_epoch()

    def end_phase(self, phase: Phase | PhaseRecord) -> None:
        """Record the end of a phase."""
        if phase.epochs:
            seconds = round(time.monotonic() - self._phase_began, 3)
            self.record(PhaseEnd(phase=phase.name, stage=phase.stage, seconds=seconds).to_json())

    def epoch(self, event: Mapping[str, Any]) -> None:
        """Record an epoch and, without a terminal, log a line."""
        self.record({"event": "epoch", **event})
        if self.bars is None:
            self.log(
                f"{event['phase']:>6} {event['epoch']:>3}/{event['epochs']}  "
                f"loss {event['loss']:.4f}  {_losses(event['terms'])}  left {self._left()}"
            )

    def _left(self) -> str:
        """The time left with the evaluation, at the pace of the steps of this start."""
        done = self._done / (self.steps - self._skipped)
        return remaining(self.elapsed(), done, self.after)


def _losses(terms: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in terms.items())


def _open_board(folder: Path, purge_step: int | None = None) -> Any:
    """Start TensorBoard's events; those of an earlier start from `purge_step` on are void."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        cause = "tensorboard=true needs TensorBoard: pip install 'duetal[tensorboard]'"
        raise DuetalError(cause) from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=purge_step)
