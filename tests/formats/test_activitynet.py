import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core.annotations import Segment
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError
from duetal.formats import activitynet, read_annotations, read_detections
from duetal.formats.forms import ContentKind, Format
from duetal.formats.guess import Guess, guess
from duetal.formats.marked import detection_rows
from duetal.formats.options import FormatOptions, read_class_numbers


def written(folder: Path, value: object) -> Path:
    path = folder / "a.json"
    path.write_text(json.dumps(value))
    return path


def database(**videos: object) -> dict[str, object]:
    return {"database": videos}


def test_reads_segments_as_strings_or_numbers_and_keeps_order_and_spelling(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        database(
            b={
                "subset": "Validation",
                "duration": 12,
                "annotations": [
                    {"segment": ["3.5", "4.0"], "label": "y"},
                    {"segment": [1, 1], "label": "x", "idx": 3},
                ],
            },
            a={"annotations": []},
        ),
    )
    annotations = activitynet.read_annotations(path)
    assert list(annotations.videos) == ["b", "a"]
    video = annotations.videos["b"]
    assert (video.subset, video.duration, video.labels) == ("Validation", 12.0, ("x", "y"))
    assert video.segments == (Segment(3.5, 4, "y"), Segment(1, 1, "x"))
    assert annotations.videos["a"].segments == ()
    assert annotations.classes == ("x", "y")


def test_labels_without_segments_are_weak(tmp_path: Path) -> None:
    path = written(tmp_path, database(a={"subset": "train", "annotations": [{"label": "x"}]}))
    video = activitynet.read_annotations(path).videos["a"]
    assert (video.labels, video.segments) == (("x",), None)


def test_strange_segments_are_kept_for_the_caller_to_judge(tmp_path: Path) -> None:
    segments = [[5, 3], [-1, 2], ["nan", 1], [0, 1e400]]
    listed = [{"segment": segment, "label": "x"} for segment in segments]
    path = written(tmp_path, database(a={"annotations": listed}))
    kept = activitynet.read_annotations(path).videos["a"].segments or ()
    assert [(s.start, s.end) for s in kept[:2]] == [(5, 3), (-1, 2)]
    assert np.isnan(kept[2].start)
    assert kept[3].end == float("inf")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "no object 'database'"),
        ({"results": {}}, "no object 'database'"),
        (database(v=3), "video 'v': expected an object"),
        (database(v={"annotations": 3}), "video 'v': 'annotations' is not a list"),
        (database(v={"annotations": [3]}), "video 'v', annotation 0"),
        (
            database(v={"annotations": [{"segment": [0, 1]}]}),
            "video 'v', annotation 0: no key 'label'",
        ),
        (database(v={"annotations": [{"label": 3.5}]}), "'label' is not a string"),
        (database(v={"annotations": [{"label": "x", "segment": [0]}]}), "not a pair"),
        (database(v={"annotations": [{"label": "x", "segment": ["a", 1]}]}), "annotation 0"),
        (database(v={"annotations": [{"label": "x", "segment": [None, 1]}]}), "not a number"),
        (
            database(v={"annotations": [{"label": "x"}, {"label": "x", "segment": [0, 1]}]}),
            "some annotations have a segment",
        ),
        (database(v={"subset": 3}), "'subset' is not a string"),
        (database(v={"duration": "long"}), "'duration'"),
    ],
)
def test_malformed_annotations(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(DuetalError, match=r"a\.json") as caught:
        activitynet.read_annotations(written(tmp_path, value))
    assert message in str(caught.value)


def test_a_video_listed_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"database": {"v": {"annotations": []}, "v": {"annotations": []}}}')
    with pytest.raises(DuetalError, match="'v' is listed twice"):
        activitynet.read_annotations(path)


def test_annotations_there_and_back(tmp_path: Path) -> None:
    source = database(
        a={
            "subset": "train",
            "duration": 9.5,
            "annotations": [{"segment": [0, 1], "label": "é"}, {"segment": [2, 2], "label": "x"}],
        },
        b={"annotations": [{"label": "x"}]},
        c={"subset": "test", "annotations": []},
    )
    annotations = activitynet.read_annotations(written(tmp_path, source))
    activitynet.write_annotations(tmp_path / "b.json", annotations)
    again = activitynet.read_annotations(tmp_path / "b.json")
    assert again.videos == annotations.videos
    assert again.classes == annotations.classes


def test_detections_there_and_back(tmp_path: Path) -> None:
    rows = [("b", "x", 0.1, 2.0, 0.75), ("a", "y", 1, 1, -3.5), ("b", "x", 0.1, 2.0, 0.75)]
    detections = Detections.from_rows(rows, videos=["a", "b", "nothing"])
    path = tmp_path / "d.json"
    activitynet.write_detections(path, detections, external_data={"selection": "last"})
    results = activitynet.read_detections(path)
    again = results
    assert again.videos == ("a", "b", "nothing")
    assert results.external_data == {"selection": "last"}

    def table(some: Detections) -> list[tuple[object, ...]]:
        columns = (some.video, some.label, some.start, some.end, some.score)
        rows = zip(*columns, strict=True)
        return sorted((some.videos[v], some.classes[c], *values) for v, c, *values in rows)

    assert table(again) == table(detections)


def test_writing_what_is_not_finite_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text("old")
    with pytest.raises(DuetalError, match="video 'a'"):
        activitynet.write_detections(path, Detections.from_rows([("a", "x", 0, 1, float("nan"))]))
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"database": {}}, "no object 'results'"),
        ({"results": []}, "no object 'results'"),
        ({"results": {"v": {}}}, "video 'v': expected a list"),
        ({"results": {"v": [{}]}}, "video 'v', detection 0: no key 'segment'"),
        ({"results": {"v": [{"segment": [0, 1], "label": "x"}]}}, "no key 'score'"),
        ({"results": {"v": [{"segment": [0, 1], "label": "x", "score": True}]}}, "not a number"),
        ({"results": {"v": [{"segment": [0, 1], "label": 1.5, "score": 1}]}}, "'label'"),
        ({"results": {"v": [{"segment": [0, 1], "label": 1, "score": 1}]}}, "give the list of c"),
        ({"results": {"v": [{"segment": [0, 1], "label": "x", "score": "nan"}]}}, "finite"),
        ({"results": {"v": [{"segment": [0, 1e999], "label": "x", "score": 1}]}}, "finite"),
        ({"results": {"v": [{"segment": [0, 10**400], "label": "x", "score": 1}]}}, "detection 0"),
    ],
)
def test_malformed_results(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(DuetalError, match=r"a\.json") as caught:
        activitynet.read_detections(written(tmp_path, value))
    assert message in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["annotations", "segment", "label", "score", "duration", "subset", "v"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(value=json_values, key=st.sampled_from(["database", "results"]))
@settings(max_examples=300, deadline=None)
def test_any_json_is_a_value_or_a_duetal_error(
    tmp_path_factory: pytest.TempPathFactory, value: object, key: str
) -> None:
    path = written(tmp_path_factory.mktemp("fuzz"), {key: value})
    for read in (activitynet.read_annotations, activitynet.read_detections):
        with contextlib.suppress(DuetalError):
            read(path)


@pytest.mark.real
def test_real_files(real_data: Path) -> None:
    thumos = activitynet.read_annotations(real_data / "thumos14" / "gt.json")
    assert (len(thumos), len(thumos.classes)) == (410, 20)
    assert sum(len(v.segments or ()) for v in thumos) == 3007 + 3311
    anet = activitynet.read_annotations(real_data / "activitynet" / "activity_net.v1-2.min.json")
    assert (len(anet), len(anet.classes)) == (4819 + 2383 + 2480, 100)
    detections = activitynet.read_detections(real_data / "thumos14" / "detections_train.json")
    assert (len(detections), len(detections.videos)) == (33895, 200)


CASES = Path(__file__).parents[1] / "cases" / "formats"
WALK = ("v_abc", "Walking the dog", 10.0, 20.0, 0.9)
RUN = ("v_abc", "Çüß 走る", 30.0, 40.0, 0.8)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("bare.json", [WALK, RUN]),
        ("ids.json", [WALK, RUN]),
        ("label_id.json", [WALK]),
        ("seg_keys.json", [WALK]),
    ],
)
@pytest.mark.parametrize("listed", ["{0}\n{1}\n", "1 {1}\n0 {0}\n"])
def test_results_of_other_methods(
    name: str, rows: list[tuple[object, ...]], listed: str, tmp_path: Path
) -> None:
    classes = tmp_path / "classes.txt"
    classes.write_text(listed.format(WALK[1], RUN[1]), encoding="utf-8")
    options = FormatOptions(classes=read_class_numbers(classes))
    found = read_detections(CASES / name, options=options)
    assert list(detection_rows(found)) == rows
    assert guess(CASES / name) == Guess(Format.ACTIVITYNET, ContentKind.DETECTIONS)
    assert found.left_out == ()
    if "id" in name:
        with pytest.raises(DuetalError, match=r"detection 0: 0 is the number of a class: give the"):
            read_detections(CASES / name)
        with pytest.raises(DuetalError, match="detection 0: 0 is the number of no class"):
            read_detections(CASES / name, options=FormatOptions(classes={7: "x"}))


def test_annotations_with_nothing_around_them(tmp_path: Path) -> None:
    entry = {"label": "x", "t-start": 1, "t-end": 2, "by": "me"}
    path = written(tmp_path, {"v": {"duration": 9, "subset": "test", "annotations": [entry]}})
    annotations = read_annotations(path)
    assert annotations.videos["v"].segments == (Segment(1, 2, "x"),)
    assert (annotations.videos["v"].subset, annotations.left_out) == ("test", ("by: 1",))


@pytest.mark.parametrize("text", ["", "1 a\n1 b\n"])
def test_a_list_of_classes_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(DuetalError, match=r"classes\.txt: (is empty|gives a number to two)"):
        read_class_numbers(path)


PLAIN = {"label": "Diving", "segment": [1, 2.5], "score": 0.5}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"results": {"a": [PLAIN, PLAIN | {"label": "Shot put"}], "b": []}}),
        json.dumps({"version": "x", "external_data": {"a": {"b": 1}}, "results": {"a": [PLAIN]}}),
        # None of these is read in the short way.
        json.dumps({"results": {"a": [PLAIN | {"label": "a: b"}]}}),
        json.dumps({"results": {"a": [PLAIN | {"segment": ["1", "2.5"]}]}}),
        json.dumps({"results": {"a": [PLAIN | {"score": "0.5"}]}}),
        json.dumps({"results": {"a": [PLAIN | {"id": 3}]}, "sizes": [1]}),
        json.dumps({"results": {"a": [PLAIN | {"score": True}]}}),
        json.dumps({"results": {"a": [PLAIN | {"score": float("nan")}]}}),
        json.dumps({"results": {"a": [PLAIN | {"segment": [1, 2, 3]}]}}),
        json.dumps({"results": {"a": [PLAIN | {"label": 3}]}}),
        json.dumps({"results": {"a": {}}}),
        '{"results": {"a": [], "a": [{"label": "x", "segment": [1, 2], "score": 1}]}}',
        '{"results": {"a": [{"label": "x", "score": 0, "segment": [1, 2], "score": 1}]}}',
        '{"results": {"a": [{"label": "x", "segment": [1, 1e999], "score": 1}]}}',
    ],
)
def test_the_short_way_reads_what_the_careful_one_does(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> list[object]:
        try:
            found = activitynet.read_detections(path)
        except DuetalError as error:
            return [str(error)]
        columns = (found.video, found.label, found.start, found.end, found.score)
        names = [found.videos, found.classes, found.external_data, found.left_out]
        return [*names, *(column.tolist() for column in columns)]

    path = tmp_path / "a.json"
    path.write_text(text)
    short = read()
    monkeypatch.setattr(activitynet, "_read_plain", lambda path: None)
    assert short == read()


@pytest.mark.real
def test_the_real_detections_are_read_in_the_short_way(real_data: Path) -> None:
    path = real_data / "thumos14" / "detections_train.json"
    found = activitynet._read_plain(path)
    assert found is not None
    assert len(found) == 33_895
