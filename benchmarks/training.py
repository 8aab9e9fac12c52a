"""Speed and memory of a training step.

    python benchmarks/training.py [--repeats 5]
    python benchmarks/training.py --repeats 0 crop=512 micro_batch_snippets=2048

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
from numpy.typing import NDArray
from torch import Tensor

from _thumos14 import CLASSES, TRAINING_QUANTILES, lengths
from duetal.config import make_config, parse_overrides
from duetal.core.annotations import Annotations, VideoAnnotation
from duetal.datasets import WeakVideos, open_dataset
from duetal.formats.activitynet import write_annotations
from duetal.model.text import make_tiny_clip
from duetal.training import losses
from duetal.training.branches import cbp_branch, text_encoder, vlp_branch
from duetal.training.journal import Journal
from duetal.training.phase import Branch, Phase, Trainer
from duetal.training.pseudo_labels import PseudoLabels
from duetal.training.sampling import Crop, epoch_batches, load, micro_batches, share_of

OVERRIDES = [word for word in sys.argv[1:] if "=" in word]
CONFIG = make_config({"accelerator": "cpu", **parse_overrides(OVERRIDES)}, "benchmark")
CHANNELS = {"cbp": 2048, "vlp": 512}
PHASES = {
    "cbp": Phase("F1", "cbp-f1", "cbp", 1, foreground=True, background=True),
    "vlp": Phase("B1", "vlp-b1", "vlp", 1, background=True),
}
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
        self.phase = PHASES[kind]
        self.videos = open_dataset(folder).weak()
        stream = self.videos.cbp if kind == "cbp" else self.videos.vlp
        assert stream is not None
        self.stream = stream
        self.branch = make_branch(self.videos, kind).train()
        self.trained = [p for p in self.branch.parameters() if p.requires_grad]
        fabric = Fabric(accelerator="cpu", devices=1)
        self.trainer = Trainer(fabric, CONFIG, self.videos, folder, Journal(folder, 1))
        adam = torch.optim.AdamW(self.trained, lr=CONFIG.learning_rate, weight_decay=0.0)
        self.optimizer: Any = fabric.setup_optimizers(adam)
        random = np.random.default_rng(0)
        sizes = [stream.length(name) for name in self.videos.names]
        self.pseudo = PseudoLabels(
            [random.integers(-1, 2, size=(size, CLASSES)).astype(np.int8) for size in sizes]
        )
        [self.batch] = epoch_batches(
            sizes, crop=CONFIG.crop, batch_size=CONFIG.batch_size, repeats=1, seed=0
        )

    def step(self) -> None:
        """One update as a run makes it."""
        self.trainer._step(
            self.branch,
            self.stream,
            self.phase,
            self.pseudo,
            self.optimizer,
            self.trained,
            self.batch,
        )

    def bare(self) -> Callable[[], None]:
        """One update of the same snippets, each video alone; its features are read beforehand."""
        alone = [load(self.videos, self.stream, [crop]) for crop in self.batch]
        hard = [torch.from_numpy(self._pseudo_of(crop))[None] for crop in self.batch]

        def update() -> None:
            self.optimizer.zero_grad()
            self.branch.begin_step()
            for video, pseudo in zip(alone, hard, strict=True):
                logits, _ = self.branch(video.features, video.mask)
                loss = self._loss(logits, video.mask, video.labels, pseudo)
                (loss / len(self.batch)).backward()  # type: ignore[no-untyped-call]
            self.branch.end_step()
            self.optimizer.step()

        return update

    def _pseudo_of(self, crop: Crop) -> NDArray[np.int8]:
        return self.pseudo.labels[crop.video][crop.start : crop.start + crop.length]

    def _loss(self, logits: Tensor, mask: Tensor, labels: Tensor, pseudo: Tensor) -> Tensor:
        kind = CONFIG.video_loss
        own = losses.classification(logits, mask, labels, divisor=CONFIG.topk_divisor, kind=kind)
        taught = losses.distillation(
            logits,
            mask,
            labels,
            pseudo,
            foreground=self.phase.foreground,
            background=self.phase.background,
            balance=CONFIG.balance_sets,
        )
        return (own + taught).sum()

    def snippets(self) -> tuple[int, int]:
        """Valid snippets of the batch, and snippets that the step computes, padding included."""
        groups = micro_batches(share_of(self.batch, 0, 1), CONFIG.micro_batch_snippets)
        padded = sum(group[0].length * len(group) for group in groups)
        return sum(crop.length for crop in self.batch), padded


def make_branch(videos: WeakVideos, kind: str) -> Branch:
    """The branch at full size."""
    if kind == "cbp":
        return cbp_branch(CONFIG, CHANNELS["cbp"], CLASSES)
    assert videos.text_encoder is not None
    text = text_encoder(CONFIG, videos.text_encoder, videos.classes, {})
    return vlp_branch(CONFIG, text, CHANNELS["vlp"])


def write_dataset(folder: Path) -> None:
    """Random features of THUMOS14's lengths, and a random text encoder of ViT-B/16's size."""
    random = np.random.default_rng(0)
    found = {}
    for number, length in enumerate(lengths(TRAINING_QUANTILES, CONFIG.batch_size)):
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
    return time.perf_counter() - began[0], time.process_time() - began[1]


# --- memory -------------------------------------------------------------------------------------


def print_memory(folder: Path, kind: str) -> None:
    """Print the row of one branch, measured in a process that does nothing else."""
    command = [sys.executable, __file__, "--memory-of", kind, str(folder), *OVERRIDES]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    m = json.loads(told.splitlines()[-1])
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
