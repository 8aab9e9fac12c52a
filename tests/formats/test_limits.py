"""Files made to harm: no reader takes memory without bound."""

import itertools
import string
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duetal.core import files
from duetal.core.errors import DuetalError, raise_error
from duetal.formats.delimited import read_lines
from duetal.formats.forms import FORMS, Format
from duetal.formats.options import FormatOptions
from duetal.formats.thumos14 import read_class_list
from duetal.formats.video_table import read_video_table

OPTIONS = FormatOptions()
#: Bytes of each file, and what a reader takes whatever the file: buffers, the error.
SIZE = 60_000
BASE = 50_000
#: Rows of a few bytes with a new name in each take so many times the file's size.
WORST = 150


def annotations(form: Format) -> Callable[[Path], object]:
    return lambda path: FORMS[form].read_annotations(path, options=OPTIONS, report=raise_error)


def detections(form: Format) -> Callable[[Path], object]:
    read = FORMS[form].read_detections
    assert read is not None
    return lambda path: read(path, options=OPTIONS)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "weak": ("a.tsv", annotations(Format.WEAK)),
    "strong": ("a.tsv", annotations(Format.STRONG)),
    "csv": ("a.csv", annotations(Format.CSV)),
    "csv detections": ("a.csv", detections(Format.CSV)),
    "video table": ("a.csv", read_video_table),
    "boris": ("a.tsv", annotations(Format.BORIS)),
    "thumos14": ("A_test.txt", lambda path: annotations(Format.THUMOS14)(path.parent)),
    "thumos14 detections": ("a.txt", detections(Format.THUMOS14)),
    "webvtt": ("a.vtt", annotations(Format.WEBVTT)),
    "webvtt detections": ("a.vtt", detections(Format.WEBVTT)),
    "elan": ("a.eaf", annotations(Format.ELAN)),
    "lines": ("a.txt", lambda path: list(read_lines(path))),
    "class list": ("detclasslist.txt", read_class_list),
}
WEAK = "filename\tevent_labels\n"
STRONG = "filename\tonset\toffset\tevent_label\n"
CSV = "video,label,start,end\n"
CSV_SUBSETS = "video,subset,duration,label,start,end\n"
SCORES = "video,label,start,end,score\n"
VIDEOS = "video,labels\n"
BORIS = "Observation id\tBehavior\tStatus\tTime\tMedia file\n"
BORIS_AGGREGATED = "Observation id\tBehavior\tStart (s)\tStop (s)\tMedia file\n"
BORIS_LENGTHS = "Observation id\tBehavior\tStart (s)\tStop (s)\tMedia file\tTotal length\n"
VTT = "WEBVTT\n\n"
CUE = "00:01.000 --> 00:02.000\n"
EAF = "<ANNOTATION_DOCUMENT>"
SLOT = EAF + '<TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="1"/><TIER TIER_ID="t">'
ELAN_INTERVAL = '<ALIGNABLE_ANNOTATION TIME_SLOT_REF1="a" TIME_SLOT_REF2="a"/><ANNOTATION_VALUE>'
NO_END = "</ANNOTATION_VALUE>"

#: A beginning, and what follows it over and over: `#` a new short name in each turn, `@` a new
#: name of one sign that takes four bytes.
GROWING = {
    "weak": [
        (WEAK, "#\tA\n"),
        (WEAK, "#\t\n"),
        (WEAK, "#\t#\n"),
        (WEAK, "#\tA,B,#\n"),
        (WEAK, "@\t@\n"),
        (WEAK + "a\t", "#,"),
        (WEAK + "a\t", "@,"),
        (WEAK, "a b\t\n"),
    ],
    "strong": [
        (STRONG, "#\t1\t2\tA\n"),
        (STRONG, "#\t\t\t\n"),
        (STRONG, "#\t1\t2\t#\n"),
        (STRONG, "a\t1\t2\tA\n"),
        (STRONG, "a\t1\t2\t#\n"),
        (STRONG, "a\t1\t2\t@\n"),
    ],
    "csv": [
        (CSV, "#,A,1,2\n"),
        (CSV, "#,,,\n"),
        (CSV, "#,#,,\n"),
        (CSV, "a,A,1,2\n"),
        (CSV, "a,#,1,2\n"),
        (CSV, "a,A,,\n"),
        (CSV_SUBSETS, "#,#,1,#,1,2\n"),
    ],
    "csv detections": [
        (SCORES, "#,A,0,0,0\n"),
        (SCORES, "#,#,0,0,0\n"),
        (SCORES, "@,@,0,0,0\n"),
        (SCORES, ",,0,0,0\n"),
    ],
    "video table": [
        (VIDEOS, "#,A\n"),
        (VIDEOS, "a,\n"),
        (VIDEOS, "#,#\n"),
        (VIDEOS + "a,", "#;"),
    ],
    "boris": [
        (BORIS, "#\t#\tSTART\t1\t#\n"),
        (BORIS, "a\t#\tSTART\t1\tv\n"),
        (BORIS, "a\t#\tSTART\t1\tv\na\t#\tSTOP\t2\tv\n"),
        (BORIS, "#\ta\tPOINT\t1\t#\n"),
        (BORIS_AGGREGATED, "a\tb\t1\t2\tv\n"),
        (BORIS_AGGREGATED, "#\tb\t1\t2\t#\n"),
        (BORIS_AGGREGATED, "a\t#\t1\t2\tv\n"),
        (BORIS_LENGTHS, "#\tb\t1\t2\t#\t9\n"),
    ],
    "thumos14": [("", "# 1 2\n"), ("", "a 1 2\n"), ("", "# "), ("", "\1")],
    "thumos14 detections": [
        ("", "# 0 0 7 0\n"),
        ("", "@ 0 0 7 0\n"),
        ("", "a 0 0 7 0\n"),
        ("", "# "),
        ("", "\1"),
    ],
    "webvtt": [
        (VTT, CUE + "A\n\n"),
        (VTT, CUE + "#\n\n"),
        (VTT, CUE + "@\n\n"),
        (VTT + CUE, "#\n"),
        (VTT + "NOTE\n", "#\n"),
        ("WEBVTT\n", "#\n"),
        (VTT + CUE, "x"),
        (VTT + CUE, "<"),
        (VTT + CUE, "@"),
    ],
    "webvtt detections": [
        (VTT, CUE + "A 1\n\n"),
        (VTT, CUE + "# 1\n\n"),
        (VTT, CUE + "A #1\n\n"),
        (VTT, CUE + "A\n\n"),
    ],
    "elan": [
        (EAF, '<TIME_SLOT TIME_SLOT_ID="#"/>'),
        (EAF, '<TIME_SLOT TIME_SLOT_ID="@" TIME_VALUE="1"/>'),
        (EAF, '<TIER TIER_ID="#"/>'),
        (EAF, "<CVE_VALUE>#</CVE_VALUE>"),
        (EAF, "<CVE_VALUE>a</CVE_VALUE>"),
        (SLOT, ELAN_INTERVAL + NO_END),
        (SLOT, ELAN_INTERVAL + "#" + NO_END),
        (EAF, "<n#/>"),
        (EAF, '<a n#=""/>'),
        (EAF, "<a>"),
        (EAF + "<a>", "x&amp;"),
        (EAF + "<!--", "x"),
    ],
    "lines": [("", "#\n"), ("", "\n"), ("", "@\n")],
    "class list": [("", "1 #\n"), ("", "1 @\n")],
}
#: Rows that are no rows, for each table: too many cells, in one line or in many; as many columns;
#: lines of nothing; and cells that don't end.
for name, header in [
    ("weak", WEAK),
    ("strong", STRONG),
    ("csv", CSV),
    ("csv detections", SCORES),
    ("video table", VIDEOS),
    ("boris", BORIS),
]:
    sign = "\t" if "\t" in header else ","
    GROWING[name] += [
        (header, f"#{sign}"),
        (header, sign),
        (header, f'#{sign}"\n"{sign}'),
        (header.strip() + sign, f"#{sign}"),
        (header, "\n"),
        (header, sign * header.count(sign) + "\n"),
        (header, "x"),
        (header + '"', "x\n"),
        (header + "@", "\n"),
    ]


def names() -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_letters, repeat=length):
            yield "".join(letters)


def grown(beginning: str, entry: str, size: int = SIZE) -> bytes:
    """A file of at least so many bytes."""
    parts = [beginning.replace("@", "\U00020000")]
    bytes_left = size
    for number, name in enumerate(names()):
        parts.append(entry.replace("#", name).replace("@", chr(0x20000 + number)))
        bytes_left -= len(parts[-1].encode())
        if bytes_left < 0:
            break
    return "".join(parts).encode()


def peak_of(read: Callable[[], object]) -> tuple[int, str]:
    """The most memory that reading takes, and the error it ends with."""
    message = ""
    tracemalloc.start()
    try:
        read()
    except DuetalError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, message


@pytest.mark.parametrize(
    ("key", "beginning", "entry"),
    [(key, *case) for key, cases in GROWING.items() for case in cases],
)
def test_memory_is_in_proportion_to_the_size(
    key: str, beginning: str, entry: str, tmp_path: Path
) -> None:
    name, read = READERS[key]
    path = tmp_path / name
    path.write_bytes(grown(beginning, entry))
    allowed = WORST * path.stat().st_size + BASE
    peak, message = peak_of(lambda: read(path))
    if peak > allowed:
        # The first reading may have grown the whole process's table of interned strings.
        peak, message = peak_of(lambda: read(path))
    assert peak <= allowed
    assert not message or str(path) in message


@pytest.mark.parametrize("key", READERS)
def test_a_file_that_is_too_large_is_refused(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, read = READERS[key]
    path = tmp_path / name
    path.write_bytes(grown(*GROWING[key][0]))
    monkeypatch.setattr(files, "MOST_BYTES", SIZE // 2)
    with pytest.raises(DuetalError, match=f"{name}: is too large: .* at most 30,000 are read"):
        read(path)


@pytest.mark.parametrize("key", [key for key in READERS if key != "elan"])
def test_a_line_that_is_too_long_is_refused(key: str, tmp_path: Path) -> None:
    name, read = READERS[key]
    path = tmp_path / name
    beginning, _ = GROWING[key][0]
    path.write_text(beginning + "x,\t" * 500_000)
    with pytest.raises(DuetalError, match=f"{name}: .*(of more than 1,048,576 char|header)"):
        read(path)


@pytest.mark.parametrize(
    ("entry", "message"), [("<a>", "nested too deeply"), ("x&amp;", "a text is too long")]
)
def test_xml_is_bounded(entry: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    path.write_bytes(grown(EAF, entry, 200_000))
    with pytest.raises(DuetalError, match=rf"a\.eaf: line 1 column \d+: {message}"):
        annotations(Format.ELAN)(path)
