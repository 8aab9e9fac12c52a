"""What a live source gave, line by line: JSON for programs, WebVTT for players.

OUT/events.jsonl   one JSON object a line, written through as it comes
OUT/live.vtt       the detections as cues, in the order of their ends
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from duetal.core.errors import DuetalError, machine_fault
from duetal.core.files import Closing
from duetal.formats.marked import Marked
from duetal.formats.webvtt import cue
from duetal.live.live_localizer import LiveDetection

EVENTS, SUBTITLES = "events.jsonl", "live.vtt"


class LiveEvents(Closing):
    """The two files of a live source, which are appended to; a context manager.

    DuetalError if a file can't be written.
    """

    def __init__(self, folder: Path, *, floor: float):
        folder.mkdir(parents=True, exist_ok=True)
        self._floor = floor
        self._paths = folder / EVENTS, folder / SUBTITLES
        self._files: list[TextIO] = []
        for path in self._paths:
            self._files.append(path.open("w", encoding="utf-8"))
        self._write(1, "WEBVTT\n\n")

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def tell(self, event: str, **about: Any) -> None:
        """Write a line with the time of the machine's clock."""
        line = {"event": event, **about, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        self._write(0, json.dumps(line, ensure_ascii=False) + "\n")

    def detection(self, found: LiveDetection) -> None:
        """Write a detection; as a cue, where its score is high enough."""
        self.tell(
            "detection",
            label=found.label,
            segment=[round(found.start, 3), round(found.end, 3)],
            score=float(f"{found.score:.4g}"),
            told=round(found.told, 3),
        )
        if found.score >= self._floor:
            self._write(1, cue(Marked(found.start, found.end, found.label, found.score)) + "\n\n")

    def _write(self, number: int, text: str) -> None:
        file = self._files[number]
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            cause = machine_fault(error) or str(error)
            raise DuetalError(f"cannot write: {cause}", file=self._paths[number]) from error
