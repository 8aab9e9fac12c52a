"""Every reader on damaged files: a value or a DuetalError, and no memory out of proportion."""

import json
import random
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duetal.core.annotations import Annotations
from duetal.core.detections import Detections
from duetal.core.errors import DuetalError, raise_error
from duetal.formats.forms import FORMS, ContentKind, Format
from duetal.formats.guess import guess
from duetal.formats.options import FormatOptions

OPTIONS = FormatOptions(fps=25)
DATA = Path(__file__).parent / "data"
CASES = Path(__file__).parents[1] / "cases" / "formats"
#: What Python itself takes for a small file: buffers, regular expressions, the error.
FLOOR = 9 * 2**20

ACTIVITYNET = json.dumps(
    {
        "version": "1.3",
        "taxonomy": [{"nodeId": 1}],
        "database": {
            "v1": {
                "duration": 14.07,
                "subset": "training",
                "url": "https://example.org",
                "annotations": [{"label": "Diving", "segment": [0.01, 12.6]}] * 2,
            },
            "v2": {"subset": "testing", "annotations": []},
        },
    }
)
RESULTS = json.dumps(
    {
        "version": "1.3",
        "external_data": {"selection": "last"},
        "results": {"v1": [{"label": "Diving", "score": 0.5, "segment": [0.5, 12]}], "v2": []},
    }
)
TABLE = "video,subset,duration,label,start,end\nv,test,9,A,1,2\nw,,,,,\n"
SCORES = "video,label,start,end,score\nv,A,1,2,0.5\nw,B,1,2,0.25\n"
WEAK = "filename\tevent_labels\nv\tA,B\nw.mp4\t\n"
BASNET = json.dumps(
    {
        "database": {
            "v": {"subset": "test", "annotations": [{"segment": ["1.5", "2"], "label": "A"}]}
        }
    }
)

SAMPLES = DATA / "fiftyone_samples.json"
ANNOTATIONS, DETECTIONS = ContentKind.ANNOTATIONS, ContentKind.DETECTIONS
#: A file of each form, with what to read of it.
FILES = {
    "activitynet": (Format.ACTIVITYNET, ANNOTATIONS, "a.json", ACTIVITYNET),
    "results": (Format.ACTIVITYNET, DETECTIONS, "a.json", RESULTS),
    "basnet": (Format.BASNET, ANNOTATIONS, "gt.json", BASNET),
    "boris": (Format.BORIS, ANNOTATIONS, "a.boris", DATA / "project.boris"),
    "boris aggregated": (Format.BORIS, ANNOTATIONS, "a.tsv", DATA / "boris_aggregated.tsv"),
    "boris tabular": (Format.BORIS, ANNOTATIONS, "a.tsv", DATA / "boris_tabular.tsv"),
    "csv": (Format.CSV, ANNOTATIONS, "a.csv", TABLE),
    "csv detections": (Format.CSV, DETECTIONS, "a.csv", SCORES),
    "cvat": (Format.CVAT, ANNOTATIONS, "a.xml", CASES / "cvat_video.xml"),
    "elan": (Format.ELAN, ANNOTATIONS, "a.eaf", DATA / "kitchen.eaf"),
    "fiftyone": (Format.FIFTYONE, ANNOTATIONS, "labels.json", DATA / "fiftyone.json"),
    "fiftyone detections": (Format.FIFTYONE, DETECTIONS, "labels.json", DATA / "fiftyone.json"),
    "samples": (Format.FIFTYONE, ANNOTATIONS, "samples.json", SAMPLES),
    "samples detections": (Format.FIFTYONE, DETECTIONS, "samples.json", SAMPLES),
    "label studio": (Format.LABEL_STUDIO, ANNOTATIONS, "a.json", DATA / "label_studio.json"),
    "predictions": (Format.LABEL_STUDIO, DETECTIONS, "a.json", DATA / "label_studio.json"),
    "label studio rows": (Format.LABEL_STUDIO, ANNOTATIONS, "a.csv", CASES / "ls_export.csv"),
    "label studio min": (Format.LABEL_STUDIO, ANNOTATIONS, "a.json", CASES / "ls_json_min.json"),
    "label studio choices": (Format.LABEL_STUDIO, ANNOTATIONS, "a.json", CASES / "ls_choices.json"),
    "bare results": (Format.ACTIVITYNET, DETECTIONS, "a.json", CASES / "bare.json"),
    "strong": (Format.STRONG, ANNOTATIONS, "a.tsv", DATA / "strong.tsv"),
    "thumos14": (Format.THUMOS14, DETECTIONS, "a.txt", DATA / "thumos14_detections.txt"),
    "via": (Format.VIA, ANNOTATIONS, "a.json", DATA / "via.json"),
    "weak": (Format.WEAK, ANNOTATIONS, "a.tsv", WEAK),
    "webvtt": (Format.WEBVTT, ANNOTATIONS, "a.vtt", DATA / "kitchen.vtt"),
}
JSON_FILES = [key for key, (_, _, name, _) in FILES.items() if name.endswith(("json", "boris"))]


def content(key: str) -> bytes:
    text = FILES[key][3]
    return text.read_bytes() if isinstance(text, Path) else text.encode()


def read(form: Format, kind: ContentKind, path: Path) -> Annotations | Detections:
    if kind is ANNOTATIONS:
        return FORMS[form].read_annotations(path, options=OPTIONS, report=raise_error)
    reader = FORMS[form].read_detections
    assert reader is not None
    return reader(path, options=OPTIONS)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Let a DuetalError pass that names the path in one line, and no other error."""
    message = str(path)
    try:
        yield
    except DuetalError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message


def check(key: str, path: Path, data: bytes) -> None:
    """Read damaged data: what comes is a value or an error that names the file."""
    form, kind, _, _ = FILES[key]
    path.write_bytes(data)
    tracemalloc.start()
    try:
        for attempt in (lambda: read(form, kind, path), lambda: guess(path)):
            with named_errors(path):
                attempt()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= max(10 * len(data), FLOOR)


@pytest.mark.parametrize("key", FILES)
def test_the_files_themselves_are_read_and_recognised(key: str, tmp_path: Path) -> None:
    form, kind, name, _ = FILES[key]
    path = tmp_path / name
    path.write_bytes(content(key))
    assert len(read(form, kind, path)) > 0
    guessed = guess(path)
    assert guessed.format is form
    # Labels with confidences, and tasks that people have worked on, can be read as either.
    assert guessed.kind is kind or key in ("fiftyone", "samples", "predictions")


@pytest.mark.parametrize("key", FILES)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=12)
def test_damaged_bytes(tmp_path_factory: pytest.TempPathFactory, key: str, seed: int) -> None:
    draw = random.Random(seed)
    data = bytearray(content(key))
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        to = min(len(data), at + draw.randint(1, 12))
        kind = draw.randrange(5)
        if kind == 0:
            data[at:to] = bytes(draw.randrange(256) for _ in range(to - at))
        elif kind == 1:
            del data[at:to]
        elif kind == 2:
            data[at:at] = data[at:to] * draw.randint(1, 50)
        elif kind == 3:
            data[at:to] = draw.choice([b"\0", b'"', b"\xff", b"1e309", b"NaN", b"-1", b"\r", b"<"])
        else:
            del data[draw.randrange(len(data) + 1) :]
    check(key, tmp_path_factory.mktemp("fuzz") / FILES[key][2], bytes(data))


JUNK: list[Any] = [
    None,
    True,
    -1,
    10**400,
    float("inf"),
    float("nan"),
    "",
    "x" * 300,
    "../../x",
    "</script>",
    "\ud800",
    [],
    {},
    [[]],
    [1],
    [1, 2, 3],
    [2, 1],
    {"a": 1},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each value inside a value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("key", JSON_FILES)
def test_each_value_of_another_kind(key: str, tmp_path: Path) -> None:
    """Every place of the file in turn holds one of several wrong things, or is not there."""
    original = json.loads(content(key))
    draw = random.Random(key)
    for place in places(original):
        for junk in [*draw.sample(JUNK, 3), ...]:
            value = json.loads(content(key))
            inner = value
            for step in place[:-1]:
                inner = inner[step]
            if junk is ...:
                del inner[place[-1]]
            else:
                inner[place[-1]] = junk
            path = tmp_path / FILES[key][2]
            path.write_text(json.dumps(value))
            form, kind, _, _ = FILES[key]
            with named_errors(path):
                read(form, kind, path)


@pytest.mark.parametrize("key", JSON_FILES)
@pytest.mark.parametrize("nested", ["[" * 3000, '{"database":' * 3000, '{"a":[' * 3000])
def test_deep_nesting(key: str, nested: str, tmp_path: Path) -> None:
    check(key, tmp_path / FILES[key][2], nested.encode())
    value = json.dumps(json.loads(content(key))).replace("[]", nested, 1)
    check(key, tmp_path / FILES[key][2], value.encode())


def numbered(entry: str, times: int, separator: str = ", ") -> str:
    """An entry many times, each `#` in it the number of its turn."""
    return separator.join(entry.replace("#", str(number)) for number in range(times))


SEGMENT = '{"segment": [#.5, 12.25], "label": "Diving"}'
DETECTION = '{"score": 0.65598300#, "segment": [19.2, 24.32], "label": "Billiards"}'
REGION = (
    '{"id": "#", "type": "timelinelabels", "from_name": "tl", "to_name": "video", '
    '"value": {"ranges": [{"start": 1, "end": #}], "timelinelabels": ["Diving"]}}'
)
EVENT = '[#.525, "subject1", "stir", "", ""]'
TASK = '{"data": {"video": "v#.mp4"}, "annotations": [{"result": [' + REGION + "]}]}"
VIA_ENTRY = '"1_#": {"vid": "1", "flg": 0, "z": [1, #.5], "xy": [], "av": {"1": "2"}}'
ELAN_SLOT = '<TIME_SLOT TIME_SLOT_ID="ts#" TIME_VALUE="#"/>'
ELAN_INTERVAL = (
    '<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a#" TIME_SLOT_REF1="ts#" '
    'TIME_SLOT_REF2="ts#"><ANNOTATION_VALUE>Diving</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>'
    "</ANNOTATION>"
)
DESED_ROW = "Y00pbt6aJV8Y_#.wav\t1.5\t2.25\tSpeech"
TABLE_ROWS = 4000


def table(header: str, row: str) -> str:
    return f"{header}\n" + numbered(row, TABLE_ROWS, "\n")


#: Large files of rows like those of real ones.
LARGE: dict[str, str] = {
    "activitynet": '{"database": {'
    + numbered(f'"video_#": {{"subset": "test", "annotations": [{SEGMENT}]}}', 3000)
    + "}}",
    "results": '{"results": {"v": [' + numbered(DETECTION, 5000) + "]}}",
    "basnet": '{"database": {"v": {"annotations": ['
    + numbered('{"segment": ["12.5", "13#.5"], "label": "HighJump"}', 5000)
    + "]}}}",
    "boris": '{"behaviors_conf": {"0": {"type": "State event", "code": "stir"}}, "observations": '
    '{"o": {"type": "MEDIA", "file": {"1": ["v.mp4"]}, "events": ['
    + numbered(EVENT, 8000)
    + "]}}}",
    "csv": table("video,subset,label,start,end", "video_test_000000#,test,HighJump,12.5,13.25"),
    "csv detections": table("video,label,start,end,score", "video_1,Diving,1.5,#.25,0.#"),
    "elan": "<ANNOTATION_DOCUMENT><TIME_ORDER>"
    + numbered(ELAN_SLOT, 3000, "")
    + '</TIME_ORDER><TIER TIER_ID="t">'
    + numbered(ELAN_INTERVAL, 3000, "")
    + "</TIER></ANNOTATION_DOCUMENT>",
    "fiftyone": '{"labels": {'
    + numbered('"v_#": [{"label": "Diving", "support": [1, #], "confidence": 0.5}]', 4000)
    + "}}",
    "label studio": "[" + numbered(TASK, 2000) + "]",
    # DESED's files have three or four events each.
    "strong": table("filename\tonset\toffset\tevent_label", "\n".join([DESED_ROW] * 3)),
    "thumos14": table("", "video_test_0000004 0.2 #.1 24 0.97"),
    "via": (DATA / "via.json")
    .read_text()
    .replace('"metadata": {', '"metadata": {' + numbered(VIA_ENTRY, 4000) + ", "),
    "weak": table("filename\tevent_labels", "video_validation_000000#.mp4\tDiving,HighJump"),
    "webvtt": "WEBVTT\n\n" + numbered("00:00:01.000 --> 00:#0:02.500\nDiving", 6, "\n\n") * 800,
}


@pytest.mark.parametrize("key", LARGE)
def test_a_large_file_takes_about_ten_times_its_size_at_most(key: str, tmp_path: Path) -> None:
    form, kind, name, _ = FILES[key]
    path = tmp_path / name
    path.write_text(LARGE[key])
    tracemalloc.start()
    try:
        value = read(form, kind, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(value) > 0
    assert peak <= 11 * path.stat().st_size


@pytest.mark.parametrize("name", ["a.eaf", "a.vtt", "A_test.txt", "labels.json"])
@given(data=st.binary(max_size=60))
@settings(max_examples=15)
def test_folders_of_anything(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / name).write_bytes(data)
    with named_errors(folder):
        form, kind = guess(folder)
        read(form, kind, folder)
    shutil.rmtree(folder)


REAL = ["gt.json", "ground_truth_txt", "Thumos14reduced-Annotations", "detections_train.json"]


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_damaged_real_files(name: str, real_data: Path, tmp_path: Path) -> None:
    """Real files with a few bytes changed, cut off, or repeated."""
    source = real_data / "thumos14" / name
    draw = random.Random(name)
    for attempt in range(6):
        copy = tmp_path / f"{attempt}-{name}"
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
        files = sorted(copy.iterdir()) if copy.is_dir() else [copy]
        damaged = draw.choice(files)
        data = bytearray(damaged.read_bytes())
        at = draw.randrange(len(data))
        if attempt % 3 == 0:
            del data[at:]
        elif attempt % 3 == 1:
            data[at] ^= 1 << draw.randrange(8)
        else:
            data[at:at] = data[at : at + 40] * 20
        damaged.write_bytes(data)
        size = sum(path.stat().st_size for path in files)
        tracemalloc.start()
        try:
            with named_errors(copy):
                read(*guess(copy), copy)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= max(10 * size, FLOOR)
