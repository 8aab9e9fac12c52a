// Training curves, a panel for each phase.

import { linePath, linear, ticks, xAxis, yAxis } from './axes.js';
import { drawing, drawResponsively, hideTip, html, showTip, svg } from './dom.js';

/** @import { Pair, PhaseCurves, Scale } from './types' */

const DASHES = [null, '6 4', '2 3', '9 3 2 3'];

/**
 * Mean over the runs of a series at each epoch; null where no run has a finite value.
 *
 * @param {[number, number | null][][]} runs
 * @returns {[number, number | null][]}
 */
function meanOverRuns(runs) {
  /** @type {Map<number, number[]>} */
  const byEpoch = new Map();
  for (const [epoch, value] of runs.flat()) {
    const values = byEpoch.get(epoch) ?? [];
    byEpoch.set(epoch, value === null ? values : [...values, value]);
  }
  return [...byEpoch].sort(([a], [b]) => a - b).map(([epoch, values]) =>
    [epoch, values.length ? values.reduce((a, b) => a + b) / values.length : null]);
}

const shortNumber = (/** @type {number | null} */ value) =>
  (value === null ? 'not finite' : String(+value.toPrecision(3)));

/** The look of a series: the total is a full line, its terms are dashed. */
const styleOf = (/** @type {number} */ index) =>
  ({ class: index === 0 ? 'stroke' : 'stroke term', 'stroke-dasharray': DASHES[index % DASHES.length] });

/**
 * @param {PhaseCurves} phase
 * @param {number} width
 */
function drawCurves(phase, width) {
  const [left, right, top, bottom, height] = [44, width - 8, 10, 138, 162];
  const means = phase.series.map((series) => meanOverRuns(series.runs));
  const epochs = means[0].map(([epoch]) => epoch);
  const values = phase.series.flatMap((s) => s.runs.flat()).map(([, v]) => v).filter((v) => v !== null);
  const x = linear([Math.min(...epochs), Math.max(...epochs)], [left + 4, right - 4]);
  const y = linear([Math.min(0, ...values), Math.max(...values, 1e-9) * 1.05], [bottom, top]);
  const total = means[0].map(([, value]) => value).filter((value) => value !== null);
  const chart = drawing(width, height, total.length
    ? `Loss of ${phase.phase}: from ${shortNumber(total[0])} to ${shortNumber(total[total.length - 1])}`
    : `No finite loss in ${phase.phase}`);
  chart.classList.add(phase.mark);
  chart.append(
    yAxis(y, [left, right], ticks(y.domain, 5), shortNumber),
    xAxis(x, bottom, ticks(x.domain, 5).filter(Number.isInteger), String),
  );
  phase.series.forEach((series, i) => {
    const style = styleOf(i);
    if (series.runs.length > 1) {
      for (const run of series.runs) {
        chart.append(svg('path', { ...style, class: `${style.class} thin`, d: linePath(run, x, y) }));
      }
    }
    chart.append(svg('path', { ...style, d: linePath(means[i], x, y) }));
    const [, only] = means[i][0];
    if (means[i].length === 1 && only !== null) {
      chart.append(svg('circle', { class: 'fill', cx: x(epochs[0]), cy: y(only), r: 3 }));
    }
  });
  addReadout(chart, x, [top, bottom], (epoch) => {
    const row = epochs.reduce((a, b) => (Math.abs(b - epoch) < Math.abs(a - epoch) ? b : a));
    const lines = phase.series.map((series, i) =>
      `${series.name}: ${shortNumber(means[i].find(([e]) => e === row)?.[1] ?? null)}`);
    return [row, [`epoch ${row}`, ...lines]];
  });
  return chart;
}

/**
 * A vertical cursor that follows the pointer; `read(value)` gives where it snaps and the text.
 *
 * @param {SVGElement} chart
 * @param {Scale} x
 * @param {Pair} ends
 * @param {(value: number) => [number, string[]]} read
 */
function addReadout(chart, x, [top, bottom], read) {
  const cursor = svg('line', { class: 'cursor', y1: top, y2: bottom, visibility: 'hidden' });
  chart.append(cursor);
  chart.addEventListener('pointermove', (event) => {
    const [at, lines] = read(x.invert(event.clientX - chart.getBoundingClientRect().left));
    cursor.setAttribute('x1', String(x(at)));
    cursor.setAttribute('x2', String(x(at)));
    cursor.setAttribute('visibility', 'visible');
    showTip(event, lines);
  });
  chart.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    hideTip();
  });
}

/** @param {PhaseCurves} phase */
const curveKey = (phase) => html('p', { class: 'legend' }, ...phase.series.map((series, i) =>
  html('span', {},
    svg('svg', { width: 22, height: 4, class: phase.mark, 'aria-hidden': 'true' },
      svg('line', { ...styleOf(i), x1: 1, x2: 21, y1: 2, y2: 2 })),
    ` ${series.name}`)));

/**
 * @param {HTMLElement} host
 * @param {PhaseCurves[]} phases
 */
export function showTraining(host, phases) {
  if (!phases.length) host.append(html('p', { class: 'empty' }, 'No epoch has been logged yet.'));
  for (const phase of phases) {
    const figure = html('figure', { class: 'chart' });
    host.append(html('div', { 'data-phase': phase.phase },
      html('h3', {}, phase.title), curveKey(phase), figure));
    drawResponsively(figure, (width) => drawCurves(phase, width));
  }
}
