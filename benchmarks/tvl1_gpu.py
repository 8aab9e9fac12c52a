"""Speed of TV-L1 flow on a GPU, with the frames already there, beside one core of the CPU.

    OMP_NUM_THREADS=1 python benchmarks/tvl1_gpu.py [DEVICE]

Prints, for batches of pairs of 340 x 256, the milliseconds per pair of Triton's kernels and of
plain PyTorch, and how many times those of one core they are: ours, and OpenCV's where it is
installed; after checking that all agree. The frames are those of a moving texture with a patch
that moves against it. Without a GPU nothing is measured.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from duetal.core.annotations import Segment
from duetal.core.errors import UsageError
from duetal.simulation.clips import Scene
from duetal.video.flow.interface import FlowEngine, TVL1Settings, grey, open_flow
from duetal.video.flow.tvl1_gpu import Backend, TorchTVL1Flow, has_triton

SIZE = (340, 256)
BATCHES = (16, 64, 256)
SETTINGS = TVL1Settings()


def make_frames(count: int) -> NDArray[np.uint8]:
    """(count, H, W) of a scene of two movements."""
    action = Segment(0.0, 1e9, "Diving")
    scene = Scene(SIZE, velocity=(1.7, -0.8), fps=25, actions=(action,))
    return grey(np.stack([scene.picture(k / 25) for k in range(count)]))


def seconds(run: Callable[[], object]) -> float:
    """The shortest of three timings."""
    timings = []
    for _ in range(3):
        began = time.perf_counter()
        run()
        timings.append(time.perf_counter() - began)
    return min(timings)


def cpu_engines() -> dict[str, FlowEngine]:
    """Engines that run on one core, by what the table calls them."""
    engines = {"ours, one core": open_flow("tvl1", SETTINGS)}
    try:
        engines["OpenCV, one core"] = open_flow("opencv", SETTINGS)
    except UsageError as error:
        print(f"without OpenCV: {error}")
    return engines


def measure(device: str) -> None:
    """Print the table."""
    frames = make_frames(max(BATCHES) + 1)
    few = frames[:4]
    engines = cpu_engines()
    for engine in engines.values():
        engine(few[:2])
    reference = {name: engine(few) for name, engine in engines.items()}
    per_pair = {
        name: seconds(lambda engine=engine: engine(few)) / (len(few) - 1)  # type: ignore[misc]
        for name, engine in engines.items()
    }
    for name, cost in per_pair.items():
        print(f"{name:<18} {1000 * cost:>9.2f} ms per pair")
    print(
        f"\n{'backend':<8} {'pairs':>5} {'ms per pair':>12}"
        + "".join(f" {f'x {name}':>20} {'px from it':>10}" for name in per_pair)
    )
    on_device = torch.from_numpy(frames).to(device)
    backends: tuple[Backend, ...] = ("triton", "torch") if has_triton() else ("torch",)
    for backend in backends:
        for batch in BATCHES:
            engine = TorchTVL1Flow(SETTINGS, device=device, backend=backend, pairs=batch)

            def run(engine: TorchTVL1Flow = engine, batch: int = batch) -> torch.Tensor:
                flow = engine.flow_of(on_device[: batch + 1])
                # Kernels run behind the program's back; what is read is there.
                flow[-1, -1, -1, -1].item()
                return flow

            flow = run()[: len(few) - 1].cpu().numpy()
            cost = seconds(run) / batch
            line = f"{backend:<8} {batch:>5} {1000 * cost:>12.3f}"
            for name, other in reference.items():
                apart = np.linalg.norm(flow - other, axis=-1).mean()
                line += f" {per_pair[name] / cost:>19.0f}x {apart:>10.4f}"
            print(line)


def main() -> None:
    """Measure on a device, the first GPU if none is named."""
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        print("no GPU: nothing was measured")
        return
    torch.set_num_threads(1)
    measure(device)


if __name__ == "__main__":
    main()
