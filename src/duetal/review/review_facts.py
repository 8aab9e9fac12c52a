"""What is known of a review and its videos, as it is kept and as the page of localize embeds it."""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from duetal.core.errors import DuetalError
from duetal.core.files import read_text
from duetal.core.grid import TimeGrid
from duetal.core.records import Record, parse
from duetal.own_videos.result_folder import MEDIA
from duetal.pages.marks import JOINT, BranchMark

_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def decoded(url: str | None) -> str:
    """The path that a relative address stands for, whatever bytes it has."""
    return os.fsdecode(unquote_to_bytes(url or ""))


class PageFacts(Record):
    """What is shown of all videos."""

    branches: tuple[BranchMark, ...] = ()
    grid: TimeGrid = TimeGrid()
    floor: FiniteFloat = 0.0  #: Open proposals that score below are hidden at first.
    mark: str = JOINT  #: Of the proposals.


class ReviewFacts(PageFacts):
    """What is known of a review as a whole."""

    run: str = (
        ""  #: The folder of the run that they were first found by; empty where it is unknown.
    )
    round: NonNegativeInt = 0  #: Of training again: whose proposals are shown; 0: the first ones.


class PlayedFacts(Record):
    """What the player needs to know of a video; `PlayedVideo` explains the fields."""

    begin: FiniteFloat = 0.0
    offset: FiniteFloat = 0.0
    fps: Annotated[FiniteFloat, Field(gt=0)] = 25.0
    duration: Annotated[FiniteFloat, Field(ge=0)]
    note: str = ""


class VideoFacts(PlayedFacts):
    """What a review keeps of a video."""

    copied: str = ""  #: The name of its copy among the review's media; empty where it has none.
    mark: str = ""  #: Tells its file from others of its name; empty until it has been looked at.
    is_guessed: bool = False  #: Only its detections are known.


class FoundVideo(PlayedFacts):
    """A video on the page of localize."""

    name: str
    url: str | None
    pool: PositiveInt
    scores: dict[str, dict[int, str]]

    def facts(self) -> VideoFacts:
        """What a review keeps of it."""
        place = decoded(self.url)
        # A copy of ours is known by its place; any other file has to be given.
        start = f"./{MEDIA}/"
        copied = place.removeprefix(start) if place.startswith(start) else ""
        return VideoFacts(**self.model_dump(include=set(PlayedFacts.model_fields)), copied=copied)

    def curves(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Its curves by the classes' names."""
        scores = {
            branch: {classes[k]: curve for k, curve in curves.items() if 0 <= k < len(classes)}
            for branch, curves in self.scores.items()
        }
        return {"pool": self.pool, "scores": scores}


class FoundPage(PageFacts):
    """What the page of localize embeds."""

    classes: tuple[str, ...]
    videos: tuple[FoundVideo, ...]

    def facts(self) -> dict[str, Any]:
        """What a review keeps of it, by name."""
        return {name: getattr(self, name) for name in PageFacts.model_fields}


def read_found_page(path: Path) -> FoundPage:
    """Read the page that localize made; it is a DuetalError if it is another."""
    embedded = _DATA.search(read_text(path))
    try:
        # By Python's reader: a name may hold half a character, which others refuse.
        return parse(FoundPage, json.loads(embedded[1] if embedded else ""), path)
    except (ValueError, RecursionError, DuetalError) as error:
        raise DuetalError("is no page of duetal localize, or damaged", file=path) from error
