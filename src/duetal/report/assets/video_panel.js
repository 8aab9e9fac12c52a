// One video: what is shown of it, and what follows from looking closer.

import { labelRuns } from './columns.js';
import { byId, clock, count, html } from './dom.js';
import { MISSED } from './filters.js';
import { proposalsOf, stretch } from './proposals.js';
import { curvesOf } from './timeline.js';
import { fillVideoTables, VIDEO_TABLES } from './video_tables.js';
import { VideoTimeline } from './video_timeline.js';

/** Seconds of the closest look. */
const MIN_VIEW = 1;
/** Classes of a video that are shown unless more are asked for. */
const MANY_CLASSES = 6;

export class VideoPanel {
  constructor(exploration, filters, painter) {
    Object.assign(this, { exploration, filters, video: -1, run: 0, label: -1, stretched: false });
    Object.assign(this, { view: [0, 1], selected: null, shown: null, everyClass: false });
    this.timeline = new VideoTimeline(byId('timeline'), this, painter);
    this.fillRuns();
    this.listen();
  }

  fillRuns() {
    const said = this.exploration.signals;
    byId('run-field').hidden = said.length < 2;
    byId('run').append(...said.map(({ title }, i) => html('option', { value: i }, title)));
  }

  listen() {
    byId('class').addEventListener('change', ({ target }) => this.chooseClass(Number(target.value)));
    byId('run').addEventListener('change', ({ target }) => {
      this.run = Number(target.value);
      this.update();
    });
    byId('stretch').addEventListener('change', ({ target }) => {
      this.stretched = target.checked;
      this.update();
    });
    byId('more-classes').addEventListener('click', () => {
      this.everyClass = !this.everyClass;
      this.update();
    });
    byId('pan').addEventListener('input', ({ target }) => this.pan(Number(target.value)));
    byId('zoom-in').addEventListener('click', () => this.zoomBy(0.5));
    byId('zoom-out').addEventListener('click', () => this.zoomBy(2));
    byId('zoom-all').addEventListener('click', () => this.zoom([0, this.extent]));
    for (const id of Object.keys(VIDEO_TABLES)) {
      byId(id).closest('details').addEventListener('toggle', () => fillVideoTables(this));
    }
    document.addEventListener('colours', () => this.timeline.draw());
  }

  get phases() {
    return this.exploration.signals[this.run]?.phases ?? [];
  }

  className(label) {
    return this.exploration.classes[label] ?? '';
  }

  kindName(kind) {
    return this.exploration.kinds[kind] ?? 'not judged';
  }

  lane(number) {
    return this.exploration.lanes[number];
  }

  show(video) {
    const first = video !== this.video;
    this.video = video;
    if (first) {
      this.extent = this.exploration.extent(video);
      Object.assign(this, { view: [0, this.extent], selected: null, everyClass: false, label: -1 });
      byId('selected').textContent = '';
    }
    this.update();
  }

  /** Gather what is shown of the video, and draw it. */
  update() {
    if (this.video < 0) return;
    const { exploration, filters, video } = this;
    const segments = exploration.segments(video, filters.label);
    const lanes = [...filters.visible].sort((a, b) => a - b);
    this.found = new Map(lanes.map((number) => [number, filters.predictions(number, video)]));
    const classes = this.orderClasses(segments, lanes);
    if (!classes.includes(this.label)) this.label = filters.label >= 0 ? filters.label : classes[0] ?? -1;
    const signals = exploration.signalsOf(video, this.run);
    this.offerClasses(classes);
    const labels = Object.entries(signals?.labels ?? {}).filter(([, byClass]) => byClass[this.label] !== undefined);
    const barred = classes.filter((label) =>
      segments.some((s) => s.label === label) || lanes.some((n) => this.found.get(n).some((d) => d.label === label)));
    byId('more-classes').hidden = barred.length <= MANY_CLASSES;
    byId('more-classes').textContent = this.everyClass ? 'Fewer classes' : `All ${barred.length} classes`;
    this.shown = {
      segments, lanes, signals, label: this.label, view: this.view,
      duration: exploration.durations[video],
      grid: exploration.signals[this.run]?.grid,
      annotated: new Set(segments.map((segment) => segment.label)),
      classes: this.everyClass ? barred : barred.slice(0, MANY_CLASSES),
      curves: curvesOf(signals?.scores ?? {}, this.label).map(([branch, values]) =>
        [branch, this.stretched ? stretch(values) : values, values]),
      labels: labels.map(([phase, byClass]) =>
        ({ phase: this.phases[phase], runs: labelRuns(byClass[this.label], signals.labelled) })),
    };
    this.describeVideo();
    this.redraw();
  }

  redraw() {
    const whole = this.view[1] - this.view[0] >= this.extent * 0.999;
    byId('pan-field').hidden = whole;
    byId('zoom-all').disabled = whole;
    byId('zoom-out').disabled = whole;
    const room = this.extent - (this.view[1] - this.view[0]);
    byId('pan').value = room > 0 ? this.view[0] / room : 0;
    this.shown.view = this.view;
    this.tellThresholds();
    this.timeline.draw();
    fillVideoTables(this);
  }

  /** Annotated classes first, then by the surest prediction shown, then those of curves. */
  orderClasses(segments, lanes) {
    const best = new Map();
    for (const number of lanes) {
      for (const { label, score } of this.found.get(number)) best.set(label, Math.max(score, best.get(label) ?? -Infinity));
    }
    const found = [...best].sort(([, a], [, b]) => b - a).map(([label]) => label);
    const { label: only } = this.filters;
    const said = this.exploration.signalClasses(this.video, this.run).filter((label) => only < 0 || label === only);
    return [...new Set([...segments.map(({ label }) => label), ...found, ...said])];
  }

  offerClasses(classes) {
    byId('class').replaceChildren(...classes.map((label) => html('option', { value: label }, this.className(label))));
    byId('class').value = this.label;
    byId('class-field').hidden = !this.exploration.signals.length || classes.length === 0;
  }

  chooseClass(label) {
    this.label = label;
    this.update();
  }

  predictions(lane, label = -1) {
    const found = this.found.get(lane) ?? [];
    return label < 0 ? found : found.filter((each) => each.label === label);
  }

  missed(number, label) {
    const { exploration, filters } = this;
    if (!filters.isKindShown(MISSED)) return [];
    return this.shown.segments.filter((segment) =>
      segment.label === label && exploration.lanes[number].isMissed(segment.row, filters.threshold));
  }

  proposals(branch) {
    const { curves, signals, grid, duration } = this.shown;
    const [, curve, values] = curves.find(([name]) => name === branch);
    const { value } = this.timeline.thresholds.get(branch);
    return proposalsOf(curve, values, value, { ...signals, grid, duration });
  }

  moveThreshold() {
    if (!this.shown) return;
    this.tellThresholds();
    this.timeline.draw();
    fillVideoTables(this);
  }

  tellThresholds() {
    const words = this.shown.curves.map(([branch]) => {
      const found = this.proposals(branch);
      const seconds = found.reduce((sum, { start, end }) => sum + end - start, 0);
      const text = `${count(found.length, 'proposal')}, ${clock(seconds)} in all`;
      const threshold = this.timeline.thresholds.get(branch);
      threshold.tell(text);
      return `${branch.toUpperCase()} above ${threshold.value.toFixed(2)}: ${text}`;
    });
    byId('proposal-summary').textContent = words.join(' · ');
    byId('curve-controls').hidden = words.length === 0;
    byId('proposal-details').hidden = words.length === 0;
    byId('label-details').hidden = this.shown.labels.length === 0;
  }

  describeVideo() {
    const { exploration, filters, video, shown } = this;
    const names = [...shown.annotated].map((label) =>
      `${this.className(label)} × ${shown.segments.filter((segment) => segment.label === label).length}`);
    const place = filters.order.indexOf(video);
    const parts = [
      exploration.durations[video] === null ? '' : clock(exploration.durations[video]),
      place < 0 ? 'not among the videos listed' : `video ${place + 1} of ${filters.order.length}`,
      exploration.training[video] ? 'training video' : '',
      `ground truth: ${names.join(', ') || 'none'}`,
      ...shown.lanes.map((number) => `${count(this.predictions(number).length, 'prediction')} of ${this.lane(number).title}`),
    ];
    byId('video-title').textContent = exploration.videos[video];
    byId('video-summary').textContent = parts.filter(Boolean).join(' · ');
  }

  /** The timeline in a sentence, for its drawing. */
  says() {
    return `Timeline of ${this.exploration.videos[this.video]}: ${byId('video-summary').textContent}. ${byId('proposal-summary').textContent}`;
  }

  /** What a pointer's tip says of one thing on the timeline. */
  describe(row, item, among) {
    const span = `${clock(item.start)} to ${clock(item.end)}`;
    if (row.what === 'truth') return [`Ground truth: ${this.className(row.label)}`, span];
    if (row.what === 'proposals') return [`${row.branch.toUpperCase()} proposal`, `${span}, highest score ${item.score.toFixed(2)}`];
    if (item.missed) return [`Missed by ${this.lane(row.lane).title}`, span];
    return [...this.sayPrediction(item, row.lane), among > 1 ? `and ${among - 1} more here` : ''].filter(Boolean);
  }

  sayPrediction(each, lane) {
    const judged = each.kind === null ? [] : [
      `${this.kindName(each.kind)} at tIoU ${this.exploration.thresholds[this.filters.threshold]}`,
      `best tIoU ${this.exploration.bestTiou(each, this.video).toFixed(2)} with its class`,
    ];
    return [`${this.className(each.label)} · ${this.lane(lane).title}`,
      `${clock(each.start)} to ${clock(each.end)}, score ${Number(each.score.toPrecision(3))}`, ...judged];
  }

  select(each) {
    this.selected = each;
    if (this.shown.classes.includes(each.label)) this.label = each.label;
    byId('selected').textContent = this.sayPrediction(each, each.lane).join(', ');
    if (each.end < this.view[0] || each.start > this.view[1]) {
      const half = (this.view[1] - this.view[0]) / 2;
      this.zoom([each.start - half, each.start + half]);
    }
    this.update();
  }

  /** The next or previous prediction shown, in the order of time. */
  stepPrediction(by) {
    const all = this.shown.lanes.flatMap((lane) => this.predictions(lane).map((each) => ({ ...each, lane })))
      .sort((a, b) => a.start - b.start || a.lane - b.lane || a.row - b.row);
    if (!all.length) return;
    const same = ({ row, lane }) => row === this.selected?.row && lane === this.selected?.lane;
    const at = all.findIndex(same);
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by;
    if (next >= 0 && next < all.length) this.select(all[next]);
  }

  stepClass(by) {
    const options = [...byId('class').options].map(({ value }) => Number(value));
    const next = options[options.indexOf(this.label) + by];
    if (next !== undefined) this.chooseClass(next);
  }

  zoom([from, to]) {
    const span = Math.min(this.extent, Math.max(Math.min(MIN_VIEW, this.extent), to - from));
    const start = Math.min(this.extent - span, Math.max(0, (from + to - span) / 2));
    this.view = [start, start + span];
    this.redraw();
  }

  zoomBy(factor) {
    const [from, to] = this.view;
    const reach = ((to - from) * factor) / 2;
    this.zoom([(from + to) / 2 - reach, (from + to) / 2 + reach]);
  }

  /** Move the view to a share of its way: 0 is the video's start, 1 its end. */
  pan(share) {
    const span = this.view[1] - this.view[0];
    const start = share * (this.extent - span);
    this.zoom([start, start + span]);
  }

  /** Move the view by a share of its width. */
  slide(share) {
    const [from, to] = this.view;
    this.zoom([from + share * (to - from), to + share * (to - from)]);
  }
}
