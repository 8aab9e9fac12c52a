// Scales, ticks and the lines and letters of axes.

import { svg } from './dom.js';

/** Linear map from `[d0, d1]` to `[r0, r1]`; `invert` goes back. */
export function linear([d0, d1], [r0, r1]) {
  const span = d1 - d0 || 1;
  const scale = (value) => r0 + ((value - d0) / span) * (r1 - r0);
  scale.invert = (pixel) => d0 + ((pixel - r0) / (r1 - r0 || 1)) * span;
  scale.domain = [d0, d1];
  scale.range = [r0, r1];
  return scale;
}

/** About `wanted` round numbers (1, 2 or 5 times a power of ten) inside `[low, high]`. */
export function ticks([low, high], wanted, steps = [1, 2, 5, 10]) {
  const raw = (high - low) / Math.max(1, wanted);
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = steps.map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** Like `ticks`, in steps that divide minutes and hours. */
export function timeTicks([low, high], wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  const step = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((size) => size >= raw);
  if (raw <= 5 || !step) return ticks([low, high], wanted);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

/** Horizontal rules with their values at the left. */
export function yAxis(y, [left, right], values, format) {
  return svg('g', {}, ...values.flatMap((value) => [
    svg('line', { class: 'grid', x1: left, x2: right, y1: y(value), y2: y(value) }),
    svg('text', { x: left - 8, y: y(value), dy: '0.32em', 'text-anchor': 'end' }, format(value)),
  ]));
}

/** Values below the plot, at `bottom`. */
export function xAxis(x, bottom, values, format) {
  return svg('g', {}, ...values.map((value) => svg('text', {
    x: x(value), y: bottom + 18, 'text-anchor': 'middle',
  }, format(value))));
}

/** Path through `[x, y]` points; a point whose y is null leaves a gap. */
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

/** Place labels round their points where they cover the fewest others: `[{x, y, text}]` → SVG. */
export function placeLabels(points, { left = 0, right = Infinity }) {
  const boxes = points.map(({ x, y }) => [x - 7, y - 7, x + 7, y + 7]);
  return points.map(({ x, y, text, className }) => {
    const width = text.length * 6.6;
    const places = [
      [x + 10, y + 4, 'start'], [x - 10, y + 4, 'end'], [x, y - 11, 'middle'], [x, y + 19, 'middle'],
      [x + 8, y - 8, 'start'], [x - 8, y - 8, 'end'], [x + 8, y + 16, 'start'], [x - 8, y + 16, 'end'],
    ];
    const box = ([px, py, anchor]) => {
      const start = px - width * { start: 0, middle: 0.5, end: 1 }[anchor];
      return [start, py - 10, start + width, py + 3];
    };
    const cost = (place) => {
      const [l, t, r, b] = box(place);
      const outside = l < left || r > right ? 10 : 0;
      return outside + boxes.filter(([l2, t2, r2, b2]) => l < r2 && r > l2 && t < b2 && b > t2).length;
    };
    const best = places.reduce((a, b) => (cost(b) < cost(a) ? b : a));
    boxes.push(box(best));
    return svg('text', {
      x: best[0], y: best[1], 'text-anchor': best[2], class: `halo fill ${className}`,
    }, text);
  });
}
