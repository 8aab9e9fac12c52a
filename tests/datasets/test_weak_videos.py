"""Segments can't reach training: they are not there to be reached."""

import gc
import types
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.known_times import KnownTimes, LabelUse
from duetal.datasets import Dataset, open_dataset

Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
LAYOUTS = ["own_dataset", "two_modality_dataset", "basnet_dataset", "wtalc_dataset"]
#: What every object reaches and what holds no data of ours.
NOT_FOLLOWED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)


def reachable(root: object) -> list[object]:
    """All objects that can be reached from one, code left out."""
    seen: dict[int, object] = {}
    todo = [root]
    while todo:
        item = todo.pop()
        if id(item) not in seen and not isinstance(item, NOT_FOLLOWED):
            seen[id(item)] = item
            todo.extend(gc.get_referents(item))
    return list(seen.values())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_annotation_is_reachable(layout: str, request: pytest.FixtureRequest) -> None:
    dataset = open_dataset(request.getfixturevalue(layout))
    weak = dataset.weak()
    for name in weak.names:
        weak.streams["cbp"].read(name)
    hidden = (Segment, VideoAnnotation, Annotations, Dataset)
    assert any(isinstance(item, Segment) for item in reachable(dataset))
    assert not any(isinstance(item, hidden) for item in reachable(weak))


def test_no_second_of_a_segment_is_reachable(own_dataset: Path, edit_annotations: Edit) -> None:
    """Not even a number derived from nothing else: 2.718281828 is nowhere to be found."""
    number = 2.718281828
    edit_annotations(
        own_dataset / "annotations.json",
        lambda d: d["v_a"]["annotations"][0].update(segment=[0.5, number]),
    )
    dataset = open_dataset(own_dataset)
    assert any(item == number for item in reachable(dataset) if isinstance(item, float))
    assert not any(item == number for item in reachable(dataset.weak()) if isinstance(item, float))


@pytest.mark.parametrize("change", ["moved", "multiplied", "removed"])
def test_other_segments_same_labels_same_weak_videos(
    two_modality_dataset: Path, edit_annotations: Edit, change: str
) -> None:
    before = open_dataset(two_modality_dataset).weak()

    def other_segments(database: dict[str, Any]) -> None:
        for entry in database.values():
            listed = entry["annotations"]
            for annotation in listed:
                annotation["segment"] = [0.1, 0.2]
            if change == "multiplied":
                listed.extend(listed * 3)
            if change == "removed" and entry["subset"] == "train":
                entry["annotations"] = [{"label": annotation["label"]} for annotation in listed]

    edit_annotations(two_modality_dataset / "annotations.json", other_segments)
    after = open_dataset(two_modality_dataset).weak()
    for field in fields(before):
        one, other = getattr(before, field.name), getattr(after, field.name)
        if field.name == "streams":
            assert one.keys() == other.keys()
            for stream, others in zip(one.values(), other.values(), strict=True):
                assert stream.names() == others.names()
                for name in before.names:
                    assert stream.read(name).tobytes() == others.read(name).tobytes()
        else:
            assert np.array_equal(one, other), field.name


TABLE = """video,label,start,end,known
v_a,{0},0.5,0.9,present
v_a,{0},1.5,1.5,present
v_a,{1},,,absent
v_a,{0},1.0,1.2,absent
v_a,,0,0.4,complete
v_b,{1},,,present
v_c,,,,complete
"""


def table_of_strengths(folder: Path) -> Dataset:
    classes = open_dataset(folder).classes
    (folder / "labels.csv").write_text(TABLE.format(*classes))
    return open_dataset(folder)


def test_what_a_table_leaves_open_is_unknown(own_dataset: Path) -> None:
    """Which classes occur beside those listed, where nobody looked through all of the video."""
    dataset = table_of_strengths(own_dataset)
    weak = dataset.weak()
    assert not weak.times
    rows = dict(zip(weak.names, weak.labels.tolist(), strict=True))
    unknown = dict(zip(weak.names, weak.unknown.tolist(), strict=True))  # type: ignore[union-attr]
    others = [True] * (len(weak.classes) - 2)
    assert rows["v_a"][:2] == [True, False]
    assert unknown["v_a"] == [False, False, *others]
    assert unknown["v_b"] == [True, False, *others]


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (LabelUse.SEGMENTS, KnownTimes(((1.5, 0),), ((0.5, 0.9, 0),), ((1.0, 1.2, 0),))),
        (LabelUse.POINTS, KnownTimes(((1.5, 0),), (), ((1.0, 1.2, 0),))),
    ],
)
def test_times_are_reached_where_they_are_asked_for(
    own_dataset: Path, use: LabelUse, expected: KnownTimes
) -> None:
    times = dict(table_of_strengths(own_dataset).weak(use).times)
    assert "v_b" not in times, "labels alone"
    found = times["v_a"]
    assert replace(found, complete=()) == expected
    # Where some actions are not used, a looked-through stretch may hold them.
    looked_through = {k for *_, k in found.complete}
    assert (0 in looked_through) == (use is LabelUse.SEGMENTS)
    # That the video is without a class is a label, and no time.
    assert 1 not in looked_through


def test_an_annotation_lists_every_action(own_dataset: Path) -> None:
    weak = open_dataset(own_dataset).weak(LabelUse.SEGMENTS)
    assert weak.unknown is None
    assert weak.fingerprint() != open_dataset(own_dataset).weak().fingerprint()
    for name, labels in zip(weak.names, weak.labels, strict=True):
        present = np.flatnonzero(labels).tolist()
        assert sorted(k for *_, k in weak.times[name].complete) == present
