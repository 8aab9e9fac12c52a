from pathlib import Path

import pytest
from pympi import Elan

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, UsageError
from duetal.formats import elan
from duetal.formats.options import FormatOptions

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    '<!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>'
    "<ANNOTATION_DOCUMENT>&lol2;</ANNOTATION_DOCUMENT>"
)
OTHER_FILE = (
    '<!DOCTYPE a [<!ENTITY other SYSTEM "file:///etc/passwd">]>'
    "<ANNOTATION_DOCUMENT>&other;</ANNOTATION_DOCUMENT>"
)


def test_a_file_of_the_tool(samples: Path) -> None:
    annotations = elan.read_annotations(samples / "kitchen.eaf")
    assert annotations.videos["my kitchen"].segments == (
        Segment(0.5, 3.25, "break & stir"),
        Segment(7.2, 11.6, "rest"),
    )
    assert annotations.left_out == (
        "annotations that are not aligned: 1",
        "annotations that hang on others: 1",
        "further media files: 1",
    )
    cook = elan.read_annotations(samples / "kitchen.eaf", options=FormatOptions(tier="cook"))
    assert cook.classes == ("break & stir",)


def test_annotations_there_and_back(tmp_path: Path, annotations: Annotations) -> None:
    for root in ("", "file:///clips", "/clips/"):
        folder = tmp_path / f"with{len(root)}"
        elan.write(folder, annotations, options=FormatOptions(media_root=root))
        again = elan.read_annotations(folder)
        assert again.classes == annotations.classes
        for video in annotations:
            assert sorted(again.videos[video.name].segments or ()) == sorted(video.segments or ())


def test_another_library_reads_what_is_written(tmp_path: Path, detections: Detections) -> None:
    elan.write(tmp_path / "out", detections)
    document = Elan.Eaf(str(tmp_path / "out" / "v_1.eaf"))
    assert document.get_annotation_data_for_tier("HighJump") == [(4000, 4500, "HighJump")]
    # ELAN allows no overlap within a tier.
    assert document.get_annotation_data_for_tier("Diving") == [(500, 2250, "Diving")]
    assert document.get_annotation_data_for_tier("Diving (2)") == [(1000, 3000, "Diving")]
    assert list(document.get_controlled_vocabulary_names()) == ["actions"]


def test_what_another_library_writes_is_read(tmp_path: Path) -> None:
    document = Elan.Eaf(author="somebody")
    document.add_linked_file("file:///clips/jump%201.mp4", mimetype="video/mp4")
    document.remove_tier("default")
    document.add_tier("action")
    document.add_annotation("action", 1000, 2500, "Jump < & >")
    document.to_file(str(tmp_path / "a.eaf"))
    annotations = elan.read_annotations(tmp_path)
    assert annotations.videos["jump 1"].segments == (Segment(1.0, 2.5, "Jump < & >"),)


def test_one_video_can_be_one_file(tmp_path: Path, annotations: Annotations) -> None:
    path = tmp_path / "one.eaf"
    elan.write(path, annotations.select(["v 2"]))
    assert list(elan.read_annotations(path).videos) == ["v 2"]
    with pytest.raises(DuetalError, match="one file is one video, and here are 3"):
        elan.write(path, annotations)


@pytest.mark.parametrize("content", [BOMB, OTHER_FILE])
def test_entities_and_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.eaf"
    path.write_text(content)
    with pytest.raises(DuetalError, match=r"a\.eaf: line 1 column \d+: a document type is refused"):
        elan.read_annotations(path)


@pytest.mark.parametrize("name", ["../../x", "a/b", ""])
def test_a_name_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    videos = {name: VideoAnnotation(name, segments=())}
    with pytest.raises(DuetalError, match="can't be that of a media file"):
        elan.write(tmp_path / "out", Annotations(videos, ()))
    assert list(tmp_path.iterdir()) == []


HEAD = "<ANNOTATION_DOCUMENT><HEADER/>"
SLOTS = '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="1"/></TIME_ORDER><TIER TIER_ID="t">'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not XML: no element found"),
        ("<a/>", "line 1 column 1: not of ELAN's form: it begins with 'a'"),
        (HEAD, "not XML"),
        ('<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="PAL-frames"/>', "times in 'PAL-frames'"),
        (f"{HEAD}<TIME_SLOT/>", "no attribute 'TIME_SLOT_ID'"),
        (f'{HEAD}<TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="x"/>', "invalid literal"),
        (f'{HEAD}<TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="{"9" * 400}"/>', "too large"),
        (f"{HEAD}{SLOTS}<ALIGNABLE_ANNOTATION/>", "no attribute 'TIME_SLOT_REF1'"),
        (
            f'{HEAD}{SLOTS}<ALIGNABLE_ANNOTATION TIME_SLOT_REF1="a" TIME_SLOT_REF2="b">'
            "<ANNOTATION_VALUE>x</ANNOTATION_VALUE>",
            "no attribute 'b'",
        ),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "not XML: unknown encoding"),
        (f"{HEAD}{'x' * 70_000}</ANNOTATION_DOCUMENT>", "a text is too long"),
    ],
)
def test_malformed(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.eaf"
    path.write_text(content)
    with pytest.raises(DuetalError, match=r"a\.eaf") as caught:
        elan.read_annotations(path)
    assert message in str(caught.value)


def test_what_xml_cannot_say_is_refused(tmp_path: Path) -> None:
    label = "a\x00b"
    videos = {"v": VideoAnnotation("v", None, None, (label,), (Segment(0, 1, label),))}
    with pytest.raises(DuetalError, match="a character that XML can't hold"):
        elan.write(tmp_path / "v.eaf", Annotations(videos, (label,)))


MEDIA = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///a/{}" MIME_TYPE="{}" {}/>'
SOUND = MEDIA.format("a.wav", "audio/x-wav", 'TIME_ORIGIN="500"')
EXTRACTED = MEDIA.format("a.wav", "unknown", 'EXTRACTED_FROM="file:///a/b.mp4"')
TYPES = (
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="same" CONSTRAINTS="Symbolic_Association"/>'
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="part" CONSTRAINTS="Symbolic_Subdivision"/>'
)


def tier(name: str, kind: str, *texts: tuple[str, str, str]) -> str:
    """A tier; texts are identifier, what it hangs on (times `a` to `b` where none), value."""
    annotations = ""
    for key, above, text in texts:
        place = f'ANNOTATION_REF="{above}"' if above else 'TIME_SLOT_REF1="a" TIME_SLOT_REF2="b"'
        element = "REF_ANNOTATION" if above else "ALIGNABLE_ANNOTATION"
        value = f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE>"
        annotations += f'<{element} ANNOTATION_ID="{key}" {place}>{value}</{element}>'
    return f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="{kind}">{annotations}</TIER>'


EMPTY = tier("seg", "t", ("1", "", ""))
ACT = tier("act", "same", ("2", "1", "run"))
OTHER = tier("b", "same", ("7", "1", "run"))
PARTLY = tier("seg", "t", ("1", "", "go"), ("3", "", ""))
VOCABULARY = "<CV_ENTRY_ML><CVE_VALUE>run</CVE_VALUE></CV_ENTRY_ML>"
DEEP = tier("x", "same", ("2", "1", "")) + tier("y", "same", ("3", "2", "run"))
CIRCLE = tier("act", "same", ("1", "2", "x"), ("2", "1", "y"))


@pytest.mark.parametrize(
    ("media", "tiers", "chosen", "expected"),
    [
        ("", EMPTY, None, ("v", [(1, 2, "seg")])),
        ("", tier("run (2)", "t", ("1", "", "")), None, ("v", [(1, 2, "run (2)")])),
        ("", tier("run (2)", "t", ("1", "", "")) + VOCABULARY, None, ("v", [(1, 2, "run")])),
        (SOUND, EMPTY, None, ("a", [(1.5, 2.5, "seg")])),
        (EXTRACTED, EMPTY, None, ("b", [(1, 2, "seg")])),
        (SOUND + MEDIA.format("c.MTS", "unknown", ""), EMPTY, None, ("c", [(1, 2, "seg")])),
        ("", ACT + EMPTY, None, ("v", [(1, 2, "run")])),
        ("", ACT + PARTLY, None, ("v", [(1, 2, "go"), (1, 2, "seg")])),
        ("", ACT + tier("seg", "t", ("1", "", ""), ("3", "", "")), None, ("v", [(1, 2, "run")])),
        ("", ACT + tier("seg", "t", ("1", "", "go")), "act", ("v", [(1, 2, "run")])),
        ("", EMPTY + DEEP, None, ("v", [(1, 2, "run")])),
        ("", EMPTY + tier("act", "part", ("2", "1", "run")), None, ("v", [(1, 2, "seg")])),
    ],
)  # fmt: skip
def test_which_video_and_which_text_is_meant(
    tmp_path: Path, media: str, tiers: str, chosen: str | None, expected: tuple[str, list[object]]
) -> None:
    path = tmp_path / "v.eaf"
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{key}" TIME_VALUE="{time}"/>'
        for key, time in {"a": 1000, "b": 2000}.items()
    )
    order = f"<TIME_ORDER>{slots}</TIME_ORDER>"
    head = f"<ANNOTATION_DOCUMENT><HEADER>{media}</HEADER>{order}"
    path.write_text(f"{head}{tiers}{TYPES}</ANNOTATION_DOCUMENT>")
    (video,) = elan.read_annotations(path, options=FormatOptions(tier=chosen))
    assert (video.name, [(s.start, s.end, s.label) for s in video.segments or ()]) == expected
    path.write_text(f"{head}{EMPTY}{ACT}{OTHER}{TYPES}</ANNOTATION_DOCUMENT>")
    with pytest.raises(UsageError, match=r"v\.eaf: which tier holds the labels: 'act', 'b'\?"):
        elan.read_annotations(path)
    path.write_text(f"{head}{CIRCLE}{TYPES}</ANNOTATION_DOCUMENT>")
    with pytest.raises(DuetalError, match="hangs on itself"):
        elan.read_annotations(path)
