// The journey of the branches: average mAP after each step, and which branch taught which.

import { linePath, linear, ticks, yAxis } from './axes.js';
import { drawing, hideTip, markAt, showTip, svg } from './dom.js';

/** @import { Branch, JourneyPoint, Pair, RunPage, Scale } from './types' */

/**
 * @param {JourneyPoint[]} points
 * @returns {Pair}
 */
function journeyRange(points) {
  const low = Math.min(...points.map((point) => point.mean - (point.spread ?? 0)));
  const high = Math.max(...points.map((point) => point.mean + (point.spread ?? 0)));
  const room = Math.max(1, (high - low) * 0.18);
  return [Math.max(0, low - room), high + room];
}

/**
 * @param {RunPage} page
 * @param {number} width
 */
export function drawJourney({ journey: points, branches, headline }, width) {
  const [left, right, top, bottom] = [40, width - 30, 34, 252];
  const x = linear([0, Math.max(1, points.length - 1)], [left + 28, right - 16]);
  const y = linear(journeyRange(points), [bottom, top]);
  const isCrowded = x(1) - x(0) < 62;
  const label = points.map((p) => `${p.title}: ${p.mean.toFixed(1)} %`).join('; ');
  const chart = drawing(width, bottom + (isCrowded ? 44 : 28), `mAP at tIoU ${headline} by stage. ${label}`);
  chart.append(
    yAxis(y, [left, right + 30], ticks(y.domain, 5), (value) => `${+value.toFixed(1)}`),
    ...points.map((point, i) => svg('text', {
      x: x(i), y: bottom + (isCrowded && i % 2 ? 34 : 18), 'text-anchor': 'middle',
    }, point.short)),
    svg('text', { x: 0, y: 14 }, `mAP, tIoU ${headline} (%)`),
  );
  points.forEach((point, i) => {
    const from = point.teacher;
    if (from === null) return;
    const [x0, y0, x1, y1] = [x(from), y(points[from].mean), x(i), y(point.mean)];
    const bend = (x1 - x0) / 2;
    chart.append(svg('path', {
      class: 'teaches', d: `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`,
    }));
  });
  for (const { name, mark } of branches) {
    const own = points.flatMap((p, i) => (p.branch === name ? [/** @type {Pair} */ ([i, p.mean])] : []));
    if (own.length) chart.append(svg('path', { class: `${mark} stroke`, d: linePath(own, x, y) }));
  }
  chart.append(...points.flatMap((point, i) => drawPoint(point, x(i), y, liesBelow(points, i))));
  chart.append(...drawKey(points, branches, right));
  return chart;
}

/**
 * The key at the upper right, for the branches that occur.
 *
 * @param {JourneyPoint[]} points
 * @param {Branch[]} branches
 * @param {number} right
 */
function drawKey(points, branches, right) {
  const titles = new Map(points.map(({ mark, branch, title }) =>
    [mark, branches.find(({ name }) => name === branch)?.title ?? title]));
  let at = right + 6;
  const key = [];
  for (const [mark, title] of [...titles].reverse()) {
    at -= title.length * 7 + 28;
    key.push(markAt(mark, at, 10), svg('text', { x: at + 10, y: 14, class: `${mark} fill` }, title));
  }
  if (at > 330 && points.some(({ teacher }) => teacher !== null)) {
    at -= 90;
    key.push(svg('path', { class: 'teaches', d: `M${at} 10h24` }),
      svg('text', { x: at + 32, y: 14 }, 'teaches'));
  }
  return key;
}

/**
 * Whether a point lies below the line of the other branches: its number is then drawn below it.
 *
 * @param {JourneyPoint[]} points
 * @param {number} index
 */
function liesBelow(points, index) {
  const { branch, mean } = points[index];
  const others = points.map((point, i) => ({ ...point, i }))
    .filter((point) => point.branch !== branch && point.branch !== null);
  const before = others.findLast(({ i }) => i < index);
  const after = others.find(({ i }) => i > index);
  if (branch === null || !before) return false;
  if (!after) return mean < before.mean;
  const share = (index - before.i) / (after.i - before.i);
  return mean < before.mean + share * (after.mean - before.mean);
}

/**
 * @param {JourneyPoint} point
 * @param {number} at
 * @param {Scale} y
 * @param {boolean} isBelow
 */
function drawPoint({ title, mark, mean, spread }, at, y, isBelow) {
  const high = y(mean + (spread ?? 0));
  const low = y(mean - (spread ?? 0));
  const whisker = spread === null ? [] : [
    svg('line', { class: `${mark} stroke`, x1: at, x2: at, y1: high, y2: low }),
  ];
  const point = markAt(mark, at, y(mean), 6);
  const deviation = spread === null ? '' : ` ± ${spread.toFixed(1)}`;
  point.addEventListener('pointermove', (event) =>
    showTip(event, [title, `${mean.toFixed(1)}${deviation} %`]));
  point.addEventListener('pointerleave', hideTip);
  return [...whisker, point, svg('text', {
    class: 'value halo', x: at, y: isBelow ? low + 23 : high - 13, 'text-anchor': 'middle',
  }, mean.toFixed(1))];
}
