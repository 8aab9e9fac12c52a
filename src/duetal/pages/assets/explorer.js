// Filters, the list of videos and the chosen one, kept in step.

import { CountTable } from './count_table.js';
import { buttonOf, byId, count, html, inputOf, selectOf } from './dom.js';
import { Exploration } from './exploration.js';
import { Filters } from './filters.js';
import { Painter } from './painter.js';
import { VideoIndex } from './video_index.js';
import { VideoPanel } from './video_panel.js';

/** @import { ExplorerData } from './types' */

/** The controls that "Clear filters" resets, with their first values. */
const FIRST = { 'video-search': '', 'class-filter': '-1', part: 'all', floor: '0', order: 'given' };

/** @param {string} id */
const valueOf = (id) => /** @type {HTMLInputElement | HTMLSelectElement} */ (byId(id));

export class Explorer {
  /** @param {ExplorerData} data */
  constructor(data) {
    this.exploration = new Exploration(data);
    this.filters = new Filters(this.exploration);
    const lanes = [...this.exploration.lanes.keys()];
    // Of the stages of one run the last one stands for all; several runs are there to be compared.
    this.filters.visible = new Set(this.exploration.isComparison ? lanes : lanes.slice(-1));
    const painter = new Painter();
    byId('explorer').hidden = false;
    this.offer();
    this.counts = new CountTable(this.exploration, this.filters, () => this.apply());
    this.index = new VideoIndex(byId('video-list'), this.exploration, this.filters, painter, (video) => this.choose(video));
    this.panel = new VideoPanel(this.exploration, this.filters, painter);
    this.listen();
    document.addEventListener('colours', () => this.index.refill());
    this.apply();
  }

  /** Fill the controls, and hide those that have nothing to choose from. */
  offer() {
    const { classes, thresholds, training, isJudged, lanes, videos } = this.exploration;
    const option = (/** @type {string | number} */ value, /** @type {string | number} */ text) =>
      html('option', { value }, String(text));
    const sorted = [...classes.entries()].sort(([, a], [, b]) => (a < b ? -1 : Number(a > b)));
    byId('class-filter').append(option(-1, 'all classes'), ...sorted.map(([label, name]) => option(label, name)));
    byId('tiou').append(...thresholds.map((value, i) => option(i, value)));
    selectOf('tiou').value = String(this.filters.threshold);
    byId('tiou-field').hidden = !isJudged;
    byId('part-field').hidden = new Set(training).size < 2;
    byId('floor-field').hidden = lanes.length === 0;
    if (!isJudged) byId('order').querySelector('[value="missed"]')?.remove();
    byId('video-names').append(...videos.slice(0, 1000).map((name) => option(name, '')));
  }

  listen() {
    const { filters } = this;
    const on = (/** @type {string} */ id, /** @type {string} */ event, /** @type {(value: string) => void} */ act) =>
      byId(id).addEventListener(event, () => {
        act(valueOf(id).value);
        this.apply();
      });
    on('video-search', 'input', (text) => { filters.text = text; });
    on('class-filter', 'change', (label) => { filters.label = Number(label); });
    on('tiou', 'change', (threshold) => { filters.threshold = Number(threshold); });
    on('part', 'change', (part) => { filters.part = part; });
    on('floor', 'input', (floor) => { filters.floor = Number(floor); });
    on('order', 'change', () => { this.panel.video = -1; });
    byId('reset').addEventListener('click', () => this.reset());
    byId('previous').addEventListener('click', () => this.step(-1));
    byId('next').addEventListener('click', () => this.step(1));
    document.addEventListener('keydown', (event) => this.press(event));
    for (const button of document.querySelectorAll('button')) {
      const { go } = button.dataset;
      if (go !== undefined) button.addEventListener('click', () => this.go(go));
    }
  }

  reset() {
    this.filters.reset();
    for (const [id, value] of Object.entries(FIRST)) valueOf(id).value = value;
    this.apply();
  }

  /** The filters have changed: count and list anew, and keep the chosen video if it is listed. */
  apply() {
    const { filters, index, panel } = this;
    filters.apply(selectOf('order').value);
    this.counts.fill();
    byId('floor-value').textContent = `${Math.round(100 * filters.floor)} %`;
    this.showResult();
    index.refill();
    const video = filters.order.includes(panel.video) ? panel.video : filters.order[0];
    byId('no-video').hidden = video !== undefined;
    byId('video-panel').hidden = video === undefined;
    if (video !== undefined) this.choose(video);
  }

  /** Describe what the filters leave, in a live region. */
  showResult() {
    const { filters, exploration: { videos, lanes } } = this;
    const visible = filters.visibleLanes();
    const shown = visible.reduce((sum, number) => sum + filters.lanes[number].shown, 0);
    const total = visible.reduce((sum, number) => sum + lanes[number].label.length, 0);
    const missed = filters.missedPerVideo.reduce((a, b) => a + b, 0);
    const parts = [`${filters.order.length.toLocaleString('en')} of ${count(videos.length, 'video')}`];
    if (lanes.length) parts.push(`${shown.toLocaleString('en')} of ${count(total, 'prediction')}`);
    if (missed) parts.push(count(missed, 'missed segment'));
    byId('result').textContent = `Shown: ${parts.join(' · ')}`;
  }

  /** @param {number} video */
  choose(video) {
    const place = this.filters.order.indexOf(video);
    this.panel.show(video);
    this.index.show(video);
    buttonOf('previous').disabled = place <= 0;
    buttonOf('next').disabled = place === this.filters.order.length - 1;
  }

  /**
   * Go to a video by name, whatever the filters.
   *
   * @param {string} name
   */
  go(name) {
    const video = this.exploration.videos.indexOf(name);
    if (video < 0) return;
    if (!this.filters.order.includes(video)) this.reset();
    this.choose(video);
    byId('video-panel').scrollIntoView();
    byId('timeline').focus({ preventScroll: true });
  }

  /** @param {number} by */
  step(by) {
    const { order } = this.filters;
    const next = order[order.indexOf(this.panel.video) + by];
    if (next !== undefined) this.choose(next);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const { target } = event;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (target instanceof Element && target.matches('input, select')) return;
    const { panel } = this;
    // On a fresh page nothing has the focus, and the page has no use for these two itself.
    const isFree = target === document.body;
    /** @type {Record<string, () => void>} */
    const anywhere = {
      '/': () => inputOf('video-search').focus(),
      n: () => panel.stepPrediction(1),
      p: () => panel.stepPrediction(-1),
      '+': () => panel.zoomBy(0.5),
      '=': () => panel.zoomBy(0.5),
      '-': () => panel.zoomBy(2),
      0: () => panel.zoom([0, panel.extent]),
    };
    /** @type {Record<string, () => void>} */
    const sideways = {
      ArrowLeft: () => (event.shiftKey ? panel.slide(-0.25) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? panel.slide(0.25) : this.step(1)),
    };
    /** @type {Record<string, () => void>} */
    const onTimeline = {
      ...sideways,
      ArrowUp: () => panel.stepClass(-1),
      ArrowDown: () => panel.stepClass(1),
    };
    const here = target === byId('timeline') ? onTimeline : isFree ? sideways : {};
    const act = anywhere[event.key] ?? here[event.key];
    if (!act || panel.video < 0) return;
    event.preventDefault();
    act();
    // What a key has changed must be seen, wherever on the page it was pressed.
    const { top, bottom } = byId('timeline').getBoundingClientRect();
    if (event.key !== '/' && (bottom < 40 || top > innerHeight - 40)) byId('video-panel').scrollIntoView();
  }
}
