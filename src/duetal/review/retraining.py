"""Training again on what a review says: each round is a run of its own, in REVIEW/rounds."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duetal.core.errors import DuetalError, UsageError
from duetal.core.known_times import LabelUse
from duetal.extraction.store import branch_streams, open_store
from duetal.features.metadata import SETTINGS_FILE
from duetal.formats import read_annotations
from duetal.formats.guess import read_detections
from duetal.own_videos.corrected_dataset import (
    ANNOTATIONS_FILE,
    Corrected,
    PersonsWord,
    told,
    write_corrected,
)
from duetal.own_videos.result_folder import FEATURES, JSON, PAGE
from duetal.own_videos.training_rounds import COMPARISON, Command, Round, Rounds, training
from duetal.review import exchange
from duetal.review.corrections import Entry
from duetal.review.open_review import proposals_of
from duetal.review.review_facts import read_found_page
from duetal.review.review_service import ReviewService
from duetal.review.statements import (
    Statement,
    StatementChange,
    StatementKind,
    Statements,
    Verdict,
)

if TYPE_CHECKING:
    # It imports PyTorch, which correcting does not need.
    from duetal.runs.run import Run

#: Intersection over union from which on a proposal is one that a person has judged.
_SAME = 0.5


@dataclass(frozen=True)
class Retraining:
    """Trains again on what a review says, and takes over what was found then.

    The methods may be called by any thread.
    """

    service: ReviewService
    rounds: Rounds
    #: The videos, as the review was given them.
    inputs: Sequence[str] = ()
    #: Words of a command that name the weights of backbones: ("--clip", "…").
    weights: Sequence[str] = ()

    def state(self) -> dict[str, Any]:
        """What the page shows: rounds, the one whose proposals are shown, and what is under way."""
        about = self.service.review.about
        return {
            "rounds": [round_.to_json() for round_ in self.rounds.all()],
            "shown": about.round,
            "run": Path(about.run).name,
            "busy": self.rounds.is_busy,
            "progress": self.rounds.progress(),
        }

    def actions(self) -> Mapping[str, Callable[[], object]]:
        """What can be asked for, by name."""
        return {"begin": self.begin, "go on": self.rounds.go_on, "stop": self.rounds.stop}

    def begin(self) -> Round:
        """Train with what has been said up to now; goes on from the run whose proposals are shown.

        Raises:
            UsageError: a round is under way, or no video is there.
            DuetalError: nothing has been said to learn from; the run, or its dataset, is gone.
        """
        if self.rounds.is_busy:
            raise UsageError("training is under way: wait for its end, or stop it")
        if not self.inputs:
            raise UsageError("name the folder of the videos when you open the review")
        from duetal.runs.run import open_data, open_run

        about = self.service.review.about
        first = open_run(Path(about.run)) if about.run else None
        start = open_run(self.rounds.run_of(about.round)) if about.round else first
        word = self._word()
        if not word.rows:
            raise DuetalError("nothing has been said yet: accept, correct or label something first")
        folder = self.rounds.place(self.rounds.next_number())
        corrected = write_corrected(
            folder / "dataset",
            word,
            self._store(),
            open_data(first.config) if first else None,
            use=first.config.labels.use if first else LabelUse.VIDEO,
            held_out=() if first else self._held_out(),
        )
        commands = self._commands(folder, start, corrected)
        began_from = start.folder.path if start else None
        return self.rounds.begin(began_from, told(word.rows), commands)

    def show(self, number: int) -> Entry | None:
        """Show what a round found, or with 0 what was found first, in place of what is shown now.

        What a person has judged stays. It is a step that can be undone, as others.
        """
        review, corrections = self.service.review, self.service.corrections
        if number and number not in [round_.number for round_ in self.rounds.all()]:
            raise UsageError(f"there is no round {number}")
        new, shown, curves = self._found(number)
        with self.service.acting:
            states = {name: corrections.state(name) for name in self.service.names}
            changes = list(_in_place(states, new, corrections.next_number))
            listed = {*review.classes}
            labels = dict.fromkeys(c.after.label for c in changes if c.after)
            changes += [self.service.new_class(label) for label in labels if label not in listed]
            about = review.about.model_copy(update={"round": number, **shown})
            review.keep_scores(about, curves)
            title = f"round {number}" if number else "the first proposals"
            return corrections.act(title, changes, {})

    def _word(self) -> PersonsWord:
        review, corrections = self.service.review, self.service.corrections
        states = corrections.states()
        durations = review.durations()
        known = exchange.as_annotations(states, durations, review.classes)
        complete = {
            video.name: video
            for video in known
            if exchange.looked_through(states.get(video.name, {}), durations[video.name])
        }
        return PersonsWord(list(exchange.known_rows(states)), complete, corrections.renamed())

    def _store(self) -> Path:
        """Where the features of the review's videos are, or will be."""
        return self.service.review.folder / FEATURES

    def _held_out(self) -> tuple[str, ...]:
        """The videos that earlier rounds held out."""
        for round_ in reversed(self.rounds.all()):
            file = self.rounds.place(round_.number) / "dataset" / ANNOTATIONS_FILE
            if file.is_file():
                return tuple(read_annotations(file).videos)
        return ()

    def _commands(self, folder: Path, start: "Run | None", corrected: Corrected) -> list[Command]:
        """What is to be done in a round, as a person would do it by hand."""
        store, run, inputs = str(self._store()), folder / "run", tuple(self.inputs)
        dataset = folder / "dataset" / "dataset.yaml"
        branch = ("--branch", "both") if self._has_two_branches(start) else ()
        of_videos = ("--features", store, "--no-copies", "--force", *branch, *self.weights)

        def localized(run: Path, out: str) -> Command:
            return ("localize", str(run), *inputs, "--out", str(folder / out), *of_videos)

        commands: list[Command] = []
        if not self._has_features():
            extracted = ("extract", *inputs, "--out", store, *self.weights)
            commands += [localized(start.folder.path, "before") if start else extracted]
        commands += [training(start, dataset, corrected.use, run), localized(run, "found")]
        if start is not None and corrected.has_segments:
            pair = {start.folder.path: folder / "before.json", run: folder / "after.json"}
            commands += [
                ("localize", str(one), str(dataset), "--out", str(file), "--force", *branch)
                for one, file in pair.items()
            ]
            truth = dataset.with_name(ANNOTATIONS_FILE)
            ground = ("--annotations", str(truth), "--protocol", start.config.data.protocol)
            out = ("--json", str(folder / COMPARISON), "--force")
            commands += [("compare", *map(str, pair.values()), *ground, *out)]
        return commands

    def _has_two_branches(self, start: "Run | None") -> bool:
        if start is not None:
            return len(start.model.branches) > 1
        if (self._store() / SETTINGS_FILE).is_file():
            return len(branch_streams(open_store(self._store()).settings)) > 1
        # What is extracted by default is for both.
        return True

    def _has_features(self) -> bool:
        if not (self._store() / SETTINGS_FILE).is_file():
            return False
        store = open_store(self._store())
        return all(store.is_complete(name) for name in self.service.review.files)

    def _found(
        self, number: int
    ) -> tuple[Iterable[tuple[str, Statement]], dict[str, Any], Mapping[str, Mapping[str, Any]]]:
        """The proposals of a round, what its page tells of all videos, and curves by video."""
        folder = self.rounds.place(number) / "found" if number else self.service.review.folder
        is_there = (folder / PAGE).is_file()
        if number and not is_there:
            raise UsageError("has found nothing yet: wait for its end", file=folder.parent)
        page = read_found_page(folder / PAGE) if is_there else None
        shown = page.facts() if page else {}
        curves = {video.name: video.curves(page.classes) for video in page.videos} if page else {}
        if number:
            return proposals_of(read_detections(folder / JSON)), shown, curves
        return self.service.corrections.proposals(), shown, curves


def _in_place(
    states: Mapping[str, Statements],
    found: Iterable[tuple[str, Statement]],
    number: Callable[[], int],
) -> Iterator[StatementChange]:
    """The changes that put new proposals in the place of those that nobody has judged.

    What a person has judged, or looked through, is not proposed again.
    """
    new: dict[str, list[Statement]] = {}
    for name, one in found:
        if one.kind is StatementKind.ACTION:
            new.setdefault(name, []).append(one)
    for name, state in states.items():
        open_ = {n: one for n, one in state.items() if one.verdict is Verdict.OPEN}
        judged = [one for n, one in state.items() if n not in open_]
        for n, one in open_.items():
            yield StatementChange(name, n, one, None)
        for one in new.get(name, ()):
            if not any(_covers(said, one) for said in judged):
                yield StatementChange(name, number(), None, one)


def _covers(said: Statement, proposal: Statement) -> bool:
    """Whether a person has judged a proposal, by what was said of a stretch."""
    if said.kind is StatementKind.LOOKED:
        is_about = said.label in ("", proposal.label)
        return is_about and said.start <= (proposal.start + proposal.end) / 2 <= said.end
    if said.kind is not StatementKind.ACTION or said.label != proposal.label:
        return False
    if said.start == said.end:
        return proposal.start <= said.start <= proposal.end
    both = min(said.end, proposal.end) - max(said.start, proposal.start)
    return both >= _SAME * (max(said.end, proposal.end) - min(said.start, proposal.start))
