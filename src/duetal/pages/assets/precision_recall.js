// The plane of precision and recall: incomplete branches lie upper left, over-complete ones lower
// right, and lines of equal F1 show how good both are together.

import { linePath, linear, placeLabels, xAxis, yAxis } from './axes.js';
import { drawing, markAt, svg } from './dom.js';

/** @import { Pair, RunPage, Scale } from './types' */

const PERCENT = [0, 25, 50, 75, 100];

/**
 * @param {number} f1
 * @param {Scale} x
 * @param {Scale} y
 */
function pathOfF1(f1, x, y) {
  const points = [];
  for (let recall = f1 / (2 - f1); recall <= 1.0001; recall += 0.01) {
    points.push(/** @type {Pair} */ ([100 * recall, (100 * f1 * recall) / (2 * recall - f1)]));
  }
  return linePath(points, x, y);
}

/**
 * @param {RunPage} page
 * @param {number} width
 */
export function drawPrecisionRecall({ precisionRecall: points, branches }, width) {
  const side = Math.min(width, 440);
  const [left, right, top, bottom] = [44, side - 16, 12, side - 46];
  const x = linear([0, 100], [left, right]);
  const y = linear([0, 100], [bottom, top]);
  const label = points
    .map((p) => `${p.title}: precision ${p.precision.toFixed(0)} %, recall ${p.recall.toFixed(0)} %`)
    .join('; ');
  const chart = drawing(side, side, `Per-snippet precision and recall. ${label}`);
  chart.append(
    yAxis(y, [left, right], PERCENT, String),
    xAxis(x, bottom, PERCENT, String),
    svg('text', { x: (left + right) / 2, y: side - 6, 'text-anchor': 'middle' }, 'recall (%)'),
    svg('text', {
      transform: `translate(11 ${(top + bottom) / 2}) rotate(-90)`, 'text-anchor': 'middle',
    }, 'precision (%)'),
  );
  for (const f1 of [0.2, 0.4, 0.6, 0.8]) {
    chart.append(
      svg('path', { class: 'iso', d: pathOfF1(f1, x, y) }),
      svg('text', { x: right - 4, y: y((100 * f1) / (2 - f1)) - 5, 'text-anchor': 'end', class: 'halo' }, `F1 ${100 * f1}`),
    );
  }
  for (const { name, mark } of branches) {
    const own = points.filter(({ branch }) => branch === name);
    const path = linePath(own.map((p) => [p.recall, p.precision]), x, y);
    if (path) chart.append(svg('path', { class: `${mark} stroke thin`, d: path }));
  }
  chart.append(
    ...points.map((p) => markAt(p.mark, x(p.recall), y(p.precision))),
    ...placeLabels(points.map((p) =>
      ({ x: x(p.recall), y: y(p.precision), text: p.short, mark: p.mark })), [left, right]),
  );
  return chart;
}
