"""Weights of full size and random content, made once."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def i3d_weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RGB file like `rgb_imagenet.pt`; not to be written to."""
    from duetal.backbones.i3d import random_weights

    path = tmp_path_factory.mktemp("weights") / "rgb.pt"
    random_weights(path, "rgb", seed=1)
    return path
