// The list of videos. Only the rows in view exist, so that thousands of videos scroll as well.

import { linear } from './axes.js';
import { labelRuns } from './columns.js';
import { clamp, html } from './dom.js';
import { edgeOf } from './grid.js';
import { clearCanvas } from './painter.js';

/** @import { Exploration } from './exploration.js' */
/** @import { Filters } from './filters.js' */
/** @import { Painter } from './painter.js' */
/** @import { Scale } from './types' */

/** Pixels of a row, and rows that are made beyond those in view. */
const ROW = 62;
const BEYOND = 3;

export class VideoIndex {
  /**
   * @param {HTMLElement} host
   * @param {Exploration} exploration
   * @param {Filters} filters
   * @param {Painter} painter
   * @param {(video: number) => void} onChoose
   */
  constructor(host, exploration, filters, painter, onChoose) {
    this.host = host;
    this.exploration = exploration;
    this.filters = filters;
    this.painter = painter;
    this.onChoose = onChoose;
    this.space = html('div', { role: 'presentation', class: 'space' });
    /** Rows in view by their place in the list. @type {Map<number, HTMLElement>} */
    this.rows = new Map();
    this.chosen = -1;
    this.isWaiting = false;
    host.append(this.space);
    host.addEventListener('scroll', () => this.fillSoon(), { passive: true });
    host.addEventListener('keydown', (event) => this.press(event));
    new ResizeObserver(() => this.refill()).observe(host);
  }

  fillSoon() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.fill();
    });
  }

  /** Make every row anew: what is shown has changed. */
  refill() {
    this.rows.clear();
    this.space.replaceChildren();
    this.space.style.height = `${this.filters.order.length * ROW}px`;
    this.fill();
  }

  fill() {
    const { scrollTop, clientHeight } = this.host;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - BEYOND);
    const last = Math.min(this.filters.order.length, Math.ceil((scrollTop + clientHeight) / ROW) + BEYOND);
    for (const [place, row] of this.rows) {
      if (place < first || place >= last) {
        row.remove();
        this.rows.delete(place);
      }
    }
    for (let place = first; place < last; place += 1) {
      if (!this.rows.has(place)) this.rows.set(place, this.row(place));
    }
    this.mark();
  }

  /** @param {number} place */
  row(place) {
    const video = this.filters.order[place];
    const name = this.exploration.videos[video];
    const strip = html('canvas', { class: 'strip', 'aria-hidden': 'true' });
    const row = html('div', {
      role: 'option', class: 'video', id: `video-${place}`, title: name, 'data-video': video,
      'aria-posinset': place + 1, 'aria-setsize': this.filters.order.length,
    }, html('span', { class: 'name' }, name), html('span', { class: 'quiet' }, this.summary(video)), strip);
    row.style.transform = `translateY(${place * ROW}px)`;
    row.addEventListener('click', () => this.onChoose(video));
    this.space.append(row);
    this.paint(strip, video);
    return row;
  }

  /** @param {number} video */
  summary(video) {
    const [shown, missed] = [this.filters.perVideo[video], this.filters.missedPerVideo[video]];
    const isTraining = Boolean(this.exploration.training[video]);
    return [
      isTraining ? 'training' : '',
      isTraining && !shown ? '' : shown.toLocaleString('en'),
      missed ? `${missed} missed` : '',
    ].filter(Boolean).join(' · ');
  }

  /**
   * Paint where the segments lie, and below, lane by lane, what is shown of the predictions.
   *
   * @param {HTMLCanvasElement} strip
   * @param {number} video
   */
  paint(strip, video) {
    const width = Math.max(60, this.host.clientWidth - 24);
    const context = clearCanvas(strip, width, 20);
    const x = linear([0, this.exploration.extent(video)], [0, width]);
    context.fillStyle = this.painter.palette.get('--faint');
    context.fillRect(0, 6, width, 14);
    this.painter.truth(context, this.exploration.segments(video, this.filters.label), x, 0, 5);
    if (this.exploration.training[video]) this.paintLabels(context, video, x);
    const lanes = this.filters.visibleLanes().slice(0, 4);
    const height = 14 / Math.max(1, lanes.length);
    lanes.forEach((number, i) => this.painter.predictions(context, this.exploration.lanes[number],
      this.filters.predictions(number, video), x, 6 + (i + 1) * height, height - 1));
  }

  /**
   * Paint the pseudo-labels of a training video's last phase, all its classes in one line.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {number} video
   * @param {Scale} x
   */
  paintLabels(context, video, x) {
    for (const { grid, videos } of this.exploration.signals) {
      const { labels = {}, labelled = 0, begin } = videos[video] ?? {};
      const last = Math.max(-1, ...Object.keys(labels).map(Number));
      const seconds = (/** @type {number} */ snippet) => edgeOf(snippet, { ...grid, begin });
      for (const text of Object.values(labels[last] ?? {})) {
        this.painter.labels(context, labelRuns(text, labelled), seconds, x, 10, 6);
      }
    }
  }

  /**
   * Mark a video as chosen and bring it into view.
   *
   * @param {number} video
   */
  show(video) {
    this.chosen = video;
    const place = this.filters.order.indexOf(video);
    const { scrollTop, clientHeight } = this.host;
    if (place >= 0 && (place * ROW < scrollTop || (place + 1) * ROW > scrollTop + clientHeight)) {
      this.host.scrollTop = place * ROW - clientHeight / 2 + ROW / 2;
    }
    this.fill();
  }

  mark() {
    this.host.removeAttribute('aria-activedescendant');
    for (const [place, row] of this.rows) {
      const isChosen = this.filters.order[place] === this.chosen;
      row.setAttribute('aria-selected', String(isChosen));
      if (isChosen) this.host.setAttribute('aria-activedescendant', row.id);
    }
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const { order } = this.filters;
    const place = order.indexOf(this.chosen);
    const page = Math.max(1, Math.floor(this.host.clientHeight / ROW) - 1);
    const to = new Map([
      ['ArrowUp', place - 1], ['ArrowDown', place + 1], ['PageUp', place - page], ['PageDown', place + page],
      ['Home', 0], ['End', order.length - 1],
    ]).get(event.key);
    if (to === undefined || !order.length || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.onChoose(order[clamp(to, 0, order.length - 1)]);
  }
}
