// The journey of the two branches: average mAP after each step, and who taught whom.

import { linear, linePath, ticks, yAxis } from './axes.js';
import { branchMark, drawing, hideTip, showTip, svg } from './dom.js';

/** `vlp-b1` → "B1"; the identifiers of the first stages and of the ensemble read as words. */
export function shortStage(stage) {
  const step = stage.includes('-') ? stage.slice(stage.indexOf('-') + 1) : stage;
  const words = { warmup: 'warm-up', zeroshot: 'zero-shot', ensemble: 'both' };
  return words[step] ?? (/^[bf]\d+$/.test(step) ? step.toUpperCase() : step);
}

function journeyRange(points) {
  const lows = points.map((point) => point.mean - (point.spread ?? 0));
  const highs = points.map((point) => point.mean + (point.spread ?? 0));
  const [low, high] = [Math.min(...lows), Math.max(...highs)];
  const room = Math.max(1, (high - low) * 0.18);
  return [Math.max(0, low - room), high + room];
}

/** Each step's teacher is the other branch's latest stage before it. */
function teacherOf(points, index) {
  const { branch, stage } = points[index];
  if (!/-[bf]\d+$/.test(stage)) return -1;
  for (let i = index - 1; i >= 0; i -= 1) {
    if (points[i].branch !== branch && points[i].branch !== 'ensemble') return i;
  }
  return -1;
}

export function drawJourney(points, headline, width) {
  const [left, right, top, bottom] = [40, width - 30, 34, 252];
  const x = linear([0, Math.max(1, points.length - 1)], [left + 28, right - 16]);
  const y = linear(journeyRange(points), [bottom, top]);
  const crowded = x(1) - x(0) < 62;
  const label = points.map((p) => `${p.title}: ${p.mean.toFixed(1)} %`).join('; ');
  const chart = drawing(width, bottom + (crowded ? 44 : 28), `mAP at tIoU ${headline} by stage. ${label}`);
  chart.append(
    yAxis(y, [left, right + 30], ticks(y.domain, 5), (value) => `${+value.toFixed(1)}`),
    ...points.map((point, i) => svg('text', {
      x: x(i), y: bottom + (crowded && i % 2 ? 34 : 18), 'text-anchor': 'middle',
    }, shortStage(point.stage))),
    svg('text', { x: 0, y: 14 }, `mAP, tIoU ${headline} (%)`),
  );
  points.forEach((point, i) => {
    const from = teacherOf(points, i);
    if (from < 0) return;
    const [x0, y0, x1, y1] = [x(from), y(points[from].mean), x(i), y(point.mean)];
    const bend = (x1 - x0) / 2;
    chart.append(svg('path', {
      class: 'teaches', d: `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`,
    }));
  });
  for (const branch of ['cbp', 'vlp']) {
    const own = points.map((p, i) => [i, p]).filter(([, p]) => p.branch === branch);
    const path = linePath(own.map(([i, p]) => [i, p.mean]), x, y);
    if (path) chart.append(svg('path', { class: `${branch} stroke`, d: path }));
  }
  chart.append(...points.flatMap((point, i) =>
    journeyPoint(point, x(i), y, liesBelow(points, i))));
  chart.append(...journeyKey(points, right));
  return chart;
}

/** The key at the upper right, for the branches that occur. */
function journeyKey(points, right) {
  const names = { cbp: 'CBP', vlp: 'VLP', ensemble: 'Ensemble' };
  const shown = Object.keys(names).filter((branch) => points.some((p) => p.branch === branch));
  let at = right + 6;
  const key = [];
  for (const branch of shown.reverse()) {
    at -= names[branch].length * 7 + 28;
    key.push(branchMark(branch, at, 10),
      svg('text', { x: at + 10, y: 14, class: `${branch} fill` }, names[branch]));
  }
  if (at > 330 && points.some((_, i) => teacherOf(points, i) >= 0)) {
    at -= 90;
    key.push(svg('path', { class: 'teaches', d: `M${at} 10h24` }),
      svg('text', { x: at + 32, y: 14 }, 'teaches'));
  }
  return key;
}

/** Whether a point lies below the other branch's line: its number then stands below it too. */
function liesBelow(points, index) {
  const others = points.map((point, i) => ({ ...point, i }))
    .filter(({ branch }) => branch !== points[index].branch && branch !== 'ensemble');
  const before = others.findLast(({ i }) => i < index);
  const after = others.find(({ i }) => i > index);
  if (points[index].branch === 'ensemble' || !before) return false;
  if (!after) return points[index].mean < before.mean;
  const share = (index - before.i) / (after.i - before.i);
  return points[index].mean < before.mean + share * (after.mean - before.mean);
}

function journeyPoint(point, at, y, below) {
  const high = y(point.mean + (point.spread ?? 0));
  const low = y(point.mean - (point.spread ?? 0));
  const whisker = point.spread === null ? null : svg('line', {
    class: `${point.branch} stroke`, x1: at, x2: at, y1: high, y2: low,
  });
  const mark = branchMark(point.branch, at, y(point.mean), 6);
  const spread = point.spread === null ? '' : ` ± ${point.spread.toFixed(1)}`;
  mark.addEventListener('pointermove', (event) =>
    showTip(event, [point.title, `${point.mean.toFixed(1)}${spread} %`]));
  mark.addEventListener('pointerleave', hideTip);
  const text = svg('text', {
    class: 'value halo', x: at, y: below ? low + 23 : high - 13, 'text-anchor': 'middle',
  }, point.mean.toFixed(1));
  return [whisker, mark, text].filter(Boolean);
}
