"""`duetal review`, from what there is to the page, and what comes out of it."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from duetal.core.annotations import Segment
from duetal.core.detections import Detections
from duetal.core.files import read_json
from duetal.formats.activitynet import write_detections
from duetal.review.corrections import Corrections
from duetal.simulation.clips import render_clip

pytest.importorskip("starlette", reason="starlette is not installed")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two clips, of which browsers play one, and detections of them; not to be written to."""
    folder = tmp_path_factory.mktemp("made")
    how = {"duration": 3.0, "size": (48, 32), "actions": [Segment(0.5, 2.0, "HighJump")]}
    render_clip(folder / "clips" / "a.webm", codec="libvpx", **how)
    render_clip(folder / "clips" / "b.avi", codec="mpeg4", **how)
    rows = [("a", "HighJump", 0.5, 2.0, 0.9), ("b", "Diving", 1.0, 2.5, 0.4)]
    write_detections(folder / "found.json", Detections.from_rows(rows))
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A copy of it, which is the current folder; what would be served is not."""
    place = shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(place)
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    place_opened[:] = [opened]
    return place


place_opened: list[list[str]] = []


def test_a_file_of_detections_is_reviewed_and_gone_on_with(place, duetal):
    code, out, err = duetal("review", "found.json", "clips", "--no-browser")
    assert (code, err) == (0, "opening a\nopening b\n")
    assert "review of 2 videos, saved in review/review.sqlite:" in out
    assert "http://127.0.0.1:" in out
    assert place_opened == [[]]
    # The video that browsers do not play has been copied.
    (copy,) = Path("review/media").iterdir()
    assert copy.name.startswith("b.")
    with Corrections(Path("review/review.sqlite")) as review:
        found = [one.label for name in "ab" for one in review.state(name).values()]
        assert found == ["HighJump", "Diving"]
        assert [about["duration"] for about in review.videos().values()] == [3.0, 3.0]
    again = duetal("review", "review", "clips", "--no-browser")
    assert again[::2] == (0, "")


def test_from_nothing_to_labels_to_a_table(place, duetal):
    code, out, _ = duetal("review", "--videos", "clips", "--classes", "Dive, Jump", "--no-browser")
    assert code == 0
    Path("labels.csv").write_text("video,labels\na.webm,Jump\nb.avi,Dive\n")
    words = ("review", "review", "--import", "labels.csv", "--export", "out.csv", "--to", "table")
    code, out, err = duetal(*words)
    assert (code, err) == (0, "")
    assert "labels.csv: 2 videos changed" in out
    assert "note: 1 of 2 videos are not shown" in out
    rows = Path("out.csv").read_text().splitlines()
    assert rows[1:] == ["a,Jump,,,present", "b,Dive,,,present"]
    code, _, err = duetal(*words)
    assert (code, "out.csv: is there already" in err) == (2, True)
    code, out, _ = duetal("review", "review", "--export", "labels.tsv", "--force")
    assert (code, "nothing is lost" in out or "dropped" in out) == (0, True)
    assert "a\tJump" in Path("labels.tsv").read_text()


@pytest.mark.recipe
def test_of_a_run_the_actions_are_found_first(place, video_run, duetal):
    words = ("review", video_run, "clips", "--accelerator", "cpu", "--no-browser")
    code, out, _ = duetal(*words)
    assert code == 0
    assert "review of 2 videos" in out
    found = read_json(Path("review/detections.json"))["results"]
    with Corrections(Path("review/review.sqlite")) as review:
        assert sum(map(len, found.values())) == sum(len(review.state(name)) for name in "ab")
        assert set(review.scores("a")["scores"]) <= {"cbp", "vlp"}
        before = review.about
    # The second time nothing is found anew.
    Path("review/detections.json").unlink()
    assert duetal(*words)[0] == 0
    with Corrections(Path("review/review.sqlite")) as review:
        assert review.about == before


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        ((), 2, "give what was found, or the videos"),
        (("clips",), 2, "clips: holds no results of duetal localize"),
        (("found.json", "others"), 2, "none of its videos is among those given, such as 'c'"),
        (("found.json", "nowhere"), 2, "is among those given, such as 'nowhere'"),
        (("none.json", "clips"), 1, "none.json: no such file"),
        (("--videos", "broken"), 1, "none of the videos can be opened: "),
        (("found.json", "clips", "--port", "65536"), 2, "--port"),
        (("found.json", "clips", "--export", "x.json"), 2, "nothing is known of any video yet"),
        (("found.json", "clips", "--import", "found.json"), 1, "found.json"),
        (("file", "clips"), 1, "file"),
        (("hostile", "clips"), 1, "hostile/index.html: is no page of duetal localize"),
        (("locked", "clips"), 1, "locked/review.sqlite: is under review in another process"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(place, duetal, forked, words, code, cause):
    Path("file").write_text("text")
    Path("broken").mkdir()
    Path("broken/x.mp4").write_bytes(b"no video")
    Path("others").mkdir()
    shutil.copy("clips/a.webm", "others/c.webm")
    Path("hostile").mkdir()
    shutil.copy("found.json", "hostile/detections.json")
    data = '{"grid": 1, "branches": [], "videos": [{"name": "a", "url": 5}], "classes": []}'
    page = f'<script type="application/json" id="data">{data}</script>'
    Path("hostile/index.html").write_text(page)
    if "locked" in words:
        holder = forked(_hold, Path("locked/review.sqlite"))
        while not Path("locked/held").exists():
            assert holder.is_alive(), holder.err
    found, out, err = duetal("review", *words, "--no-browser")
    assert (found, out.count("http")) == (code, 0)
    assert cause in err.splitlines()[-1]
    if "locked" in words:
        holder.kill()
        holder.join()
        # A killed one leaves nothing that is in the way.
        Corrections(Path("locked/review.sqlite")).close()


def _hold(path):
    with Corrections(path):
        (path.parent / "held").touch()
        time.sleep(60)


def test_a_port_that_is_taken_is_told(place, duetal):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = duetal("review", "found.json", "clips", "--no-browser", "--port", port)
    assert (code, f"port {port} of 127.0.0.1 cannot be used" in err) == (1, True)


def test_a_video_that_cannot_be_opened_is_listed_and_the_others_are_shown(place, duetal):
    Path("clips/x.mp4").write_bytes(b"no video")
    code, out, _ = duetal("review", "--videos", "clips", "--no-browser")
    assert code == 1
    assert "review of 2 videos" in out
    assert "x.mp4" in out


def test_a_name_that_is_no_text_is_told_and_the_others_are_shown(place, duetal):
    try:
        os.rename("clips/b.avi", os.fsencode("clips") + b"/\xff.avi")  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes no such name")
    code, out, _ = duetal("review", "--videos", "clips", "--no-browser")
    assert code == 1
    assert "not a usable video name" in out
    assert "review of 1 video, saved in" in out


@pytest.mark.recipe
def test_ctrl_c_ends_a_review_in_order(made, tmp_path, forked):
    from duetal.cli.main import main

    out = str(tmp_path / "out")
    words = ["review", str(made / "found.json"), str(made / "clips"), "--out", out, "--no-browser"]
    process = forked(main, words)
    said = process.prints.with_suffix(".out")
    while not said.exists() or "Ctrl-C" not in process.out:
        assert process.is_alive(), process.err
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, process.err
    # Closed in order, all is in one file.
    assert [path.name for path in (tmp_path / "out").glob("*sqlite*")] == ["review.sqlite"]


def test_the_address_is_opened_in_a_browser(place, duetal):
    assert duetal("review", "found.json", "clips")[0] == 0
    for _ in range(100):
        if place_opened[0]:
            break
        time.sleep(0.05)
    assert place_opened[0][0].startswith("http://127.0.0.1:")


@pytest.mark.recipe
def test_words_alone_propose_where_nothing_is_known(place, duetal, tiny_backbones):
    words = ["review", "--videos", "clips", "--out", "new", "--propose", "--no-browser"]
    assert duetal(*words)[::2] == (
        2,
        "duetal: error: --propose: is for videos (--videos) and the words of --classes\n",
    )
    named = ["--classes", "a person jumps, a person dives", "--clip", tiny_backbones["clip"]]
    for _ in range(2):
        assert duetal(*words, *named)[0] == 0
    with Corrections(place / "new" / "review.sqlite") as corrections:
        states = corrections.states()
        labels = {s.label for s in states["a"].values()}
        assert labels <= {"a person jumps", "a person dives"}
        assert {s.verdict for s in states["a"].values()} == {"open"}
    # Training again needs the features of all branches, and finds its own.
    assert (place / "new" / "word-features").is_dir()
    assert not (place / "new" / "features").exists()
