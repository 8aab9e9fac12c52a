"""A review, as its page and the command line read and change it."""

import hashlib
import secrets
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException

from duetal.core.errors import UsageError
from duetal.core.files import replacing
from duetal.core.outputs import refuse_existing
from duetal.formats import guess
from duetal.formats.conversion import save
from duetal.formats.forms import Format
from duetal.formats.options import FormatOptions
from duetal.review import exchange
from duetal.review.actions import Action, Reviewed, Verb, label_of, rename, title_of
from duetal.review.corrections import Entry
from duetal.review.open_review import OpenReview
from duetal.review.review_facts import PageFacts, PlayedFacts
from duetal.review.statements import Statement, StatementChange, StatementKind
from duetal.review.what_next import WhatNext
from duetal.video.stills import filmstrip

#: Pictures along a video's timeline.
STILLS = 24
#: The name of the table to train on, among the names of forms.
TABLE = "table"
#: What the page is told of a video, beside its name and address.
_SHOWN = set(PlayedFacts.model_fields)


class ReviewService:
    """A review, as the page reads and changes it. Its methods can be called by any thread."""

    def __init__(self, review: OpenReview) -> None:
        self.review = review
        self.corrections = review.corrections
        self.names = list(review.videos)
        self.opened = secrets.token_hex(4)
        self._what_next = WhatNext(review)
        #: What reads the state and then writes is one thing; the pictures of one video at a time.
        self.acting, self._drawing = threading.Lock(), threading.Lock()

    def whole(self) -> dict[str, Any]:
        """All that the page knows at first."""
        videos = []
        for index, (name, about) in enumerate(self.review.videos.items()):
            url = f"/videos/{index}/media" if name in self.review.files else None
            videos.append({"name": name, "url": url, **about.model_dump(include=_SHOWN)})
        about_all = self.review.about.model_dump(mode="json", include=set(PageFacts.model_fields))
        own = {"videos": videos, "stills": STILLS, "opened": self.opened}
        return {**about_all, **own, **self.news(-1)}

    def news(self, since: int) -> dict[str, Any]:
        """What has changed since an entry of the journal; all of it since -1."""
        corrections = self.corrections
        # From one moment: a page that takes a state for a newer one would overwrite what is new.
        with corrections.lock:
            undo, redo = corrections.next_undo(), corrections.next_redo()
            states = {
                index: [[number, *one] for number, one in corrections.state(name).items()]
                for index, name in enumerate(self.names)
                if corrections.version(name) > since
            }
            return {
                "states": states,
                "versions": {index: corrections.version(self.names[index]) for index in states},
                "classes": self.review.classes,
                "last": max(map(corrections.version, ("", *self.names))),
                "undo": undo and {"entry": undo.number, "title": undo.title},
                "redo": redo and {"entry": redo.number, "title": redo.title},
            }

    def what_next(self) -> dict[str, Any]:
        """What to look at next, by what is known and by the scores that are shown."""
        if self._what_next.about is not self.review.about:
            with self.acting:
                self._what_next = WhatNext(self.review)
        return self._what_next.to_json()

    def act(self, video: int | None, version: int, values: dict[str, Any]) -> Entry | None:
        """Do what a person asks for; raises a DuetalError where it is not possible."""
        try:
            action = Action(**values)
        except (ValidationError, TypeError) as error:
            raise UsageError("is no action that this page has") from error
        with self.acting:
            changes, seen = self._changes(video, version, action)
            used = {c.after.label for c in changes if c.after is not None}
            listed = {*self.review.classes, ""}
            title = title_of(action, changes)
            if action.verb is not Verb.RENAME:
                changes += [self.new_class(label) for label in sorted(used - listed)]
            return self.corrections.act(title, changes, seen)

    def _changes(
        self, video: int | None, version: int, action: Action
    ) -> tuple[list[StatementChange], dict[str, int]]:
        if action.verb is Verb.CLASS:
            label = label_of(action.label)
            known = label in self.review.classes
            return [] if known else [self.new_class(label)], {}
        if action.verb is Verb.RENAME:
            (new,) = action.present[:1] or ("",)
            return rename(self.corrections.states(), action.label, new), {}
        name = self.name_of(video)
        duration = self.review.durations()[name]
        state = self.corrections.state(name)
        reviewed = Reviewed(name, duration, state, self.corrections.next_number)
        if self.corrections.version(name) != version:
            # Told before the action is looked at, which may be about what is no more.
            self.corrections.act("", [], {name: version})
        return reviewed.changes(action), {name: version}

    def new_class(self, label: str) -> StatementChange:
        """The change that adds a name which can be given."""
        one = Statement(StatementKind.CLASS, label)
        return StatementChange("", self.corrections.next_number(), None, one)

    def name_of(self, video: object) -> str:
        """The name of a video by its number on the page; UsageError where it has none."""
        if not isinstance(video, int) or not 0 <= video < len(self.names):
            raise UsageError("no such video in this review")
        return self.names[video]

    def take_in(self, path: Path, options: FormatOptions, name: str = "") -> Entry | None:
        """Take over annotations that were made or corrected elsewhere, as one action.

        `name` is what the file is called where it comes from.
        """
        annotations = guess.read_annotations(path, options=options)
        with self.acting:
            states = {name: self.corrections.state(name) for name in self.names}
            changes = exchange.changes_to(states, annotations, self.corrections.next_number)
            if not changes and not set(states) & set(annotations.videos):
                raise UsageError("has none of the videos of this review", file=path)
            labels = {c.after.label for c in changes if c.after} - {*self.review.classes}
            changes += [self.new_class(label) for label in sorted(labels)]
            return self.corrections.act(f"import: {name or path.name}", changes, {})

    def save(
        self, target: Path, form: str | None, options: FormatOptions, *, force: bool = False
    ) -> list[str]:
        """Write what is known in a form, or as the table; gives notes and what was lost."""
        states = {name: self.corrections.state(name) for name in self.names}
        if form == TABLE:
            refuse_existing(target, force=force)
            exchange.write_table(target, states)
            return []
        known = exchange.as_annotations(states, self.review.durations(), self.review.classes)
        if not known.videos:
            raise UsageError("nothing is known of any video yet: accept, add or label first")
        to = None if form is None else Format(form)
        if to is Format.THUMOS14:
            # Its files are named by a subset; in it, one trains on this one.
            named = {v.name: replace(v, subset="validation") for v in known}
            known = replace(known, videos=named)
        done = save(known, target, to, options=options, force=force)
        return [*done.notes, *done.lines]

    def stills(self, index: int) -> Path:
        """The file of a video's small pictures, which is made where it is not there."""
        path, status = self.file_of(index)
        mark = f"{path}\n{status.st_size} {status.st_mtime_ns} {STILLS}"
        name = hashlib.sha256(mark.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        target = self.review.folder / "thumbnails" / f"{name}.jpg"
        with self._drawing:
            if not target.is_file():
                strip = filmstrip(path, count=STILLS)
                with replacing(target) as temporary:
                    temporary.write_bytes(strip)
        return target

    def file_of(self, index: int) -> tuple[Path, Any]:
        """The file that is played of a video; HTTPException where it is not what it was."""
        found = self.review.files.get(self.name_of(index))
        if found is None:
            raise HTTPException(404, "the video is in none of the folders that were given")
        path, opened = found
        try:
            now = path.stat()
        except OSError:
            cause = "the video is no longer where it was; its corrections are kept"
            raise HTTPException(404, cause) from None
        if (now.st_size, now.st_mtime_ns) != (opened.st_size, opened.st_mtime_ns):
            cause = "the video was replaced; its corrections are kept: open the review again"
            raise HTTPException(409, cause)
        return path, now
