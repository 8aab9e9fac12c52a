import json
from pathlib import Path

import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.errors import DuetalError
from duetal.formats import boris, boris_writing

OBSERVATION = {
    "type": "MEDIA",
    "file": {"1": ["v.mp4"]},
    "events": [[1.0, "", "run", "", ""], [2.0, "", "run", "", ""]],
}


def project(folder: Path, **changed: object) -> Path:
    path = folder / "p.boris"
    behaviors = {"0": {"type": "State event", "code": "run"}}
    value = {"behaviors_conf": behaviors, "observations": {"o": {**OBSERVATION, **changed}}}
    path.write_text(json.dumps(value))
    return path


def test_a_project_of_the_tool(samples: Path) -> None:
    annotations = boris.read_annotations(samples / "project.boris")
    assert {v.name: (v.duration, v.segments) for v in annotations} == {
        "one": (
            50.0,
            (Segment(1.5, 3.5, "stir"), Segment(2.0, 6.0, "stir"), Segment(4.0, 4.0, "look")),
        ),
        "two": (40.0, (Segment(5.0, 9.0, "rest"),)),
        "three": (12.5, ()),
    }
    assert annotations.classes == ("look", "stir", "rest")
    assert annotations.left_out == (
        "comments: 1",
        "further players: 1",
        "modifiers of events: 2",
        "observations without media files: 1",
        "states without an end: 1",
        "subjects of events: 2",
    )


def test_an_export_of_aggregated_events(samples: Path) -> None:
    annotations = boris.read_annotations(samples / "boris_aggregated.tsv")
    assert {v.name: (v.duration, v.segments) for v in annotations} == {
        "one": (50.0, (Segment(1.5, 3.5, "stir"), Segment(4.0, 4.0, "look"))),
        "two": (40.0, (Segment(5.0, 7.25, "rest"),)),
    }
    assert annotations.left_out == (
        "comments: 1",
        "modifiers of events: 1",
        "subjects of events: 2",
    )


def test_an_older_export_of_tabular_events(samples: Path) -> None:
    annotations = boris.read_annotations(samples / "boris_tabular.tsv")
    expected = (Segment(1.5, 3.5, "stir"), Segment(2.0, 2.0, "look"))
    assert annotations.videos["one"].segments == expected
    assert annotations.videos["one"].duration == 50.0
    assert "states without an end: 1" in annotations.left_out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"file": {}}, "observations 'o': no key '1'"),
        ({"file": {"1": []}}, "observations 'o': player 1 has no file"),
        ({"events": 3}, "observations 'o': 'events' is not a list"),
        ({"events": [[1]]}, "observations 'o': not enough values"),
        ({"events": [["x", "", "run", ""]]}, "observations 'o': could not convert"),
        ({"file": {"1": ["a.mp4", "b.mp4"]}}, "observation 'o': the length of 'a' is unknown"),
    ],
)
def test_malformed_projects(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    with pytest.raises(DuetalError, match=r"p\.boris") as caught:
        boris.read_annotations(project(tmp_path, **changed))
    assert message in str(caught.value)


@pytest.mark.parametrize("sign", ["\t", ";", ","])
def test_an_export_with_other_signs_within_its_cells(sign: str, tmp_path: Path) -> None:
    table = (
        "Observation id|Media file name|Media duration (s)|Behavior|Start (s)|Stop (s)|Comment\n"
        'o|v.mp4|"30.5"|run|1.5|3.5|"one; two; three;;;;;;;;, and\tfour"\n'
    )
    path = tmp_path / "events.csv"
    path.write_text("Project|behavior\n\n".replace("|", sign) + table.replace("|", sign))
    video = boris.read_annotations(path).videos["v"]
    assert (video.duration, video.segments) == (30.5, (Segment(1.5, 3.5, "run"),))


HEADER = "Observation id\tMedia file name\tBehavior\tBehavior type\t"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n", "no column 'Behavior'"),
        (f"{HEADER}Time\no\tv.mp4\trun\tSTOP\t1\n", "line 2: 'run' stops, and has not begun"),
        (f"{HEADER}Time\no\tv.mp4\trun\tSTART\tx\n", "line 2: 'x' is no number"),
        (f"{HEADER}Time\no\tv.mp4\t\tSTART\t1\n", "line 2: an event without a behavior"),
        (f"{HEADER}Start (s)\no\tv.mp4\trun\tSTATE\t1\n", "line 2: no key 'stop (s)'"),
        (
            f"{HEADER}Time\no\tv.mp4\trun\tSTART\t1\no\tw.mp4\trun\tSTOP\t2\n",
            "line 3: observation 'o' has several media files",
        ),
    ],
)
def test_malformed_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "events.tsv"
    path.write_text(text)
    with pytest.raises(DuetalError, match=r"events\.tsv") as caught:
        boris.read_annotations(path)
    assert message in str(caught.value)


def test_times_that_count_from_when_each_video_was_made(tmp_path: Path) -> None:
    info = {
        "length": {"x/a.mp4": 30.0, "x/b.mp4": 20.0},
        "media_creation_time": {"x/a.mp4": 1.7e9, "x/b.mp4": 1.7e9 + 100},
    }
    clock = {"file": {"1": ["x/a.mp4", "x/b.mp4"]}, "media_creation_date_as_offset": True}
    times = [1.7e9, 1.7e9 + 7.5, 1.7e9 + 100, 1.7e9 + 101]
    events = [[time, "", "run", "", ""] for time in times]
    about = {"description": "a day", "independent_variables": {"weather": "sun"}}
    path = project(tmp_path, **clock, **about, media_info=info, events=events)
    annotations = boris.read_annotations(path)
    assert annotations.videos["a"].segments == (Segment(0, 7.5, "run"),)
    assert annotations.videos["b"].segments == (Segment(0, 1, "run"),)
    assert annotations.left_out == (
        "descriptions of observations: 1",
        "independent variables of observations: 1",
    )
    with pytest.raises(DuetalError, match=r"when 'x/a.mp4' was made, which is unknown"):
        boris.read_annotations(project(tmp_path, **clock, events=events))


def test_what_boris_does_not_know_is_null_or_na(tmp_path: Path) -> None:
    unknown = {"time offset": None, "independent_variables": None}
    for info in (None, {"length": None}, {"length": {"v.mp4": "NA"}}):
        video = boris.read_annotations(project(tmp_path, media_info=info, **unknown)).videos["v"]
        assert (video.duration, video.segments) == (None, (Segment(1, 2, "run"),))


SOURCED = "Source\tMedia duration (s)\tBehavior\tBehavior type\tStart (s)\tStop (s)\n"


def test_exports_of_several_files(tmp_path: Path) -> None:
    path = tmp_path / "events.tsv"
    source = "player #1:x/a.mp4|player #1:b.mp4|player #2:c.mp4\t30.0|20.0|50.0"
    rows = ("3\t7.5", "31,5\t0:00:35", "29\t31")
    path.write_text(SOURCED + "".join(f"{source}\trun\tSTATE\t{times}\n" for times in rows))
    annotations = boris.read_annotations(path)
    assert {v.name: (v.duration, v.segments) for v in annotations} == {
        "a": (30, (Segment(3, 7.5, "run"),)),
        "b": (20, (Segment(1.5, 5, "run"),)),
    }
    expected = ("events that go on in the next media file: 1", "further players: 1")
    assert annotations.left_out == expected
    # Names alone, as many as there are lengths, are one of each player.
    header = SOURCED.replace("Source", "Media file name")
    path.write_text(f"{header}x/a.mp4|b.mp4\t30.0|20.0\trun\tSTATE\t3\t7.5\n")
    annotations = boris.read_annotations(path)
    assert [(v.name, v.duration) for v in annotations] == [("a", 30)]
    assert annotations.left_out == ("further players: 1",)
    path.write_text(f"{SOURCED}player #1:a.mp4\t30\trun\tSTATE\t1.7e9\t1.7e9\n")
    with pytest.raises(DuetalError, match="line 2: times count from when the video was made"):
        boris.read_annotations(path)


@pytest.mark.parametrize("name", ["boris_players_tabular.tsv", "boris_players_aggregated.tsv"])
def test_exports_of_the_tool_of_two_files_one_after_the_other(samples: Path, name: str) -> None:
    """BORIS 8.27.4 wrote them; the clock of the observation begins at 100 s."""
    annotations = boris.read_annotations(samples / name)
    assert {v.name: (v.duration, v.segments) for v in annotations} == {
        "dive_1": (10.0, (Segment(1.0, 2.5, "Dive"), Segment(4.0, 4.0, "Look"))),
        "jump 2": (8.008, (Segment(1.0, 3.25, "Jump"),)),
    }
    assert annotations.left_out == ("further players: 1",)


def test_what_overlaps_or_touches_is_of_another_subject(tmp_path: Path) -> None:
    path = tmp_path / "p.boris"
    actions = (Segment(1, 2, "run"), Segment(1.5, 3, "run"), Segment(2, 4, "run"))
    actions += (Segment(4.5, 4.5, "run"), Segment(1, 2, "sit"))
    video = VideoAnnotation("v", None, 9.0, ("run", "sit"), actions)
    boris_writing.write(path, Annotations({"v": video}, ("run", "sit")))
    (observation,) = json.loads(path.read_text())["observations"].values()
    # BORIS takes no two events of one time, subject and behavior.
    events = [tuple(event[:3]) for event in observation["events"]]
    assert len({*events}) == len(events) == 10
    assert [time for time, *_ in events] == sorted(time for time, *_ in events)
    assert {subject for _, subject, _ in events} == {"", "overlap 2", "overlap 3"}
    again = boris.read_annotations(path).videos["v"]
    assert (again.duration, sorted(again.segments or ())) == (9.0, sorted(actions))
