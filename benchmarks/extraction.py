"""Speed and memory of feature extraction: the whole pipeline beside each of its stages alone.

    python benchmarks/extraction.py
    python benchmarks/extraction.py --short-side 256 --crop 224 --clip openai/clip-vit-base-patch16

Speed: decoding, flow, I3D (RGB and flow) and CLIP each work through the same rendered videos alone,
then the pipeline does it all, in one process and with equal settings and threads per stage. The
pipeline's share is the time of the slowest stage alone over the pipeline's: 100 % would be perfect
overlap. It needs cores for the other stages: one core can do no more than the sum of all stages,
which the last line tells.

Memory (on Linux): the peak of a process that extracts a video of 10 seconds, 10 minutes and 1 hour.
To make the hour affordable it shows a new picture every two seconds only, and the networks are
replaced by averages: their memory does not depend on the length, and all buffers stay as they are.

Weights are random unless given; the speed does not depend on them. The CLIP model is tiny then.
"""

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from duetal.backbones.i3d import random_weights
from duetal.backbones.protocol import Backbone
from duetal.core.annotations import Segment
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.items import End
from duetal.extraction.networks import encode
from duetal.extraction.pipeline import Extractor
from duetal.extraction.sources import Video, find_videos
from duetal.extraction.store import open_store
from duetal.features.metadata import VideoRecord
from duetal.simulation.clips import render_clip
from duetal.simulation.tiny_clip import make_tiny_clip

Result = TypeVar("Result")

#: Videos of which the speed is measured.
VIDEOS = 3
#: Seconds of the videos whose memory is measured.
LENGTHS = {"10 s": 10, "10 min": 600, "1 h": 3600}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short-side", type=int, default=128)
    parser.add_argument("--crop", type=int, default=112)
    parser.add_argument("--clip", help="a real image-text model instead of the tiny one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="compile the networks")
    parser.add_argument("--threads", type=int, default=1, help="of each stage, on the CPU")
    parser.add_argument("--seconds", type=float, default=10.4, help="of each video")
    parser.add_argument("--rounds", type=int, default=2, help="of which the fastest counts")
    parser.add_argument("--only", choices=["speed", "memory"], help="leave the other part out")
    parser.add_argument("--length", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.length is not None:
        print(peak_memory(options.folder, options.length))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_backbones(folder)
        if options.only != "memory":
            measure_speed(folder, options)
        if options.only != "speed":
            measure_memory(folder)


def make_backbones(folder: Path) -> None:
    """Write the random weights."""
    random_weights(folder / "rgb.pt", "rgb")
    random_weights(folder / "flow.pt", "flow")
    make_tiny_clip(folder / "clip")


def make_settings(folder: Path, short_side: int, crop: int, clip: str | None) -> ExtractionSettings:
    """The settings that are measured."""
    return ExtractionSettings(
        weights={
            "rgb": str(folder / "rgb.pt"),
            "flow": str(folder / "flow.pt"),
            "clip": clip or str(folder / "clip"),
        },
        short_side=short_side,
        crop=crop,
    )


def measure_speed(folder: Path, options: argparse.Namespace) -> None:
    """Time the stages alone and the pipeline, in turns; the fastest round of each counts."""
    settings = make_settings(folder, options.short_side, options.crop, options.clip)
    how = {"device": options.device, "compiled": options.compile}
    extractor = Extractor(settings, threads=options.threads, **how)
    (folder / "videos").mkdir()
    for seed in range(VIDEOS):
        action = Segment(1, options.seconds - 1, "Diving")
        render_clip(
            folder / "videos" / f"{seed}.mp4",
            duration=options.seconds,
            size=(320, 240),
            velocity=(1.5, 0.7),
            actions=[action],
            seed=seed,
        )
    videos = find_videos([str(folder / "videos")]).videos
    best: dict[str, float] = {}
    for number in range(options.rounds):
        for stage, seconds in one_round(extractor, videos, folder / f"store-{number}").items():
            best[stage] = min(seconds, best.get(stage, seconds))
    frames = VIDEOS * options.seconds * settings.grid.fps
    print(
        f"{VIDEOS} videos of {options.seconds:g} s, short side {options.short_side}, "
        f"crop {options.crop}, {extractor.device}, {options.threads} thread(s) a stage"
    )
    whole = best.pop("pipeline")
    for stage, seconds in best.items():
        print(f"{stage:<22} {seconds:7.2f} s {frames / seconds:9.1f} frames/s")
    slowest = max(best, key=lambda stage: best[stage])
    print(f"{'pipeline':<22} {whole:7.2f} s {frames / whole:9.1f} frames/s")
    print(f"share of the slowest stage alone ({slowest}): {best[slowest] / whole:.0%}")
    print(f"all stages one after the other: {sum(best.values()):.2f} s")


def one_round(extractor: Extractor, videos: Iterable[Video], store: Path) -> dict[str, float]:
    """Seconds of each stage alone, then of the pipeline."""
    seconds = {}
    seconds["decode"], frames = timed(lambda: list(extractor.decoded(videos)))
    seconds["flow"], snippets = timed(lambda: list(extractor.cut(frames)))
    assert sum(isinstance(item, End) for item in snippets) == VIDEOS
    networks = {network.name: network for network in extractor.networks}
    for stage, modalities in {"I3D (RGB and flow)": ("rgb", "flow"), "CLIP": ("clip",)}.items():
        seconds[stage] = 0.0
        for modality in modalities:
            network = networks[modality]
            seconds[stage] += timed(lambda n=network: list(encode(snippets, n)))[0]  # type: ignore[misc]
    with open_store(store, extractor.store_settings) as opened:
        seconds["pipeline"], outcomes = timed(lambda: list(extractor.extract_all(videos, opened)))
    assert all(isinstance(outcome, VideoRecord) for outcome in outcomes)
    return seconds


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds that some work takes, and its result."""
    began = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began, result


def measure_memory(folder: Path) -> None:
    """Extract videos of growing length, each in a process of its own."""
    print(f"{'length':<8} {'frames':>8} {'seconds':>8} {'peak memory':>12} {'more than 10 s':>15}")
    first = None
    for title, length in LENGTHS.items():
        render_clip(folder / f"{length}.mp4", duration=length, fps=0.5, size=(48, 36))
        words = [sys.executable, __file__, "--folder", str(folder), "--length", str(length)]
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - began
        peak = float(done.stdout)
        first = peak if first is None else first
        print(
            f"{title:<8} {25 * length:>8,} {seconds:>8.1f} {peak:>8.1f} MiB"
            f" {peak - first:>+11.1f} MiB"
        )


class Average(Backbone):
    """Stands in for I3D: of the same dim, and costs nothing."""

    def __init__(self, replaced: Backbone):
        self.dim = replaced.dim
        self.identity = replaced.identity

    def encode(self, batch: Tensor) -> Tensor:
        """(B, window, h, w, C) becomes (B, 1024)."""
        return batch.float().mean(dim=(1, 2, 3, 4))[:, None].expand(-1, self.dim)


def peak_memory(folder: Path, length: float) -> float:
    """MiB that this process takes at most while it extracts one video."""
    settings = make_settings(folder, 36, 32, None)
    extractor = Extractor(settings, device="cpu", threads=1)
    for network in extractor.networks:
        if network.record.input.crop is not None:
            network.backbone = Average(network.backbone)
    forget_peak()
    (video,) = find_videos([str(folder / f"{length:g}.mp4")]).videos
    with open_store(folder / f"store-{length:g}-s", extractor.store_settings) as store:
        (outcome,) = extractor.extract_all([video], store)
    assert isinstance(outcome, VideoRecord)
    assert outcome.frames == 25 * length
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Let the peak count from now on: loading the networks takes more than extracting a video."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
