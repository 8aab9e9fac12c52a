// The timeline under a playing video: curves of one class, a lane for each class, and the playhead.

import { linear } from './axes.js';
import { clamp, clock, drawing, drawResponsively, showTip, svg } from './dom.js';
import { placePlayhead, playheadTo, seekAlong } from './playhead.js';
import { addCursor, addPlot, CURVES, curveAxis, curvesOf, scoreCurves, scoresAt, timeAxis } from './timeline.js';

/** @import { Detection, PlayerPage, PlayerState, Span } from './types' */
/** @typedef {{ seek: (seconds: number) => void, choose: (detection: Detection) => void }} Actions */

const LANE = { label: 16, up: 28, down: 9, gap: 10 };
const LANE_HEIGHT = LANE.label + LANE.up + LANE.down + LANE.gap;
const PLOT_LEFT = 34;

export const scoreText = (/** @type {number} */ score) =>
  (Math.abs(score) < 0.1 ? String(+score.toPrecision(2)) : score.toFixed(2));

export const spanText = (/** @type {Span} */ { start, end }) => `${clock(start)} to ${clock(end)}`;

export class PlayerTimeline {
  /**
   * @param {HTMLElement} host
   * @param {PlayerPage} page
   * @param {PlayerState} state
   * @param {Actions} actions
   */
  constructor(host, page, state, actions) {
    this.host = host;
    this.page = page;
    this.state = state;
    this.actions = actions;
    this.width = 0;
    this.position = 0;
    this.x = linear([0, 1], [0, 1]);
    this.playhead = svg('g');
    /** Bars of the shown detections. @type {Map<Detection, SVGRectElement>} */
    this.bars = new Map();
    drawResponsively(host, (width) => this.draw(width));
  }

  redraw() {
    if (this.width) this.host.replaceChildren(this.draw(this.width));
  }

  /** @param {number} width */
  draw(width) {
    this.width = width;
    const { video, view, label, shown } = this.state;
    const curves = curvesOf(this.page.branches, video.scores, label);
    const grid = { ...this.page.grid, begin: video.begin };
    const lanes = video.classes.filter((each) => shown.some((d) => d.label === each));
    const lanesTop = curves.length ? CURVES.bottom + 16 : 22;
    const bottom = lanesTop + Math.max(1, lanes.length) * LANE_HEIGHT;
    this.x = linear(view, [PLOT_LEFT, width - 10]);
    this.bars = new Map();
    const chart = drawing(width, bottom + 28, '');
    // Screen readers read the host, which is a slider; the table lists what is drawn here.
    chart.setAttribute('aria-hidden', 'true');
    const inside = addPlot(chart, this.x.range, bottom);
    chart.append(timeAxis(this.x, bottom), inside);
    if (curves.length) {
      chart.append(curveAxis(PLOT_LEFT, width));
      inside.append(...scoreCurves(curves, video.pool, grid, this.x));
      chart.append(svg('text', { class: 'halo value', x: PLOT_LEFT, y: 11 }, this.page.classes[label]));
    }
    inside.append(...lanes.map((each, i) => this.lane(each, lanesTop + i * LANE_HEIGHT)));
    addCursor(chart, inside, this.x, bottom, (seconds) =>
      [clock(seconds), ...scoresAt(curves, seconds, video.pool, grid)]);
    this.playhead = playheadTo(bottom);
    // Beside the clipped group: at the very ends the handle reaches over the plot's edge.
    chart.append(this.playhead);
    seekAlong(chart, this.x, this.actions.seek);
    this.movePlayhead(this.position);
    return chart;
  }

  /**
   * @param {number} label
   * @param {number} top
   */
  lane(label, top) {
    const [left, right] = this.x.range;
    const base = top + LANE.label + LANE.up;
    // The best last, and so on top.
    const shown = this.state.shown.filter((d) => d.label === label).sort((a, b) => a.score - b.score);
    return svg('g', { class: label === this.state.label ? 'lane chosen' : 'lane', 'data-class': label },
      ...shown.map((detection) => this.bar(detection, base)),
      svg('line', { class: 'baseline', x1: left, x2: right, y1: base, y2: base }),
      svg('text', { class: 'halo', x: left, y: top + 12 }, this.page.classes[label]));
  }

  /**
   * @param {Detection} detection
   * @param {number} base
   */
  bar(detection, base) {
    const { start, end, score } = detection;
    const share = clamp(score / this.state.best, 0, 1);
    const height = 4 + share * (LANE.up - 4);
    const bar = svg('rect', {
      class: `detection ${this.page.mark}${detection.captioned ? ' captioned' : ''}`,
      'data-start': start, 'data-end': end, 'data-score': score,
      x: this.x(start), width: Math.max(1.5, this.x(end) - this.x(start)),
      y: base - height, height, 'fill-opacity': (0.2 + 0.6 * share).toFixed(2),
    });
    this.bars.set(detection, bar);
    bar.addEventListener('pointermove', (event) => {
      event.stopPropagation();
      showTip(event, [this.page.classes[detection.label], `${spanText(detection)}, score ${scoreText(score)}`]);
    });
    bar.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      this.actions.choose(detection);
    });
    return bar;
  }

  /** @param {number} seconds */
  movePlayhead(seconds) {
    this.position = seconds;
    placePlayhead(this.playhead, this.x, this.state.view, seconds);
  }

  /**
   * Mark the detections that hold the present moment.
   *
   * @param {Detection[]} current
   */
  mark(current) {
    for (const [detection, bar] of this.bars) bar.classList.toggle('now', current.includes(detection));
  }
}
