// The plane of precision and recall: incomplete branches lie upper left, over-complete ones lower
// right, and lines of equal F1 say how far from good both are.

import { linear, linePath, placeLabels, xAxis, yAxis } from './axes.js';
import { branchMark, drawing, svg } from './dom.js';
import { shortStage } from './journey.js';

const PATH_OF_F1 = (f1, x, y) => {
  const points = [];
  for (let recall = f1 / (2 - f1); recall <= 1.0001; recall += 0.01) {
    points.push([100 * recall, (100 * f1 * recall) / (2 * recall - f1)]);
  }
  return linePath(points, x, y);
};

export function drawPrecisionRecall(points, width) {
  const side = Math.min(width, 440);
  const [left, right, top, bottom] = [44, side - 16, 12, side - 46];
  const x = linear([0, 100], [left, right]);
  const y = linear([0, 100], [bottom, top]);
  const label = points
    .map((p) => `${p.title}: precision ${p.precision.toFixed(0)} %, recall ${p.recall.toFixed(0)} %`)
    .join('; ');
  const chart = drawing(side, side, `Per-snippet precision and recall. ${label}`);
  chart.append(
    yAxis(y, [left, right], [0, 25, 50, 75, 100], String),
    xAxis(x, bottom, [0, 25, 50, 75, 100], String),
    svg('text', { x: (left + right) / 2, y: side - 6, 'text-anchor': 'middle' }, 'recall (%)'),
    svg('text', {
      transform: `translate(11 ${(top + bottom) / 2}) rotate(-90)`, 'text-anchor': 'middle',
    }, 'precision (%)'),
  );
  for (const f1 of [0.2, 0.4, 0.6, 0.8]) {
    chart.append(
      svg('path', { class: 'iso', d: PATH_OF_F1(f1, x, y) }),
      svg('text', { x: right - 4, y: y((100 * f1) / (2 - f1)) - 5, 'text-anchor': 'end', class: 'halo' }, `F1 ${100 * f1}`),
    );
  }
  for (const branch of ['cbp', 'vlp']) {
    const own = points.filter((point) => point.branch === branch);
    const path = linePath(own.map((p) => [p.recall, p.precision]), x, y);
    if (path) chart.append(svg('path', { class: `${branch} stroke thin`, d: path }));
  }
  chart.append(
    ...points.map((p) => branchMark(p.branch, x(p.recall), y(p.precision))),
    ...placeLabels(points.map((p) => ({
      x: x(p.recall), y: y(p.precision), text: shortStage(p.stage), className: p.branch,
    })), { left, right }),
  );
  return chart;
}
