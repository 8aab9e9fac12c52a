"""Frames a second of every family of backbones, beside the bare network.

    python benchmarks/backbones.py
    python benchmarks/backbones.py --families vjepa2 --seconds 4
    python benchmarks/backbones.py --families videomae --device cuda --bf16 --compile

A rendered video is extracted by each family alone; the bare network encodes as many inputs of the
same shape, in batches of the same size, on the same thread. The share is the time of the bare
network over that of the pipeline: what decoding, resizing and writing leave to the network. It is
the processor's time of the whole process, which other programs change little: on one core the two
take turns; with a second one they run beside each other. On a GPU it is the time on the wall.
Each is that of its fastest round. Networks are as large as the library's usual ones, of random
weights: the speed does not depend on them. Of I3D it is the network of pictures: `extraction.py`
measures it with the flow.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from _tiny_models import TINY, make_tiny_model
from duetal.backbones.i3d import RGB, random_weights
from duetal.backbones.presets import I3D, PRESETS, choose
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.networks import Network
from duetal.extraction.pipeline import Extractor
from duetal.extraction.sources import find_videos
from duetal.extraction.store import open_store
from duetal.features.metadata import VideoRecord
from duetal.simulation.clips import render_clip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    # V-JEPA 2 takes minutes a snippet on a core.
    usual = ",".join(name for name in (I3D, *TINY) if name != "vjepa2")
    parser.add_argument("--families", default=usual)
    parser.add_argument("--seconds", type=float, default=5.0, help="of the video")
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="compile the networks")
    parser.add_argument("--bf16", action="store_true", help="let the networks multiply in bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        video = folder / "video.mp4"
        render_clip(video, duration=options.seconds, size=(320, 240), audio=True)
        print(f"{'family':<16} {'frames/s':>9} {'bare':>9} {'share':>6}")
        for name in options.families.split(","):
            model = folder / f"{name}.pt"
            if name == I3D:
                random_weights(model, "rgb")
            else:
                make_tiny_model(name, model, real_size=True)
            frames, pipeline, bare = measure(name, model, video, options)
            share = bare / pipeline
            speeds = f"{frames / pipeline:>9.1f} {frames / bare:>9.1f}"
            print(f"{name:<16} {speeds} {share:>6.0%}", flush=True)


def measure(
    name: str, model: Path, video: Path, options: argparse.Namespace
) -> tuple[int, float, float]:
    """Frames of the video, seconds of the pipeline, and seconds of the network alone."""
    if name == I3D:
        records, weights = [RGB], {RGB.name: str(model)}
    else:
        branch = "vlp" if PRESETS[name].has_text else "cbp"
        records, weights = list(choose(str(model), branch)), {}
    settings = ExtractionSettings.usual(records, weights=weights, bf16=options.bf16)
    how = {"device": options.device, "compiled": options.compile}
    extractor = Extractor(settings, threads=1, **how)
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    (network,) = extractor.networks
    # The first batch is slow: memory is asked for.
    bare_seconds(network, 1, clock)
    frames, pipeline, bare = 0, list[float](), list[float]()
    for number in range(options.rounds):
        began = clock()
        with open_store(f"{model}-store-{number}", extractor.store_settings) as store:
            (record,) = extractor.extract_all(find_videos([str(video)]).videos, store)
        pipeline.append(clock() - began)
        assert isinstance(record, VideoRecord), record
        bare.append(bare_seconds(network, record.snippets, clock))
        frames = record.frames
    return frames, min(pipeline), min(bare)


def bare_seconds(network: Network, snippets: int, clock: Callable[[], float]) -> float:
    """Seconds in which the network alone encodes as many snippets of noise.

    Not of zeros, among which a maximum is found faster.
    """
    read, backbone = network.record.input, network.backbone
    random = np.random.default_rng(0)
    if backbone.sound_rate:
        samples = int(read.sound_seconds * backbone.sound_rate)
        one = backbone.prepare(random.uniform(-0.5, 0.5, samples).astype(np.float32))
    else:
        size = (240, 320) if read.crop is None else (read.crop, read.crop)
        one = backbone.prepare(random.integers(0, 256, (*size, 3), np.uint8))
    inputs = [np.stack([np.asarray(one)] * len(read.offsets))] * snippets
    began = clock()
    network(inputs)
    return clock() - began


if __name__ == "__main__":
    main()
