"""The log of a run that trains: metrics.jsonl, log.txt, the terminal, TensorBoard."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from duetal.core.errors import DuetalError
from duetal.results.folder import RunFolder


class Journal:
    """Writes a run's records and shows its progress.

    A terminal gets a live bar with phase, loss terms and remaining time; anything else gets one
    plain line an epoch. Only the process of rank 0 writes.

    Args:
        folder: the run's folder.
        steps: optimizer steps of the whole run, for the remaining time.
        active: False writes nothing (a process of another rank).
        tensorboard: write TensorBoard events too.
    """

    def __init__(self, folder: Path, steps: int, *, active: bool = True, tensorboard: bool = False):
        self.folder = folder
        self.steps = steps
        self.active = active
        self._metrics_path = folder / "metrics.jsonl"
        self._board = _open_board(folder) if tensorboard and active else None
        self._epochs = 0
        console = Console()
        self._bar: Progress | None = None
        if active and console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[losses]}"),
                console=console,
            )
            self._task = self._bar.add_task("starting", total=steps, losses="")
        self._done = 0
        self._skipped = 0
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.active:
            # The caller shows it.
            RunFolder(self.folder).log(f"stopped: {str(error) or type(error).__name__}")
        if self._bar is not None:
            self._bar.stop()
        if self._board is not None:
            self._board.close()

    def position(self) -> int:
        """Bytes of metrics.jsonl so far, safely on disk."""
        if not self._metrics_path.exists():
            return 0
        with self._metrics_path.open("rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def rewind(self, position: int) -> None:
        """Drop records made after the checkpoint that a resumed run starts from."""
        if not self.active:
            return
        if not self._metrics_path.exists():
            if position:
                raise DuetalError("missing, but the run has a checkpoint", file=self._metrics_path)
            return
        if self._metrics_path.stat().st_size < position:
            raise DuetalError("shorter than when the checkpoint was made", file=self._metrics_path)
        os.truncate(self._metrics_path, position)
        self._epochs = self._metrics_path.read_bytes().count(b'"event": "epoch"')
        if self._board is not None:
            self._board.close()
            self._board = _open_board(self.folder, purge_step=self._epochs + 1)

    def record(self, event: Mapping[str, Any]) -> None:
        """Append one record to metrics.jsonl."""
        if not self.active:
            return
        with self._metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(event), allow_nan=False) + "\n")
        if event["event"] != "epoch":
            return
        self._epochs += 1
        if self._board is not None:
            for term, value in {"loss": event["loss"], **event["terms"]}.items():
                self._board.add_scalar(f"{event['branch']}/{term}", value, self._epochs)

    def log(self, line: str) -> None:
        """Write a line to log.txt and show it."""
        if not self.active:
            return
        RunFolder(self.folder).log(line)
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def skip(self, steps: int) -> None:
        """Count steps that an earlier start of this run has done."""
        self._skipped += steps
        if self._bar is not None:
            self._bar.update(self._task, advance=steps)

    def step(self, phase: str, terms: Mapping[str, float]) -> None:
        """Count one optimizer step."""
        self._done += 1
        if self._bar is not None:
            losses = "  ".join(f"{name} {value:.4f}" for name, value in terms.items())
            self._bar.update(self._task, advance=1, description=phase, losses=losses)

    def epoch(self, event: Mapping[str, Any]) -> None:
        """Record an epoch and, without a terminal, log a line."""
        self.record({"event": "epoch", **event})
        if self._bar is not None or not self.active:
            return
        losses = "  ".join(f"{name} {value:.4f}" for name, value in event["terms"].items())
        self.log(
            f"{event['phase']:>6} {event['epoch']:>3}/{event['epochs']}  "
            f"loss {event['loss']:.4f}  {losses}  left {self._left()}"
        )

    def _left(self) -> str:
        """Remaining time as h:mm:ss, at the pace of the steps of this start."""
        remaining = self.steps - self._skipped - self._done
        pace = (time.monotonic() - self._began) / max(1, self._done)
        seconds = round(remaining * pace)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _open_board(folder: Path, purge_step: int | None = None) -> Any:
    """Start TensorBoard's events; those of an earlier start from `purge_step` on are void."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise DuetalError(
            "tensorboard=true needs TensorBoard: pip install 'duetal[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=purge_step)
