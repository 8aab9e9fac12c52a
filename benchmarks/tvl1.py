"""Speed of TV-L1 flow on one core: ours beside OpenCV's. `tvl1_gpu.py` measures a GPU.

    OMP_NUM_THREADS=1 python benchmarks/tvl1.py

Prints milliseconds for a pair of frames of a short side of 256, their ratios, and how far the flows
lie apart, for pairs from the real clips (rendered ones where those are not there) at two settings
of `epsilon`.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duetal.simulation.clips import render_clip
from duetal.video.decoding.video_reader import open_video
from duetal.video.flow.interface import FlowEngine, TVL1Settings, grey, open_flow

Frames = NDArray[np.uint8]

REAL_DATA = Path(os.environ.get("DUETAL_REAL_DATA") or Path(__file__).parents[2] / "shared/data")
EPSILONS = (0.01, 0.05)
PAIRS_PER_CLIP = 6


def clips(folder: Path) -> tuple[str, list[Path]]:
    """The real clips, or else rendered ones made in a folder; and which of them."""
    real = sorted((REAL_DATA / "video").glob("*.mp4"))
    if real:
        return "real clips", real
    size, velocities = (340, 256), ((1.5, 0.5), (-3.0, 2.0))
    rendered = [
        render_clip(folder / f"{k}.mp4", duration=4, size=size, velocity=velocity, seed=k)
        for k, velocity in enumerate(velocities)
    ]
    return "rendered clips", rendered


def decode(path: Path) -> Frames:
    """(N, H, W) grey frames, without those that only repeat the one before."""
    with open_video(path) as video:
        images = [grey(frame.image) for frame in video.frames() if not frame.repeated]
    return np.stack(images)


def spread_pairs(frames: Frames) -> Frames:
    """(P, 2, H, W) pairs of consecutive frames, spread over a clip."""
    first = np.linspace(0, len(frames) - 2, PAIRS_PER_CLIP).astype(int)
    return np.stack([frames[first], frames[first + 1]], axis=1)


def run(engine: FlowEngine, pairs: list[Frames]) -> tuple[list[NDArray[np.float32]], float]:
    """The pairs' flows, and the milliseconds of processor time that one takes on average."""
    engine(pairs[0])  # what is compiled or loaded at first use is not counted
    began = time.process_time()
    flows = [engine(pair)[0] for pair in pairs]
    return flows, 1000 * (time.process_time() - began) / len(pairs)


def compare(pairs: list[Frames]) -> None:
    """Print OpenCV's and our time a pair, and how far apart their flows are."""
    print(f"{'epsilon':>7} {'OpenCV ms':>10} {'ours ms':>9} {'ratio':>7} {'apart px':>9}")
    for epsilon in EPSILONS:
        settings = TVL1Settings(epsilon=epsilon)
        reference, slow = run(open_flow("opencv", settings), pairs)
        flows, fast = run(open_flow("tvl1", settings), pairs)
        apart = np.mean(
            [np.linalg.norm(a - b, axis=-1).mean() for a, b in zip(flows, reference, strict=True)]
        )
        print(f"{epsilon:>7} {slow:>10.1f} {fast:>9.1f} {slow / fast:>6.1f}x {apart:>9.4f}")


def main() -> None:
    """Print all figures."""
    began = time.perf_counter()
    open_flow("tvl1")
    print(f"loading or compiling our loops: {time.perf_counter() - began:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        kind, paths = clips(Path(folder))
        videos = [decode(path) for path in paths]
    pairs = [pair for video in videos for pair in spread_pairs(video)]
    height, width = videos[0].shape[1:]
    print(f"{len(pairs)} pairs of {width} x {height} pixels from {kind}, one core\n")
    compare(pairs)


if __name__ == "__main__":
    main()
