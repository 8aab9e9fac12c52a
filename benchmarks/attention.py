"""Attention with a radius, in blocks and at once.

    OMP_NUM_THREADS=1 python benchmarks/attention.py [--repeats 5]

Forward and backward of one attention layer of CBP's width (512 channels, 8 heads, radius 2), over
one video of 1,000 and of 8,000 snippets: the shortest time, and the most memory that it takes above
what is there before, each in a process of its own. *At once* is what short videos get, by weights
of (T, T).
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

from duetal.method import layers
from duetal.method.layers import SelfAttention

LENGTHS = (1000, 8000)
RADIUS = 2
#: `WORTH_CUTTING` with which every length goes either way.
WAYS = {"at once": 10**6, "in blocks": 0}


def memory(field: str) -> int:
    """Memory of this process in KiB: `VmRSS`, now; `VmHWM`, at its peak."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def measure(way: str, length: int, repeats: int) -> tuple[float, float]:
    """Milliseconds and MiB of forward and backward in this process."""
    layers.WORTH_CUTTING = WAYS[way]
    torch.manual_seed(0)
    attention = SelfAttention(512, 8, RADIUS)
    x = torch.randn(1, length, 512, requires_grad=True)
    mask = torch.ones(1, length, dtype=torch.bool)
    # What is loaded with the first call is not the layer's.
    attention(x[:, :8], mask[:, :8]).sum().backward()
    before, times = memory("VmRSS"), []
    for _ in range(repeats):
        began = time.perf_counter()
        attention(x, mask).sum().backward()
        times.append(time.perf_counter() - began)
    return 1000 * min(times), (memory("VmHWM") - before) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "T"), help="measure in this process")
    arguments = parser.parse_args()
    if arguments.one:
        way, length = arguments.one
        print(json.dumps(measure(way, int(length), arguments.repeats)))
        return
    print(f"{'T':>6} {'':>10} {'ms':>8} {'MiB':>8}")
    for length in LENGTHS:
        for way in WAYS:
            command = [sys.executable, __file__, "--one", way, str(length)]
            command += ["--repeats", str(arguments.repeats)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            milliseconds, peak = json.loads(done.stdout)
            print(f"{length:6d} {way:>10} {milliseconds:8.1f} {peak:8.1f}", flush=True)


if __name__ == "__main__":
    main()
