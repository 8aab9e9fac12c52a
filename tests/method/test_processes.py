"""Two processes under gloo give what one gives at the same batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from duetal.config import Config
from duetal.core.weak_videos import WeakVideos
from duetal.results.checkpoints import load


@pytest.mark.recipe
def test_two_processes_train_as_one(
    make_config: Callable[..., Config],
    pointed: WeakVideos,
    train: Callable[..., list[str]],
    forked: Any,
    tmp_path: Path,
) -> None:
    # 10 videos in batches of 3: the last batch is one video, and the second process has none.
    chosen = {"cbp.members": 2, "batch_size": 3, "contrastive_weight": 0.1, "gradient_clip": 1.0}
    chosen |= {"dropout": 0.3, "cbp.channel_dropout": 0.3}
    train(make_config(**chosen), pointed, tmp_path / "one")
    two = tmp_path / "two"
    process = forked.ranks(train, make_config(**chosen, devices=2), pointed, two)
    assert process.wait(120) == 0, process.err
    paths = sorted((tmp_path / "one" / "checkpoints").glob("*.safetensors"))
    assert [path.stem for path in paths] == [
        "cbp-f1", "cbp-warmup", "resume", "vlp-b1", "vlp-zeroshot"
    ]  # fmt: skip
    for path in paths:
        expected, got = load(path).tensors, load(two / "checkpoints" / path.name).tensors
        for name, tensor in expected.items():
            torch.testing.assert_close(
                got[name], tensor, atol=1e-4, rtol=0, msg=f"{path.name}: {name}"
            )
    # Every record and every line once.
    for name in ("metrics.jsonl", "log.txt"):
        counts = [len((tmp_path / run / name).read_text().splitlines()) for run in ("one", "two")]
        assert counts[0] == counts[1], name
