"""`duetal probe`: the strength of streams, and what they have in common."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning_fabric import Fabric

from duetal.config import Config
from duetal.core.weak_videos import WeakVideos
from duetal.tuning import probe

Change = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def constant(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ones_like(x) for name, x in arrays.items()}


def shuffled(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    order = np.random.default_rng(1).permutation(len(arrays))
    found = list(arrays.values())
    return {name: found[row] for name, row in zip(arrays, order, strict=True)}


def noisy(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {n: (x + 4 * random.normal(size=x.shape)).astype("f4") for n, x in arrays.items()}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (None, "one stream"),
        (dict, "the two streams show the same"),
        (constant, "stream other ranks videos no better than chance"),
        (shuffled, "stream other ranks videos no better than chance"),
        (noisy, "hardly complement each other"),
    ],
)
def test_what_to_expect(
    change: Change | None, expected: str, make_videos: Callable[..., WeakVideos]
) -> None:
    videos = make_videos([0.15, 0.3, 0.3])
    stream: Any = videos.streams["cbp"]
    if change is not None:
        other = replace(stream, arrays=change(stream.arrays))
        videos = replace(videos, streams={"cbp": stream, "other": other})
    no_text: Any = None
    found = probe(Fabric(accelerator="cpu", devices=1), Config(), videos, no_text)
    assert any(expected in line for line in found.expectation()), found.expectation()
    assert found.strength["CBP, linear"] > 0.9
    assert 0.3 < found.chance < 0.8


def test_the_command_tells_each_stream(
    tiny_dataset: Path, duetal: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = duetal("probe", tiny_dataset)
    assert (code, err) == (0, "")
    for expected in ("6 training videos, 3 classes", "CBP, linear", "Zero-shot VLP", "GolfSwing"):
        assert expected in out
