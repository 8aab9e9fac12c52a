"""`check` finds every problem of a dataset, names file and place, and goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from duetal.core.errors import UsageError
from duetal.datasets import dataset_checks
from duetal.datasets.examination import examine
from duetal.datasets.problems import Problem, Severity

Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
LAYOUTS = ["own_dataset", "two_modality_dataset", "basnet_dataset", "wtalc_dataset"]


def fatal(path: Path) -> list[str]:
    return [
        str(p).removeprefix("fatal: ")
        for p in examine(path).problems
        if p.severity is Severity.FATAL
    ]


def warnings(path: Path) -> list[str]:
    return [str(p) for p in examine(path).problems if p.severity is Severity.WARNING]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_wrong_with_a_good_dataset(layout: str, request: pytest.FixtureRequest) -> None:
    findings = examine(request.getfixturevalue(layout))
    assert findings.problems == ()
    assert (findings.training, findings.evaluation) == (3, 2)
    assert set(findings.classes) == {"Diving", "HighJump"}
    assert findings.hours == pytest.approx((3 * 5.12 + 10.24 + 7.68) / 3600)
    widths = {part.title: part.widths for part in findings.parts}
    assert (
        widths
        == {
            "own_dataset": {"cbp": (6,)},
            "two_modality_dataset": {"cbp": (6,), "vlp": (4,)},
            "basnet_dataset": {"rgb": (2,), "flow": (4,)},
            "wtalc_dataset": {"cbp": (6,)},
        }[layout]
    )


def rewrite(file: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(file, change(np.load(file)))


def spoil(values: np.ndarray) -> np.ndarray:
    values = np.concatenate([values])
    values[[2, 5], 1] = [np.nan, np.inf]
    return values


def test_features_every_problem_at_once(two_modality_dataset: Path) -> None:
    cbp, vlp = (two_modality_dataset / "features" / part for part in ("cbp", "vlp"))
    rewrite(cbp / "v_a.npy", spoil)
    rewrite(cbp / "v_b.npy", lambda x: x[:, :5])
    (cbp / "v_c.npy").write_bytes((cbp / "v_c.npy").read_bytes()[:-10])
    (cbp / "v_d.npy").unlink()
    np.savez(cbp / "v_e.npz", np.zeros((12, 6)))
    rewrite(vlp / "v_a.npy", lambda x: x[:-1])
    rewrite(vlp / "v_b.npy", spoil)
    (vlp / "v_c.npy").write_text("not an array")
    rewrite(vlp / "v_d.npy", lambda x: x[0])
    rewrite(vlp / "v_e.npy", lambda x: x[:0])
    assert sorted(fatal(two_modality_dataset)) == sorted(
        [
            f"{cbp}/v_a.npy: snippet 2: NaN or infinity in 2 of 8 snippets",
            f"{cbp}/v_b.npy: C = 5, but most cbp features have 6",
            f"{cbp}/v_c.npy: truncated: 192 bytes of values promised, 182 there",
            f"{cbp}: no cbp features of video 'v_d'",
            f"{cbp}/v_e.npz: second cbp features of 'v_e', also in {cbp}/v_e.npy",
            f"{vlp}/v_a.npy: video 'v_a': T = 7, but {cbp}/v_a.npy has T = 8",
            f"{vlp}/v_b.npy: snippet 2: NaN or infinity in 2 of 16 snippets",
            f"{vlp}/v_c.npy: not a .npy file, or its header is damaged",
            f"{vlp}/v_d.npy: has shape (4,), must be (T, C): snippets, channels; "
            "or (T, 10, C) of crops",
            f"{vlp}/v_e.npy: holds no snippet (T = 0)",
        ]
    )


def test_values_are_searched_chunk_by_chunk(
    own_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_checks, "_CHUNK_VALUES", 20)
    rewrite(own_dataset / "features" / "v_b.npy", spoil)
    (only,) = fatal(own_dataset)
    assert only.endswith("v_b.npy: snippet 2: NaN or infinity in 2 of 16 snippets")


def test_a_double_beyond_float32(own_dataset: Path) -> None:
    rewrite(own_dataset / "features" / "v_a.npy", lambda x: x.astype(np.float64) + 1e300)
    (only,) = fatal(own_dataset)
    assert only.endswith("v_a.npy: snippet 0: NaN or infinity in 8 of 8 snippets")


@pytest.mark.parametrize(
    ("length", "severity"),
    [
        (100, None),
        (98, None),
        (102, None),
        (97, Severity.WARNING),
        (110, Severity.WARNING),
        (89, Severity.FATAL),
        (120, Severity.FATAL),
        (25, Severity.FATAL),
    ],
)
def test_length_against_duration(
    own_dataset: Path, edit_annotations: Edit, length: int, severity: Severity | None
) -> None:
    edit_annotations(own_dataset / "annotations.json", lambda d: d["v_d"].update(duration=64.0))
    file = own_dataset / "features" / "v_d.npy"
    np.save(file, np.zeros((length, 6), np.float32))
    problems = examine(own_dataset).problems
    assert [problem.severity for problem in problems] == ([severity] if severity else [])
    for problem in problems:
        assert problem.file == file
        assert problem.place == "video 'v_d'"
        assert problem.message == (
            f"T = {length}, but 64 s at 25 frames per second, stride 16 and window 16 make 100"
        )


@pytest.mark.parametrize("duration", [0, -1, float("nan"), float("inf")])
def test_impossible_duration(own_dataset: Path, edit_annotations: Edit, duration: float) -> None:
    edit_annotations(own_dataset / "annotations.json", lambda d: d["v_d"].update(duration=duration))
    (only,) = fatal(own_dataset)
    assert "annotations.json: video 'v_d': a duration of" in only


@pytest.mark.parametrize(
    ("segment", "cause"),
    [
        ([1.0, 5.5], None),
        ([1.0, 50.0], "Swim from 1 to 50 s is out of range: the video lasts 5.12 s"),
        ([-2.0, 3.0], "Swim from -2 to 3 s begins before the video"),
        ([3.0, 3.0], "Swim from 3 to 3 s has no length"),
        ([3.0, 2.0], "Swim from 3 to 2 s ends before it begins"),
        ([float("nan"), 2.0], "Swim from nan to 2 s: not a finite time"),
    ],
)
def test_segments(
    own_dataset: Path, edit_annotations: Edit, segment: list[float], cause: str | None
) -> None:
    path = own_dataset / "annotations.json"
    extra = {"segment": segment, "label": "Swim"}
    edit_annotations(path, lambda d: [d[n]["annotations"].append(extra) for n in ("v_a", "v_d")])
    places = [(2, "v_a"), (1, "v_d")] if cause else []
    assert warnings(own_dataset) == [
        f"warning: {path}: video {name!r}, segment {number}: {cause}" for number, name in places
    ]
    assert fatal(own_dataset) == []


def test_segments_of_a_video_without_duration(basnet_dataset: Path, edit_annotations: Edit) -> None:
    path = basnet_dataset / "gt.json"
    edit_annotations(path, lambda d: d["v_d"]["annotations"][0].update(segment=["1", "99"]))
    (only,) = warnings(basnet_dataset)
    assert "HighJump from 1 to 99 s is out of range" in only


def test_classes_that_differ_in_spelling_alone(own_dataset: Path) -> None:
    path = own_dataset / "annotations.json"
    path.write_text(path.read_text().replace('"HighJump"', '"high_jump"'))
    rows = "v_a\tHigh Jump\nv_b\tDiving,high_jump\nv_c\tDiving\n"
    (own_dataset / "weak_train.tsv").write_text(f"filename\tevent_labels\n{rows}")
    (own_dataset / "dataset.yaml").write_text("classes: [Diving, high_jump, High Jump]")
    assert warnings(own_dataset) == [
        f"warning: {path}: the classes 'high_jump' and 'High Jump' differ in case, '_', '-' or "
        "spaces alone; if they are one, spell them alike"
    ]


def test_labels_every_problem_at_once(own_dataset: Path) -> None:
    table = own_dataset / "weak_train.tsv"
    table.write_text(
        "filename\tevent_labels\n"
        "v_a\tHighJmp,Diving\n"
        "v_b\tDiving\n"
        "v_b\t\n"
        "../v_c\tHighJump\n"
        "v_d\tDiving\n"
        "v_x\tDiving\n"
        "v_c\t\n"
        "one column\n"
    )
    features = own_dataset / "features"
    assert sorted(fatal(own_dataset)) == sorted(
        [
            f"{table}: line 4: 'v_b' is listed twice, and not each time with a label",
            f"{table}: line 9: expected 2 columns (filename, event_labels), found 1",
            f"{table}: not a usable video name: '../v_c'",
            f"{table}: video 'v_a': label 'HighJmp' is not in the class list; "
            "the nearest is 'HighJump'",
            f"{table}: video 'v_d': is both to be trained on and to be evaluated on",
            f"{features}: no cbp features of video 'v_x'",
            f"{own_dataset}: class 'HighJump' has no training video",
        ]
    )
    assert warnings(own_dataset) == [
        f"warning: {table}: video 'v_c': no label: trained on as a video in which nothing happens "
        "(1 in all)",
    ]


def test_annotation_every_problem_at_once(own_dataset: Path) -> None:
    path = own_dataset / "annotations.json"
    text = path.read_text()
    first, rest = text.replace('"v_d": {"subset"', '"v_d": {"labels": 3, "subset"').split(
        '"v_b": {"subset": "train"'
    )
    path.write_text(
        first
        + '"v_x": 3, "v_y": {"annotations": [{"label": [5]}]}, "v_c": {}, '
        + '"v_b": {"subset": "train"'
        + rest
    )
    found = fatal(own_dataset)
    assert f"{path}: video 'v_x': expected an object" in found
    assert f"{path}: video 'v_y', annotation 0: 'label' is not a string" in found
    assert f"{path}: 'v_c' is listed twice" in found
    assert len(found) == 3


def test_features_of_no_annotated_video(own_dataset: Path) -> None:
    for name in ("v_x", "v_y"):
        np.save(own_dataset / "features" / f"{name}.npy", np.zeros((3, 6)))
    assert warnings(own_dataset) == [
        f"warning: {own_dataset / 'features'}: cbp features of 2 videos that are not annotated, "
        "'v_x' the first"
    ]


def test_damaged_annotation_does_not_hide_the_rest(own_dataset: Path) -> None:
    (own_dataset / "annotations.json").write_text('{"database": ')
    (own_dataset / "weak_train.tsv").write_text("filename\tevent_labels\nv_a\tJump\nv_b\tDive\n")
    rewrite(own_dataset / "features" / "v_b.npy", spoil)
    found = fatal(own_dataset)
    assert len(found) == 2
    assert "annotations.json: line 1 column 14: not JSON" in found[0]
    assert "v_b.npy: snippet 2" in found[1]


def test_damaged_pack_does_not_hide_the_rest(wtalc_dataset: Path) -> None:
    pack = wtalc_dataset / "Thumos14reduced-I3D-JOINTFeatures.npy"
    pack.write_bytes(pack.read_bytes()[:-50])
    notes = wtalc_dataset / "Thumos14reduced-Annotations"
    segments = np.load(notes / "segments.npy", allow_pickle=True)
    segments[3] = [[1.0, 77.0]]
    np.save(notes / "segments.npy", segments, allow_pickle=True)
    problems = examine(wtalc_dataset).problems
    assert any(p.file == pack and "truncated" in p.message for p in problems)
    assert any("77 s is out of range" in p.message for p in problems)


def test_pack_names_the_array(wtalc_dataset: Path) -> None:
    path = wtalc_dataset / "Thumos14reduced-I3D-JOINTFeatures.npy"
    pack = np.load(path, allow_pickle=True)
    pack[1] = spoil(pack[1])
    pack[4] = pack[4][:, :3]
    np.save(path, pack, allow_pickle=True)
    assert fatal(wtalc_dataset) == [
        f"{path}: array 1, snippet 2: NaN or infinity in 2 of 16 snippets",
        f"{path}: array 4: C = 3, but most cbp features have 6",
    ]


def test_split_lists(basnet_dataset: Path) -> None:
    path = basnet_dataset / "split_test.txt"
    path.write_text("v_d\nv_d\n\nv_x\nv_e\n")
    assert fatal(basnet_dataset) == [
        f"{path}: line 2: 'v_d' is listed twice",
        f"{path}: line 4: 'v_x' is not annotated",
    ]


@pytest.mark.parametrize("content", [None, {"database": {}}])
def test_empty_dataset(tmp_path: Path, content: object) -> None:
    if content is not None:
        (tmp_path / "annotations.json").write_text(json.dumps(content))
    assert any("no features" in line for line in fatal(tmp_path))


def test_no_training_video(own_dataset: Path, edit_annotations: Edit) -> None:
    path = own_dataset / "annotations.json"
    edit_annotations(path, lambda d: [d.pop(name) for name in ("v_a", "v_b", "v_c")])
    assert fatal(own_dataset) == [f"{own_dataset}: no training video with labels and features"]


def test_features_without_annotation_are_still_read(own_dataset: Path) -> None:
    (own_dataset / "annotations.json").unlink()
    rewrite(own_dataset / "features" / "v_b.npy", spoil)
    found = fatal(own_dataset)
    assert any("no annotation" in line for line in found)
    assert any("v_b.npy: snippet 2" in line for line in found)


def test_bad_description_is_wrong_usage(own_dataset: Path) -> None:
    (own_dataset / "dataset.yaml").write_text("clip: x")
    with pytest.raises(UsageError, match="unknown key 'clip'"):
        examine(own_dataset)


def test_problem_is_one_line() -> None:
    problem = Problem(Severity.WARNING, Path("a\nb"), "video 'x'", "odd")
    assert str(problem) == "warning: a\\nb: video 'x': odd"


@pytest.mark.real
def test_real_sensor_sequences_have_no_problem(real_data: Path) -> None:
    findings = examine(real_data / "hapt")
    assert findings.problems == ()
    assert (findings.training, findings.evaluation) == (259, 107)
    assert findings.parts[0].widths == (192,)
    assert findings.parts[0].dtypes == ("float16",)


@pytest.mark.real
def test_real_annotation_with_segments_out_of_range(real_data: Path, tmp_path: Path) -> None:
    """THUMOS14 has `video_test_0000270`, annotated to 366 s in a video of 176 s."""
    (tmp_path / "Thumos14reduced-Annotations").symlink_to(
        real_data / "thumos14" / "Thumos14reduced-Annotations"
    )
    durations = np.load(tmp_path / "Thumos14reduced-Annotations" / "duration.npy").ravel()
    pack = np.empty(len(durations), dtype=object)
    for row, duration in enumerate(durations):
        pack[row] = np.zeros((max(1, int(duration * 25 / 16)), 2), np.float16)
    np.save(tmp_path / "x-I3D-JOINTFeatures.npy", pack, allow_pickle=True)
    problems = examine(tmp_path).problems
    assert {problem.severity for problem in problems} == {Severity.WARNING}
    outside = [p for p in problems if "out of range" in p.message]
    assert {p.place.split(",")[0] for p in outside if p.place} >= {"video 'video_test_0000270'"}
    assert len(outside) == 30
