// Scales, ticks, axes and labels of charts.

import { svg } from './dom.js';

/** @import { Pair, Scale } from './types' */

/**
 * A linear map from a domain to a range of pixels; `invert` goes back.
 *
 * @param {Pair} domain
 * @param {Pair} range
 * @returns {Scale}
 */
export function linear(domain, range) {
  const [d0, d1] = domain;
  const [r0, r1] = range;
  const scale = (/** @type {number} */ value) => r0 + ((value - d0) / (d1 - d0 || 1)) * (r1 - r0);
  const invert = (/** @type {number} */ pixel) => d0 + ((pixel - r0) / (r1 - r0 || 1)) * (d1 - d0 || 1);
  return Object.assign(scale, { invert, domain, range });
}

/**
 * Multiples of `step` from `low` to `high`.
 *
 * @param {Pair} domain
 * @param {number} step
 */
function multiples([low, high], step) {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/**
 * About `wanted` round numbers (1, 2 or 5 times a power of ten) inside the domain.
 *
 * @param {Pair} domain
 * @param {number} wanted
 */
export function ticks(domain, wanted) {
  const raw = (domain[1] - domain[0]) / Math.max(1, wanted);
  if (!(raw > 0)) return [domain[0]];
  const power = 10 ** Math.floor(Math.log10(raw));
  const steps = [1, 2, 5, 10].map((factor) => factor * power);
  return multiples(domain, steps.find((size) => size >= raw * 0.999) ?? 10 * power);
}

/**
 * Like `ticks`, in steps that divide minutes and hours.
 *
 * @param {Pair} domain
 * @param {number} wanted
 */
export function timeTicks(domain, wanted) {
  const raw = (domain[1] - domain[0]) / Math.max(1, wanted);
  const step = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((size) => size >= raw);
  return raw <= 5 || !step ? ticks(domain, wanted) : multiples(domain, step);
}

/**
 * Horizontal rules with their values at the left.
 *
 * @param {Scale} y
 * @param {Pair} ends
 * @param {number[]} values
 * @param {(value: number) => string} format
 */
export function yAxis(y, [left, right], values, format) {
  return svg('g', {}, ...values.flatMap((value) => [
    svg('line', { class: 'grid', x1: left, x2: right, y1: y(value), y2: y(value) }),
    svg('text', { x: left - 8, y: y(value), dy: '0.32em', 'text-anchor': 'end' }, format(value)),
  ]));
}

/**
 * Values below the plot, at `bottom`.
 *
 * @param {Scale} x
 * @param {number} bottom
 * @param {number[]} values
 * @param {(value: number) => string} format
 */
export function xAxis(x, bottom, values, format) {
  return svg('g', {}, ...values.map((value) => svg('text', {
    x: x(value), y: bottom + 18, 'text-anchor': 'middle',
  }, format(value))));
}

/**
 * Path through `[x, y]` points; a point whose y is null leaves a gap.
 *
 * @param {[number, number | null][]} points
 * @param {Scale} x
 * @param {Scale} y
 */
export function linePath(points, x, y) {
  let pen = 'M';
  let path = '';
  for (const [at, value] of points) {
    if (value === null) {
      pen = 'M';
    } else {
      path += `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = 'L';
    }
  }
  return path;
}

/**
 * Place labels around their points where they cover the fewest others.
 *
 * @param {{ x: number, y: number, text: string, mark: string }[]} points
 * @param {Pair} ends of the plot
 */
export function placeLabels(points, [left, right]) {
  const boxes = points.map(({ x, y }) => [x - 7, y - 7, x + 7, y + 7]);
  return points.map(({ x, y, text, mark }) => {
    const width = text.length * 6.6;
    const cost = (/** @type {number[]} */ [px, py, before]) => {
      const [l, t, r, b] = [px - width * before, py - 10, px + width * (1 - before), py + 3];
      const outside = l < left || r > right ? 10 : 0;
      return outside + boxes.filter(([l2, t2, r2, b2]) => l < r2 && r > l2 && t < b2 && b > t2).length;
    };
    // Where the text's anchor stands, and the share of the text before it.
    const best = [
      [x + 10, y + 4, 0], [x - 10, y + 4, 1], [x, y - 11, 0.5], [x, y + 19, 0.5],
      [x + 8, y - 8, 0], [x - 8, y - 8, 1], [x + 8, y + 16, 0], [x - 8, y + 16, 1],
    ].reduce((a, b) => (cost(b) < cost(a) ? b : a));
    const [px, py, before] = best;
    boxes.push([px - width * before, py - 10, px + width * (1 - before), py + 3]);
    return svg('text', {
      x: px, y: py, 'text-anchor': ['start', 'middle', 'end'][2 * before], class: `halo fill ${mark}`,
    }, text);
  });
}
