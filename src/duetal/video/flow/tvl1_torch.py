"""TV-L1 on one pyramid level in plain PyTorch, for any device; and steps that Triton's shares.

The equations are those of Zach, Pock and Bischof (2007) as OpenCV's DualTVL1 discretizes them. With
v the flow that fits the brightness, u the smooth one and p the dual variables of its two
components, one iteration is

    v = u + the step along ∇I₁ that lowers λθ |ρ(u)|,  ρ(u) = I₁(x + u₀) + ∇I₁·(u - u₀) - I₀
    u = v + θ div p
    p = (p + τ/θ ∇u) / (1 + τ/θ |∇u|)

where u₀ is the flow at the last warp.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from duetal.video.flow.interface import TVL1Settings

FLAT = 2.0**-23  #: Below it a squared gradient counts as none.
CUBIC = -0.75  #: The parameter of Keys' cubic kernel (1981), as OpenCV chooses it.
#: Iterations between two checks of whether all pairs have ended: each check makes a GPU wait.
_CHECK_EVERY = 5


def resize(images: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """Images (..., H, W) at another size by bilinear interpolation, OpenCV's INTER_LINEAR.

    `scale` is old pixels per new one, down and across; OpenCV's is not always the sizes' ratio.
    """
    for dim, (length, step) in zip((-2, -1), zip(size, scale, strict=True), strict=True):
        last = images.shape[dim] - 1
        place = ((torch.arange(length, dtype=torch.float64) + 0.5) * step - 0.5).clamp(0, last)
        low = place.floor().clamp(max=max(last - 1, 0))
        share = (place - low).to(images)
        share = share[:, None] if dim == -2 else share
        low = low.long().to(images.device)
        high = (low + 1).clamp(max=last)
        below, above = images.index_select(dim, low), images.index_select(dim, high)
        images = below * (1 - share) + above * share
    return images


def with_gradient(images: Tensor) -> Tensor:
    """Images (N, H, W) and their centred differences, across and down: (N, 3, H, W).

    The outermost pixels are repeated beyond the border.
    """
    padded = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = 0.5 * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2])
    down = 0.5 * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1])
    return torch.stack([images, across, down], dim=1)


def solve_level(frames: Tensor, flow: Tensor, settings: TVL1Settings) -> Tensor:
    """Flow (N, 2, H, W) on one level of frames (N + 1, H, W), beginning from a rough flow."""
    stack = with_gradient(frames)
    # Kept from one warp to the next.
    dual = flow.new_zeros(len(flow), 2, 2, *frames.shape[1:])
    for _ in range(settings.warps):
        flow, dual = _iterate(linearize(stack, flow), flow, dual, settings)
    return flow


def _iterate(
    linear: Tensor, flow: Tensor, dual: Tensor, settings: TVL1Settings
) -> tuple[Tensor, Tensor]:
    """Iterate until each pair's flow stands still, with median filters in between."""
    least = settings.epsilon**2 * flow[0, 0].numel()
    inverse = 1 / linear[:, :2].square().sum(1).clamp(min=FLAT)
    moving = torch.ones(len(flow), 1, 1, 1, dtype=torch.bool, device=flow.device)
    # Double precision hides the order of summation, which depends on the number of pairs. Apple's
    # GPUs have none.
    precision = torch.float32 if flow.device.type == "mps" else torch.float64
    for _ in range(settings.outer_iterations):
        flow = torch.where(moving, median(flow, settings.median_filtering), flow)
        for inner in range(settings.inner_iterations):
            new_flow, new_dual = _step(linear, inverse, flow, dual, settings)
            change = (new_flow - flow).square().sum((1, 2, 3), keepdim=True, dtype=precision)
            flow = torch.where(moving, new_flow, flow)
            dual = torch.where(moving[..., None], new_dual, dual)
            moving = moving & (change > least)
            if inner % _CHECK_EVERY == 0 and not moving.any():
                return flow, dual
    return flow, dual


def _step(
    linear: Tensor, inverse: Tensor, flow: Tensor, dual: Tensor, settings: TVL1Settings
) -> tuple[Tensor, Tensor]:
    """One iteration; see the module."""
    gradient, offset = linear[:, :2], linear[:, 2]
    rho = gradient[:, 0] * flow[:, 0] + gradient[:, 1] * flow[:, 1] + offset
    reach = settings.lambda_ * settings.theta
    fitting = flow - (rho * inverse).clamp(-reach, reach)[:, None] * gradient
    across, down = dual.unbind(2)
    divergence = across - F.pad(across, (1, -1)) + (down - F.pad(down, (0, 0, 1, -1)))
    flow = fitting + settings.theta * divergence
    # Forward differences, zero at the last column and row respectively.
    across, down = F.pad(flow.diff(dim=-1), (0, 1)), F.pad(flow.diff(dim=-2), (0, 0, 0, 1))
    slope = torch.stack([across, down], dim=2) * (settings.tau / settings.theta)
    # Not `hypot`, whose last digit depends on where in memory a value lies.
    steepness = slope.square().sum(2, keepdim=True).sqrt()
    return flow, (dual + slope) / (1 + steepness)


def linearize(stack: Tensor, flow: Tensor) -> Tensor:
    """Warp the second frames by the flow and expand the brightness difference around it.

    Args:
        stack: (N + 1, 3, H, W) from `with_gradient`.
        flow: (N, 2, H, W)

    Returns:
        (N, 3, H, W): gradient a across, b down, and c: the difference is a u + b v + c.
    """
    height, width = stack.shape[2:]
    x = flow[:, 0] + torch.arange(width, device=flow.device)
    y = flow[:, 1] + torch.arange(height, device=flow.device)[:, None]
    warped = sample_cubic(stack[1:], x, y)
    expanded = warped[:, 1] * flow[:, 0] + warped[:, 2] * flow[:, 1]
    offset = warped[:, 0] - expanded - stack[:-1, 0]
    return torch.stack([warped[:, 1], warped[:, 2], offset], dim=1)


def sample_cubic(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Images (N, C, H, W) at the points x and y (N, H, W), zero outside, by Keys' kernel.

    PyTorch's `grid_sample` scales the points to [-1, 1] and back; the rounding would move frames
    that stand still.
    """
    height, width = images.shape[2:]
    pixels, result = images.flatten(2), torch.zeros_like(images)
    columns, rows = _cubic_taps(x, width), _cubic_taps(y, height)
    for (row, row_weight), (column, column_weight) in itertools.product(rows, columns):
        place = (row * width + column).flatten(1)[:, None].expand(-1, pixels.shape[1], -1)
        weight = (row_weight * column_weight)[:, None]
        result += weight * pixels.gather(2, place).view_as(result)
    return result


def _cubic_taps(place: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """Index and weight of the four pixels around each point; outside, the weight is zero."""
    first = place.floor()
    t = place - first
    before = CUBIC * t * (1 - t) * (1 - t)
    at = 1 - t * t * ((CUBIC + 3) - (CUBIC + 2) * t)
    last = CUBIC * t * t * (1 - t)
    taps = []
    for k, weight in enumerate((before, at, 1 - before - at - last, last)):
        index = first.long() + (k - 1)
        inside = (index >= 0) & (index < length)
        taps.append((index.clamp(0, length - 1), torch.where(inside, weight, 0)))
    return taps


def median(images: Tensor, side: int) -> Tensor:
    """Median of the `side` x `side` pixels, 1, 3 or 5, around each of images (N, C, H, W).

    The border's pixels are repeated beyond it. The columns of a window are sorted, then its rows.
    All that can then be the median stands on the three middle antidiagonals, and it is the middle
    one of these three: the greatest of the upper one, the median of the main one, the least of the
    lower one.
    """
    if side == 1:
        return images
    height, width = images.shape[2:]
    padded = F.pad(images, (side // 2,) * 4, mode="replicate")
    across = range(side)
    shifted = ([padded[..., i : i + height, j : j + width] for i in across] for j in across)
    columns = [_sorted(column) for column in shifted]
    rows = [_sorted([column[i] for column in columns]) for i in across]
    upper, middle, lower = (
        [rows[i][total - i] for i in across if 0 <= total - i < side]
        for total in (side - 2, side - 1, side)
    )
    middle_one = _sorted(middle)[side // 2]
    return _sorted([torch.stack(upper).amax(0), middle_one, torch.stack(lower).amin(0)])[1]


#: Exchanges that sort three and five values.
_EXCHANGES = {
    3: ((0, 2), (0, 1), (1, 2)),
    5: ((0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3)),
}


def _sorted(values: Sequence[Tensor]) -> list[Tensor]:
    """Three or five tensors, sorted element by element."""
    result = list(values)
    for i, j in _EXCHANGES[len(result)]:
        low, high = torch.minimum(result[i], result[j]), torch.maximum(result[i], result[j])
        result[i], result[j] = low, high
    return result
