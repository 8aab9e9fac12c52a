import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.formats import activitynet, read_annotations, via
from duetal.formats.conversion import Conversion, convert
from duetal.formats.forms import FORMS, ContentKind, Format
from duetal.formats.options import FormatOptions

OPTIONS = FormatOptions(fps=100)


@pytest.fixture
def source(tmp_path: Path, annotations: Annotations) -> Path:
    path = tmp_path / "source.json"
    activitynet.write_annotations(path, annotations)
    return path


@pytest.fixture
def found(tmp_path: Path, detections: Detections) -> Path:
    path = tmp_path / "found.json"
    activitynet.write_detections(path, detections, external_data={"selection": "last"})
    return path


_VIDEO_FACTS = ["subsets: 3 dropped", "durations: 3 dropped"]
#: What each form loses of three videos annotated with subset, duration and segments.
LOSSES: dict[Format, list[str]] = {
    Format.ACTIVITYNET: [],
    Format.BASNET: ["durations: 3 dropped"],
    Format.BORIS: ["subsets: 3 dropped"],
    Format.CSV: [],
    Format.ELAN: _VIDEO_FACTS,
    Format.FIFTYONE: _VIDEO_FACTS,
    Format.LABEL_STUDIO: [],
    Format.STRONG: _VIDEO_FACTS,
    Format.VIA: _VIDEO_FACTS,
    Format.WEAK: [
        "subsets: 3 changed (test → training)",
        "durations: 3 dropped",
        "segments: 4 dropped",
    ],
    Format.WEBVTT: _VIDEO_FACTS,
}


@pytest.mark.parametrize("form", LOSSES)
def test_annotations_to_each_form_and_back(
    form: Format, tmp_path: Path, annotations: Annotations
) -> None:
    source = tmp_path / "source.json"
    activitynet.write_annotations(source, annotations)
    done = convert(source, tmp_path / "out", target_format=form, options=OPTIONS)
    assert (done.source_format, done.target_format) == (Format.ACTIVITYNET, form)
    assert (done.kind, done.videos, done.rows) == (ContentKind.ANNOTATIONS, 3, 4)
    assert list(done.lines) == LOSSES[form]
    if form is not Format.WEAK:
        back = convert(tmp_path / "out", tmp_path / "back.json", options=OPTIONS)
        assert back.lines == ()
        again = activitynet.read_annotations(tmp_path / "back.json")
        for video in annotations:
            assert sorted(again.videos[video.name].segments or ()) == sorted(video.segments or ())


@pytest.mark.parametrize("form", sorted({*LOSSES} - {Format.WEAK, Format.WEBVTT, Format.BASNET}))
def test_a_point_stays_a_point(form: Format, tmp_path: Path) -> None:
    """A segment of no length, to the frame or the millisecond."""
    point = VideoAnnotation("v", "test", 9.0, ("a",), (Segment(2.0, 2.0, "a"),))
    activitynet.write_annotations(tmp_path / "p.json", Annotations({"v": point}, ("a",)))
    convert(tmp_path / "p.json", tmp_path / "out", target_format=form, options=OPTIONS)
    (again,) = read_annotations(tmp_path / "out", options=OPTIONS).videos["v"].segments or ()
    assert again.start == again.end == pytest.approx(2.0, abs=0.01)


def test_every_form_that_is_written_is_tried() -> None:
    written = {form for form, can in FORMS.items() if can.write_annotations is not None}
    assert written == {*LOSSES, Format.THUMOS14}


@pytest.mark.parametrize("form", [Format.ACTIVITYNET, Format.CSV, Format.STRONG, Format.WEBVTT])
def test_a_form_that_does_not_know_the_order_of_classes(
    form: Format, tmp_path: Path, annotations: Annotations
) -> None:
    source = tmp_path / "source.json"
    via.write(source, annotations)
    done = convert(source, tmp_path / "out", target_format=form)
    assert done.lines == ("order of the classes: not kept",)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Format.ACTIVITYNET, []),
        (Format.BORIS, ["scores: 5 dropped", "external data: 1 dropped"]),
        (Format.CSV, ["videos: 1 dropped (v_3)", "external data: 1 dropped"]),
        (Format.ELAN, ["scores: 5 dropped", "external data: 1 dropped"]),
        (Format.FIFTYONE, ["external data: 1 dropped"]),
        (Format.LABEL_STUDIO, ["external data: 1 dropped"]),
        (Format.STRONG, ["scores: 5 dropped", "external data: 1 dropped"]),
        (Format.VIA, ["scores: 5 dropped", "external data: 1 dropped"]),
        (Format.WEBVTT, ["external data: 1 dropped"]),
    ],
)
def test_detections_to_each_form(
    form: Format, expected: list[str], found: Path, tmp_path: Path
) -> None:
    done = convert(found, tmp_path / "out", target_format=form, options=OPTIONS)
    assert (done.kind, done.videos, done.rows) == (ContentKind.DETECTIONS, 3, 5)
    lines = [line for line in done.lines if line != "order of the classes: not kept"]
    assert lines == expected


def test_thumos14_there_and_back(tmp_path: Path) -> None:
    videos = {
        "a": VideoAnnotation(
            "a", "test", None, ("Diving",), (Segment(0.1, 1 / 3, "Diving"),),
            (Segment(7.0, 8.0, "Ambiguous"),),
        ),
        "b": VideoAnnotation("b", "training", 9.0, ("GolfSwing",), (Segment(1.0, 2.0, "GolfSwing"),)
        ),
        "c": VideoAnnotation("c", "test", None, (), ()),
    }  # fmt: skip
    source = tmp_path / "source"
    annotations = Annotations(videos, ("GolfSwing", "Diving"))
    FORMS[Format.THUMOS14].write_annotations(source, annotations, options=OPTIONS)  # type: ignore[misc]
    assert sorted(path.name for path in source.iterdir()) == [
        "Ambiguous_test.txt",
        "Diving_test.txt",
        "GolfSwing_val.txt",
        "detclasslist.txt",
    ]
    assert (source / "detclasslist.txt").read_text() == "33 GolfSwing\n26 Diving\n"
    done = convert(source, tmp_path / "out", target_format=Format.THUMOS14)
    assert done.lines == ()
    for path in source.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    as_json = convert(source, tmp_path / "out.json")
    assert as_json.lines == (
        "ambiguous segments: 1 dropped",
        "order of the classes: not kept",
    )


@pytest.mark.parametrize(
    ("label", "subset", "message"),
    [
        ("../../x", "test", "the class '../../x' can't be part of a file's name"),
        ("a\nb", "test", "can't be part of a file's name"),
        (".x", "test", "can't be part of a file's name"),
        ("a\0b", "test", "can't be part of a file's name"),
        ("\ud800", "test", "can't be part of a file's name"),
        ("Ambiguous", "test", "can't be part of a file's name"),
        ("x", None, "give its --subset"),
        ("x", "other", "give its --subset"),
    ],
)
def test_what_thumos14_cannot_hold_is_refused_and_nothing_written(
    tmp_path: Path, label: str, subset: str | None, message: str
) -> None:
    video = VideoAnnotation("v", subset, None, (label,), (Segment(0, 1, label),))
    source = tmp_path / "source.json"
    activitynet.write_annotations(source, Annotations({"v": video}, (label,)))
    with pytest.raises(DuetalError) as caught:
        convert(source, tmp_path / "out" / "deep", target_format=Format.THUMOS14)
    assert message in str(caught.value)
    assert not (tmp_path / "out" / "deep").exists()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["source.json"]


def test_the_form_of_a_target_is_told_by_its_suffix(
    source: Path, found: Path, tmp_path: Path
) -> None:
    forms = {
        "a.csv": Format.CSV,
        "a.tsv": Format.STRONG,
        "a.json": Format.ACTIVITYNET,
    }
    for name, form in forms.items():
        assert convert(source, tmp_path / name).target_format is form
    assert convert(found, tmp_path / "d.csv").kind is ContentKind.DETECTIONS
    with pytest.raises(
        UsageError, match=r"a\.what: the name does not show the form .* \(--to activi"
    ):
        convert(source, tmp_path / "a.what")
    with pytest.raises(UsageError, match=r"a\.txt: THUMOS'14's annotations are a folder"):
        convert(source, tmp_path / "a.txt")


def test_nothing_is_overwritten_unasked(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("mine")
    with pytest.raises(UsageError, match=r"a\.csv: is there already"):
        convert(source, target)
    assert target.read_text() == "mine"
    convert(source, target, force=True)
    assert len(read_annotations(target)) == 3
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine.eaf").touch()
    with pytest.raises(UsageError, match="folder: is a folder that holds something"):
        convert(source, folder, target_format=Format.ELAN, force=True)
    with pytest.raises(UsageError, match="is what is read"):
        convert(source, source, force=True)
    (tmp_path / "tasks.interface.xml").touch()
    with pytest.raises(UsageError, match=r"tasks\.interface\.xml: is there already"):
        convert(source, tmp_path / "tasks.json", target_format=Format.LABEL_STUDIO, options=OPTIONS)


def test_a_form_that_is_read_alone(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is read, not written"):
        convert(source, tmp_path / "out", target_format=Format.WTALC)
    with pytest.raises(UsageError, match="has annotations, not detections"):
        convert(
            source, tmp_path / "out.json", source_format=Format.VIA, kind=ContentKind.DETECTIONS
        )


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    source.write_text(
        '{"taxonomy": [1], "database": {"v": {"url": "x", "annotations": '
        '[{"label": "A", "segment": [0, 1], "idx": 3}]}}}'
    )
    assert convert(source, tmp_path / "b.json").lines == ("not read: idx: 1",)
    assert convert(source, tmp_path / "b.csv").lines == (
        "not read: idx: 1",
        "taxonomy: 1 dropped",
        "url: 1 dropped",
    )


def test_what_is_said_of_videos_is_kept_where_it_can_be(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    whole = {
        "version": "VERSION 1.3",
        "taxonomy": [{"nodeName": "Diving", "nodeId": 7}],
        "database": {
            "v": {
                "url": "https://example.org/</script>\u2028",
                "resolution": "320x240",
                "fps": 29.97,
                "duration": 9.0,
                "subset": "training",
                "annotations": [{"segment": [0.0, 1.0], "label": "Diving"}],
            }
        },
    }
    source.write_text(json.dumps(whole))
    assert convert(source, tmp_path / "b.json").lines == ()
    assert json.loads((tmp_path / "b.json").read_text()) == whole


def test_rounding_is_measured(source: Path, found: Path, tmp_path: Path) -> None:
    options = FormatOptions(fps=2)
    done = convert(source, tmp_path / "a", target_format=Format.LABEL_STUDIO, options=options)
    assert done.lines == ("times: 4 rounded, by at most 0.25 s",)
    done = convert(found, tmp_path / "b", target_format=Format.LABEL_STUDIO, options=options)
    assert done.lines == ("external data: 1 dropped", "times: 5 rounded, by at most 0.25 s")


def test_subset_and_score(found: Path, tmp_path: Path) -> None:
    done = convert(found, tmp_path / "a.tsv", min_score=0.5)
    assert done.lines[0] == "detections under 0.5: 2 dropped"
    assert done.rows == 3
    convert(tmp_path / "a.tsv", tmp_path / "a.json", subset="test")
    annotations = read_annotations(tmp_path / "a.json")
    assert [video.subset for video in annotations] == ["test"] * 3


def test_an_option_for_the_other_kind_is_a_mistake(
    source: Path, found: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"found\.json: detections have no subsets"):
        convert(found, tmp_path / "a.csv", subset="test")
    with pytest.raises(UsageError, match=r"source\.json: annotations have no scores"):
        convert(source, tmp_path / "a.csv", min_score=0.5)


def test_weak_labels_and_unknown_segments(tmp_path: Path, annotations: Annotations) -> None:
    weak = VideoAnnotation("weak", "train", None, ("Äpfel",))
    videos = {**annotations.videos, "weak": weak}
    source = tmp_path / "source.json"
    activitynet.write_annotations(source, replace(annotations, videos=videos))

    def lines(form: Format) -> tuple[str, ...]:
        return convert(source, tmp_path / form, target_format=form, options=OPTIONS).lines

    assert lines(Format.CSV) == ()
    looked_through = VideoAnnotation("nothing", "train", None, (), ())
    labels = Annotations({"weak": weak, "nothing": looked_through}, ("Äpfel",))
    activitynet.write_annotations(tmp_path / "labels.json", labels)
    done = convert(tmp_path / "labels.json", tmp_path / "labels.tsv")
    assert (done.target_format, done.lines) == (
        Format.WEAK,
        ("subsets: 2 changed (train → training)",),
    )
    assert "videos: 1 dropped (weak)" in lines(Format.STRONG)
    assert "videos: 1 dropped (weak)" in lines(Format.FIFTYONE)
    assert "videos with unknown segments, now without any: 1 changed (weak)" in lines(Format.VIA)
    with pytest.raises(DuetalError, match="video 'weak': cannot write: its segments are unknown"):
        lines(Format.BASNET)


@pytest.mark.parametrize("form", sorted(form for form in FORMS if FORMS[form].write_annotations))
@pytest.mark.parametrize(
    ("segment", "duration"), [("[NaN, 1]", "9"), ("[0, 1e309]", "9"), ("[0, 1]", "NaN")]
)
def test_a_time_that_is_no_number_is_refused_and_nothing_written(
    tmp_path: Path, form: Format, segment: str, duration: str
) -> None:
    source = tmp_path / "source.json"
    known = '"annotations": [{"label": "x", "segment": %s}], "subset": "test", "duration": %s'
    source.write_text('{"database": {"v": {%s}}}' % (known % (segment, duration)))
    with pytest.raises(DuetalError, match=r"source.json: video 'v': .*not a finite number"):
        convert(source, tmp_path / "out", target_format=form, options=OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["source.json"]


NAMES = st.text(max_size=6) | st.sampled_from(
    ["../../x", "/etc/x", "a\\b", "..", ".x", "a\0b", "\ud800", "</script>", "]]>", "x.mp4", "-->"]
)
TIMES = st.floats(-1, 1e12) | st.sampled_from([float("nan"), float("inf"), 1e308])
SEGMENTS = st.lists(st.tuples(TIMES, TIMES, NAMES), max_size=3)


@pytest.mark.parametrize("form", [*LOSSES, Format.THUMOS14])
@given(videos=st.dictionaries(NAMES, SEGMENTS, max_size=3), subset=st.none() | NAMES)
@settings(max_examples=15)
def test_any_names_and_times_are_written_or_refused_and_stay_in_their_folder(
    tmp_path_factory: pytest.TempPathFactory,
    form: Format,
    videos: dict[str, list[tuple[float, float, str]]],
    subset: str | None,
) -> None:
    annotated = {}
    for name, rows in videos.items():
        segments = tuple(Segment(*row) for row in rows)
        labels = tuple(sorted({segment.label for segment in segments}))
        annotated[name] = VideoAnnotation(name, subset, None, labels, segments)
    classes = sorted({label for video in annotated.values() for label in video.labels})
    annotations = Annotations(annotated, tuple(classes))
    rows = [
        (v, label, start, end, 0.5) for v, found in videos.items() for start, end, label in found
    ]
    detections = Detections.from_rows(rows, videos=videos)
    folder = tmp_path_factory.mktemp("fuzz") / "deep"
    for value, write in (
        (annotations, FORMS[form].write_annotations),
        (detections, FORMS[form].write_detections),
    ):
        if write is not None:
            target = folder / type(value).__name__
            with contextlib.suppress(DuetalError):
                write(target, value, options=OPTIONS)
    written = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    beside = {"Annotations.interface.xml", "Detections.interface.xml"}
    assert written <= {"Annotations", "Detections"} | beside
    assert set(folder.parent.iterdir()) <= {folder}
    shutil.rmtree(folder.parent)


@pytest.mark.real
def test_the_real_annotations_come_back_whole(real_data: Path, tmp_path: Path) -> None:
    sources = {
        "gt": real_data / "thumos14" / "gt.json",
        "anet": real_data / "activitynet" / "activity_net.v1-2.min.json",
        "clips": real_data / "video" / "annotations.json",
    }
    for name, source in sources.items():
        original = read_annotations(source)
        for form in (Format.CSV,) if name == "anet" else (Format.VIA, Format.FIFTYONE):
            middle = tmp_path / f"{name}-{form}"
            done = convert(source, middle, target_format=form)
            assert not [line for line in done.lines if line.startswith(("segments", "times"))]
            again = read_annotations(middle)
            for video in again:
                assert video.segments == original.videos[video.name].segments


@pytest.mark.real
def test_the_three_forms_of_thumos14(real_data: Path, tmp_path: Path) -> None:
    thumos = real_data / "thumos14"
    text = thumos / "ground_truth_txt"
    assert convert(text, tmp_path / "text", target_format=Format.THUMOS14).lines == ()
    for path in text.glob("*.txt"):
        again = (tmp_path / "text" / path.name).read_text()
        assert [line.split() for line in again.splitlines() if line] == [
            line.split() for line in path.read_text().splitlines() if line.strip()
        ]
    assert convert(thumos / "gt.json", tmp_path / "gt.json").lines == ()
    pack = convert(thumos / "Thumos14reduced-Annotations", tmp_path / "pack.json")
    assert pack.lines == (
        "video labels: 10 dropped",
        "video labels: 20 added, as the segments have them",
        "ambiguous segments: 96 dropped",
    )
    assert len(pack.notes) == 3
    assert pack.notes[2].startswith("30 segments lie behind their video's end")


@pytest.mark.real
def test_the_real_detections_to_correct(real_data: Path, tmp_path: Path) -> None:
    def lines(form: Format) -> Conversion:
        target = tmp_path / form
        source = real_data / "thumos14" / "detections_train.json"
        options = FormatOptions(fps=25)
        return convert(source, target, target_format=form, options=options, min_score=0.6)

    done = lines(Format.LABEL_STUDIO)
    assert done.videos == 200
    # The method's times are multiples of 0.64 s, which is 16 frames: nothing is rounded.
    assert [line for line in done.lines if "rounded" in line] == []
    assert f"scores: {done.rows:,} dropped" in lines(Format.ELAN).lines
    back = convert(tmp_path / Format.ELAN, tmp_path / "elan.json")
    assert back.rows == done.rows


def test_what_could_not_be_read_back_is_not_left(tmp_path: Path) -> None:
    source = tmp_path / "source.json"
    source.write_text(
        '{"database": {"v": {"annotations": [{"label": "", "segment": [0, 1]}]}},'
        '"results": {"v": [{"label": "Diving", "segment": [0, 1], "score": 1}]}}'
    )
    target = tmp_path / "v.vtt"
    with pytest.raises(DuetalError, match=r"/v\.vtt: line 3: a cue without text"):
        convert(source, target)
    assert list(tmp_path.iterdir()) == [source]
    target.write_text("mine")
    with pytest.raises(DuetalError, match="a cue without text"):
        convert(source, target, force=True)
    assert target.read_text() == "mine"
    (tmp_path / "detclasslist.txt").write_text("1 Jump\n")
    with pytest.raises(DuetalError, match=r"/v\.txt: line 1: 26 is the number of no class"):
        convert(source, tmp_path / "v.txt", kind=ContentKind.DETECTIONS)
    assert not (tmp_path / "v.txt").exists()


def test_names_that_a_spreadsheet_takes_for_formulas_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "source.json"
    listed = [{"label": "=1+1", "segment": [0, 1]}]
    source.write_text(json.dumps({"database": {"-v": {"annotations": listed}}}))
    expected = (
        "names that look like formulas to a spreadsheet: 2 ('-v', …): import the columns as text"
    )
    assert convert(source, tmp_path / "a.csv").notes == (expected,)
    assert convert(source, tmp_path / "a.json").notes == ()
    assert read_annotations(tmp_path / "a.csv").videos["-v"].labels == ("=1+1",)
