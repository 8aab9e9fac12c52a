"""Training again from the page: what is learnt from, what is shown then, and back again."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.review.conftest import NAMES, Served

from duetal.core.errors import DuetalError, UsageError
from duetal.own_videos.training_rounds import Rounds, RoundState
from duetal.review.open_review import OpenReview, open_review
from duetal.review.retraining import Retraining
from duetal.review.review_service import ReviewService
from duetal.review.statements import Statement, StatementKind, Verdict

ACTION, OPEN = StatementKind.ACTION, Verdict.OPEN


def training_of(review: OpenReview, *inputs: Path) -> Retraining:
    rounds = Rounds(review.folder / "rounds")
    return Retraining(ReviewService(review), rounds, [os.fspath(each) for each in inputs])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([], "nothing has been said yet"),
        ([("labels", {"absent": ("Diving",)})], "nothing is known to happen in any training video"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(
    place: Path, said: list[tuple[str, dict[str, object]]], message: str
) -> None:
    review = open_review(place / "found", place / "found", [os.fspath(place / "clips")])
    with review.corrections:
        training = training_of(review, place / "clips")
        for verb, values in said:
            training.service.act(0, 0, {"verb": verb, **values})
        with pytest.raises(DuetalError, match=message):
            training.begin()
        with pytest.raises(UsageError, match="name the folder of the videos"):
            training_of(review).begin()
        with pytest.raises(UsageError, match="there is no round 3"):
            training.show(3)
        assert training.state()["rounds"] == []


def test_new_proposals_take_the_place_of_open_ones_and_of_no_other(place: Path) -> None:
    from duetal.core.detections import Detections
    from duetal.formats.activitynet import write_detections

    review = open_review(place / "found", place / "found", [os.fspath(place / "clips")])
    with review.corrections as corrections:
        training = training_of(review, place / "clips")
        name = NAMES[0]
        first = corrections.state(name)
        numbers = {(s.label, s.start): n for n, s in first.items()}
        act = training.service.act
        act(0, 0, {"verb": "accept", "numbers": [numbers["HighJump", 0.5]]})
        act(0, corrections.version(name), {"verb": "reject", "numbers": [numbers["Diving", 1.5]]})
        act(0, corrections.version(name), {"verb": "nothing else", "start": 5.9, "end": 8.0})
        of_class = {"label": "Diving", "start": 3.0, "end": 5.5}
        act(0, corrections.version(name), {"verb": "nothing else", **of_class})
        rows = [
            (name, "HighJump", 0.6, 2.1, 0.9),  # accepted
            (name, "Diving", 1.4, 2.9, 0.8),  # rejected
            (name, "Diving", 0.5, 2.0, 0.7),  # another class there
            (name, "Running", 6.0, 7.0, 0.6),  # looked through
            (name, "Diving", 4.0, 5.0, 0.6),  # looked through for its class
            (name, "Running", 3.0, 5.0, 0.5),  # new, of a new class
        ]
        folder = review.folder / "rounds" / "1"
        training.rounds.begin(None, "", [])
        while training.rounds.is_busy:
            time.sleep(0.02)
        with pytest.raises(DuetalError, match="has found nothing yet"):
            training.show(1)
        found = Detections.from_rows(rows, classes=("HighJump", "Diving", "Running"))
        write_detections(folder / "found" / "detections.json", found)
        (folder / "found" / "index.html").write_bytes((place / "found/index.html").read_bytes())
        training.show(1)
        assert training.state()["shown"] == 1
        state = corrections.state(name).values()
        assert sorted(s[1:4] for s in state if s.verdict is OPEN) == [
            ("Diving", 0.5, 2.0), ("Running", 3.0, 5.0)
        ]  # fmt: skip
        assert sum(s.kind is ACTION and s.verdict is not OPEN for s in state) == 3
        assert not [s for s in corrections.state(NAMES[1]).values() if s.verdict is OPEN]
        assert "Running" in review.classes
        # Back, by the list of rounds or by undo.
        training.show(0)
        back = [s for s in corrections.state(name).values() if s.verdict is OPEN]
        assert back == [Statement(ACTION, "HighJump", 2.5, 4.0, 0.5, OPEN)]
        undone = corrections.undo(corrections.next_undo().number)  # type: ignore[union-attr]
        assert undone.title == "the first proposals"
        assert len([s for s in corrections.state(name).values() if s.verdict is OPEN]) == 2


def test_a_class_that_was_renamed_is_known_by_both_names(place: Path) -> None:
    review = open_review(place / "found", place / "found", [os.fspath(place / "clips")])
    with review.corrections as corrections:
        service = ReviewService(review)
        for old, new in (("Diving", "Plunge"), ("Plunge", "Fall"), ("HighJump", "Fall")):
            service.act(None, 0, {"verb": "rename", "label": old, "present": [new]})
        assert corrections.renamed() == {"Diving": "Fall", "Plunge": "Fall", "HighJump": "Fall"}


def test_the_page_asks_over_http(served: Served) -> None:
    answer = served.ask("/rounds")
    assert answer.status == 200
    assert answer.json["rounds"] == []
    for value, status, cause in (
        ({"do": "begin"}, 422, "name the folder of the videos"),
        ({"do": "stop"}, 200, None),
        ({"do": "go on"}, 422, "no round is to be gone on with"),
        ({"do": "rm"}, 400, "no such thing to do"),
        ({"show": 7}, 422, "there is no round 7"),
        ({"show": "x"}, 422, None),
    ):
        answer = served.ask("/train", value)
        assert answer.status == status, answer.data
        if cause:
            assert cause in answer.json["error"]
    assert served.ask("/train", {"do": "begin"}, cookie=None).status == 403


@pytest.mark.recipe
def test_from_corrections_to_the_next_run_and_back(
    video_run: Path, tmp_path: Path, duetal: Callable[..., tuple[int, str, str]]
) -> None:
    """The whole round, with the commands that it is made of, in their own processes."""
    videos = video_run.parent / "videos"
    folder = tmp_path / "review"
    words = ["localize", video_run, videos, "--out", folder, "--accelerator", "cpu"]
    assert duetal(*words)[0] == 0
    open_review(folder, folder, [os.fspath(videos)], run=video_run).corrections.close()
    review = open_review(folder, folder, [os.fspath(videos)])
    with review.corrections as corrections:
        training = training_of(review, videos)
        assert training.state()["run"] == "run"
        for index, name in enumerate(training.service.names):
            version = corrections.version(name)
            label = ("GolfSwing", "HighJump")[index % 2]
            add = {"verb": "add", "label": label, "start": 0.5, "end": 2.0}
            training.service.act(index, version, add)
        training.begin()
        while training.rounds.is_busy:
            time.sleep(0.2)
        (done,) = training.rounds.all()
        assert done.state is RoundState.DONE, done.cause
        assert [command[0] for command in done.commands] == ["train", "localize"]
        training.show(1)
        text = (training.rounds.run_of(1) / "config.yaml").read_text()
        assert "labels.use: segments" in text
        assert str(video_run) in text
        # The next one goes on from it.
        training.begin()
        training.rounds.stop()
        assert training.rounds.all()[-1].start == os.fspath(training.rounds.run_of(1))


@pytest.mark.recipe
def test_a_round_is_compared_with_the_run_before_on_what_is_held_out(
    place: Path,
    tiny_run: Path,
    tiny_dataset: Path,
    duetal: Callable[..., tuple[int, str, str]],
) -> None:
    """The commands of a round that measure it, with the run before in the place of the new one."""
    shutil.copytree(tiny_dataset, place / "found" / "features")
    clips = os.fspath(place / "clips")
    with open_review(place / "found", place / "found", [clips], run=tiny_run).corrections:
        pass
    review = open_review(place / "found", place / "found", [clips])
    with review.corrections:
        training = training_of(review, place / "clips")
        training.service.act(0, 0, {"verb": "add", "label": "HighJump", "start": 1.0, "end": 2.0})
        commands: list[tuple[str, ...]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Rounds, "begin", lambda self, start, told, given: commands.extend(given))
            training.begin()
        folder = training.rounds.place(1)
        shutil.copytree(tiny_run, folder / "run")
        held_out = os.fspath(folder / "dataset" / "dataset.yaml")
        measuring = [words for words in commands if held_out in words or words[0] == "compare"]
        assert [words[0] for words in measuring] == ["localize", "localize", "compare"]
        for words in measuring:
            code, _, err = duetal(*words)
            assert code == 0, err
        training.rounds.begin(tiny_run, "", [])
        training.rounds.wait()
        gain = training.rounds.all()[-1].gain
        assert gain is not None
        assert gain.before == gain.after > 0
        assert gain.low == gain.high == 0
        assert gain.videos == 3
