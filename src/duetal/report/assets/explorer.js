// Filters, the list of videos and the chosen one, kept in step.

import { CountTable } from './count_table.js';
import { byId, count, html } from './dom.js';
import { Exploration } from './exploration.js';
import { Filters } from './filters.js';
import { Painter } from './painter.js';
import { Palette } from './palette.js';
import { VideoIndex } from './video_index.js';
import { VideoPanel } from './video_panel.js';

export class Explorer {
  constructor(data) {
    this.exploration = new Exploration(data);
    this.filters = new Filters(this.exploration);
    const { lanes } = this.exploration;
    // Of the stages of one run the last one stands for all; several runs are there to be compared.
    const several = lanes.some(({ mark }) => mark.startsWith('run-'));
    this.filters.visible = new Set(several ? lanes.keys() : lanes.length ? [lanes.length - 1] : []);
    const painter = new Painter(new Palette());
    byId('explorer').hidden = false;
    this.offer();
    this.counts = new CountTable(this.exploration, this.filters, () => this.apply());
    this.index = new VideoIndex(byId('video-list'), this.exploration, this.filters, painter, (video) => this.choose(video));
    this.panel = new VideoPanel(this.exploration, this.filters, painter);
    this.listen();
    document.addEventListener('colours', () => this.index.refill());
    this.apply();
  }

  offer() {
    const { classes, thresholds, training, judged, lanes } = this.exploration;
    const option = (value, text) => html('option', { value }, text);
    const sorted = classes.map((name, label) => [name, label]).sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
    byId('class-filter').append(option(-1, 'all classes'), ...sorted.map(([name, label]) => option(label, name)));
    byId('tiou').append(...thresholds.map((value, i) => option(i, value)));
    byId('tiou').value = this.filters.threshold;
    byId('tiou-field').hidden = !judged;
    const parts = new Set(training);
    byId('part-field').hidden = parts.size < 2;
    byId('floor-field').hidden = lanes.length === 0;
    if (!judged) byId('order').querySelector('[value="missed"]').remove();
    byId('video-names').append(...this.exploration.videos.slice(0, 1000).map((name) => option(name, '')));
  }

  listen() {
    const on = (id, event, act) => byId(id).addEventListener(event, ({ target }) => {
      act(target.value);
      this.apply();
    });
    on('video-search', 'input', (text) => { this.filters.text = text; });
    on('class-filter', 'change', (label) => { this.filters.label = Number(label); });
    on('tiou', 'change', (threshold) => { this.filters.threshold = Number(threshold); });
    on('part', 'change', (part) => { this.filters.part = part; });
    on('floor', 'input', (floor) => { this.filters.floor = Number(floor); });
    on('order', 'change', () => { this.panel.video = -1; });
    byId('reset').addEventListener('click', () => this.reset());
    byId('previous').addEventListener('click', () => this.step(-1));
    byId('next').addEventListener('click', () => this.step(1));
    byId('explorer').addEventListener('keydown', (event) => this.press(event));
    for (const button of document.querySelectorAll('button[data-go]')) {
      button.addEventListener('click', () => this.go(button.dataset.go));
    }
  }

  reset() {
    this.filters.reset();
    Object.entries({ 'video-search': '', 'class-filter': -1, part: 'all', floor: 0, order: 'given' })
      .forEach(([id, value]) => { byId(id).value = value; });
    this.apply();
  }

  /** The filters have changed: count anew, list anew, and keep the chosen video if it is listed. */
  apply() {
    const { filters, index, panel } = this;
    filters.apply();
    filters.sort(byId('order').value);
    this.counts.fill();
    byId('floor-value').textContent = `${Math.round(100 * filters.floor)} %`;
    this.tell();
    index.refill();
    const video = filters.order.includes(panel.video) ? panel.video : filters.order[0];
    byId('no-video').hidden = video !== undefined;
    byId('video-panel').hidden = video === undefined;
    if (video !== undefined) this.choose(video);
  }

  /** What the filters leave, in words; a live region reads it out. */
  tell() {
    const { filters, exploration } = this;
    const all = exploration.videos.length;
    const sums = [...filters.visible].reduce(([shown, total], number) =>
      [shown + filters.lanes[number].shown, total + exploration.lanes[number].label.length], [0, 0]);
    const missed = filters.missedPerVideo.reduce((a, b) => a + b, 0);
    const parts = [`${filters.order.length.toLocaleString('en')} of ${count(all, 'video')}`];
    if (exploration.lanes.length) parts.push(`${sums[0].toLocaleString('en')} of ${count(sums[1], 'prediction')}`);
    if (missed) parts.push(count(missed, 'missed segment'));
    byId('result').textContent = `Shown: ${parts.join(' · ')}`;
  }

  choose(video) {
    const { order } = this.filters;
    this.panel.show(video);
    this.index.show(video);
    byId('previous').disabled = order.indexOf(video) <= 0;
    byId('next').disabled = order.indexOf(video) === order.length - 1;
  }

  /** Go to a video by name, whatever the filters. */
  go(name) {
    const video = this.exploration.videos.indexOf(name);
    if (video < 0) return;
    if (!this.filters.order.includes(video)) this.reset();
    this.choose(video);
    byId('video-panel').scrollIntoView();
    byId('timeline').focus({ preventScroll: true });
  }

  step(by) {
    const { order } = this.filters;
    const next = order[order.indexOf(this.panel.video) + by];
    if (next !== undefined) this.choose(next);
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches('input, select')) return;
    const anywhere = {
      '/': () => byId('video-search').focus(),
      n: () => this.panel.stepPrediction(1),
      p: () => this.panel.stepPrediction(-1),
      '+': () => this.panel.zoomBy(0.5),
      '=': () => this.panel.zoomBy(0.5),
      '-': () => this.panel.zoomBy(2),
      0: () => this.panel.zoom([0, this.panel.extent]),
    };
    const onTimeline = {
      ArrowLeft: () => (event.shiftKey ? this.panel.slide(-0.25) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.panel.slide(0.25) : this.step(1)),
      ArrowUp: () => this.panel.stepClass(-1),
      ArrowDown: () => this.panel.stepClass(1),
    };
    const act = anywhere[event.key] ?? (event.target === byId('timeline') ? onTimeline[event.key] : undefined);
    if (!act || this.panel.video < 0) return;
    event.preventDefault();
    act();
  }
}
