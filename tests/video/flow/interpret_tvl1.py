"""Runs the kernels of TV-L1 in Triton's interpreter and saves what they compute.

    TRITON_INTERPRET=1 python tests/video/flow/interpret_tvl1.py RESULTS

The variable has to be there before Triton is imported, so the tests start this as a program. An
iteration of a single row takes the interpreter a hundredth of a second: the images are small.
"""

import sys
from typing import Any

import torch
import triton.language as tl

from duetal.video.flow import tvl1_triton
from duetal.video.flow.interface import TVL1Settings
from duetal.video.flow.tvl1_torch import with_gradient
from duetal.video.flow.tvl1_triton import STAGES, _decide, _Level, solve_level


def warping(results: dict[str, Any]) -> None:
    """The kernels around the iterations, on images of more pixels than a program has."""
    frames, flow = torch.rand(3, 26, 23) * 255, torch.randn(2, 2, 26, 23) * 3
    level = _Level(with_gradient(frames), flow, TVL1Settings())
    level.linearize()
    results.update(frames=frames, flow=flow, linear=level.linear, medians={})
    for side in (3, 5):
        level = _Level(with_gradient(frames), flow, TVL1Settings(median_filtering=side))
        level.records[:, tvl1_triton.MOVING.value] = 1
        level._filter()
        results["medians"][str(side)] = level.flow()


def iterating(results: dict[str, Any]) -> None:
    """A launch over two strips across and two down, for fewer iterations than it could make."""
    tvl1_triton.ROWS = tl.constexpr(4)
    linear, flow = torch.randn(1, 3, 6, 27), torch.randn(1, 2, 6, 27)
    dual = torch.randn(1, 2, 2, 6, 27) * 0.3
    dual[:, :, 0, :, -1] = 0
    dual[:, :, 1, -1] = 0
    steps = STAGES.value - 1
    level = _Level(torch.zeros(2, 3, 6, 27), flow, TVL1Settings(epsilon=0))
    level.linear[:] = linear
    level.duals[:, 0] = dual.flatten(1, 2)
    level.records[:, tvl1_triton.STEPS.value] = steps
    level._launch()
    results["iterated"] = {
        "steps": steps, "linear": linear, "flow": flow, "dual": dual,
        "new_flow": level.flow(), "new_dual": level.duals[:, 1], "changes": level.changes,
    }  # fmt: skip


def solving(results: dict[str, Any]) -> None:
    """A whole level: one pair that moves and one that stands still."""
    torch.manual_seed(3)
    second = torch.rand(5, 7) * 40
    frames = torch.stack([second.roll(1, 1), second, second])
    settings = {"warps": 2, "outer_iterations": 1, "inner_iterations": 6, "epsilon": 0.2}
    solved = solve_level(frames, torch.zeros(2, 2, 5, 7), TVL1Settings(**settings))
    results.update(solve_settings=settings, solve_frames=frames, solved=solved)


def deciding(results: dict[str, Any]) -> None:
    """Records (flow, dual, steps, left, moving) after launches with known changes."""
    cases = [
        ([9.0, 9.0, 9.0, 9.0], [0, 1, 4, 30, 1], [1, 0, 4, 26, 1]),
        ([9.0, 9.0, 9.0, 9.0], [1, 1, 4, 6, 1], [0, 0, 2, 2, 1]),
        ([9.0, 9.0, 0.0, 0.0], [0, 0, 2, 2, 1], [1, 1, 0, 0, 1]),
        ([9.0, 9.0, 9.0, 0.5], [0, 0, 4, 30, 1], [1, 1, 0, 0, 0]),
        ([9.0, 0.5, 0.5, 0.5], [0, 1, 4, 30, 1], [0, 1, 2, 30, 1]),
        ([9.0, 0.5, 9.0, 9.0], [0, 1, 2, 30, 1], [1, 0, 0, 0, 0]),
        ([0.0, 0.0, 0.0, 0.0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]),
    ]
    strips = tvl1_triton.STRIPS.value + 6
    changes = torch.tensor([case[0] for case in cases])[:, None].expand(-1, strips, -1) / strips
    records = torch.tensor([case[1] for case in cases], dtype=torch.int32)
    _decide[(len(cases),)](changes.contiguous(), records, strips, 1.0)
    results["decided"] = [
        (case[1], after, case[2]) for case, after in zip(cases, records.tolist(), strict=True)
    ]


def main() -> None:
    """Run all and save."""
    torch.manual_seed(0)
    results: dict[str, Any] = {}
    with torch.inference_mode():
        for part in (warping, deciding, iterating, solving):
            part(results)
    torch.save(results, sys.argv[1])


if __name__ == "__main__":
    main()
