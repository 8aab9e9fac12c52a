"""The steps of `gpu.sh`: each a benchmark of its own, with its share of six minutes."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch

from duetal.formats.activitynet import write_annotations
from duetal.simulation.world import made_up_annotations

#: Seconds that all steps may take together.
BUDGET = 360.0
#: Name, seconds at most, and words; {device} is what is measured.
STEPS: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("TV-L1 against one core", 70, ("benchmarks/tvl1_gpu.py", "{device}")),
    (
        "decode, flow, I3D and CLIP",
        100,
        ("benchmarks/extraction.py", "--only", "speed", "--device", "{device}", "--rounds", "1",
         "--short-side", "256", "--crop", "224"),
    ),
    (
        "VideoMAE in bfloat16, compiled",
        80,
        ("benchmarks/backbones.py", "--families", "videomae", "--device", "{device}", "--bf16",
         "--compile", "--rounds", "2"),
    ),
    (
        "training step",
        50,
        ("benchmarks/training.py", "--only-time", "--repeats", "3", "accelerator={device}"),
    ),
    (
        "alternate and async",
        60,
        ("examples/online.py", "{out}/annotations.json", "accelerator={device}", "--seeds", "0",
         "--modes", "alternate,async", "--out", "{out}/modes", "warmup_epochs=4", "b_epochs=4",
         "f_epochs=2"),
    ),
)  # fmt: skip


class Utilisation:
    """How busy the card is, in %, asked for twice a second; nothing without nvidia-smi."""

    QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")

    def __init__(self) -> None:
        self.samples: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Utilisation":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.5):
            try:
                found = subprocess.run(self.QUERY, capture_output=True, text=True, check=True)
                self.samples.append(int(found.stdout.split()[0]))
            except (OSError, ValueError, IndexError, subprocess.CalledProcessError):
                return


def run(words: list[str], seconds: float) -> dict[str, Any]:
    """One step: its exit code (124: out of time), seconds, what it printed, and the card's load."""
    began = time.monotonic()
    with Utilisation() as busy:
        try:
            done = subprocess.run(
                [sys.executable, *words], capture_output=True, text=True, timeout=max(1.0, seconds),
                check=False,
            )  # fmt: skip
            code, printed = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired as error:
            code, printed = 124, (error.stdout or b"").decode(errors="replace")
    return {
        "command": " ".join(["python", *words]),
        "code": code,
        "seconds": round(time.monotonic() - began, 1),
        "utilisation": round(sum(busy.samples) / len(busy.samples)) if busy.samples else None,
        "printed": printed.splitlines(),
    }


def main() -> None:
    """Run the steps in order, keep what each printed as soon as it has, and print a table."""
    out, device = Path(sys.argv[1]), sys.argv[2]
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "CPU"
    write_annotations(out / "annotations.json", made_up_annotations())
    began, results = time.monotonic(), dict[str, Any]()
    for title, seconds, words in STEPS:
        left = BUDGET - (time.monotonic() - began)
        given = [word.format(device=device, out=out) for word in words]
        results[title] = run(given, min(seconds, left))
        content = {"device": name, "torch": torch.__version__, "steps": results}
        (out / "gpu.json").write_text(json.dumps(content, indent=2) + "\n")
    print(f"{name}, PyTorch {torch.__version__}")
    for title, step in results.items():
        busy = "" if step["utilisation"] is None else f", card {step['utilisation']} % busy"
        print(f"\n{title}: {step['seconds']:.0f} s, exit code {step['code']}{busy}")
        print("\n".join(f"    {line}" for line in step["printed"][-30:]))
    print(f"\nkept: {out / 'gpu.json'}")


if __name__ == "__main__":
    main()
