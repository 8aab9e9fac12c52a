import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from node_tools import faults_of_type

from duetal.formats.guess import read_annotations
from duetal.formats.options import FormatOptions
from duetal.pages.columns import quantise
from duetal.review.open_review import open_review
from duetal.review.review_app import MOST_OF_ACTION

#: For forms that count frames.
OPTIONS = FormatOptions(fps=25)


def state_of(answer, video=0):
    """What is stated of a video, by number: the rest of each row."""
    return {number: row for number, *row in answer.json["states"][str(video)]}


def numbers(served, video=0):
    return sorted(state_of(served.ask("/state"), video))


def test_the_page_gets_all_videos_with_what_is_stated(served):
    whole = served.ask("/state").json
    assert [video["name"] for video in whole["videos"]] == ["first", "<img src=x onerror=alert(1)>"]
    assert [video["url"] for video in whole["videos"]] == ["/videos/0/media", "/videos/1/media"]
    assert whole["classes"] == ["HighJump", "Diving"]
    assert [branch["title"] for branch in whole["branches"]] == ["CBP", "VLP"]
    assert whole["floor"] == 0.1
    rows = [row[1:] for row in whole["states"]["0"]]
    assert rows[0] == ["action", "HighJump", 0.5, 2.0, 0.9, "open"]
    assert len(rows) == 4
    scores = served.ask("/videos/1/scores").json
    assert set(scores["scores"]) == {"cbp", "vlp"}
    assert set(scores["scores"]["cbp"]) == {"HighJump", "Diving"}


def test_what_the_page_gets_has_the_declared_types(served, tmp_path):
    served.act("label", numbers=numbers(served)[:1], label="A new one")
    whole = served.ask("/state").json
    news = served.act("accept", numbers=numbers(served)[:1]).json
    assert faults_of_type(whole, "ReviewData", tmp_path) == ""
    assert faults_of_type(news, "ReviewNews", tmp_path) == ""
    scores = served.ask("/videos/0/scores").json
    assert faults_of_type(scores, "ReviewCurves", tmp_path) == ""


def test_an_action_is_saved_before_it_is_answered_and_undone_by_its_number(served):
    first, second, *_ = numbers(served)
    answer = served.act("accept", numbers=[first])
    assert answer.status == 200
    assert state_of(answer)[first][-1] == "accepted"
    assert answer.json["title"] == "accept: HighJump, 0.5 s"
    assert answer.json["videos"] == [0]
    answer = served.act("label", numbers=[second], label="A new one")
    assert answer.json["classes"] == ["HighJump", "Diving", "A new one"]
    step = answer.json["undo"]
    assert step["title"] == "label: A new one, 1.5 s"
    answer = served.ask("/act", {"undo": step["entry"]})
    assert state_of(answer)[second][1] == "Diving"
    assert answer.json["redo"] == step
    assert answer.json["classes"] == ["HighJump", "Diving"]
    assert state_of(served.ask("/act", {"redo": step["entry"]}))[second][1] == "A new one"


def test_a_second_window_is_refused_and_gets_what_the_first_did(served):
    first, second, *_ = numbers(served)
    served.act("accept", numbers=[first], version=0)
    late = served.act("reject", numbers=[second], version=0)
    assert late.status == 409
    assert "another window" in late.json["error"]
    assert state_of(late)[first][-1] == "accepted"
    # Another video is nobody else's; and what is gone is no reason to be told something else.
    assert served.act("accept", video=1, numbers=[numbers(served, 1)[0]], version=0).status == 200
    assert served.act("accept", numbers=[999], version=0).status == 409
    assert served.ask("/act", {"undo": 1}).status == 409


def test_a_window_learns_what_others_did_since(served):
    before = served.ask("/state").json["last"]
    assert served.ask(f"/state?since={before}").json["states"] == {}
    served.act("accept", numbers=numbers(served)[:1])
    assert list(served.ask(f"/state?since={before}").json["states"]) == ["0"]


def test_a_class_is_renamed_in_all_videos_at_once(served):
    action = {"verb": "rename", "label": "Diving", "present": ["Dive"]}
    answer = served.ask("/act", {"action": action})
    assert answer.json["classes"] == ["HighJump", "Dive"]
    assert {row[1] for video in (0, 1) for row in state_of(answer, video).values()} == {
        "HighJump", "Dive",
    }  # fmt: skip
    answer = served.ask("/act", {"undo": answer.json["undo"]["entry"]})
    assert answer.json["classes"] == ["HighJump", "Diving"]


@pytest.mark.parametrize(
    ("body", "status", "cause"),
    [
        (b"{", 422, "JSON"),
        (b"[1]", 422, "JSON object"),
        (b"[" * 100_000, 422, "JSON"),
        ({"video": 9, "action": {"verb": "accept", "numbers": [1]}}, 422, "no such video"),
        ({"video": -1, "action": {"verb": "accept"}}, 422, "no such video"),
        ({"video": "0", "action": {"verb": "accept"}}, 422, "no such video"),
        ({"video": 0, "action": {"verb": "accept"}}, 422, "choose it first"),
        ({"video": 0, "action": {"verb": "explode"}}, 422, "no action"),
        ({"video": 0, "action": {"verb": "add", "start": "NaN"}}, 422, "no action"),
        ({"video": 0, "action": [1]}, 422, "no action"),
        ({"video": 0, "version": "x"}, 422, "no request"),
        ({"undo": "x"}, 422, "no request"),
        (b" " * (MOST_OF_ACTION + 1), 413, "too large"),
    ],
)
def test_what_is_no_action_is_refused_in_one_line(standing, body, status, cause):
    answer = standing.ask("/act", body)
    assert answer.status == status
    assert cause in answer.json["error"]
    assert standing.service.corrections.next_undo() is None


def test_an_action_has_to_be_sent_as_json(standing):
    assert standing.ask("/act", {}, content_type="text/plain").status == 415
    assert standing.ask("/act", {}, content_type=None).status == 415


def test_a_full_disk_is_told_and_what_was_there_stays(served):
    review = served.service.corrections
    pages = review._database.execute("PRAGMA page_count").fetchone()[0]
    review._database.execute(f"PRAGMA max_page_count = {pages}")
    before = served.ask("/state").json["states"]
    long = {"label": "x" * 200, "start": 1, "end": 2}
    answers = [served.act("add", **long) for _ in range(40)]
    assert [a.status for a in answers].count(507) > 0
    assert "disk is full" in answers[-1].json["error"]
    saved = sum(answer.status == 200 for answer in answers)
    after = served.ask("/state").json["states"]
    assert len(after["0"]) == len(before["0"]) + saved
    review._database.execute("PRAGMA max_page_count = 100000")
    assert served.act("add", **long).status == 200


# Videos


def test_a_video_is_played_by_ranges(served, place):
    data = (place / "clips" / "first.webm").read_bytes()
    whole = served.ask("/videos/0/media")
    assert (whole.status, whole.data) == (200, data)
    assert whole.headers["content-type"] == "video/webm"
    assert whole.headers["accept-ranges"] == "bytes"
    part = served.ask("/videos/0/media", range="bytes=10-19")
    assert (part.status, part.data) == (206, data[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
    last = served.ask("/videos/0/media", range="bytes=-5")
    assert (last.status, last.data) == (206, data[-5:])


@pytest.mark.parametrize(
    ("asked", "status"),
    [("bytes=99999999-", 416), ("bytes=99999999-99999999999", 416), ("bytes=5-2", 400),
     ("bytes=a-b", 400), ("pieces=1-2", 400)],
)  # fmt: skip
def test_a_range_that_is_not_there_is_refused(standing, asked, status):
    assert standing.ask("/videos/0/media", range=asked).status == status


@pytest.mark.parametrize(
    "path",
    [
        "/videos/../../../etc/passwd", "/videos/%2e%2e/%2e%2e/etc/passwd", "/../found/index.html",
        "/videos/0/../../review.sqlite", "/videos/-1/media", "/videos/2/media", "/videos/x/media",
        "/videos/0x0/media", "/videos/99999999999999999999999/media", "/review.sqlite",
        "/media/first.webm", "//etc/passwd", "/export/../../etc/passwd", "/export/w-talc",
        "/export/none",
    ],
)  # fmt: skip
def test_nothing_else_is_served(standing, path):
    answer = standing.ask(path)
    assert answer.status in (404, 422)
    assert b"root:" not in answer.data


def test_a_video_that_is_moved_or_replaced_is_told_and_its_corrections_stay(served, place):
    path = place / "clips" / "first.webm"
    served.act("accept", numbers=numbers(served)[:1])
    data = path.read_bytes()
    path.unlink()
    answer = served.ask("/videos/0/media", range="bytes=0-9")
    assert (answer.status, "no longer where it was" in answer.json["error"]) == (404, True)
    assert served.ask("/videos/0/stills").status == 404
    path.write_bytes(data + b"x")
    answer = served.ask("/videos/0/media")
    assert (answer.status, "was replaced" in answer.json["error"]) == (409, True)
    assert served.act("accept", numbers=numbers(served)[1:2]).status == 200
    assert served.ask("/videos/1/media").status == 200


def test_small_pictures_are_made_once(served):
    from PIL import Image

    answer = served.ask("/videos/0/stills")
    assert answer.headers["content-type"] == "image/jpeg"
    image = Image.open(io.BytesIO(answer.data))
    assert image.size == (24 * 128, 72)
    (made,) = (served.service.review.folder / "thumbnails").iterdir()
    before = made.stat()
    assert served.ask("/videos/0/stills").data == answer.data
    assert made.stat().st_mtime_ns == before.st_mtime_ns


# Out and in


FORMS = ["activitynet", "basnet", "boris", "csv", "elan", "fiftyone", "label-studio", "strong"]
FORMS += ["thumos14", "via", "weak", "webvtt"]
#: Of a download, where it is neither JSON nor packed.
SUFFIXES = {"boris": ".boris", "csv": ".csv", "strong": ".tsv", "weak": ".tsv"}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_known_goes_out_in_every_form_and_comes_in_again_as_it_was(served, form, tmp_path):
    first, second, third, *_ = numbers(served)
    served.act("accept", numbers=[first, third])
    served.act("edges", numbers=[second], start=1.6, end=3.2)
    answer = served.ask(f"/export/{form}?fps=25")
    assert answer.status == 200
    name = json.loads(answer.headers["x-duetal-name"])
    assert name.endswith(SUFFIXES.get(form, (".json", ".zip")))
    path = tmp_path / name
    path.write_bytes(answer.data)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / "out")
        path = tmp_path / "out"
        if form in ("thumos14", "elan", "webvtt"):
            (path,) = path.iterdir()
    if path.is_dir() and form == "label-studio":
        path = path / "review.json"
    known = read_annotations(path, options=OPTIONS)
    assert known.videos["first"].labels == ("Diving", "HighJump")
    if form != "weak":
        times = [time for s in sorted(known.videos["first"].segments) for time in (s.start, s.end)]
        assert times == pytest.approx([0.5, 2.0, 1.6, 3.2, 2.5, 4.0], abs=0.03)
    # In again: nothing has changed.
    before = served.service.corrections.states()
    served.service.take_in(path, OPTIONS)
    assert served.service.corrections.states() == before


def test_the_table_to_train_on_says_what_is_known(served):
    first, second, *_ = numbers(served)
    served.act("accept", numbers=[first])
    served.act("reject", numbers=[second])
    served.act("add", label="Diving", start=5, end=5)
    served.act("nothing else", start=6, end=8)
    served.act("labels", video=1, present=["Diving"], absent=["HighJump"])
    table = served.ask("/export/table").data.decode()
    hostile = "<img src=x onerror=alert(1)>"
    assert table.splitlines() == [
        "video,label,start,end,known",
        "first,HighJump,0.5,2.0,present",
        "first,Diving,1.5,3.0,absent",
        "first,Diving,5.0,5.0,present",
        "first,Diving,6.0,7.0,absent",
        "first,,6.0,8.0,complete",
        f"{hostile},Diving,,,present",
        f"{hostile},HighJump,,,absent",
    ]


def test_nothing_known_is_nothing_to_export(served):
    answer = served.ask("/export/csv")
    assert (answer.status, "nothing is known" in answer.json["error"]) == (422, True)


def test_annotations_corrected_elsewhere_are_one_step(served):
    served.act("accept", numbers=numbers(served)[:2])
    table = (
        "video,label,start,end\nfirst,HighJump,0.51,2.01\nfirst,Running,4.5,5\nother,Running,1,2\n"
    )
    answer = served.ask("/import?name=..%2F..%2Fx.csv", table.encode())
    assert answer.status == 200
    verdicts = {(row[1], row[2]): row[-1] for row in state_of(answer).values()}
    # What is the same within a frame stays; what is not there any more was taken out.
    assert verdicts == {
        ("HighJump", 0.5): "accepted", ("Diving", 1.5): "rejected", ("HighJump", 2.5): "open",
        ("Diving", 6.0): "open", ("Running", 4.5): "accepted",
    }  # fmt: skip
    assert answer.json["classes"] == ["HighJump", "Diving", "Running"]
    assert answer.json["title"] == "import: x.csv"
    answer = served.ask("/act", {"undo": answer.json["undo"]["entry"]})
    assert len(state_of(answer)) == 4
    assert Path("x.csv").exists() is False


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "x.csv"),
        (b"\x00\x01", "x.csv"),
        (b"video,label,start,end\nfirst,A,1,x\n", "x.csv: line 2"),
        (b"video,label,start,end\nother,A,1,2\n", "none of the videos of this review"),
    ],
)
def test_what_cannot_be_taken_in_is_told_by_the_name_it_has_there(served, data, cause):
    answer = served.ask("/import?name=x.csv", data)
    assert answer.status == 422
    assert cause in answer.json["error"]
    assert "/tmp" not in answer.json["error"]


def nexts(served):
    answer = served.ask("/next").json
    return answer["next"], answer["basis"]


def test_what_is_next_follows_what_is_known(served, tmp_path):
    found, basis = nexts(served)
    assert basis == "by how much CBP and VLP disagree about a class"
    assert {(one["video"], one["label"]) for one in found} == {
        (video, label) for video in (0, 1) for label in ("HighJump", "Diving")
    }
    # Of 12 scores of the made-up grid, one from 0 to 1 and the other the other way round.
    assert found[0]["reason"].startswith(f"the branches disagree about {found[0]['label']} at ")
    assert "CBP 0.00, VLP 1.00" in found[0]["reason"]
    assert faults_of_type({"next": found, "basis": basis}, "ReviewNext", tmp_path) == ""
    # Looked through for one class, in one video; then a label; then all of the video.
    served.act("nothing else", label="Diving", start=0, end=8)
    left = [(one["video"], one["label"]) for one in nexts(served)[0]]
    assert sorted(left) == [(0, "HighJump"), (1, "Diving"), (1, "HighJump")]
    (diving,) = (one for one in nexts(served)[0] if one["label"] == "Diving")
    assert "checked yet" not in diving["reason"]
    served.act("labels", video=1, present=["HighJump"], absent=["Diving"])
    served.act("nothing else", start=0, end=8)
    assert [(one["video"], one["label"]) for one in nexts(served)[0]] == [(1, "HighJump")]
    undo = served.ask("/state").json["undo"]["entry"]
    served.ask("/act", {"undo": undo})
    assert len(nexts(served)[0]) == 2


def test_what_is_next_follows_the_scores_of_another_round(served):
    assert "the branches disagree about Diving at " in json.dumps(nexts(served))
    review = served.service.review
    flat = quantise(np.full(12, 0.3), 1)
    own = {"pool": 1, "scores": {"cbp": {"Diving": flat}, "vlp": {"Diving": flat}}}
    review.keep_scores(review.about.model_copy(), dict.fromkeys(served.service.names, own))
    assert {one["reason"].partition(";")[0] for one in nexts(served)[0]} == {
        "the branches disagree about 0% of Diving, though not here"
    }


def test_what_is_next_without_curves_is_by_the_proposals(place, serve):
    clips = [os.fspath(place / "clips")]
    served = serve(open_review(place / "new", place / "found" / "detections.json", clips))
    found, basis = nexts(served)
    assert basis == "by the scores of the proposals alone: there are no curves"
    # Of the best score, 0.9: 0.6 and 0.05 of Diving, 0.9 and 0.5 of HighJump.
    assert {one["reason"].partition(";")[0] for one in found} == {
        "Diving at 2 s is uncertain: score 0.67", "HighJump at 3 s is uncertain: score 0.56",
    }  # fmt: skip
    served.act("reject", numbers=numbers(served)[1:2])
    assert served.ask("/next").json["next"] != []
    empty = serve(open_review(place / "empty", None, clips, classes=["Diving"]))
    assert nexts(empty) == ([], "")
