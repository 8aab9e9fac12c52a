// The list of videos. Only the rows in view exist, so that thousands of videos scroll as well.

import { linear } from './axes.js';
import { labelRuns } from './columns.js';
import { html } from './dom.js';
import { clearCanvas } from './painter.js';

const ROW = 62;
const BEYOND = 3;

export class VideoIndex {
  /** choose(video) is called when the reader picks one. */
  constructor(host, exploration, filters, painter, choose) {
    Object.assign(this, { host, exploration, filters, painter, choose });
    this.space = html('div', { role: 'presentation', class: 'space' });
    this.rows = new Map();
    this.chosen = -1;
    host.append(this.space);
    host.addEventListener('scroll', () => this.later(), { passive: true });
    host.addEventListener('keydown', (event) => this.press(event));
    new ResizeObserver(() => this.refill()).observe(host);
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
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
    const { order } = this.filters;
    const { scrollTop, clientHeight } = this.host;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - BEYOND);
    const last = Math.min(order.length, Math.ceil((scrollTop + clientHeight) / ROW) + BEYOND);
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

  row(place) {
    const video = this.filters.order[place];
    const name = this.exploration.videos[video];
    const strip = html('canvas', { class: 'strip', 'aria-hidden': 'true' });
    const row = html('div', {
      role: 'option', class: 'video', id: `video-${place}`, title: name, 'data-video': video,
      'aria-posinset': place + 1, 'aria-setsize': this.filters.order.length,
    }, html('span', { class: 'name' }, name), html('span', { class: 'quiet' }, this.says(video)), strip);
    row.style.transform = `translateY(${place * ROW}px)`;
    row.addEventListener('click', () => this.choose(video));
    this.space.append(row);
    this.paint(strip, video);
    return row;
  }

  says(video) {
    const { perVideo, missedPerVideo } = this.filters;
    const training = this.exploration.training[video] ? 'training' : '';
    const shown = this.exploration.training[video] && !perVideo[video] ? '' : perVideo[video].toLocaleString('en');
    const missed = missedPerVideo[video] ? `${missedPerVideo[video]} missed` : '';
    return [training, shown, missed].filter(Boolean).join(' · ');
  }

  /** Where the segments lie, and below, lane by lane, what is shown of the predictions. */
  paint(strip, video) {
    const width = Math.max(60, this.host.clientWidth - 24);
    const context = clearCanvas(strip, width, 20);
    const x = linear([0, this.exploration.extent(video)], [0, width]);
    const { palette } = this.painter;
    context.fillStyle = palette.get('--faint');
    context.fillRect(0, 6, width, 14);
    this.painter.truth(context, this.exploration.segments(video, this.filters.label), x, 0, 5);
    if (this.exploration.training[video]) this.paintLabels(context, video, x);
    const lanes = [...this.filters.visible].sort((a, b) => a - b).slice(0, 4);
    const height = 14 / Math.max(1, lanes.length);
    lanes.forEach((number, i) => this.painter.predictions(context, this.exploration.lanes[number],
      this.filters.predictions(number, video), x, 6 + (i + 1) * height, height - 1));
  }

  /** What the last step's teacher said of a training video, all its classes in one line. */
  paintLabels(context, video, x) {
    for (const { grid, phases, videos } of this.exploration.signals) {
      const { labels = {}, labelled = 0 } = videos[video] ?? {};
      const last = Math.max(-1, ...Object.keys(labels).map(Number).filter((phase) => phase < phases.length));
      for (const text of Object.values(labels[last] ?? {})) {
        const seconds = (snippet) => (snippet * grid.stride) / grid.fps;
        this.painter.labels(context, labelRuns(text, labelled), seconds, x, 10, 6);
      }
    }
  }

  /** Choose a video: bring it into view and say which it is. */
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
      const chosen = this.filters.order[place] === this.chosen;
      row.setAttribute('aria-selected', String(chosen));
      if (chosen) this.host.setAttribute('aria-activedescendant', row.id);
    }
  }

  press(event) {
    const { order } = this.filters;
    const place = order.indexOf(this.chosen);
    const page = Math.max(1, Math.floor(this.host.clientHeight / ROW) - 1);
    const to = {
      ArrowUp: place - 1, ArrowDown: place + 1, PageUp: place - page, PageDown: place + page,
      Home: 0, End: order.length - 1,
    }[event.key];
    if (to === undefined || !order.length || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.choose(order[Math.min(order.length - 1, Math.max(0, to))]);
  }
}
