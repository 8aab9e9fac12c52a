"""Ray Data maps a pickled extractor; the store has bit for bit what `duetal extract` puts there."""

import os
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from duetal.datasets import open_dataset
from duetal.extraction.store import open_store
from duetal.simulation.clips import render_clip

# A Ray cluster that a test starts obeys nobody else. Ray reads this once, when it is imported.
os.environ.update(
    RAY_AUTH_MODE="token",
    RAY_AUTH_TOKEN=os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
    RAY_USAGE_STATS_ENABLED="0",
)
ray = pytest.importorskip("ray")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.recipe


@pytest.fixture
def cluster() -> Iterator[None]:
    """A Ray cluster of this machine, for the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_the_store_is_that_of_one_machine(
    tmp_path: Path,
    duetal: Callable[..., tuple[int, str, str]],
    tiny_extraction: tuple[str, ...],
    load_example: Callable[..., ModuleType],
) -> None:
    example = load_example("extract_with_ray_data")
    # The actors could not import it.
    sys.modules[example.__name__] = example
    ray.cloudpickle.register_pickle_by_value(example)
    videos = tmp_path / "videos"
    for name in "abc":
        render_clip(videos / f"{name}.mp4", duration=0.8, size=(40, 32), seed=ord(name))
    (videos / "bad.mp4").write_text("no video")
    options = (*tiny_extraction, "--without=flow")
    words = [str(videos), "--out", str(tmp_path / "ray"), "--workers=2", *options]
    result = CliRunner().invoke(example.main, words)
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.output.startswith("4 to extract\n")
    assert "a: T = 1" in result.output
    assert duetal("extract", videos, "--out", tmp_path / "one", *options)[0] == 1
    with open_store(tmp_path / "ray") as store:
        assert [failure.name for failure in store.failures()] == ["bad"]
        assert all(map(store.is_complete, "abc"))
    ours, theirs = (open_dataset(tmp_path / place).streams for place in ("one", "ray"))
    for branch, stream in ours.items():
        for name in "abc":
            np.testing.assert_array_equal(stream.read(name), theirs[branch].read(name))
    assert CliRunner().invoke(example.main, words).output == "0 to extract\n"
