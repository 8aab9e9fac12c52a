"""TV-L1 on one pyramid level in Triton's kernels; the equations are those of `tvl1_torch.py`.

The inner iterations are nearly all of the work, and memory would limit them. So one launch makes
several: a warp walks down a strip of columns, one for each of its lanes, and each row that it reads
goes through one iteration after the other, each a row behind the one before. What they need of the
rows above stays in registers, and neighbours across are in the lane beside. With each iteration one
more of the strip's outermost lanes becomes wrong, so strips overlap.

A pair ends at the very iteration at which its flow stands still, as in OpenCV. A launch that went
beyond it is discarded, and the next one stops there. So each pair has two buffers, and a record of
its next launch on the device, which the host reads once in `inner_iterations`.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from duetal.video.flow.interface import TVL1Settings
from duetal.video.flow.tvl1_torch import CUBIC, FLAT, with_gradient

STAGES = tl.constexpr(4)  #: Iterations of one launch, and lanes at a strip's sides that are wrong.
LANES = tl.constexpr(32)  #: Columns of a strip: one warp, so that a neighbour is one exchange away.
ROWS = tl.constexpr(64)  #: Rows of a strip, so that one pair keeps many warps busy.
PIXELS = tl.constexpr(512)  #: Pixels of a program where each pixel is computed by itself.
STRIPS = tl.constexpr(64)  #: Strips whose changes are added up at once.

#: Columns of a pair's record: which of the two buffers holds its flow, and its dual variables; the
#: iterations of the next launch; those left until the next median; 1 until the flow stands still.
FLOW, DUAL, STEPS, LEFT, MOVING = (tl.constexpr(column) for column in range(5))
RECORD = tl.constexpr(5)

_FLAT = tl.constexpr(FLAT)
_CUBIC = tl.constexpr(CUBIC)

#: Explicit because Triton changes its default: nothing here needs each product rounded.
_FUSION = {"enable_fp_fusion": True}


def solve_level(frames: Tensor, flow: Tensor, settings: TVL1Settings) -> Tensor:
    """Flow on one level of the pyramid, beginning from a rough one; see `tvl1_torch`."""
    # Triton launches on the current device, which need not be that of the frames.
    with torch.cuda.device_of(frames):
        level = _Level(with_gradient(frames), flow, settings)
        for _ in range(settings.warps):
            level.linearize()
            level.iterate()
        return level.flow()


class _Level:
    """The buffers of one level, and the launches on them."""

    def __init__(self, stack: Tensor, flow: Tensor, settings: TVL1Settings):
        self.stack, self.settings = stack, settings
        self.pairs, _, *size = flow.shape
        self.size = self.height, self.width = size
        self.flows = flow.new_empty(self.pairs, 2, 2, *size)
        self.flows[:, 0] = flow
        self.duals = flow.new_zeros(self.pairs, 2, 4, *size)
        self.linear = flow.new_empty(self.pairs, 3, *size)
        self.records = torch.zeros(self.pairs, RECORD.value, dtype=torch.int32, device=flow.device)
        across = triton.cdiv(self.width, LANES.value - 2 * STAGES.value)
        self.strips = across * triton.cdiv(self.height, ROWS.value)
        self.changes = flow.new_empty(self.pairs, self.strips, STAGES.value)
        self.blocks = triton.cdiv(self.height * self.width, PIXELS.value)

    def linearize(self) -> None:
        """Warp the second frames by the flow."""
        buffers = self.stack, self.flows, self.linear, self.records
        _linearize[(self.blocks, self.pairs)](*buffers, *self.size, **_FUSION)

    def iterate(self) -> None:
        """Iterate until each pair's flow stands still, with median filters in between."""
        self.records[:, MOVING.value] = 1
        launches = triton.cdiv(self.settings.inner_iterations, STAGES.value)
        for _ in range(self.settings.outer_iterations):
            self._filter()
            # One more, to repeat a launch that went too far.
            for _ in range(launches + 1):
                self._launch()
            if not self.records[:, MOVING.value].any():
                return

    def flow(self) -> Tensor:
        """The flow now, (N, 2, H, W)."""
        pairs = torch.arange(self.pairs, device=self.flows.device)
        return self.flows[pairs, self.records[:, FLOW.value].long()]

    def _filter(self) -> None:
        """Filter the flow of the pairs that move, and plan the iterations that follow."""
        moving = self.records[:, MOVING.value]
        side, inner = self.settings.median_filtering, self.settings.inner_iterations
        if side > 1:
            grid = self.blocks, self.pairs, 2
            _median[grid](self.flows, self.records, *self.size, side, **_FUSION)
            self.records[:, FLOW.value] ^= moving
        self.records[:, LEFT.value] = inner * moving
        self.records[:, STEPS.value] = min(inner, STAGES.value) * moving

    def _launch(self) -> None:
        """Up to STAGES iterations of the pairs that have some left."""
        settings = self.settings
        buffers = self.linear, self.flows, self.duals, self.records, self.changes
        numbers = settings.lambda_ * settings.theta, settings.theta, settings.tau / settings.theta
        options = {"num_warps": 1, **_FUSION}
        _iterate[(self.strips, self.pairs)](*buffers, *self.size, *numbers, **options)
        least = settings.epsilon**2 * self.height * self.width
        _decide[(self.pairs,)](self.changes, self.records, self.strips, least, **options)


@triton.jit(do_not_specialize=["height", "width"])
def _iterate(linear, flows, duals, records, changes, height, width, reach, theta, slope):
    """The next iterations of one strip; one program, of one warp, for each strip of each pair."""
    strip, pair = tl.program_id(0), tl.program_id(1).to(tl.int64)
    record = records + pair * RECORD
    steps = tl.load(record + STEPS)
    if steps == 0:
        return
    across = tl.cdiv(width, LANES - 2 * STAGES)
    top = (strip // across) * ROWS
    bottom = tl.minimum(top + ROWS, height)
    lane = tl.arange(0, LANES)
    x = (strip % across) * (LANES - 2 * STAGES) - STAGES + lane
    inside = (x >= 0) & (x < width)
    kept = inside & (lane >= STAGES) & (lane < LANES - STAGES)
    has_right = (x >= 0) & (x < width - 1)

    plane = height * width
    flow_buffer, dual_buffer = tl.load(record + FLOW), tl.load(record + DUAL)
    linear += pair * 3 * plane + x
    old_flow = flows + (pair * 2 + flow_buffer) * 2 * plane + x
    new_flow = flows + (pair * 2 + 1 - flow_buffer) * 2 * plane + x
    old_dual = duals + (pair * 2 + dual_buffer) * 4 * plane + x
    new_dual = duals + (pair * 2 + 1 - dual_buffer) * 4 * plane + x

    # What each iteration keeps of the row above: coefficients, new flow, and old dual variables.
    # Above the image all of it is zero.
    zero = tl.zeros((LANES,), tl.float32)
    lines, halves, totals = (), (), ()
    for _ in tl.static_range(STAGES):
        lines += ((zero, zero, zero, zero),)
        halves += ((zero, zero, zero, zero, zero, zero),)
        totals += (zero,)
    for row in range(top - STAGES, bottom + STAGES):
        y = tl.full((LANES,), row, tl.int32)
        seen = inside & (y >= 0) & (y < height)
        a, b, c = _load(linear + row * width, plane, seen, 3)
        line = (a, b, c, 1.0 / tl.maximum(a * a + b * b, _FLAT))
        state = _load(old_flow + row * width, plane, seen, 2)
        state += _load(old_dual + row * width, plane, seen, 4)
        new_lines, new_halves, new_totals = (), (), ()
        for k in tl.static_range(STAGES):
            # An iteration too many leaves the state as it is.
            on = tl.where(k < steps, 1.0, 0.0)
            half, change = _renew_flow(state, halves[k], line, on * reach, on * theta)
            has_below = (y >= 1) & (y < height)
            state = _renew_dual(halves[k], half, on * slope, has_right, has_below)
            counted = kept & (y >= top) & (y < bottom)
            new_totals += (totals[k] + tl.where(counted, change, 0.0),)
            new_halves += (half,)
            new_lines += (line,)
            line = lines[k]
            y -= 1
        lines, halves, totals = new_lines, new_halves, new_totals
        row_out = (row - STAGES) * width
        u, v, ux, uy, vx, vy = state
        _store(new_flow + row_out, plane, kept & (y >= top), (u, v))
        _store(new_dual + row_out, plane, kept & (y >= top), (ux, uy, vx, vy))
    for k in tl.static_range(STAGES):
        place = (pair * tl.num_programs(0) + strip) * STAGES + k
        tl.store(changes + place, tl.sum(totals[k]))


@triton.jit
def _load(row, plane, seen, count):
    """A row of so many planes, zero where it is not seen."""
    values = ()
    for k in tl.static_range(count):
        values += (tl.load(row + k * plane, seen, 0.0),)
    return values


@triton.jit
def _store(row, plane, kept, values):
    """Write a row of several planes."""
    for k in tl.static_range(len(values)):
        tl.store(row + k * plane, values[k], kept)


@triton.jit
def _renew_flow(state, above, line, reach, theta):
    """A row's state (flow u and v, u's duals, v's) with its new flow, and the squared change."""
    u, v, ux, uy, vx, vy = state
    a, b, c, inverse = line
    fit = (a * u + b * v + c) * inverse
    fit = tl.minimum(tl.maximum(fit, -reach), reach)
    u_change = theta * (ux - _beside(ux, -1) + uy - above[3]) - fit * a
    v_change = theta * (vx - _beside(vx, -1) + vy - above[5]) - fit * b
    half = (u + u_change, v + v_change, ux, uy, vx, vy)
    return half, u_change * u_change + v_change * v_change


@triton.jit
def _renew_dual(half, below, slope, has_right, has_below):
    """A row's whole new state, from its new flow and that of the row below."""
    u, v, ux, uy, vx, vy = half
    ux, uy = _ascend(ux, uy, u, below[0], slope, has_right, has_below)
    vx, vy = _ascend(vx, vy, v, below[1], slope, has_right, has_below)
    return u, v, ux, uy, vx, vy


@triton.jit
def _ascend(across, down, flow, below, slope, has_right, has_below):
    """New dual variables of one component. Outside the image they are and stay zero."""
    to_right = tl.where(has_right, slope * (_beside(flow, 1) - flow), 0.0)
    to_below = tl.where(has_below, slope * (below - flow), 0.0)
    shrink = 1.0 / (1.0 + tl.sqrt(to_right * to_right + to_below * to_below))
    return (across + to_right) * shrink, (down + to_below) * shrink


@triton.jit
def _beside(row, distance: tl.constexpr):
    """The values so many lanes further; the outermost ones repeat."""
    lane = tl.minimum(tl.maximum(tl.arange(0, LANES) + distance, 0), LANES - 1)
    return tl.gather(row, lane, 0)


@triton.jit(do_not_specialize=["strips"])
def _decide(changes, records, strips, least):
    """Accept or discard the last launch's result for a pair, and plan its next launch."""
    pair = tl.program_id(0).to(tl.int64)
    record = records + pair * RECORD
    steps = tl.load(record + STEPS)
    if steps == 0:
        return
    step = tl.arange(0, STAGES)
    change = tl.zeros((STAGES,), tl.float32)
    for begin in range(0, strips, STRIPS):
        strip = begin + tl.arange(0, STRIPS)[:, None]
        places = changes + (pair * strips + strip) * STAGES + step[None, :]
        change += tl.sum(tl.load(places, (strip < strips) & (step[None, :] < steps), 0.0), 0)
    # The iteration after which the flow stood still for the first time.
    needed = tl.min(tl.where((change <= least) & (step < steps), step + 1, STAGES + 1))
    if needed < steps:
        tl.store(record + STEPS, needed)
    else:
        still = needed == steps
        left = tl.where(still, 0, tl.load(record + LEFT) - steps)
        tl.store(record + FLOW, 1 - tl.load(record + FLOW))
        tl.store(record + DUAL, 1 - tl.load(record + DUAL))
        tl.store(record + MOVING, tl.where(still, 0, 1))
        tl.store(record + LEFT, left)
        tl.store(record + STEPS, tl.minimum(left, STAGES))


@triton.jit(do_not_specialize=["height", "width"])
def _linearize(stack, flows, linear, records, height, width):
    """`tvl1_torch.linearize`; one program for each block of pixels of each pair."""
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    pair = tl.program_id(1).to(tl.int64)
    plane = height * width
    inside = pixel < plane
    buffer = tl.load(records + pair * RECORD + FLOW)
    flow = flows + (pair * 2 + buffer) * 2 * plane + pixel
    u, v = _load(flow, plane, inside, 2)
    x, y = (pixel % width) + u, (pixel // width) + v
    column, row = tl.floor(x), tl.floor(y)
    x -= column
    y -= row
    image = tl.zeros((PIXELS,), tl.float32)
    across, down = image, image
    second = stack + (pair + 1) * 3 * plane
    for i in tl.static_range(4):
        for j in tl.static_range(4):
            weight = _cubic_weight(y, i) * _cubic_weight(x, j)
            at_row = row.to(tl.int32) + (i - 1)
            at_column = column.to(tl.int32) + (j - 1)
            seen = inside & (at_row >= 0) & (at_row < height)
            seen = seen & (at_column >= 0) & (at_column < width)
            values = _load(second + at_row * width + at_column, plane, seen, 3)
            image += weight * values[0]
            across += weight * values[1]
            down += weight * values[2]
    here = tl.load(stack + pair * 3 * plane + pixel, inside, 0.0)
    offset = image - (across * u + down * v) - here
    _store(linear + pair * 3 * plane + pixel, plane, inside, (across, down, offset))


@triton.jit
def _cubic_weight(t, tap: tl.constexpr):
    """Keys' kernel for one of the four taps around a point t after the second."""
    before = _CUBIC * t * (1 - t) * (1 - t)
    at = 1 - t * t * ((_CUBIC + 3) - (_CUBIC + 2) * t)
    last = _CUBIC * t * t * (1 - t)
    weights = (before, at, 1 - before - at - last, last)
    return weights[tap]


@triton.jit(do_not_specialize=["height", "width"])
def _median(flows, records, height, width, side: tl.constexpr):
    """`tvl1_torch.median` of one component of the flow, into the pair's other buffer."""
    pair, component = tl.program_id(1).to(tl.int64), tl.program_id(2)
    record = records + pair * RECORD
    if tl.load(record + MOVING) == 0:
        return
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    plane = height * width
    buffer = tl.load(record + FLOW)
    old = flows + ((pair * 2 + buffer) * 2 + component) * plane
    new = flows + ((pair * 2 + 1 - buffer) * 2 + component) * plane
    # Pixels beyond the image are read at its border and not written.
    y, x = pixel // width, pixel % width
    size = (height, width)
    result = _median_3(old, y, x, *size) if side == 3 else _median_5(old, y, x, *size)
    tl.store(new + pixel, result, pixel < plane)


@triton.jit
def _at(image, y, x, height, width):
    """Pixels of an image whose border is repeated beyond it."""
    y = tl.minimum(tl.maximum(y, 0), height - 1)
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    return tl.load(image + y * width + x)


@triton.jit
def _column(image, y, x, height, width, side):
    """The pixels around a place in its column, three or five."""
    values = ()
    for k in tl.static_range(side):
        values += (_at(image, y + k - side // 2, x, height, width),)
    return values


@triton.jit
def _median_3(image, y, x, height, width):
    """Median of 3 x 3 pixels."""
    a0, a1, a2 = _sorted_3(*_column(image, y, x - 1, height, width, 3))
    b0, b1, b2 = _sorted_3(*_column(image, y, x, height, width, 3))
    c0, c1, c2 = _sorted_3(*_column(image, y, x + 1, height, width, 3))
    a0, b0, c0 = _sorted_3(a0, b0, c0)
    a1, b1, c1 = _sorted_3(a1, b1, c1)
    a2, b2, c2 = _sorted_3(a2, b2, c2)
    middle = _middle_3(c0, b1, a2)
    return _middle_3(tl.maximum(b0, a1), middle, tl.minimum(c1, b2))


@triton.jit
def _median_5(image, y, x, height, width):
    """Median of 5 x 5 pixels."""
    a0, a1, a2, a3, a4 = _sorted_5(*_column(image, y, x - 2, height, width, 5))
    b0, b1, b2, b3, b4 = _sorted_5(*_column(image, y, x - 1, height, width, 5))
    c0, c1, c2, c3, c4 = _sorted_5(*_column(image, y, x, height, width, 5))
    d0, d1, d2, d3, d4 = _sorted_5(*_column(image, y, x + 1, height, width, 5))
    e0, e1, e2, e3, e4 = _sorted_5(*_column(image, y, x + 2, height, width, 5))
    a0, b0, c0, d0, e0 = _sorted_5(a0, b0, c0, d0, e0)
    a1, b1, c1, d1, e1 = _sorted_5(a1, b1, c1, d1, e1)
    a2, b2, c2, d2, e2 = _sorted_5(a2, b2, c2, d2, e2)
    a3, b3, c3, d3, e3 = _sorted_5(a3, b3, c3, d3, e3)
    a4, b4, c4, d4, e4 = _sorted_5(a4, b4, c4, d4, e4)
    greatest = tl.maximum(tl.maximum(d0, c1), tl.maximum(b2, a3))
    _, _, middle, _, _ = _sorted_5(e0, d1, c2, b3, a4)
    least = tl.minimum(tl.minimum(e1, d2), tl.minimum(c3, b4))
    return _middle_3(greatest, middle, least)


@triton.jit
def _middle_3(a, b, c):
    """The middle one of three values."""
    return tl.maximum(tl.minimum(a, b), tl.minimum(tl.maximum(a, b), c))


@triton.jit
def _sorted_3(a, b, c):
    """Three values in order."""
    a, c = tl.minimum(a, c), tl.maximum(a, c)
    a, b = tl.minimum(a, b), tl.maximum(a, b)
    b, c = tl.minimum(b, c), tl.maximum(b, c)
    return a, b, c


@triton.jit
def _sorted_5(a, b, c, d, e):
    """Five values in order, by nine exchanges."""
    a, d = tl.minimum(a, d), tl.maximum(a, d)
    b, e = tl.minimum(b, e), tl.maximum(b, e)
    a, c = tl.minimum(a, c), tl.maximum(a, c)
    b, d = tl.minimum(b, d), tl.maximum(b, d)
    a, b = tl.minimum(a, b), tl.maximum(a, b)
    c, e = tl.minimum(c, e), tl.maximum(c, e)
    b, c = tl.minimum(b, c), tl.maximum(b, c)
    d, e = tl.minimum(d, e), tl.maximum(d, e)
    c, d = tl.minimum(c, d), tl.maximum(c, d)
    return a, b, c, d, e
