// What every timeline has: the axis of time, score curves, and a cursor that follows the pointer.

import { linear, linePath, timeTicks, xAxis, yAxis } from './axes.js';
import { decodeCurve } from './columns.js';
import { clock, hideTip, showTip, svg } from './dom.js';

export const CURVES = { top: 18, bottom: 150 };
export const LANE = { label: 16, up: 28, down: 9, gap: 10 };
export const LANE_HEIGHT = LANE.label + LANE.up + LANE.down + LANE.gap;
export const PLOT_LEFT = 34;

export function timeAxis(x, bottom) {
  const room = x.range[1] - x.range[0];
  const values = timeTicks(x.domain, room / 70);
  const digits = x.domain[1] - x.domain[0] < 8 ? 1 : 0;
  return svg('g', { class: 'time-axis' },
    ...values.map((value) => svg('line', { class: 'grid', x1: x(value), x2: x(value), y1: 18, y2: bottom })),
    svg('line', { class: 'axis', x1: x.range[0], x2: x.range[1], y1: bottom, y2: bottom }),
    xAxis(x, bottom, values, (value) => clock(value, digits)));
}

export const curveScale = () => linear([0, 1], [CURVES.bottom, CURVES.top]);

export const curveAxis = (left, width) =>
  yAxis(curveScale(), [left, width - 10], [0, 0.5, 1], (value) => String(value));

/** Curves of a class: `[[branch, values], …]`. */
export const curvesOf = (scores, label) => Object.entries(scores)
  .filter(([, byClass]) => byClass[label] !== undefined)
  .map(([branch, byClass]) => [branch, decodeCurve(byClass[label])]);

/** Seconds of the middle of a curve's point `i`, which joins `pool` snippets. */
function pointSeconds(i, pool, grid) {
  const snippet = i * pool + (pool - 1) / 2;
  return (snippet * grid.stride + grid.window / 2) / grid.fps;
}

/** The point of a curve whose span holds a second. */
const pointAt = (seconds, pool, grid) => Math.floor((seconds * grid.fps) / (grid.stride * pool));

export function scoreCurves(curves, pool, grid, x) {
  const y = curveScale();
  return curves.map(([branch, values]) => {
    const points = Array.from(values, (value, i) => [pointSeconds(i, pool, grid), value]);
    return svg('path', { class: `${branch} stroke curve`, d: linePath(points, x, y) });
  });
}

/** What the curves say at a second: "CBP 0.62". */
export const scoresAt = (curves, seconds, pool, grid) => curves
  .map(([branch, values]) => [branch, values[pointAt(seconds, pool, grid)]])
  .filter(([, value]) => value !== undefined)
  .map(([branch, value]) => `${branch.toUpperCase()} ${value.toFixed(2)}`);

/** A line under the pointer; `read(seconds, event)` gives the lines of text beside it. */
export function addCursor(chart, inside, x, bottom, read) {
  const cursor = svg('line', { class: 'cursor', y1: 18, y2: bottom, visibility: 'hidden' });
  inside.append(cursor);
  chart.addEventListener('pointermove', (event) => {
    const pixel = event.clientX - chart.getBoundingClientRect().left;
    const within = pixel >= x.range[0] && pixel <= x.range[1];
    cursor.setAttribute('visibility', within ? 'visible' : 'hidden');
    if (!within) return hideTip();
    cursor.setAttribute('x1', pixel);
    cursor.setAttribute('x2', pixel);
    return showTip(event, read(x.invert(pixel), event));
  });
  chart.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    hideTip();
  });
}

/** Drag over a chart to look closer. */
export function addBrush(chart, inside, x, bottom, zoom) {
  const brush = svg('rect', { class: 'brush', y: 0, height: bottom, width: 0 });
  let from = null;
  inside.append(brush);
  const at = (event) => {
    const pixel = event.clientX - chart.getBoundingClientRect().left;
    return Math.min(x.range[1], Math.max(x.range[0], pixel));
  };
  const stop = () => {
    from = null;
    brush.setAttribute('width', 0);
  };
  chart.addEventListener('pointerdown', (event) => {
    if (event.button === 0) from = at(event);
  });
  chart.addEventListener('pointermove', (event) => {
    // The button may have been let go outside of the chart.
    if (from === null || event.buttons === 0) return stop();
    brush.setAttribute('x', Math.min(from, at(event)));
    return brush.setAttribute('width', Math.abs(at(event) - from));
  }, { capture: true });
  chart.addEventListener('pointerup', (event) => {
    const edges = from === null ? [0, 0] : [from, at(event)].sort((a, b) => a - b);
    stop();
    if (edges[1] - edges[0] > 6) zoom(edges.map(x.invert));
  });
}
