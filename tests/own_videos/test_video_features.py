"""What a run remembers of its features, and what it makes of that for raw videos."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from duetal.config import Config
from duetal.core.errors import DuetalError, UsageError
from duetal.core.grid import TimeGrid
from duetal.datasets import open_dataset
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.store import recorded_settings
from duetal.own_videos.raw_videos import is_dataset
from duetal.own_videos.video_features import extraction_settings, open_features, require_same
from duetal.results.folder import RunFolder
from duetal.results.schema import BranchRecord, ModelRecord, StageRecord
from duetal.runs.run import Run
from duetal.video.flow.interface import FlowName

#: Of weights that can be had anywhere: two records, and a name on the hub.
NAMES = {"rgb": "i3d-rgb-kinetics", "flow": "i3d-flow-kinetics", "clip": "the/clip"}
SETTINGS: dict[str, Any] = {
    "format": 1,
    "grid": {"fps": 25.0, "stride": 8, "window": 16},
    "short_side": 64,
    "modalities": ["rgb", "flow", "clip"],
    "dtype": "float32",
    "crop": 48,
    "flow_engine": {"engine": "opencv", "tau": 0.2, "warps": 3},
    **{
        name: {"name": source, "sha256": name * 8, "architecture": name, "licence": None}
        for name, source in NAMES.items()
    },
}


def run_with(features: dict[str, Any] | None, *, vlp: int | None = 8) -> Run:
    model = ModelRecord(
        duetal="0",
        classes=["A"],
        grid=TimeGrid(fps=25, stride=16, window=16),
        branches=[
            BranchRecord(name=name, title=name, dim=dim, final=f"{name}-x")
            for name, dim in (("cbp", 8), ("vlp", vlp))
            if dim is not None
        ],
        stages=[StageRecord(name=f"{n}-x", title=n, branch=n) for n in ("cbp", "vlp")],
        selection="last",
        features=features,
    )
    return Run(RunFolder(Path("run")), Config(), model)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The features of one labelled video, in a store."""
    folder = tmp_path / "store"
    for name in ("rgb", "flow", "clip"):
        (folder / "features" / name).mkdir(parents=True)
        np.save(folder / "features" / name / "v.npy", np.zeros((2, 4), np.float32))
    (folder / "store.json").write_text(json.dumps(SETTINGS))
    (folder / "train_labels.csv").write_text("filename,event_labels\nv,A\n")
    return folder


def recorded_of(path: Path) -> dict[str, Any] | None:
    dataset = open_dataset(path)
    return recorded_settings(list(dataset.streams.values()))


def test_a_store_records_how_its_features_were_made(store: Path) -> None:
    assert recorded_of(store) == SETTINGS


def test_a_dataset_elsewhere_that_reads_a_store_has_the_record_too(
    store: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("filename,event_labels\nv,A\n")
    pieces = ["cbp: store/features/rgb", "vlp: store/features/clip", "train_labels: labels.csv"]
    (tmp_path / "dataset.yaml").write_text("\n".join(pieces))
    found = recorded_of(tmp_path)
    assert found is not None
    assert found["modalities"] == ["rgb", "clip"]
    assert not {"flow", "flow_engine"} & set(found)
    assert found["rgb"] == SETTINGS["rgb"]


@pytest.mark.parametrize(
    "pieces",
    [
        # Put together in another order than a store's are.
        ["cbp: [store/features/flow, store/features/rgb]", "vlp: store/features/clip"],
        ["cbp: store/features/clip", "vlp: store/features/rgb"],
        ["cbp: elsewhere/features/rgb", "vlp: store/features/clip"],
    ],
)
def test_features_that_are_not_as_a_store_has_them(
    store: Path, tmp_path: Path, pieces: list[str]
) -> None:
    other = tmp_path / "elsewhere" / "features" / "rgb"
    other.mkdir(parents=True)
    np.save(other / "v.npy", np.zeros((2, 4), np.float32))
    (tmp_path / "labels.csv").write_text("filename,event_labels\nv,A\n")
    (tmp_path / "dataset.yaml").write_text("\n".join([*pieces, "train_labels: labels.csv"]))
    assert recorded_of(tmp_path) is None


def test_features_of_no_store(store: Path) -> None:
    (store / "store.json").unlink()
    assert recorded_of(store) is None


def test_features_are_made_as_recorded() -> None:
    made = extraction_settings(run_with(SETTINGS), {"flow": "/here/flow.pt"})
    assert (made.grid.stride, made.short_side, made.crop, made.dtype) == (8, 64, 48, "float32")
    assert made.sources == NAMES | {"flow": "/here/flow.pt"}
    assert made.flow is FlowName.OPENCV
    assert (made.flow_settings.tau, made.flow_settings.warps) == (0.2, 3)


@pytest.mark.parametrize(
    ("modality", "name"),
    [("rgb", "/gone/rgb.pt"), ("rgb", "rgb.pt"), ("clip", "/gone/clip"), ("clip", "clip")],
)
def test_weights_that_are_gone_or_were_never_published_must_be_named(
    modality: str, name: str
) -> None:
    features = SETTINGS | {modality: SETTINGS[modality] | {"name": name}}
    option = {"rgb": "--i3d-rgb", "clip": "--clip"}[modality]
    with pytest.raises(UsageError, match=f"{option} must name their new location: .* {name}"):
        extraction_settings(run_with(features), {})
    assert extraction_settings(run_with(features), {modality: "/here"}).short_side == 64


def test_features_of_unknown_making_are_made_as_the_field_does() -> None:
    weights = {"rgb": "a", "flow": "b", "clip": "c"}
    made = extraction_settings(run_with(None), weights)
    assert made == ExtractionSettings(weights=weights)
    with pytest.raises(UsageError, match="--i3d-flow, --clip must name"):
        extraction_settings(run_with(None), {"rgb": "a"})
    alone = extraction_settings(run_with(None, vlp=None), {"rgb": "a", "flow": "b"})
    assert list(alone.sources) == ["rgb", "flow"]
    with pytest.raises(UsageError, match="--clip: the run reads no clip features"):
        extraction_settings(run_with(None, vlp=None), weights)


@pytest.mark.parametrize(
    "change",
    [
        {"grid": None}, {"grid": {"fps": 25, "hops": 3}}, {"flow_engine": {"engine": "farneback"}},
        {"flow_engine": {"unheard": 1}}, {"flow_engine": 3}, {"rgb": {}}, {"rgb": "text"},
        {"rgb": {"name": 3}},
        {"modalities": ["rgb", "sound"]}, {"short_side": "large"}, {"flow_engine": {"tau": "x"}},
    ],
)  # fmt: skip
def test_a_record_that_this_version_does_not_support(change: dict[str, Any]) -> None:
    with pytest.raises(DuetalError):
        extraction_settings(run_with(SETTINGS | change), {})


def test_what_differs_is_named() -> None:
    other = SETTINGS | {"clip": SETTINGS["clip"] | {"sha256": "f00"}}
    with pytest.raises(UsageError, match=r"^--clip: other weights .* the/clip has the sha256 f00"):
        require_same(run_with(SETTINGS), other)
    with pytest.raises(UsageError, match=r"^s: not the features .*clip.sha256 was clip.*, is f00"):
        require_same(run_with(SETTINGS), other, Path("s"))
    renamed = SETTINGS | {"clip": SETTINGS["clip"] | {"name": "elsewhere"}}
    require_same(run_with(SETTINGS), renamed)
    require_same(run_with(None), other)


def test_a_store_may_hold_more_than_the_run_reads(store: Path) -> None:
    """The first backbone of a store is another one than the run's."""
    read = {"name": "the/vivit", "sha256": "v" * 8, "branch": "cbp", "frames": 16}
    features = {"modalities": ["vivit", "clip"], "vivit": read}
    features |= {key: SETTINGS[key] for key in ("format", "grid", "short_side", "dtype", "crop")}
    features["clip"] = SETTINGS["clip"]
    several = SETTINGS | {"modalities": ["rgb", "flow", "vivit", "clip"], "vivit": read}
    (store / "store.json").write_text(json.dumps(several))
    (store / "features" / "vivit").mkdir()
    np.save(store / "features" / "vivit" / "v.npy", np.zeros((2, 6), np.float32))
    for recorded, dim in ((features, 6), (SETTINGS, 8)):
        run = run_with(recorded)
        require_same(run, several, store)
        assert open_features(run, store).streams["cbp"].dim == dim
        assert list(extraction_settings(run, {}, store).sources) == several["modalities"]
    chosen = replace(run_with(None), config=Config().replace(**{"data.cbp": "vivit"}))
    assert open_features(chosen, store).streams["cbp"].dim == 6
    with pytest.raises(UsageError, match=r"vivit\.sha256 was vvvvvvvv, is None"):
        require_same(run_with(features), SETTINGS, store)


def test_what_is_a_dataset_and_what_are_videos(store: Path, tmp_path: Path) -> None:
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    (tmp_path / "videos" / "deep" / "a.MP4").write_bytes(b"")
    (tmp_path / "a.dat").write_bytes(b"")
    assert is_dataset([str(store)])
    assert is_dataset([str(tmp_path / "other.yaml")])
    assert is_dataset([str(tmp_path / "missing")])
    for arguments in (["videos"], ["a.dat"], ["list.txt"], ["missing.mp4"], ["*.mp4", "videos"]):
        assert not is_dataset([str(tmp_path / argument) for argument in arguments])
    assert not is_dataset(["s3://bucket/videos", "https://example.org/a"])
    (store / "a.webm").write_bytes(b"")
    with pytest.raises(UsageError, match="features and videos"):
        is_dataset([str(store)])
