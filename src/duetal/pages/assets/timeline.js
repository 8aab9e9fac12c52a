// What every timeline has: the axis of time, score curves, and a cursor that follows the pointer.

import { linear, linePath, timeTicks, xAxis, yAxis } from './axes.js';
import { decodeCurve } from './columns.js';
import { clamp, clock, hideTip, showTip, svg } from './dom.js';
import { centreOf, snippetAt } from './grid.js';

/** @import { Branch, Curve, Grid, Pair, Scale } from './types' */

export const CURVES = { top: 18, bottom: 150 };

/**
 * @param {Scale} x
 * @param {number} bottom
 */
export function timeAxis(x, bottom) {
  const values = timeTicks(x.domain, (x.range[1] - x.range[0]) / 70);
  const digits = x.domain[1] - x.domain[0] < 8 ? 1 : 0;
  return svg('g', { class: 'time-axis' },
    ...values.map((value) => svg('line', { class: 'grid', x1: x(value), x2: x(value), y1: 18, y2: bottom })),
    svg('line', { class: 'axis', x1: x.range[0], x2: x.range[1], y1: bottom, y2: bottom }),
    xAxis(x, bottom, values, (value) => clock(value, digits)));
}

export const curveScale = () => linear([0, 1], [CURVES.bottom, CURVES.top]);

/**
 * @param {number} left
 * @param {number} width
 */
export const curveAxis = (left, width) => yAxis(curveScale(), [left, width - 10], [0, 0.5, 1], String);

/**
 * The part of a drawing that is cut off at the plot's edges, with the definition of these.
 *
 * @param {SVGElement} chart
 * @param {Pair} ends
 * @param {number} bottom
 */
export function addPlot(chart, [left, right], bottom) {
  const area = svg('rect', { class: 'plot-area', x: left, y: 0, width: right - left, height: bottom + 2 });
  const inside = svg('g', { 'clip-path': 'url(#plot-clip)' });
  chart.append(svg('defs', {}, svg('clipPath', { id: 'plot-clip' }, area)));
  return inside;
}

/**
 * Curves of a class, of the branches that have one.
 *
 * @template {string | number} Label
 * @param {Branch[]} branches
 * @param {Record<string, Record<Label, string>>} scores
 * @param {Label} label
 * @returns {Curve[]}
 */
export const curvesOf = (branches, scores, label) => branches.flatMap((branch) => {
  const text = scores[branch.name]?.[label];
  return text === undefined ? [] : [{ branch, values: decodeCurve(text) }];
});

/**
 * @param {Curve[]} curves
 * @param {number} pool
 * @param {Grid} grid
 * @param {Scale} x
 */
export function scoreCurves(curves, pool, grid, x) {
  const y = curveScale();
  // A point joins `pool` snippets.
  const seconds = (/** @type {number} */ i) => centreOf(i * pool + (pool - 1) / 2, grid);
  return curves.map(({ branch, values }) => {
    const points = Array.from(values, (value, i) => /** @type {Pair} */ ([seconds(i), value]));
    return svg('path', { class: `${branch.mark} stroke curve`, d: linePath(points, x, y) });
  });
}

/**
 * The values of curves at a second: "CBP 0.62".
 *
 * @param {Curve[]} curves
 * @param {number} seconds
 * @param {number} pool
 * @param {Grid} grid
 */
export function scoresAt(curves, seconds, pool, grid) {
  const point = Math.floor(snippetAt(seconds, grid) / pool);
  return curves.filter(({ values }) => values[point] !== undefined)
    .map(({ branch, values }) => `${branch.title} ${values[point].toFixed(2)}`);
}

/**
 * Pixels of a pointer from the left edge of a drawing.
 *
 * @param {MouseEvent} event
 * @param {Element} chart
 */
export const pixelOf = (event, chart) => event.clientX - chart.getBoundingClientRect().left;

/**
 * A line under the pointer; `read(seconds, event)` gives the lines of text beside it.
 *
 * @param {SVGElement} chart
 * @param {SVGElement} inside
 * @param {Scale} x
 * @param {number} bottom
 * @param {(seconds: number, event: MouseEvent) => string[]} read
 */
export function addCursor(chart, inside, x, bottom, read) {
  const cursor = svg('line', { class: 'cursor', y1: 18, y2: bottom, visibility: 'hidden' });
  inside.append(cursor);
  const hide = () => {
    cursor.setAttribute('visibility', 'hidden');
    hideTip();
  };
  chart.addEventListener('pointermove', (event) => {
    const pixel = pixelOf(event, chart);
    if (pixel < x.range[0] || pixel > x.range[1]) {
      hide();
      return;
    }
    cursor.setAttribute('visibility', 'visible');
    cursor.setAttribute('x1', String(pixel));
    cursor.setAttribute('x2', String(pixel));
    showTip(event, read(x.invert(pixel), event));
  });
  chart.addEventListener('pointerleave', hide);
}

/**
 * Drag over a chart to look closer.
 *
 * @param {SVGElement} chart
 * @param {SVGElement} inside
 * @param {Scale} x
 * @param {number} bottom
 * @param {(view: Pair) => void} zoom
 */
export function addBrush(chart, inside, x, bottom, zoom) {
  const brush = svg('rect', { class: 'brush', y: 0, height: bottom, width: 0 });
  /** @type {number | null} */
  let from = null;
  inside.append(brush);
  const at = (/** @type {MouseEvent} */ event) => clamp(pixelOf(event, chart), x.range[0], x.range[1]);
  const stop = () => {
    from = null;
    brush.setAttribute('width', '0');
  };
  chart.addEventListener('pointerdown', (event) => {
    if (event.button === 0) from = at(event);
  });
  chart.addEventListener('pointermove', (event) => {
    // The button may have been released outside of the chart.
    if (from === null || event.buttons === 0) {
      stop();
      return;
    }
    brush.setAttribute('x', String(Math.min(from, at(event))));
    brush.setAttribute('width', String(Math.abs(at(event) - from)));
  }, { capture: true });
  chart.addEventListener('pointerup', (event) => {
    const to = at(event);
    const [low, high] = [Math.min(from ?? to, to), Math.max(from ?? to, to)];
    stop();
    if (high - low > 6) zoom([x.invert(low), x.invert(high)]);
  });
}
