import os
import shutil
import sqlite3

import numpy as np
import pytest

from duetal.core.errors import DuetalError
from duetal.review.corrections import Corrections
from duetal.review.open_review import FILE, open_review
from duetal.review.statements import StatementChange, Verdict
from duetal.simulation.clips import render_clip


def opened(place, *inputs, source="found", folder="found", **how):
    return open_review(
        place / folder, source and place / source, [os.fspath(place / i) for i in inputs], **how
    )


def test_what_localize_found_is_what_is_proposed(place):
    review = opened(place, "clips")
    with review.corrections:
        assert review.notes == []
        assert review.classes == ("HighJump", "Diving")
        assert set(review.files) == set(review.videos) == {"first", "<img src=x onerror=alert(1)>"}
        assert review.durations()["first"] == 8.0
        state = review.corrections.state("first").values()
        assert {one.verdict for one in state} == {Verdict.OPEN}
        assert len(state) == 4


def test_without_the_videos_it_is_reviewed_and_said_so(place):
    with (review := opened(place)).corrections:
        assert review.files == {}
        assert review.notes == [
            "2 of 2 videos are not shown: name the folder that they are in",
        ]
        assert len(review.corrections.state("first")) == 4


def test_a_review_keeps_the_proposals_that_it_began_with(place):
    opened(place, "clips").corrections.close()
    (place / "found" / "detections.json").unlink()
    (place / "found" / "index.html").unlink()
    with (review := opened(place, "clips")).corrections:
        assert len(review.corrections.state("first")) == 4
        assert set(review.corrections.scores("first")["scores"]) == {"cbp", "vlp"}


def test_a_video_that_came_since_is_added_and_one_that_moved_is_found(place):
    opened(place, "clips").corrections.close()
    shutil.move(place / "clips" / "first.webm", place / "elsewhere.webm")
    (place / "new").mkdir()
    shutil.move(place / "elsewhere.webm", place / "new" / "first.webm")
    shutil.copy(place / "new" / "first.webm", place / "new" / "third.webm")
    with (review := opened(place, "clips", "new")).corrections:
        assert list(review.videos)[-1] == "third"
        assert review.files["first"][0] == place / "new" / "first.webm"
        assert review.notes == []


def test_a_video_that_was_replaced_is_looked_at_again_and_keeps_its_corrections(place):
    with (review := opened(place, "clips")).corrections:
        state = review.corrections.state("first")
        number, one = next(iter(state.items()))
        change = StatementChange("first", number, one, one._replace(verdict=Verdict.ACCEPTED))
        review.corrections.act("accept", [change], {})
    path = place / "clips" / "first.webm"
    path.unlink()
    render_clip(path, duration=3.0, size=(48, 32), codec="libvpx")
    with (review := opened(place, "clips")).corrections:
        assert review.notes == [
            "the file of video 'first' is another: 3 s, not 8 s long; its corrections are kept"
        ]
        assert review.videos["first"].duration == 3.0
        assert review.corrections.state("first")[number].verdict is Verdict.ACCEPTED
        assert set(review.corrections.scores("first")["scores"]) == {"cbp", "vlp"}
    assert opened(place, "clips").notes == []


def test_classes_are_added_to_a_review_once(place):
    for _ in range(2):
        with (review := opened(place, "clips", classes=["Running", "Diving"])).corrections:
            assert review.classes == ("HighJump", "Diving", "Running")


def test_a_link_that_leads_out_of_the_folder_is_not_served(place):
    page = place / "found" / "index.html"
    text = page.read_text().replace("./../clips/first.webm", "./media/first.webm")
    page.write_text(text)
    (place / "found" / "media").mkdir()
    (place / "secret").write_text("secret")
    copy = place / "found" / "media" / "first.webm"
    copy.symlink_to(place / "secret")
    with (review := opened(place)).corrections:
        assert review.files == {}
    copy.unlink()
    shutil.copy(place / "clips" / "first.webm", copy)
    with (review := opened(place)).corrections:
        assert [file for file, _ in review.files.values()] == [copy]


def test_a_copy_is_named_by_its_page_and_never_a_path(place):
    page = place / "found" / "index.html"
    text = page.read_text()
    (place / "secret").write_text("secret")
    (place / "found" / "media").mkdir()
    for hostile in ("../../secret", "../index.html", "/etc/passwd"):
        page.write_text(text.replace("./../clips/first.webm", f"./media/{hostile}"))
        with (review := opened(place)).corrections:
            assert review.files == {}
        (place / "found" / FILE).unlink()


def test_detections_of_any_form_are_proposed_best_first(place, tmp_path):
    rows = ["video,label,start,end,score"]
    scores = np.random.default_rng(0).permutation(450) / 450
    rows += [f"first,Diving,{i / 100},{i / 100 + 1},{score}" for i, score in enumerate(scores)]
    rows += ["absent,Diving,1,9.5,0.5"]
    (place / "many.csv").write_text("\n".join(rows))
    with (review := opened(place, "clips", source="many.csv", folder="new")).corrections:
        state = review.corrections.state("first").values()
        assert len(state) == 400
        assert min(one.score for one in state) == pytest.approx(50 / 450, abs=1e-4)
        assert review.notes[0].startswith("the 400 highest-scoring detections of a video")
        assert "50 more are left out" in review.notes[0]
        # What is known of a video that was not given is when its last detection ends.
        assert review.durations()["absent"] == 9.5
        assert review.durations()["first"] == pytest.approx(8.0, abs=0.05)


@pytest.mark.parametrize(
    "page", ["", "<html>", '<script type="application/json" id="data">[1]</script>',
             '<script type="application/json" id="data">{"grid": 1}</script>',
             '<script type="application/json" id="data">{</script>'],
)  # fmt: skip
def test_a_page_of_something_else_is_refused_and_nothing_is_begun(place, page):
    (place / "found" / "index.html").write_text(page)
    with pytest.raises(DuetalError, match=r"index\.html: is no page of duetal localize"):
        opened(place, "clips")
    with Corrections(place / "found" / FILE) as corrections:
        assert corrections.about == {}


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("UPDATE videos SET about = '{\"duration\": -1}'", "'first', duration"),
        ("UPDATE videos SET about = '[]'", "video 'first'"),
        ("UPDATE review SET about = '{\"branches\": [1]}'", r"branches\.0"),
        ("UPDATE proposals SET statement = '[1]'", "proposal 1: damaged"),
        ("UPDATE proposals SET video = '{'", "proposal 1: damaged"),
    ],
)
def test_a_damaged_review_is_told_with_its_place(place, sql, cause):
    opened(place, "clips").corrections.close()
    with sqlite3.connect(place / "found" / FILE) as database:
        database.execute(sql)
    database.close()
    with pytest.raises(DuetalError, match=cause):
        opened(place, "clips")
