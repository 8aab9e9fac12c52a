// Training curves, a panel for each phase.

import { linear, linePath, ticks, xAxis, yAxis } from './axes.js';
import { drawing, drawResponsively, hideTip, html, showTip, svg } from './dom.js';

const DASHES = [null, '6 4', '2 3', '9 3 2 3'];

/** Mean over the runs of a series at each epoch; null where no run has a finite value. */
function meanOverRuns(runs) {
  const byEpoch = new Map();
  for (const [epoch, value] of runs.flat()) {
    if (!byEpoch.has(epoch)) byEpoch.set(epoch, []);
    if (value !== null) byEpoch.get(epoch).push(value);
  }
  const epochs = [...byEpoch].sort(([a], [b]) => a - b);
  return epochs.map(([epoch, values]) =>
    [epoch, values.length ? values.reduce((a, b) => a + b) / values.length : null]);
}

const shortNumber = (value) => (value === null ? 'not finite' : String(+value.toPrecision(3)));

const className = (series, index) => (index === 0 ? 'stroke' : 'stroke term');

function phaseTitle({ phase, branch }) {
  if (/^B\d+$/i.test(phase)) return `${phase} · VLP learns background from CBP`;
  if (/^F\d+$/i.test(phase)) return `${phase} · CBP learns foreground from VLP`;
  return phase === 'warmup' ? 'Warm-up · CBP alone' : `${phase} · ${branch.toUpperCase()}`;
}

function drawCurves(phase, width) {
  const [left, right, top, bottom, height] = [44, width - 8, 10, 138, 162];
  const means = phase.series.map((series) => meanOverRuns(series.runs));
  const epochs = means[0].map(([epoch]) => epoch);
  const values = phase.series.flatMap((s) => s.runs.flat(1)).map(([, v]) => v).filter((v) => v !== null);
  const x = linear([Math.min(...epochs), Math.max(...epochs)], [left + 4, right - 4]);
  const y = linear([Math.min(0, ...values), Math.max(...values, 1e-9) * 1.05], [bottom, top]);
  const total = means[0].filter(([, value]) => value !== null);
  const chart = drawing(width, height, total.length
    ? `Loss of ${phase.phase}: from ${shortNumber(total[0][1])} to ${shortNumber(total.at(-1)[1])}`
    : `No finite loss in ${phase.phase}`);
  chart.classList.add(phase.branch);
  chart.append(
    yAxis(y, [left, right], ticks(y.domain, 5), shortNumber),
    xAxis(x, bottom, ticks(x.domain, 5).filter(Number.isInteger), String),
  );
  phase.series.forEach((series, i) => {
    const style = { class: className(series, i), 'stroke-dasharray': DASHES[i % DASHES.length] };
    if (series.runs.length > 1) {
      for (const run of series.runs) {
        chart.append(svg('path', { ...style, class: `${style.class} thin`, d: linePath(run, x, y) }));
      }
    }
    chart.append(svg('path', { ...style, d: linePath(means[i], x, y) }));
    if (means[i].length === 1 && means[i][0][1] !== null) {
      chart.append(svg('circle', { class: 'fill', cx: x(epochs[0]), cy: y(means[i][0][1]), r: 3 }));
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

/** A vertical cursor that follows the pointer; `read(x value)` gives where it snaps and the text. */
function addReadout(chart, x, [top, bottom], read) {
  const cursor = svg('line', { class: 'cursor', y1: top, y2: bottom, visibility: 'hidden' });
  chart.append(cursor);
  chart.addEventListener('pointermove', (event) => {
    const [at, lines] = read(x.invert(event.clientX - chart.getBoundingClientRect().left));
    cursor.setAttribute('x1', x(at));
    cursor.setAttribute('x2', x(at));
    cursor.setAttribute('visibility', 'visible');
    showTip(event, lines);
  });
  chart.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    hideTip();
  });
}

function curveKey(phase) {
  return html('p', { class: 'legend' }, ...phase.series.map((series, i) => html('span', {},
    svg('svg', { width: 22, height: 4, class: phase.branch, 'aria-hidden': 'true' }, svg('line', {
      class: className(series, i), x1: 1, x2: 21, y1: 2, y2: 2,
      'stroke-dasharray': DASHES[i % DASHES.length],
    })), ` ${series.name}`)));
}

export function showTraining(host, phases) {
  if (!phases.length) host.append(html('p', { class: 'empty' }, 'No epoch has been logged yet.'));
  for (const phase of phases) {
    const figure = html('figure', { class: 'chart' });
    host.append(html('div', { 'data-phase': phase.phase },
      html('h3', {}, phaseTitle(phase)), curveKey(phase), figure));
    drawResponsively(figure, (width) => drawCurves(phase, width));
  }
}
