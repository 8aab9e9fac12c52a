"""Speed and memory of a training step.

    python benchmarks/training.py [--repeats 5]
    python benchmarks/training.py --repeats 0 crop=512 micro_batch_snippets=2048
    python benchmarks/training.py --only-time accelerator=cuda

At the paper's setting (T = 1000, 64 videos of THUMOS14's lengths, 2048 and 512 channels) it times

- **step**: one update as a run makes it, which reads features from disk, crops, pads, masks, adds
  up micro-batches and looks for losses that are not finite;
- **bare**: forward, backward and update of the same valid snippets and nothing else, features in
  memory, each video alone and without padding.

Then, in a process of its own for each branch, the most memory that steps take. `key=value` measures
with another setting, and no repeats are memory alone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from _thumos14 import CLASSES, TRAINING_QUANTILES, lengths
from duetal.backbones.text_towers import load_text_tower
from duetal.config import load_config
from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.datasets import open_dataset
from duetal.formats.activitynet import write_annotations
from duetal.method.loop import Lesson, Method, compute_gradient
from duetal.method.losses import Predictions, classification, distillation
from duetal.method.pseudo_labels import crop_labels
from duetal.method.sampling import epoch_batches, load, micro_batches, share_of
from duetal.method.schedule import ScheduleSettings, b_step, f_step
from duetal.simulation.tiny_clip import make_tiny_clip

OVERRIDES = [word for word in sys.argv[1:] if "=" in word]
CONFIG = load_config("", "benchmark", ["accelerator=cpu", *OVERRIDES])
CHANNELS = {"cbp": 2048, "vlp": 512}
PHASES = {"cbp": f_step(ScheduleSettings(), 1), "vlp": b_step(ScheduleSettings(), 1)}
#: Three letters, three tokens of the byte-level tokenizer: about what names of actions take.
NAMES = tuple(f"{chr(97 + k)}ab" for k in range(CLASSES))
MEGABYTE = 1e6


class Bench:
    """A branch with everything that a step of it needs.

    Args:
        folder: a dataset that `write_dataset` has made.
        kind: "cbp" or "vlp".
    """

    def __init__(self, folder: Path, kind: str):
        videos = open_dataset(folder).weak()
        fabric = Fabric(accelerator=CONFIG.machine.accelerator, devices=1)
        branch = Method().branch(kind).build(CONFIG, videos, load_text_tower).train()
        self.branch = branch.to(fabric.device)
        self.trained = [p for p in branch.parameters() if p.requires_grad]
        adam = torch.optim.AdamW(self.trained, lr=CONFIG.schedule.learning_rate, weight_decay=0.0)
        self.optimizer: Any = fabric.setup_optimizers(adam)
        random = np.random.default_rng(0)
        sizes = [videos.length(name) for name in videos.names]
        pseudo = {
            video: random.integers(-1, 2, size=(size, CLASSES)).astype(np.int8)
            for video, size in enumerate(sizes)
        }
        self.lesson = Lesson(fabric, CONFIG, videos, PHASES[kind], branch, pseudo)
        [self.batch] = epoch_batches(sizes, CONFIG.data, seed=0)

    def step(self) -> None:
        """One update as a run makes it."""
        self.optimizer.zero_grad()
        compute_gradient(self.lesson, self.batch)
        self.optimizer.step()

    def bare(self) -> Callable[[], None]:
        """One update of the same snippets, each video alone; its features are read beforehand."""
        lesson, settings = self.lesson, CONFIG.losses
        stream = lesson.videos.streams[lesson.phase.student]
        assert lesson.pseudo is not None
        alone = [load(lesson.videos, stream, [crop]) for crop in self.batch]
        hard = [crop_labels(lesson.pseudo, video.crops, video.mask) for video in alone]
        device = lesson.fabric.device
        tensors = [
            [one.to(device) for one in (video.features, video.mask, video.labels, pseudo)]
            for video, pseudo in zip(alone, hard, strict=True)
        ]

        def update() -> None:
            self.optimizer.zero_grad()
            with self.branch.step_context():
                for features, mask, labels, pseudo in tensors:
                    logits, encoded = self.branch(features, mask)
                    distils = lesson.phase.distils
                    batch = Predictions(logits, encoded, mask, labels, pseudo, distils)
                    loss = classification(batch, settings) + distillation(batch, settings)
                    (loss.sum() / len(self.batch)).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()

        return update

    def snippets(self) -> tuple[int, int]:
        """Valid snippets of the batch, and snippets that the step computes, padding included."""
        groups = micro_batches(share_of(self.batch, 0, 1), CONFIG.data.micro_batch_snippets)
        padded = sum(group[0].length * len(group) for group in groups)
        return sum(crop.length for crop in self.batch), padded


def write_dataset(folder: Path) -> None:
    """Random features of THUMOS14's lengths, and a random text encoder of ViT-B/16's size."""
    random = np.random.default_rng(0)
    found = {}
    for number, length in enumerate(lengths(TRAINING_QUANTILES, CONFIG.data.batch_size)):
        name = f"video_{number:03}"
        for stream, channels in CHANNELS.items():
            path = folder / "features" / stream / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, random.standard_normal((length, channels), np.float32).astype("float16"))
        found[name] = VideoAnnotation(name, "train", labels=(NAMES[number % CLASSES],))
    write_annotations(folder / "annotations.json", Annotations(found, NAMES))
    write_text_encoder(folder / "text_encoder")
    (folder / "dataset.yaml").write_text(
        "cbp: features/cbp\nvlp: features/vlp\n"
        "annotations: annotations.json\ntext_encoder: text_encoder\n"
    )


def write_text_encoder(folder: Path) -> None:
    """The text encoder of CLIP ViT-B/16 but for its vocabulary: 12 layers, 512 wide."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    make_tiny_clip(folder)
    tiny = CLIPTextConfig.from_pretrained(folder)
    config = CLIPTextConfig(
        vocab_size=tiny.vocab_size,
        bos_token_id=tiny.bos_token_id,
        eos_token_id=tiny.eos_token_id,
        pad_token_id=tiny.pad_token_id,
    )
    assert (config.num_hidden_layers, config.hidden_size) == (12, 512)
    CLIPTextModelWithProjection(config).save_pretrained(folder)


# --- time ---------------------------------------------------------------------------------------


def print_times(folder: Path, repeats: int) -> None:
    """Print the table of times."""
    print(f"seconds of one update, {torch.get_num_threads()} threads; target: ratio <= 1.1")
    columns = f"{'bare':>8}{'step':>8}{'ratio':>8}{'(spread)':12}"
    print(f"{'':28}{'wall time':^36}{'CPU time':^36}")
    print(f"{'branch':8}{'valid':>10}{'padded':>10}{columns}{columns}")
    for kind in PHASES:
        time_steps(folder, kind, repeats)


def time_steps(folder: Path, kind: str, repeats: int) -> None:
    """Print the row of one branch: bare and step in turn, so that a busy machine slows both."""
    bench = Bench(folder, kind)
    bare = bench.bare()
    bare()
    bench.step()
    pairs = [(seconds_of(bare), seconds_of(bench.step)) for _ in range(repeats)]
    valid, padded = bench.snippets()
    row = f"{kind:8}{valid:10,}{padded:10,}"
    for clock in (0, 1):
        bares, steps = ([times[which][clock] for times in pairs] for which in (0, 1))
        ratios = [step / alone for alone, step in zip(bares, steps, strict=True)]
        row += f"{statistics.median(bares):8.2f}{statistics.median(steps):8.2f}"
        row += f"{statistics.median(ratios):8.3f} ({min(ratios):.2f}-{max(ratios):.2f})"
    print(row, flush=True)


def seconds_of(function: Callable[[], None]) -> tuple[float, float]:
    """Wall time of one call, and the CPU time of all threads, which a busy machine adds less to."""
    began = time.perf_counter(), time.process_time()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began[0], time.process_time() - began[1]


# --- memory -------------------------------------------------------------------------------------


def print_memory(folder: Path, kind: str) -> None:
    """Print the row of one branch, measured in a process that does nothing else."""
    command = [sys.executable, __file__, "--memory-of", kind, str(folder), *OVERRIDES]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    m = json.loads(output.splitlines()[-1])
    print(
        f"{kind:8}{m['weights']:10.0f}{m['optimizer']:10.0f}{m['steps']:10.0f}"
        f"{m['optimizer'] + m['steps']:10.0f}",
        flush=True,
    )


def measure_memory(folder: Path, kind: str) -> None:
    """Print, as JSON in megabytes, what weights, gradients and Adam, and two steps take."""
    bench = Bench(folder, kind)
    weights = sum(t.numel() * t.element_size() for t in bench.branch.state_dict().values())
    # Everything that stays: weights, their gradients and Adam's moments, touched once.
    optimizer = 3 * sum(p.numel() * p.element_size() for p in bench.trained)
    for parameter in bench.trained:
        parameter.grad = torch.zeros_like(parameter)
    bench.optimizer.step()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    for _ in range(2):
        bench.step()
    steps = resident("VmHWM") - before
    sizes = {"weights": weights, "optimizer": optimizer, "steps": steps}
    print(json.dumps({name: size / MEGABYTE for name, size in sizes.items()}))


def resident(name: str) -> int:
    """Bytes of this process in memory: now ("VmRSS") or at the most ("VmHWM")."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="timings to take the median of")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="of the configuration")
    parser.add_argument("--only-time", action="store_true", help="leave memory out")
    parser.add_argument("--memory-of", nargs=2, metavar=("BRANCH", "FOLDER"), help="used by itself")
    options = parser.parse_args(arguments)
    if options.memory_of:
        kind, folder = options.memory_of
        measure_memory(Path(folder), kind)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder)
        if options.repeats:
            print_times(folder, options.repeats)
        if options.only_time:
            return
        if not Path("/proc/self/clear_refs").exists():
            print("no memory figures: they are read from /proc, which this system does not have")
            return
        print("\nmegabytes; target: the last two columns, which come on top of the weights, < 1500")
        print(f"{'branch':8}{'weights':>10}{'gradients':>10}{'steps':>10}{'both':>10}")
        print(f"{'':18}{'and Adam':>10}")
        for kind in PHASES:
            print_memory(folder, kind)


if __name__ == "__main__":
    main()
