"""CLIP features as long as a dataset's own, in every layout."""

from pathlib import Path

import numpy as np
import pytest

from duetal.core.errors import DuetalError, UsageError
from duetal.datasets import open_dataset
from duetal.datasets.fitting import fit_features


@pytest.fixture
def clip(tmp_path: Path, expected_features) -> Path:
    """A store of CLIP features: a row too many of `v_a`, one missing of `v_b`, none of `v_e`."""
    folder = tmp_path / "store" / "features" / "clip"
    folder.mkdir(parents=True)
    for name, more in (("v_a", 1), ("v_b", -1), ("v_c", 0), ("v_d", 0)):
        rows = len(expected_features(name)) + more
        np.save(folder / f"{name}.npy", np.arange(rows * 3, dtype=np.float16).reshape(rows, 3))
    return tmp_path / "store"


@pytest.mark.parametrize("layout", ["own_dataset", "basnet_dataset", "wtalc_dataset"])
def test_every_layout(layout: str, clip: Path, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(layout)
    done = fit_features(clip, folder)
    assert (done.videos, done.longer, done.shorter, done.missing) == (4, 1, 1, ("v_e",))
    dataset = open_dataset(folder)
    assert dataset.missing == ("v_e",)
    for name in (*dataset.training, *dataset.evaluation):
        assert dataset.length(name) == len(dataset.streams["vlp"].read(name))
    long, short = (dataset.streams["vlp"].read(name) for name in ("v_b", "v_a"))
    assert (long[-1] == long[-2]).all()
    assert short[-1].tolist() == [21, 22, 23]


def test_what_is_refused(clip: Path, basnet_dataset: Path, tmp_path: Path) -> None:
    fit_features(clip, basnet_dataset)
    with pytest.raises(UsageError, match=r"is there already \(--force"):
        fit_features(clip, basnet_dataset)
    assert fit_features(clip / "features" / "clip", basnet_dataset, force=True).videos == 4
    with pytest.raises(DuetalError, match="another grid or another video"):
        fit_features(clip, basnet_dataset, most=0, force=True)
    np.save(tmp_path / "other.npy", np.zeros((4, 3), np.float32))
    (tmp_path / "others").mkdir()
    (tmp_path / "other.npy").rename(tmp_path / "others" / "other.npy")
    with pytest.raises(DuetalError, match="no features of its videos: 'other'"):
        fit_features(tmp_path / "others", basnet_dataset)
