"""Small datasets in every layout, all saying the same of the same videos."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

#: Name -> subset, duration, segments. 5.12 s are 8 snippets of the default grid.
VIDEOS: dict[str, tuple[str, float, list[tuple[float, float, str]]]] = {
    "v_a": ("train", 5.12, [(0.5, 1.5, "HighJump"), (3.0, 4.0, "HighJump")]),
    "v_b": ("train", 10.24, [(1.0, 9.0, "Diving")]),
    "v_c": ("train", 5.12, [(1.0, 2.0, "Diving"), (2.0, 4.0, "HighJump")]),
    "v_d": ("test", 5.12, [(1.0, 3.0, "HighJump")]),
    "v_e": ("test", 7.68, [(1.0, 3.0, "Diving")]),
}
WIDTH = 6
Layout = Callable[[Path], Path]


def features(name: str, width: int = WIDTH) -> np.ndarray:
    """The same random features for the same name, as long as the video."""
    length = round(VIDEOS[name][1] / 0.64)
    return np.random.default_rng(ord(name[-1])).normal(size=(length, width)).astype(np.float32)


def save(folder: Path, name: str, values: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", values)


def annotations(*, duration: bool = True) -> dict[str, Any]:
    """The videos as ActivityNet JSON."""
    database: dict[str, Any] = {}
    for name, (subset, seconds, segments) in VIDEOS.items():
        listed = [{"segment": [start, end], "label": label} for start, end, label in segments]
        database[name] = {"subset": subset, "annotations": listed}
        if duration:
            database[name]["duration"] = seconds
    return {"database": database}


def own(folder: Path) -> Path:
    """`features/<id>.npy` and `annotations.json`."""
    for name in VIDEOS:
        save(folder / "features", name, features(name))
    (folder / "annotations.json").write_text(json.dumps(annotations()))
    return folder


def two_modalities(folder: Path) -> Path:
    """`features/{cbp,vlp}/<id>.npy` and `annotations.json`."""
    for name in VIDEOS:
        save(folder / "features" / "cbp", name, features(name))
        save(folder / "features" / "vlp", name, features(name)[:, :4].astype(np.float16))
    (folder / "annotations.json").write_text(json.dumps(annotations()))
    return folder


def basnet(folder: Path) -> Path:
    """`features/{train,test}/{rgb,flow}/<id>.npy`, `gt.json` and the split lists."""
    for name, (subset, _, _) in VIDEOS.items():
        rgb, flow = np.split(features(name), [2], axis=1)
        save(folder / "features" / subset / "rgb", name, rgb)
        save(folder / "features" / subset / "flow", name, flow)
    database = annotations(duration=False)
    for entry in database["database"].values():
        for annotation in entry["annotations"]:
            annotation["segment"] = [str(time) for time in annotation["segment"]]
    (folder / "gt.json").write_text(json.dumps(database))
    (folder / "fps_dict.json").write_text('{"v_a": 30.0}')
    for subset in ("train", "test"):
        names = [name for name in VIDEOS if VIDEOS[name][0] == subset]
        (folder / f"split_{subset}.txt").write_text("\n".join(names) + "\n")
    return folder


def object_array(items: list[Any]) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def wtalc(folder: Path) -> Path:
    """`*-I3D-JOINTFeatures.npy` and `*-Annotations/*.npy`, as pickled object arrays of bytes."""
    notes = folder / "Thumos14reduced-Annotations"
    notes.mkdir(parents=True)
    subsets = {"train": b"validation", "test": b"test"}
    videos = list(VIDEOS.values())
    columns = {
        "videoname": np.array([name.encode() for name in VIDEOS]),
        "subset": np.array([subsets[subset] for subset, _, _ in videos]),
        "duration": np.array([[duration] for _, duration, _ in videos]),
        "segments": object_array([[[s, e] for s, e, _ in segments] for *_, segments in videos]),
        "labels": object_array([[label for *_, label in segments] for *_, segments in videos]),
        "labels_all": object_array(
            [sorted({label for *_, label in segments}) for *_, segments in videos]
        ),
        "classlist": np.array([b"HighJump", b"Diving"]),
        "extracted_fps": np.full(len(VIDEOS), 10),
    }
    for field, column in columns.items():
        np.save(notes / f"{field}.npy", column, allow_pickle=True)
    pack = object_array([features(name) for name in VIDEOS])
    np.save(folder / "Thumos14reduced-I3D-JOINTFeatures.npy", pack, allow_pickle=True)
    return folder


@pytest.fixture
def own_dataset(tmp_path: Path) -> Path:
    return own(tmp_path / "own")


@pytest.fixture
def two_modality_dataset(tmp_path: Path) -> Path:
    return two_modalities(tmp_path / "two")


@pytest.fixture
def basnet_dataset(tmp_path: Path) -> Path:
    return basnet(tmp_path / "basnet")


@pytest.fixture
def wtalc_dataset(tmp_path: Path) -> Path:
    return wtalc(tmp_path / "wtalc")


@pytest.fixture
def edit_annotations() -> Callable[[Path, Callable[[dict[str, Any]], object]], None]:
    """Change the database of an annotation file."""

    def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
        document = json.loads(path.read_text())
        change(document["database"])
        path.write_text(json.dumps(document))

    return edit


@pytest.fixture
def expected_features() -> Callable[[str], np.ndarray]:
    return features
