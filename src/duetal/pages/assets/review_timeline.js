// The timeline of a review: pictures, curves, a lane for each class, edges to drag, what was looked through.

import { linear } from './axes.js';
import { clamp, clock, drawing, drawResponsively, showTip, svg } from './dom.js';
import { scoreText, spanText } from './player_timeline.js';
import { placePlayhead, playheadTo, seekAlong } from './playhead.js';
import { isPoint } from './review_store.js';
import {
  addCursor, addPlot, CURVES, curveAxis, curvesOf, pixelOf, scoreCurves, scoresAt, timeAxis,
} from './timeline.js';

/** @import { ReviewData, ReviewState, Statement } from './types' */
/**
 * @typedef {object} Actions
 * @property {(seconds: number) => void} seek
 * @property {(statement: Statement, isMore: boolean) => void} choose
 * @property {(statement: Statement, start: number, end: number) => void} setEdges
 */

const LANE = { label: 17, bar: 20, gap: 7 };
const LANE_HEIGHT = LANE.label + LANE.bar + LANE.gap;
const PLOT_LEFT = 34;
/** A strip's pictures, as the server makes them. */
const STILL = { width: 128, height: 72 };
const FILM_HEIGHT = 46;
const LOOKED_HEIGHT = 12;
const VERDICTS = { open: 'proposed', accepted: 'accepted', rejected: 'rejected' };

/** @param {Statement} statement */
export const aboutOf = (statement) => [
  isPoint(statement) ? `point at ${clock(statement.start, 2)}` : spanText(statement),
  VERDICTS[statement.verdict],
  statement.score === null ? 'added by hand' : `score ${scoreText(statement.score)}`,
].join(', ');

export class ReviewTimeline {
  /**
   * @param {HTMLElement} host
   * @param {ReviewData} page
   * @param {ReviewState} state
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
    drawResponsively(host, (width) => this.draw(width));
  }

  redraw() {
    if (this.width) this.host.replaceChildren(this.draw(this.width));
  }

  /** @param {number} width */
  draw(width) {
    this.width = width;
    const { video, view, label, shown, curves } = this.state;
    const found = curvesOf(this.page.branches, curves?.scores ?? {}, label);
    const grid = { ...this.page.grid, begin: video.begin };
    const pool = curves?.pool ?? 1;
    const lanes = [...new Set(shown.map((each) => each.label))].sort();
    const filmTop = found.length ? CURVES.bottom + 8 : 22;
    const lanesTop = filmTop + (video.url === null ? 0 : FILM_HEIGHT + 4);
    const lookedTop = lanesTop + Math.max(1, lanes.length) * LANE_HEIGHT;
    const bottom = lookedTop + LOOKED_HEIGHT;
    this.x = linear(view, [PLOT_LEFT, width - 10]);
    const chart = drawing(width, bottom + 28, '');
    // Screen readers read the host, which is a slider; the table lists what is drawn here.
    chart.setAttribute('aria-hidden', 'true');
    const inside = addPlot(chart, this.x.range, bottom);
    chart.append(timeAxis(this.x, bottom), inside);
    if (found.length) {
      chart.append(curveAxis(PLOT_LEFT, width), svg('text', { class: 'halo value', x: PLOT_LEFT, y: 11 }, label));
      inside.append(...scoreCurves(found, pool, grid, this.x));
    }
    if (video.url !== null) inside.append(this.film(filmTop));
    inside.append(...lanes.map((each, i) => this.lane(each, lanesTop + i * LANE_HEIGHT)));
    inside.append(...this.looked(lookedTop, lanesTop, lanes));
    addCursor(chart, inside, this.x, bottom, (seconds) => [clock(seconds, 2), ...scoresAt(found, seconds, pool, grid)]);
    if (this.state.pending !== null) {
      const at = this.x(this.state.pending);
      inside.append(svg('line', { class: 'pending', x1: at, x2: at, y1: 10, y2: bottom }));
    }
    this.playhead = playheadTo(bottom);
    chart.append(this.playhead);
    seekAlong(chart, this.x, this.actions.seek);
    this.movePlayhead(this.position);
    return chart;
  }

  /**
   * Pictures of the video, each at its time: as many as have room.
   *
   * @param {number} top
   */
  film(top) {
    const { index, begin, duration } = this.state.video;
    const { stills } = this.page;
    const [left, right] = this.x.range;
    const width = (FILM_HEIGHT * STILL.width) / STILL.height;
    const count = Math.max(1, Math.floor((right - left) / width));
    const tiles = Array.from({ length: count }, (_, i) => {
      const x = left + ((right - left) * i) / count;
      const seconds = this.x.invert(x + width / 2);
      const k = clamp(Math.floor((stills * (seconds - begin)) / (duration - begin || 1)), 0, stills - 1);
      return svg('svg', {
        x, y: top, width, height: FILM_HEIGHT, viewBox: `${k * STILL.width} 0 ${STILL.width} ${STILL.height}`,
      }, svg('image', {
        href: `/videos/${index}/stills?of=${this.page.opened}`, width: stills * STILL.width, height: STILL.height,
      }));
    });
    return svg('g', { class: 'film' },
      svg('rect', { x: left, y: top, width: right - left, height: FILM_HEIGHT }), ...tiles);
  }

  /**
   * @param {string} label
   * @param {number} top
   */
  lane(label, top) {
    const [left, right] = this.x.range;
    // What a person said on top of what nobody has judged, the best of those last.
    const order = { rejected: 0, open: 1, accepted: 2 };
    const own = this.state.shown.filter((each) => each.label === label)
      .sort((a, b) => order[a.verdict] - order[b.verdict] || (a.score ?? 2) - (b.score ?? 2));
    const base = top + LANE.label + LANE.bar;
    return svg('g', { class: label === this.state.label ? 'lane chosen' : 'lane' },
      svg('line', { class: 'baseline', x1: left, x2: right, y1: base, y2: base }),
      ...own.map((each) => this.bar(each, top + LANE.label)),
      svg('text', { class: 'halo', x: left, y: top + 11 }, label));
  }

  /**
   * @param {Statement} statement
   * @param {number} top
   */
  bar(statement, top) {
    const { start, end, score, verdict, number } = statement;
    const isSelected = this.state.selected.has(number);
    const at = this.x(start);
    const width = Math.max(3, this.x(end) - at);
    const height = verdict === 'open' ? 6 + clamp(score ?? 1, 0, 1) * (LANE.bar - 6) : LANE.bar;
    const about = {
      class: `statement ${verdict} ${this.page.mark}${isSelected ? ' selected' : ''}`, 'data-number': number,
    };
    const shape = isPoint(statement)
      ? svg('path', { ...about, d: `M${at} ${top}l8 ${LANE.bar / 2}-8 ${LANE.bar / 2}-8-${LANE.bar / 2}Z` })
      : svg('rect', { ...about, x: at, width, y: top + LANE.bar - height, height, rx: 2 });
    const group = svg('g', {}, shape);
    shape.addEventListener('pointermove', (event) => {
      event.stopPropagation();
      showTip(event, [statement.label, aboutOf(statement)]);
    });
    shape.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      this.actions.choose(statement, event.shiftKey || event.ctrlKey || event.metaKey);
    });
    if (isSelected && !isPoint(statement) && this.state.selected.size === 1) {
      group.append(...[start, end].map((seconds, i) => this.handle(statement, seconds, i === 0, top, shape)));
    }
    return group;
  }

  /**
   * An edge that can be dragged.
   *
   * @param {Statement} statement
   * @param {number} seconds
   * @param {boolean} isStart
   * @param {number} top
   * @param {SVGElement} bar
   */
  handle(statement, seconds, isStart, top, bar) {
    const at = this.x(seconds);
    const handle = svg('rect', {
      class: `grip ${isStart ? 'start' : 'end'}`, x: at - 5, y: top - 3, width: 10, height: LANE.bar + 6, rx: 3,
    });
    let { start, end } = statement;
    handle.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener('pointermove', (event) => {
      event.stopPropagation();
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const moved = this.x.invert(clamp(pixelOf(event, handle.ownerSVGElement ?? handle), ...this.x.range));
      if (isStart) start = Math.min(moved, end - 0.02);
      else end = Math.max(moved, start + 0.02);
      handle.setAttribute('x', String(this.x(isStart ? start : end) - 5));
      bar.setAttribute('x', String(this.x(start)));
      bar.setAttribute('width', String(Math.max(3, this.x(end) - this.x(start))));
      showTip(event, [`${clock(start, 2)} to ${clock(end, 2)}`]);
      this.actions.seek(isStart ? start : end);
    });
    handle.addEventListener('pointerup', (event) => {
      event.stopPropagation();
      handle.releasePointerCapture(event.pointerId);
      if (start !== statement.start || end !== statement.end) this.actions.setEdges(statement, start, end);
    });
    return handle;
  }

  /**
   * @param {number} top
   * @param {number} from
   * @param {string[]} lanes the classes that have one
   */
  looked(top, from, lanes) {
    return this.state.video.statements.filter(({ kind }) => kind === 'looked').flatMap((each) => {
      const [x, width] = [this.x(each.start), this.x(each.end) - this.x(each.start)];
      const what = `nothing else${each.label && ` of ${each.label}`} in here`;
      const line = svg('rect', { class: `looked${each.label && ' of-one'}`, x, y: top + 3, width, height: 5, rx: 2 });
      line.addEventListener('pointermove', (event) => {
        event.stopPropagation();
        showTip(event, [what, spanText(each)]);
      });
      line.addEventListener('pointerdown', (event) => {
        event.stopPropagation();
        this.actions.choose(each, false);
      });
      const lane = lanes.indexOf(each.label);
      const shaded = each.label === '' ? { y: from, height: top - from } : { y: from + lane * LANE_HEIGHT, height: LANE_HEIGHT };
      const shade = svg('rect', { class: 'looked-shade', x, width, ...shaded });
      return each.label === '' || lane >= 0 ? [shade, line] : [line];
    });
  }

  /** @param {number} seconds */
  movePlayhead(seconds) {
    this.position = seconds;
    placePlayhead(this.playhead, this.x, this.state.view, seconds);
  }
}
