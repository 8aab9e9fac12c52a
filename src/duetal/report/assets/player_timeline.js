// The timeline under a playing video: curves of one class, a lane for each class, and the playhead.

import { linear } from './axes.js';
import { clock, drawing, drawResponsively, showTip, svg } from './dom.js';
import {
  addCursor, curveAxis, CURVES, curvesOf, LANE, LANE_HEIGHT, PLOT_LEFT, scoreCurves, scoresAt, timeAxis,
} from './timeline.js';

/** What a row of the embedded data says. */
export const readDetection = ([label, start, end, score, spoken]) =>
  ({ label, start, end, score, spoken: Boolean(spoken) });

export const scoreText = (score) => (Math.abs(score) < 0.1 ? String(+score.toPrecision(2)) : score.toFixed(2));

export const spanText = ({ start, end }) => `${clock(start)} to ${clock(end)}`;

export class PlayerTimeline {
  /** actions: {seek(seconds), choose(detection)}; state: {video, label, shown, best, view}. */
  constructor(host, page, state, actions) {
    Object.assign(this, { host, page, state, actions });
    drawResponsively(host, (width) => this.draw(width));
  }

  redraw() {
    if (this.width) this.host.replaceChildren(this.draw(this.width));
  }

  draw(width) {
    this.width = width;
    const { video, view } = this.state;
    const curves = curvesOf(video.scores, this.state.label);
    const hasCurves = curves.length > 0;
    const lanes = video.classes.filter((label) => this.state.shown.some((d) => d.label === label));
    const lanesTop = hasCurves ? CURVES.bottom + 16 : 22;
    const bottom = lanesTop + Math.max(1, lanes.length) * LANE_HEIGHT;
    this.x = linear(view, [PLOT_LEFT, width - 10]);
    const chart = drawing(width, bottom + 28, '');
    // The host is the slider that a screen reader reads; the table lists what is drawn here.
    chart.setAttribute('aria-hidden', 'true');
    const clip = svg('clipPath', { id: 'plot-clip' }, svg('rect', {
      class: 'plot-area', x: PLOT_LEFT, y: 0, width: width - 10 - PLOT_LEFT, height: bottom + 2,
    }));
    const inside = svg('g', { 'clip-path': 'url(#plot-clip)' });
    chart.append(svg('defs', {}, clip), timeAxis(this.x, bottom), inside);
    if (hasCurves) {
      chart.append(curveAxis(PLOT_LEFT, width));
      inside.append(...scoreCurves(curves, video.pool, this.page.grid, this.x));
      chart.append(svg('text', { class: 'halo value', x: PLOT_LEFT, y: 11 }, this.page.classes[this.state.label]));
    }
    inside.append(...lanes.map((label, i) => this.lane(label, lanesTop + i * LANE_HEIGHT)));
    addCursor(chart, inside, this.x, bottom, (seconds) =>
      [clock(seconds), ...scoresAt(curves, seconds, video.pool, this.page.grid)]);
    this.playhead = svg('g', { class: 'playhead' },
      svg('line', { y1: 10, y2: bottom }), svg('path', { d: 'M-6 2H6V8L0 15 -6 8Z' }));
    // Beside the clipped group: at the very ends the handle reaches over the plot's edge.
    chart.append(this.playhead);
    this.listen(chart);
    this.movePlayhead(this.position ?? 0);
    return chart;
  }

  lane(label, top) {
    const [left, right] = this.x.range;
    const base = top + LANE.label + LANE.up;
    const group = svg('g', { class: label === this.state.label ? 'lane chosen' : 'lane', 'data-class': label });
    // The surest last, and so on top.
    const bars = this.state.shown.filter((d) => d.label === label).sort((a, b) => a.score - b.score);
    group.append(...bars.map((detection) => this.bar(detection, base)),
      svg('line', { class: 'baseline', x1: left, x2: right, y1: base, y2: base }),
      svg('text', { class: 'halo', x: left, y: top + 12 }, this.page.classes[label]));
    return group;
  }

  bar(detection, base) {
    const share = Math.min(1, Math.max(0, detection.score / this.state.best));
    const height = 4 + share * (LANE.up - 4);
    const { x } = this;
    const bar = svg('rect', {
      class: `detection ${this.page.stages[0].branch}${detection.spoken ? ' spoken' : ''}`,
      'data-start': detection.start, 'data-end': detection.end, 'data-score': detection.score,
      x: x(detection.start), width: Math.max(1.5, x(detection.end) - x(detection.start)),
      y: base - height, height, 'fill-opacity': (0.2 + 0.6 * share).toFixed(2),
    });
    bar.addEventListener('pointermove', (event) => {
      event.stopPropagation();
      showTip(event, [this.page.classes[detection.label],
        `${spanText(detection)}, score ${scoreText(detection.score)}`]);
    });
    bar.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      this.actions.choose(detection);
    });
    return bar;
  }

  /** A press goes there; moving on while pressed goes along. */
  listen(chart) {
    const seek = (event) => {
      const pixel = event.clientX - chart.getBoundingClientRect().left;
      this.actions.seek(this.x.invert(Math.min(this.x.range[1], Math.max(this.x.range[0], pixel))));
    };
    chart.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      chart.setPointerCapture(event.pointerId);
      seek(event);
    });
    chart.addEventListener('pointermove', (event) => {
      if (chart.hasPointerCapture(event.pointerId)) seek(event);
    });
  }

  movePlayhead(seconds) {
    this.position = seconds;
    if (!this.playhead) return;
    const [from, to] = this.state.view;
    this.playhead.setAttribute('transform', `translate(${this.x(seconds).toFixed(2)} 0)`);
    this.playhead.setAttribute('visibility', seconds < from || seconds > to ? 'hidden' : 'visible');
  }

  /** Mark the detections that hold the present moment. */
  mark(current) {
    const starts = new Set(current.map(({ label, start, end }) => `${label} ${start} ${end}`));
    for (const bar of this.host.querySelectorAll('.detection')) {
      const { start, end } = bar.dataset;
      bar.classList.toggle('now', starts.has(`${bar.parentNode.dataset.class} ${start} ${end}`));
    }
  }
}
