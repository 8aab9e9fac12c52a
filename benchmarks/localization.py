"""Where the time of localizing goes: `OMP_NUM_THREADS=1 python benchmarks/localization.py`.

Localizes 210 videos of THUMOS14's lengths with both branches at full size, features on disk, and
prints the seconds of the networks (reading included) and of the rest (classes, proposals and
soft-NMS). The networks are untrained, so the rest gets score curves as trained ones give them
(smooth, an action on a third of the video): of two classes a video, as in THUMOS14, and of all
twenty, the worst that can happen.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from _thumos14 import CLASSES, TEST_QUANTILES, lengths
from duetal.config import load_config
from duetal.core.grid import TimeGrid
from duetal.features.streams import FeatureStream, open_part
from duetal.localization.localization_settings import LocalizationSettings
from duetal.localization.proposals import localize_video
from duetal.method.branches import BRANCHES
from duetal.method.video_scoring import probabilities, score_video, video_probabilities
from soft_nms import score_curves

CONFIG = load_config("", "benchmark", ["accelerator=cpu"])
CHANNELS = {"cbp": 2048, "vlp": 512}
GRID = TimeGrid()
SETTINGS = LocalizationSettings()


def network_seconds(branch: nn.Module, stream: FeatureStream) -> float:
    """Read and score every video of a stream."""
    began = time.perf_counter()
    for name in stream.names():
        logits = score_video(branch.eval(), stream, name, CONFIG.data.crop)
        probabilities(logits)
        video_probabilities(logits, CONFIG.losses.topk_ratio)
    return time.perf_counter() - began


def rest_seconds(sizes: list[int], present: int) -> tuple[float, int]:
    """Find proposals of `present` classes a video and thin them out; seconds and detections."""
    rng = np.random.default_rng(0)
    curves = [score_curves(size, CLASSES, rng) for size in sizes]
    video = (np.arange(CLASSES) < present) * 0.9
    localize_video(curves[0], video, GRID, SETTINGS)  # the kernels are compiled, or loaded
    began = time.perf_counter()
    found = sum(len(localize_video(curve, video, GRID, SETTINGS)) for curve in curves)
    return time.perf_counter() - began, found


def write_stream(folder: Path, sizes: list[int], channels: int) -> FeatureStream:
    """Random features, one float16 .npy a video."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number, size in enumerate(sizes):
        values = random.standard_normal((size, channels), np.float32)
        np.save(folder / f"video_{number:03}.npy", values.astype(np.float16))
    return FeatureStream(folder.name, [open_part(folder.name, [folder])])


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=210)
    options = parser.parse_args()
    sizes = lengths(TEST_QUANTILES, options.videos)
    branches = {b.name: b.for_inference(CONFIG, CHANNELS[b.name], CLASSES) for b in BRANCHES}
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, branch in branches.items():
            stream = write_stream(Path(folder) / kind, sizes, CHANNELS[kind])
            seconds[kind] = network_seconds(branch, stream)
    print(
        f"{options.videos} videos, {sum(sizes):,} snippets, {torch.get_num_threads()} threads; "
        "target: the rest takes at most 20 % of the whole"
    )
    print(f"{'network':20}{'seconds':>9}   {'rest':26}{'found':>8}{'seconds':>9}{'share':>8}")
    networks = {**seconds, "both": sum(seconds.values())}
    for present in (2, CLASSES):
        rest, found = rest_seconds(sizes, present)
        for kind, network in networks.items():
            print(
                f"{kind:20}{network:9.2f}   {f'{present} classes a video':26}{found:8,}"
                f"{rest:9.2f}{rest / (rest + network):8.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
