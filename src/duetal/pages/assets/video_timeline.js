// The timeline of one video: curves with thresholds, proposals and pseudo-labels of one class, and
// below, class by class, the ground truth with a line of predictions for every lane.

import { linear } from './axes.js';
import { LABELS } from './columns.js';
import { clamp, clock, drawing, drawResponsively, html, markAt, svg } from './dom.js';
import { edgeOf, snippetAt } from './grid.js';
import { barHeight, clearCanvas } from './painter.js';
import { Threshold } from './thresholds.js';
import {
  addBrush, addCursor, addPlot, CURVES, curveAxis, curveScale, pixelOf, scoreCurves, scoresAt, timeAxis,
} from './timeline.js';

/** @import { Painter } from './painter.js' */
/** @import { CutCurve, Found, Row, RowContent, ShownVideo, Span } from './types' */
/** @import { VideoPanel } from './video_panel.js' */

const GUTTER = 84;
const SIGNAL = { height: 10, gap: 7 };
const CLASS = { name: 21, truth: 8, gap: 5, missed: 5, after: 10 };
/** Heights of a lane: few of them are tall. */
const LANES = { least: 26, most: 72, all: 200 };

/**
 * The rows of a timeline, and how far down they reach.
 *
 * @param {ShownVideo} shown
 */
function layOut(shown) {
  /** @type {Row[]} */
  const rows = [];
  let top = shown.curves.length ? CURVES.bottom + 14 : 22;
  const add = (/** @type {RowContent} */ row, /** @type {number} */ height, /** @type {number} */ gap) => {
    rows.push({ ...row, top, height });
    top += height + gap;
  };
  const { label: chosen } = shown;
  for (const curve of shown.curves) add({ what: 'proposals', curve, label: chosen }, SIGNAL.height, SIGNAL.gap);
  for (const labels of shown.labels) add({ what: 'labels', ...labels, label: chosen }, SIGNAL.height, SIGNAL.gap);
  const lanes = shown.classes.length * shown.lanes.length;
  const tall = Math.round(clamp(LANES.all / Math.max(1, lanes), LANES.least, LANES.most));
  for (const label of shown.classes) {
    add({ what: 'class', label }, CLASS.name, 0);
    if (shown.annotated.has(label)) add({ what: 'truth', label }, CLASS.truth, CLASS.gap);
    for (const lane of shown.lanes) add({ what: 'lane', label, lane }, tall, CLASS.missed + 3);
    top += CLASS.after;
  }
  return { rows, bottom: Math.max(top, 60) };
}

export class VideoTimeline {
  /**
   * @param {HTMLElement} host
   * @param {VideoPanel} panel
   * @param {Painter} painter
   */
  constructor(host, panel, painter) {
    this.panel = panel;
    this.painter = painter;
    this.width = 0;
    /** @type {Row[]} */
    this.rows = [];
    this.x = linear([0, 1], [0, 1]);
    this.canvas = html('canvas', { 'aria-hidden': 'true' });
    this.chart = html('div');
    this.handles = html('div');
    this.plot = html('div', { class: 'plot' }, this.canvas, this.chart, this.handles);
    this.thresholds = new Map(panel.exploration.branches.map((branch, place) =>
      [branch, new Threshold(branch, place, curveScale(), () => panel.onThreshold())]));
    drawResponsively(host, (width) => {
      this.width = width;
      this.draw();
      return this.plot;
    });
  }

  /** @param {CutCurve} curve */
  threshold({ branch }) {
    return this.thresholds.get(branch)?.value ?? 0.5;
  }

  draw() {
    const { shown } = this.panel;
    if (!this.width || !shown) return;
    const { rows, bottom } = layOut(shown);
    const right = this.width - 10;
    this.rows = rows;
    this.x = linear(shown.view, [GUTTER, right]);
    const height = bottom + 28;
    const chart = drawing(this.width, height, this.panel.summary());
    const inside = addPlot(chart, [GUTTER, right], bottom);
    chart.append(timeAxis(this.x, bottom), inside);
    inside.append(...this.shades(shown, bottom));
    if (shown.curves.length) {
      chart.append(curveAxis(GUTTER, this.width));
      inside.append(...scoreCurves(shown.curves, shown.signals?.pool ?? 1, shown.grid, this.x));
    }
    if (shown.curves.length || shown.labels.length) {
      chart.append(svg('text', { class: 'halo value', x: GUTTER, y: 11 }, this.panel.className(shown.label)));
    }
    chart.append(...this.names(shown), ...this.selection());
    addBrush(chart, inside, this.x, bottom, (view) => this.panel.zoom(view));
    addCursor(chart, inside, this.x, bottom, (seconds, event) => this.read(shown, seconds, event));
    chart.addEventListener('click', (event) => this.pick(event));
    this.chart.replaceChildren(chart);
    this.layThresholds(shown);
    this.paint(shown, height);
  }

  /** @param {ShownVideo} shown */
  layThresholds({ curves }) {
    const present = curves.flatMap(({ branch }) => this.thresholds.get(branch) ?? []);
    const nodes = present.flatMap(({ line, handle }) => [line, handle]);
    const { children } = this.handles;
    // Only when they differ: a handle that is put in again loses its focus.
    if (nodes.length !== children.length || nodes.some((node, i) => children[i] !== node)) {
      this.handles.replaceChildren(...nodes);
    }
    for (const threshold of present) threshold.layOut(GUTTER, this.width - 10);
  }

  /**
   * The truth behind the curves and lanes of its class, and what lies past the video's own end.
   *
   * @param {ShownVideo} shown
   * @param {number} bottom
   */
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

  /**
   * The name of each row, at its left.
   *
   * @param {ShownVideo} shown
   */
  names(shown) {
    const [left, right] = this.x.range;
    const side = (/** @type {Row} */ row, /** @type {string} */ text) => [svg('text', {
      class: 'row-name', x: left - 8, y: row.top + row.height / 2 + 4, 'text-anchor': 'end',
    }, text.length > 9 ? `${text.slice(0, 8)}…` : text)];
    return this.rows.flatMap((row) => {
      if (row.what === 'class') {
        const chosen = row.label === shown.label ? ' value' : '';
        return [svg('text', { class: `class-name${chosen}`, x: left, y: row.top + 14 }, this.panel.className(row.label))];
      }
      if (row.what === 'proposals') return side(row, `${row.curve.branch.title} runs`);
      if (row.what === 'labels') return side(row, row.phase);
      if (row.what === 'truth') return side(row, 'truth');
      const lane = this.panel.lane(row.lane);
      const base = row.top + row.height;
      return [
        markAt(lane.mark, 8, base - 8),
        svg('text', { class: 'row-name', x: left - 8, y: base - 3, 'text-anchor': 'end' }, lane.short),
        svg('line', { class: 'baseline', x1: left, x2: right, y1: base + 0.5, y2: base + 0.5 }),
      ];
    });
  }

  /** The chosen prediction, outlined. */
  selection() {
    const { selected } = this.panel;
    if (!selected) return [];
    const row = this.rows.find((each) =>
      each.what === 'lane' && each.label === selected.label && each.lane === selected.lane);
    if (!row) return [];
    const tall = barHeight(selected, this.panel.lane(selected.lane), row.height);
    const [left, right] = [selected.start, selected.end].map((seconds) => clamp(this.x(seconds), ...this.x.range));
    return [svg('rect', {
      class: 'selected', x: left - 1, width: Math.max(4, right - left + 2),
      y: row.top + row.height - tall - 1, height: tall + 2,
    })];
  }

  /**
   * @param {ShownVideo} shown
   * @param {number} height
   */
  paint(shown, height) {
    const context = clearCanvas(this.canvas, this.width, height);
    const { x, painter, panel } = this;
    context.save();
    context.beginPath();
    context.rect(x.range[0], 0, x.range[1] - x.range[0], height);
    context.clip();
    const seconds = (/** @type {number} */ snippet) => edgeOf(snippet, shown.grid);
    for (const row of this.rows) {
      if (row.what === 'truth') painter.truth(context, this.truthOf(row.label), x, row.top, row.height);
      if (row.what === 'labels') painter.labels(context, row.runs, seconds, x, row.top, row.height);
      if (row.what === 'proposals') {
        const colour = painter.palette.get(`--${row.curve.branch.mark}`);
        for (const { start, end } of panel.proposals(row.curve)) {
          painter.bar(context, x(start), x(end), row.top, row.height, colour);
        }
      }
      if (row.what === 'lane') {
        const base = row.top + row.height;
        painter.predictions(context, panel.lane(row.lane), panel.predictions(row.lane, row.label), x, base, row.height);
        painter.missed(context, panel.missed(row.lane, row.label), x, base + 2, CLASS.missed);
      }
    }
    context.restore();
  }

  /** @param {number} label */
  truthOf(label) {
    return this.panel.shown?.segments.filter((segment) => segment.label === label) ?? [];
  }

  /**
   * The row under the pointer, and what lies there at a second, the topmost first.
   *
   * @param {MouseEvent} event
   * @param {number} seconds
   * @returns {{ row?: Row, found: Found[] }}
   */
  under(event, seconds) {
    const y = event.clientY - this.chart.getBoundingClientRect().top;
    const row = this.rows.find(({ top, height, what }) =>
      y >= top - 2 && y <= top + height + (what === 'lane' ? CLASS.missed + 2 : 2));
    const slack = this.x.invert(2) - this.x.invert(0);
    const isHere = (/** @type {Span} */ { start, end }) => seconds >= start - slack && seconds <= end + slack;
    return { row, found: row ? this.foundIn(row, y).filter(isHere) : [] };
  }

  /**
   * @param {Row} row
   * @param {number} y
   * @returns {Found[]}
   */
  foundIn(row, y) {
    const { panel } = this;
    if (row.what === 'truth') return this.truthOf(row.label);
    if (row.what === 'proposals') return panel.proposals(row.curve);
    if (row.what !== 'lane') return [];
    const base = row.top + row.height;
    if (y > base) return panel.missed(row.lane, row.label).map((segment) => ({ ...segment, isMissed: true }));
    return panel.predictions(row.lane, row.label)
      .filter((each) => y >= base - barHeight(each, panel.lane(row.lane), row.height) - 2)
      .map((prediction) => ({ ...prediction, prediction }));
  }

  /**
   * The text beside the pointer.
   *
   * @param {ShownVideo} shown
   * @param {number} seconds
   * @param {MouseEvent} event
   */
  read({ curves, signals, grid }, seconds, event) {
    const { row, found } = this.under(event, seconds);
    if (row && found.length) return this.panel.describe(row, found[0], found.length);
    const lines = [clock(seconds), ...scoresAt(curves, seconds, signals?.pool ?? 1, grid)];
    if (row?.what === 'labels') {
      const snippet = snippetAt(seconds, grid);
      const run = row.runs.find(({ first, stop }) => snippet >= first && snippet < stop);
      if (run) lines.push(`${row.phase}: ${LABELS[run.label]}`);
    }
    return lines;
  }

  /**
   * A click chooses the prediction, or else the class, that lies there.
   *
   * @param {MouseEvent} event
   */
  pick(event) {
    const { row, found } = this.under(event, this.x.invert(pixelOf(event, this.chart)));
    if (!row) return;
    const prediction = found[0]?.prediction;
    if (row.what === 'lane' && prediction) this.panel.select({ ...prediction, lane: row.lane });
    else if (row.what === 'class' || row.what === 'lane' || row.what === 'truth') this.panel.chooseClass(row.label);
  }
}
