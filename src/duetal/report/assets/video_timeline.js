// The timeline of one video: curves with thresholds, proposals and pseudo-labels of one class, and
// below, class by class, the ground truth with a line of predictions for every lane.

import { linear } from './axes.js';
import { LABELS } from './columns.js';
import { clock, drawing, drawResponsively, html, laneMark, svg } from './dom.js';
import { barHeight, clearCanvas } from './painter.js';
import { Threshold } from './thresholds.js';
import {
  addBrush, addCursor, curveAxis, CURVES, curveScale, scoreCurves, scoresAt, timeAxis,
} from './timeline.js';

const GUTTER = 84;
const SIGNAL = { height: 10, gap: 7 };
const CLASS = { name: 21, truth: 8, gap: 5, missed: 5, after: 10 };
/** Heights of a lane: few of them stand tall. */
const LANES = { least: 26, most: 72, all: 200 };

/** Where everything stands: rows of `{what, top, height, …}`, and how far down they reach. */
function layOut(shown) {
  const rows = [];
  let top = shown.curves.length ? CURVES.bottom + 14 : 22;
  const add = (row, height, gap) => {
    rows.push({ ...row, top, height });
    top += height + gap;
  };
  for (const [branch] of shown.curves) add({ what: 'proposals', branch, label: shown.label }, SIGNAL.height, SIGNAL.gap);
  for (const { phase, runs } of shown.labels) add({ what: 'labels', phase, runs, label: shown.label }, SIGNAL.height, SIGNAL.gap);
  const lanes = shown.classes.length * shown.lanes.length;
  const tall = Math.round(Math.min(LANES.most, Math.max(LANES.least, LANES.all / Math.max(1, lanes))));
  for (const label of shown.classes) {
    add({ what: 'class', label }, CLASS.name, 0);
    if (shown.annotated.has(label)) add({ what: 'truth', label }, CLASS.truth, CLASS.gap);
    for (const lane of shown.lanes) add({ what: 'lane', label, lane }, tall, CLASS.missed + 3);
    top += CLASS.after;
  }
  return { rows, bottom: Math.max(top, 60) };
}

export class VideoTimeline {
  /** panel: what is shown, and what a choice on the timeline does; see `VideoPanel`. */
  constructor(host, panel, painter) {
    Object.assign(this, { host, panel, painter });
    this.canvas = html('canvas', { 'aria-hidden': 'true' });
    this.plot = html('div', { class: 'plot' }, this.canvas);
    this.chart = html('div');
    this.handles = html('div');
    this.plot.append(this.chart, this.handles);
    this.thresholds = new Map(['cbp', 'vlp'].map((branch, place) =>
      [branch, new Threshold(branch, place, () => panel.moveThreshold(branch))]));
    drawResponsively(host, (width) => {
      this.width = width;
      this.draw();
      return this.plot;
    });
  }

  draw() {
    if (!this.width || !this.panel.shown) return;
    const { shown } = this.panel;
    const { rows, bottom } = layOut(shown);
    this.rows = rows;
    this.x = linear(shown.view, [GUTTER, this.width - 10]);
    const height = bottom + 28;
    const chart = drawing(this.width, height, this.panel.says());
    const clip = svg('clipPath', { id: 'plot-clip' }, svg('rect', {
      class: 'plot-area', x: GUTTER, y: 0, width: this.width - 10 - GUTTER, height: bottom + 2,
    }));
    const inside = svg('g', { 'clip-path': 'url(#plot-clip)' });
    chart.append(svg('defs', {}, clip), timeAxis(this.x, bottom), inside);
    inside.append(...this.shades(shown, bottom));
    if (shown.curves.length) {
      chart.append(curveAxis(GUTTER, this.width));
      inside.append(...scoreCurves(shown.curves, shown.signals.pool, shown.grid, this.x));
    }
    if (shown.curves.length || shown.labels.length) {
      chart.append(svg('text', { class: 'halo value', x: GUTTER, y: 11 }, this.panel.className(shown.label)));
    }
    chart.append(...this.names(rows), ...this.selection());
    addBrush(chart, inside, this.x, bottom, (view) => this.panel.zoom(view));
    addCursor(chart, inside, this.x, bottom, (seconds, event) => this.read(seconds, event));
    chart.addEventListener('click', (event) => this.pick(event));
    this.chart.replaceChildren(chart);
    this.layThresholds(shown);
    this.paint(shown, rows, height);
  }

  layThresholds({ curves }) {
    const present = curves.map(([branch]) => this.thresholds.get(branch)).filter(Boolean);
    const wanted = present.flatMap(({ line, handle }) => [line, handle]);
    // Only when they differ: to be put in anew costs a handle its focus.
    if (wanted.some((node, i) => this.handles.children[i] !== node) || wanted.length !== this.handles.children.length) {
      this.handles.replaceChildren(...wanted);
    }
    for (const threshold of present) threshold.lay(curveScale(), GUTTER, this.width - 10);
  }

  /** The truth behind the curves and lanes of its class, and what lies past the video's own end. */
  shades({ segments, label, duration, curves }, bottom) {
    const boxes = this.rows.filter(({ what }) => what === 'lane').map((row) => [row.label, row.top - 4, row.height + 4]);
    if (curves.length) boxes.push([label, CURVES.top, CURVES.bottom - CURVES.top]);
    const path = boxes.flatMap(([of, top, height]) => segments.filter((segment) => segment.label === of)
      .map(({ start, end }) => {
        const width = Math.max(1, this.x(end) - this.x(start)).toFixed(1);
        return `M${this.x(start).toFixed(1)} ${top}h${width}v${height}h-${width}Z`;
      })).join('');
    const shades = [svg('path', { class: 'truth-shade', d: path })];
    if (duration === null || this.x.domain[1] <= duration) return shades;
    const from = Math.max(this.x.range[0], this.x(duration));
    return [
      svg('rect', { class: 'beyond', x: from, y: 18, width: this.x.range[1] - from, height: bottom - 18 }),
      svg('line', { class: 'axis', x1: this.x(duration), x2: this.x(duration), y1: 18, y2: bottom }),
      ...shades,
    ];
  }

  /** What each row is, at its left. */
  names(rows) {
    const [left, right] = this.x.range;
    const side = (row, text) => svg('text', {
      class: 'row-name', x: left - 8, y: row.top + row.height / 2 + 4, 'text-anchor': 'end',
    }, text);
    return rows.flatMap((row) => {
      if (row.what === 'class') {
        const chosen = row.label === this.panel.shown.label ? ' value' : '';
        return svg('text', { class: `class-name${chosen}`, x: left, y: row.top + 14 }, this.panel.className(row.label));
      }
      if (row.what === 'proposals') return side(row, `${row.branch.toUpperCase()} runs`);
      if (row.what === 'labels') return side(row, row.phase.length > 9 ? `${row.phase.slice(0, 8)}…` : row.phase);
      if (row.what === 'truth') return side(row, 'truth');
      const lane = this.panel.lane(row.lane);
      const base = row.top + row.height;
      return [
        laneMark(lane.mark, 8, base - 8),
        svg('text', { class: 'row-name', x: left - 8, y: base - 3, 'text-anchor': 'end' }, lane.short),
        svg('line', { class: 'baseline', x1: left, x2: right, y1: base + 0.5, y2: base + 0.5 }),
      ];
    });
  }

  /** The chosen prediction, outlined. */
  selection() {
    const { selected } = this.panel;
    const row = selected && this.rows.find(({ what, label, lane }) =>
      what === 'lane' && label === selected.label && lane === selected.lane);
    if (!row) return [];
    const tall = barHeight(selected, this.panel.lane(selected.lane), row.height);
    const [left, right] = [selected.start, selected.end].map((seconds) =>
      Math.min(this.x.range[1], Math.max(this.x.range[0], this.x(seconds))));
    return [svg('rect', {
      class: 'selected', x: left - 1, width: Math.max(4, right - left + 2),
      y: row.top + row.height - tall - 1, height: tall + 2,
    })];
  }

  paint(shown, rows, height) {
    const context = clearCanvas(this.canvas, this.width, height);
    const { x, painter } = this;
    context.save();
    context.beginPath();
    context.rect(x.range[0], 0, x.range[1] - x.range[0], height);
    context.clip();
    const seconds = (snippet) => (snippet * shown.grid.stride) / shown.grid.fps;
    for (const row of rows) {
      if (row.what === 'truth') painter.truth(context, this.truthOf(row), x, row.top, row.height);
      if (row.what === 'labels') painter.labels(context, row.runs, seconds, x, row.top, row.height);
      if (row.what === 'proposals') this.paintProposals(context, row);
      if (row.what === 'lane') {
        const base = row.top + row.height;
        painter.predictions(context, this.panel.lane(row.lane), this.panel.predictions(row.lane, row.label), x, base, row.height);
        painter.missed(context, this.panel.missed(row.lane, row.label), x, base + 2, CLASS.missed);
      }
    }
    context.restore();
  }

  paintProposals(context, row) {
    const colour = this.painter.palette.get(`--${row.branch}`);
    for (const { start, end } of this.panel.proposals(row.branch)) {
      this.painter.bar(context, this.x(start), this.x(end), row.top, row.height, colour, false);
    }
  }

  truthOf({ label }) {
    return this.panel.shown.segments.filter((segment) => segment.label === label);
  }

  /** The row under the pointer, and what lies there at a second, the topmost first. */
  under(event, seconds) {
    const y = event.clientY - this.chart.getBoundingClientRect().top;
    const row = this.rows.find(({ top, height, what }) =>
      y >= top - 2 && y <= top + height + (what === 'lane' ? CLASS.missed + 2 : 2));
    if (!row) return { found: [] };
    const slack = this.x.invert(2) - this.x.invert(0);
    const here = ({ start, end }) => seconds >= start - slack && seconds <= end + slack;
    const base = row.top + row.height;
    const lists = {
      truth: () => this.truthOf(row).filter(here),
      proposals: () => this.panel.proposals(row.branch).filter(here),
      lane: () => (y > base
        ? this.panel.missed(row.lane, row.label).filter(here).map((segment) => ({ ...segment, missed: true }))
        : this.panel.predictions(row.lane, row.label).filter((each) =>
          here(each) && y >= base - barHeight(each, this.panel.lane(row.lane), row.height) - 2)),
    };
    return { row, found: lists[row.what]?.() ?? [] };
  }

  read(seconds, event) {
    const { row, found } = this.under(event, seconds);
    if (found.length) return this.panel.describe(row, found[0], found.length);
    const { curves, signals, grid } = this.panel.shown;
    const lines = [clock(seconds), ...scoresAt(curves, seconds, signals?.pool, grid)];
    if (row?.what === 'labels') {
      const snippet = Math.floor((seconds * grid.fps) / grid.stride);
      const run = row.runs.find(({ first, stop }) => snippet >= first && snippet < stop);
      if (run) lines.push(`${row.phase}: ${LABELS[run.label]}`);
    }
    return lines;
  }

  /** A click chooses the prediction, or else the class, that lies there. */
  pick(event) {
    const seconds = this.x.invert(event.clientX - this.chart.getBoundingClientRect().left);
    const { row, found } = this.under(event, seconds);
    if (!row) return;
    if (row.what === 'lane' && found.length && !found[0].missed) this.panel.select({ ...found[0], lane: row.lane });
    else if (row.what === 'class' || row.what === 'lane' || row.what === 'truth') this.panel.chooseClass(row.label);
  }
}
