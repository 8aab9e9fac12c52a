"""The file of a review: its videos, its proposals, and a journal of every correction.

The file is a database of SQLite. An action is one row of the journal, written and synced before
anything is answered. A row is never changed or removed: undo and redo are rows, too. A kill at any
moment therefore loses nothing that was answered, and what is undone can be redone after a restart.
"""

import json
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from duetal.core.errors import DuetalError
from duetal.core.files import Closing
from duetal.review.statements import StaleError, Statement, StatementChange, Statements

#: Tells the file from other databases of SQLite: "dtlr".
APPLICATION = 0x64746C72
VERSION = 1
#: Names and statements are JSON: a file's name may hold half a character, which SQLite refuses.
_SCHEMA = """
CREATE TABLE review (about TEXT NOT NULL);
CREATE TABLE videos (name TEXT PRIMARY KEY, about TEXT NOT NULL, scores TEXT NOT NULL);
CREATE TABLE proposals (
    number INTEGER PRIMARY KEY, video TEXT NOT NULL, statement TEXT NOT NULL);
CREATE TABLE journal (
    entry INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL,
    changes TEXT NOT NULL);
"""


class EntryKind(StrEnum):
    """What a row of the journal does."""

    ACT = "act"
    UNDO = "undo"  #: Of the last action that is not undone.
    REDO = "redo"  #: Of the last that is.


@dataclass(frozen=True)
class Entry:
    """An action that was taken."""

    number: int
    title: str
    changes: Sequence[StatementChange]


class Corrections(Closing):
    """An open review, which no other process can open. Its methods can be called by any thread.

    Raises:
        DuetalError: the file is another process's at the moment, is no review, is damaged, or can't
            be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Held while something is read or written; whoever holds it sees one moment.
        self.lock = threading.RLock()
        #: What is stated of each video at the moment, by its name.
        self._states: defaultdict[str, dict[int, Statement]] = defaultdict(dict)
        #: The last row of the journal about each video.
        self._versions: defaultdict[str, int] = defaultdict(int)
        self._done: list[Entry] = []
        self._undone: list[Entry] = []
        self._rows = 0
        with self._explained("open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
        try:
            with self._explained("open"):
                self._open()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file, for others to open."""
        with self.lock:
            self._database.close()

    def _open(self) -> None:
        pragma = self._database.execute
        # The lock is the file's own: it ends with the process, however that ends.
        pragma("PRAGMA locking_mode=EXCLUSIVE")
        if pragma("PRAGMA page_count").fetchone()[0] == 0:
            pragma("PRAGMA journal_mode=WAL")
            pragma(f"PRAGMA application_id={APPLICATION}")
            pragma(f"PRAGMA user_version={VERSION}")
            self._database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        if pragma("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise DuetalError("is a database, but no review", file=self.path)
        if (version := pragma("PRAGMA user_version").fetchone()[0]) != VERSION:
            cause = f"is a review of form {version}; this duetal knows form {VERSION}"
            raise DuetalError(f"{cause}: update duetal", file=self.path)
        pragma("PRAGMA synchronous=FULL")
        pragma("BEGIN IMMEDIATE").execute("COMMIT")
        # The file may come from elsewhere: nothing in its schema is to call a function.
        pragma("PRAGMA trusted_schema=OFF")
        for number, video, text in pragma("SELECT number, video, statement FROM proposals"):
            with self._damaged_at(f"proposal {number}"):
                self._states[json.loads(video)][number] = Statement.of(json.loads(text))
            self._rows = max(self._rows, number)
        for row in pragma("SELECT entry, kind, title, changes FROM journal ORDER BY entry"):
            self._replay(*row)

    # What is there.

    @property
    def about(self) -> dict[str, Any]:
        """What is known of the review as a whole; empty of a new one."""
        with self.lock, self._explained("read"):
            row = self._database.execute("SELECT about FROM review").fetchone()
        return {} if row is None else dict(json.loads(row[0]))

    def videos(self) -> dict[str, dict[str, Any]]:
        """What is known of each video, by name, in order."""
        with self.lock, self._explained("read"):
            rows = self._database.execute("SELECT name, about FROM videos ORDER BY rowid")
            return {json.loads(name): json.loads(about) for name, about in rows}

    def scores(self, video: str) -> dict[str, Any]:
        """The curves of a video, as the page embeds them."""
        with self.lock, self._explained("read"):
            question = "SELECT scores FROM videos WHERE name = ?"
            row = self._database.execute(question, [json.dumps(video)]).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def state(self, video: str) -> Statements:
        """What is stated of a video, by number; a copy."""
        with self.lock:
            return dict(self._states[video])

    def states(self) -> dict[str, Statements]:
        """The same of every video of which anything is stated, from one moment."""
        with self.lock:
            return {name: dict(state) for name, state in self._states.items()}

    def proposals(self) -> Iterator[tuple[str, Statement]]:
        """What the review began with, by video."""
        with self.lock, self._explained("read"):
            rows = self._database.execute("SELECT video, statement FROM proposals").fetchall()
        return ((json.loads(video), Statement.of(json.loads(text))) for video, text in rows)

    def renamed(self) -> dict[str, str]:
        """The present names of classes that had another one."""
        names: dict[str, str] = {}
        with self.lock:
            for entry in self._done:
                old = {c.before.label for c in entry.changes if not c.video and c.before}
                new = {
                    c.before.label: c.after.label
                    for c in entry.changes
                    if c.before and c.after and c.before.label in old
                }
                names = {first: new.get(last, last) for first, last in names.items()} | new
        return {first: last for first, last in names.items() if first != last}

    def version(self, video: str) -> int:
        """A number that grows with every change of a video."""
        with self.lock:
            return self._versions[video]

    def next_undo(self) -> Entry | None:
        """The action that undo would take back."""
        with self.lock:
            return self._done[-1] if self._done else None

    def next_redo(self) -> Entry | None:
        """The action that redo would bring again."""
        with self.lock:
            return self._undone[-1] if self._undone else None

    def next_number(self) -> int:
        """A number that no statement has had."""
        with self.lock:
            self._rows += 1
            return self._rows

    # What is written.

    def begin(
        self,
        about: Mapping[str, Any],
        videos: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
        proposals: Iterable[tuple[str, Statement]] = (),
    ) -> None:
        """Write what the review is about, videos with their facts and scores, and proposals.

        What is there of a video is replaced, except its statements. All of it is written or none.
        """
        with self.lock, self._explained("save"), self._database as database:
            database.execute("DELETE FROM review")
            database.execute("INSERT INTO review VALUES (?)", [json.dumps(about)])
            database.executemany(
                "INSERT INTO videos VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "about = excluded.about, scores = excluded.scores",
                ((json.dumps(n), json.dumps(a), json.dumps(s)) for n, (a, s) in videos.items()),
            )
            rows = [(self.next_number(), video, one) for video, one in proposals]
            database.executemany(
                "INSERT INTO proposals VALUES (?, ?, ?)",
                ((number, json.dumps(video), json.dumps(one)) for number, video, one in rows),
            )
        for number, video, one in rows:
            self._states[video][number] = one

    def act(
        self, title: str, changes: Sequence[StatementChange], seen: Mapping[str, int]
    ) -> Entry | None:
        """Write an action, after which it is so; None where it changes nothing.

        `seen` are the versions of videos that whoever acts has seen.

        Raises:
            StaleError: one of them is not the present one; nothing is changed.
            DuetalError: it can't be saved; nothing is changed.
        """
        changes = [change for change in changes if change.before != change.after]
        with self.lock:
            if any(self._versions[video] != version for video, version in seen.items()):
                cause = "was changed in another window meanwhile: look again, then repeat"
                raise StaleError(cause, place=f"video {next(iter(seen))!r}")
            if not changes:
                return None
            return self._write(EntryKind.ACT, title, changes)

    def undo(self, seen: int) -> Entry:
        """Take back the last action, whose number is `seen`; raises as `act`, or if none is."""
        return self._move(EntryKind.UNDO, seen)

    def redo(self, seen: int) -> Entry:
        """Bring back what was undone last, whose number is `seen`; raises as `undo`."""
        return self._move(EntryKind.REDO, seen)

    def _move(self, kind: EntryKind, seen: int) -> Entry:
        with self.lock:
            entry = self.next_undo() if kind is EntryKind.UNDO else self.next_redo()
            if entry is None or entry.number != seen:
                raise StaleError(f"something else is to {kind} by now: look again, then repeat")
            self._write(kind, "", [])
            return entry

    def _write(self, kind: EntryKind, title: str, changes: Sequence[StatementChange]) -> Entry:
        text = json.dumps(changes)
        with self._explained("save"), self._database as database:
            sql = "INSERT INTO journal (at, kind, title, changes) VALUES (?, ?, ?, ?)"
            number = database.execute(sql, [time.time(), kind, title, text]).lastrowid
        assert number is not None
        return self._apply(number, kind, title, changes)

    def _replay(self, number: int, kind: str, title: str, changes: str) -> None:
        with self._damaged_at(f"journal entry {number}"):
            self._apply(number, EntryKind(kind), title, StatementChange.read_all(changes))

    def _apply(
        self, number: int, kind: EntryKind, title: str, changes: Sequence[StatementChange]
    ) -> Entry:
        if kind is EntryKind.ACT:
            entry = Entry(number, title, changes)
            self._done.append(entry)
            self._undone.clear()
        elif kind is EntryKind.UNDO:
            entry = self._done.pop()
            self._undone.append(entry)
        else:
            entry = self._undone.pop()
            self._done.append(entry)
        changes = entry.changes if kind is not EntryKind.UNDO else entry.changes[::-1]
        for video, statement, before, after in changes:
            now = before if kind is EntryKind.UNDO else after
            self._versions[video] = number
            self._rows = max(self._rows, statement)
            if now is None:
                self._states[video].pop(statement, None)
            else:
                self._states[video][statement] = now
        return entry

    @contextmanager
    def _damaged_at(self, place: str) -> Iterator[None]:
        """Turn what reading a damaged row raises into a line that names it."""
        try:
            yield
        except (IndexError, TypeError, ValueError) as error:
            raise DuetalError(f"damaged: {error}", file=self.path, place=place) from error

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn an error of SQLite or of the system into a line that says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            cause = f"cannot {verb}: {error}"
            if "locked" in str(error):
                cause = "is under review in another process: close that one first"
            elif "full" in str(error):
                cause = "not saved, the disk is full: make room, then repeat; all before is saved"
            elif "not a database" in str(error) or "malformed" in str(error):
                cause = f"is no review, or damaged: {error}"
            raise DuetalError(cause, file=self.path) from error
        except OSError as error:
            raise DuetalError(f"cannot {verb}: {error.strerror}", file=self.path) from error
