"""From raw videos to localized actions: the whole way, with duetal's own commands.

    python examples/raw_videos.py --out raw-videos

renders videos of moving textures whose actions and times are known (five codecs, four frame rates
and a variable one), takes the two real clips of the real data folder along where it is there, and
calls `duetal extract`, `train --videos`, `check`, `localize` and `evaluate`, each printed before it
runs. Two minutes on two cores, since frames are small.

The networks have RANDOM WEIGHTS, written to files first, so nothing is downloaded, and no number
says anything about real video. With the published weights the commands are the same, without
`--i3d-rgb`, `--i3d-flow`, `--clip`, `--short-side` and `--crop`.
"""

import argparse
import csv
import io
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from duetal.backbones.i3d import random_weights
from duetal.core.annotations import Annotations, Segment, VideoAnnotation
from duetal.core.files import write_text
from duetal.formats.activitynet import read_annotations, write_annotations
from duetal.simulation.clips import render_clip
from duetal.simulation.tiny_clip import make_tiny_clip

CLASSES = ("Juggling", "Rowing", "Waving")
#: Suffix and encoding; None for the frame rate is a variable one.
ENCODINGS: tuple[tuple[str, float | None, dict[str, Any]], ...] = (
    (".mp4", 25.0, {"codec": "libx264", "b_frames": 2}),
    (".webm", 30.0, {"codec": "libvpx-vp9"}),
    (".avi", 12.5, {"codec": "mpeg4"}),
    (".mkv", None, {"codec": "libx264"}),
    (".mov", 50.0, {"codec": "mjpeg"}),
    (".mkv", 25.0, {"codec": "ffv1"}),
)
SIZE = (128, 96)
#: Fewer updates than the recipe's: random features have little to teach.
SETTINGS = ("warmup_epochs=4", "b_epochs=2", "f_epochs=2", "cbp.embed_dim=64", "accelerator=cpu")


def main() -> None:
    """Render, extract, train, localize, evaluate."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("raw-videos"), help="a new folder")
    parser.add_argument(
        "--real", type=Path, default=Path("../shared/data/video"), help="real clips"
    )
    parser.add_argument("--per-class", type=int, default=8, help="rendered videos of each class")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a rendered video")
    parser.add_argument("--pixels", type=int, default=64, help="square that I3D sees; 224 is usual")
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} is there already; --out names a new folder")
    began = time.monotonic()
    run_all(options.out, options.real, options.per_class, options.seconds, options.pixels)
    print(f"\nAll of it took {time.monotonic() - began:.0f} s.")
    print("THE WEIGHTS ARE RANDOM: the scores show that the parts work together, and say nothing")
    print("about real video. The pages to open in a browser:")
    for page in ("run/report.html", "found/index.html", "found-real/index.html"):
        if (options.out / page).is_file():
            print(f"  {(options.out / page).absolute()}")


def run_all(out: Path, real: Path, per_class: int, seconds: float, pixels: int) -> None:
    """The commands in their order."""
    known = render_videos(out / "videos", per_class, seconds, seed=0)
    new = render_videos(out / "new", 1, seconds, seed=1)
    clips = read_annotations(real / "annotations.json") if real.is_dir() else None
    write_table(out / "labels.csv", known, clips)
    write_annotations(out / "marked.json", Annotations({v.name: v for v in known}, CLASSES))
    write_annotations(out / "new.json", Annotations({v.name: v for v in new}, CLASSES))
    sources = [out / "videos", *([real] if clips else [])]
    made = write_weights(out / "weights", pixels)

    duetal("extract", *sources, "--out", out / "store", *made)
    videos = [word for source in sources for word in ("--videos", str(source))]
    table = ["--labels", out / "labels.csv", "--annotations", out / "marked.json"]
    kept = ["--store", out / "store", "--out", out / "run"]
    duetal("train", "auto", *SETTINGS, *videos, *table, *kept, *made)
    duetal("check", out / "run" / "video-dataset")
    duetal("localize", out / "run", out / "new", "--branch", "both", "--out", out / "found")
    found = out / "found" / "detections.json"
    duetal("evaluate", found, "--annotations", out / "new.json", "--protocol", "seconds")
    if clips:
        # As in real life, nobody has marked when anything happens in these.
        duetal("localize", out / "run", real, "--branch", "both", "--out", out / "found-real")


def render_videos(folder: Path, per_class: int, seconds: float, seed: int) -> list[VideoAnnotation]:
    """Videos of each class, in one encoding after the other, and when their actions are."""
    rng = np.random.default_rng(seed)
    encodings = cycle(ENCODINGS)
    made = []
    for number in range(per_class):
        for label in CLASSES:
            suffix, fps, how = next(encodings)
            start = rng.uniform(0.1, 0.4) * seconds
            action = Segment(start, start + 0.4 * seconds, label)
            name = f"{label.lower()}_{seed}{number:02}"
            render_clip(
                folder / f"{name}{suffix}",
                duration=seconds,
                fps=fps or 25.0,
                size=SIZE,
                actions=[action],
                velocity=(rng.uniform(-2, 2), rng.uniform(-2, 2)),
                seed=int(rng.integers(1_000_000)),
                timestamps=None if fps else list(uneven_times(seconds, rng)),
                **how,
            )
            # Of each class the last fourth of the videos is to be judged by.
            subset = "train" if number < int(0.75 * per_class) else "test"
            made.append(VideoAnnotation(name, subset, seconds, (label,), (action,)))
    return made


def uneven_times(seconds: float, rng: np.random.Generator) -> Iterator[float]:
    """When the pictures of a video of variable rate begin: 15 to 50 a second."""
    at = 0.0
    while at < seconds:
        yield at
        at += 1 / rng.uniform(15, 50)


def write_table(path: Path, rendered: Sequence[VideoAnnotation], clips: Annotations | None) -> None:
    """The table `video,labels,split`; the real clips are trained on."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "labels", "split"])
    real = [replace(clip, subset="train") for clip in clips or ()]
    for video in (*rendered, *real):
        writer.writerow([video.name, "; ".join(video.labels), video.subset])
    write_text(path, text.getvalue())


def write_weights(folder: Path, pixels: int) -> list[object]:
    """Networks of random weights in files, and the options that name them."""
    random_weights(folder / "i3d-rgb.pt", "rgb")
    random_weights(folder / "i3d-flow.pt", "flow")
    make_tiny_clip(folder / "clip")
    weights = ["--i3d-rgb", folder / "i3d-rgb.pt", "--i3d-flow", folder / "i3d-flow.pt"]
    return [*weights, "--clip", folder / "clip", f"--short-side={pixels}", f"--crop={pixels}"]


def duetal(*words: object) -> None:
    """Print a command and run it; stop with its exit code if it fails."""
    arguments = list(map(str, words))
    print(f"\n$ duetal {shlex.join(arguments)}", flush=True)
    program = Path(sys.executable).with_name("duetal")
    code = subprocess.run([program, *arguments], check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
