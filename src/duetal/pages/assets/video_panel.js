// One video: what is shown of it, and what follows from looking closer.

import { labelRuns } from './columns.js';
import { buttonOf, byId, clamp, clock, count, html, inputOf, selectOf } from './dom.js';
import { MISSED } from './exploration.js';
import { proposalsOf, stretch } from './proposals.js';
import { curvesOf } from './timeline.js';
import { fillVideoTables, listenToVideoTables } from './video_tables.js';
import { VideoTimeline } from './video_timeline.js';

/** @import { Exploration } from './exploration.js' */
/** @import { Filters } from './filters.js' */
/** @import { Painter } from './painter.js' */
/** @import { CutCurve, Found, LanePrediction, Pair, Prediction, Row, Segment, ShownVideo } from './types' */

/** Seconds of the closest look. */
const MIN_VIEW = 1;
/** Classes of a video that are shown at first. */
const MANY_CLASSES = 6;
/** Where no run has curves or pseudo-labels, nothing is placed by a grid. */
const NO_GRID = { fps: 1, stride: 1, window: 1 };

export class VideoPanel {
  /**
   * @param {Exploration} exploration
   * @param {Filters} filters
   * @param {Painter} painter
   */
  constructor(exploration, filters, painter) {
    this.exploration = exploration;
    this.filters = filters;
    this.video = -1;
    this.run = 0;
    this.label = -1;
    this.extent = 1;
    this.isStretched = false;
    this.isEveryClassShown = false;
    /** @type {Pair} */
    this.view = [0, 1];
    /** @type {LanePrediction | null} */
    this.selected = null;
    /** @type {ShownVideo | null} */
    this.shown = null;
    /** Shown predictions by lane. @type {Map<number, Prediction[]>} */
    this.found = new Map();
    this.timeline = new VideoTimeline(byId('timeline'), this, painter);
    byId('run-field').hidden = exploration.signals.length < 2;
    byId('run').append(...exploration.signals.map(({ title }, i) => html('option', { value: i }, title)));
    this.listen();
  }

  listen() {
    const [classes, run, isStretched, pan] = [selectOf('class'), selectOf('run'), inputOf('stretch'), inputOf('pan')];
    classes.addEventListener('change', () => this.chooseClass(Number(classes.value)));
    run.addEventListener('change', () => {
      this.run = Number(run.value);
      this.update();
    });
    isStretched.addEventListener('change', () => {
      this.isStretched = isStretched.checked;
      this.update();
    });
    byId('more-classes').addEventListener('click', () => {
      this.isEveryClassShown = !this.isEveryClassShown;
      this.update();
    });
    pan.addEventListener('input', () => this.pan(Number(pan.value)));
    byId('zoom-in').addEventListener('click', () => this.zoomBy(0.5));
    byId('zoom-out').addEventListener('click', () => this.zoomBy(2));
    byId('zoom-all').addEventListener('click', () => this.zoom([0, this.extent]));
    listenToVideoTables(() => fillVideoTables(this));
    document.addEventListener('colours', () => this.timeline.draw());
  }

  get phases() {
    return this.exploration.signals[this.run]?.phases ?? [];
  }

  /** @param {number} label */
  className(label) {
    return this.exploration.classes[label] ?? '';
  }

  /** @param {number | null} kind */
  kindName(kind) {
    return this.exploration.kinds[kind ?? -1] ?? 'not judged';
  }

  /** @param {number} number */
  lane(number) {
    return this.exploration.lanes[number];
  }

  /** @param {number} video */
  show(video) {
    if (video !== this.video) {
      this.video = video;
      this.extent = this.exploration.extent(video);
      this.view = [0, this.extent];
      this.selected = null;
      this.isEveryClassShown = false;
      this.label = -1;
      byId('selected').textContent = '';
    }
    this.update();
  }

  /** Gather what is shown of the video, and draw it. */
  update() {
    if (this.video < 0) return;
    const { exploration, filters, video } = this;
    const segments = exploration.segments(video, filters.label);
    const lanes = filters.visibleLanes();
    this.found = new Map(lanes.map((number) => [number, filters.predictions(number, video)]));
    const classes = this.orderClasses(segments, lanes);
    if (!classes.includes(this.label)) this.label = filters.label >= 0 ? filters.label : classes[0] ?? -1;
    this.offerClasses(classes);
    const withBars = classes.filter((label) =>
      segments.some((s) => s.label === label) || lanes.some((lane) => this.predictions(lane, label).length));
    byId('more-classes').hidden = withBars.length <= MANY_CLASSES;
    byId('more-classes').textContent = this.isEveryClassShown ? 'Fewer classes' : `All ${withBars.length} classes`;
    this.shown = {
      segments, lanes, label: this.label, view: this.view,
      duration: exploration.durations[video],
      annotated: new Set(segments.map((segment) => segment.label)),
      classes: this.isEveryClassShown ? withBars : withBars.slice(0, MANY_CLASSES),
      ...this.signals(),
    };
    this.describeVideo(this.shown);
    this.redraw();
  }

  /** Curves and pseudo-labels of the chosen run and class. */
  signals() {
    const signals = this.exploration.signalsOf(this.video, this.run);
    const { scores = {}, labels = {}, labelled = 0 } = signals ?? {};
    return {
      signals,
      grid: { ...(this.exploration.signals[this.run]?.grid ?? NO_GRID), begin: signals?.begin },
      curves: curvesOf(this.exploration.branches, scores, this.label).map(({ branch, values }) =>
        ({ branch, values: this.isStretched ? stretch(values) : values, scores: values })),
      labels: Object.entries(labels).filter(([, byClass]) => byClass[this.label] !== undefined)
        .map(([phase, byClass]) =>
          ({ phase: this.phases[Number(phase)], runs: labelRuns(byClass[this.label], labelled) })),
    };
  }

  redraw() {
    if (!this.shown) return;
    const span = this.view[1] - this.view[0];
    const isWhole = span >= this.extent * 0.999;
    byId('pan-field').hidden = isWhole;
    buttonOf('zoom-all').disabled = isWhole;
    buttonOf('zoom-out').disabled = isWhole;
    inputOf('pan').value = String(this.extent > span ? this.view[0] / (this.extent - span) : 0);
    this.shown.view = this.view;
    this.onThreshold();
  }

  /**
   * Annotated classes first, then by the highest-scoring prediction shown, then those of curves.
   *
   * @param {Segment[]} segments
   * @param {number[]} lanes
   */
  orderClasses(segments, lanes) {
    /** @type {Map<number, number>} */
    const best = new Map();
    for (const lane of lanes) {
      for (const { label, score } of this.predictions(lane)) best.set(label, Math.max(score, best.get(label) ?? -Infinity));
    }
    const found = [...best].sort(([, a], [, b]) => b - a).map(([label]) => label);
    const { label: only } = this.filters;
    const known = this.exploration.signalClasses(this.video, this.run).filter((label) => only < 0 || label === only);
    return [...new Set([...segments.map(({ label }) => label), ...found, ...known])];
  }

  /** @param {number[]} classes */
  offerClasses(classes) {
    const select = selectOf('class');
    select.replaceChildren(...classes.map((label) => html('option', { value: label }, this.className(label))));
    select.value = String(this.label);
    byId('class-field').hidden = !this.exploration.signals.length || classes.length === 0;
  }

  /** @param {number} label */
  chooseClass(label) {
    this.label = label;
    this.update();
  }

  /**
   * Shown predictions of a lane; all classes unless one is given.
   *
   * @param {number} lane
   * @param {number} label
   */
  predictions(lane, label = -1) {
    const found = this.found.get(lane) ?? [];
    return label < 0 ? found : found.filter((each) => each.label === label);
  }

  /**
   * Segments of a class that a lane misses, if missed segments are shown.
   *
   * @param {number} lane
   * @param {number} label
   */
  missed(lane, label) {
    const { filters } = this;
    if (!filters.isKindShown(MISSED)) return [];
    return this.shown?.segments.filter((segment) =>
      segment.label === label && this.lane(lane).isMissed(segment.row, filters.threshold)) ?? [];
  }

  /** @param {CutCurve} curve */
  proposals(curve) {
    if (!this.shown) return [];
    const { signals, grid, duration } = this.shown;
    const { pool = 1, snippets = 0 } = signals ?? {};
    return proposalsOf(curve.values, curve.scores, this.timeline.threshold(curve), { pool, snippets, grid, duration });
  }

  /** Draw what depends on the thresholds. */
  onThreshold() {
    if (!this.shown) return;
    const texts = this.shown.curves.map((curve) => {
      const found = this.proposals(curve);
      const seconds = found.reduce((sum, { start, end }) => sum + end - start, 0);
      const text = `${count(found.length, 'proposal')}, ${clock(seconds)} in all`;
      this.timeline.thresholds.get(curve.branch)?.describe(text);
      return `${curve.branch.title} above ${this.timeline.threshold(curve).toFixed(2)}: ${text}`;
    });
    byId('proposal-summary').textContent = texts.join(' · ');
    byId('curve-controls').hidden = texts.length === 0;
    byId('proposal-details').hidden = texts.length === 0;
    byId('label-details').hidden = this.shown.labels.length === 0;
    this.timeline.draw();
    fillVideoTables(this);
  }

  /** @param {ShownVideo} shown */
  describeVideo({ annotated, segments, lanes, duration }) {
    const { exploration, filters, video } = this;
    const names = [...annotated].map((label) =>
      `${this.className(label)} × ${segments.filter((segment) => segment.label === label).length}`);
    const place = filters.order.indexOf(video);
    const parts = [
      duration === null ? '' : clock(duration),
      place < 0 ? 'not among the videos listed' : `video ${place + 1} of ${filters.order.length}`,
      exploration.training[video] ? 'training video' : '',
      `ground truth: ${names.join(', ') || 'none'}`,
      ...lanes.map((lane) => `${count(this.predictions(lane).length, 'prediction')} of ${this.lane(lane).title}`),
    ];
    byId('video-title').textContent = exploration.videos[video];
    byId('video-summary').textContent = parts.filter(Boolean).join(' · ');
  }

  /** The timeline in a sentence, for its drawing. */
  summary() {
    return `Timeline of ${this.exploration.videos[this.video]}: ${byId('video-summary').textContent}. ${byId('proposal-summary').textContent}`;
  }

  /**
   * The lines of text beside a pointer on one thing of the timeline.
   *
   * @param {Row} row
   * @param {Found} item
   * @param {number} among
   */
  describe(row, { start, end, score = 0, prediction, isMissed }, among) {
    const span = `${clock(start)} to ${clock(end)}`;
    if (row.what === 'proposals') return [`${row.curve.branch.title} proposal`, `${span}, highest score ${score.toFixed(2)}`];
    if (row.what !== 'lane') return [`Ground truth: ${this.className(row.label)}`, span];
    if (isMissed || !prediction) return [`Missed by ${this.lane(row.lane).title}`, span];
    return [...this.describePrediction(prediction, row.lane), ...(among > 1 ? [`and ${among - 1} more here`] : [])];
  }

  /**
   * @param {Prediction} prediction
   * @param {number} lane
   */
  describePrediction(prediction, lane) {
    const { label, start, end, score, kind } = prediction;
    return [`${this.className(label)} · ${this.lane(lane).title}`,
      `${clock(start)} to ${clock(end)}, score ${Number(score.toPrecision(3))}`,
      ...(kind === null ? [] : [
        `${this.kindName(kind)} at tIoU ${this.exploration.thresholds[this.filters.threshold]}`,
        `best tIoU ${this.exploration.bestTiou(prediction, this.video).toFixed(2)} with its class`,
      ])];
  }

  /** @param {LanePrediction} prediction */
  select(prediction) {
    this.selected = prediction;
    if (this.shown?.classes.includes(prediction.label)) this.label = prediction.label;
    byId('selected').textContent = this.describePrediction(prediction, prediction.lane).join(', ');
    if (prediction.end < this.view[0] || prediction.start > this.view[1]) {
      const half = (this.view[1] - this.view[0]) / 2;
      this.zoom([prediction.start - half, prediction.start + half]);
    }
    this.update();
  }

  /**
   * The next or previous prediction shown, in the order of time.
   *
   * @param {number} by
   */
  stepPrediction(by) {
    const all = [...this.found].flatMap(([lane, found]) => found.map((each) => ({ ...each, lane })))
      .sort((a, b) => a.start - b.start || a.lane - b.lane || a.row - b.row);
    const at = all.findIndex(({ row, lane }) => row === this.selected?.row && lane === this.selected?.lane);
    const first = by > 0 ? 0 : all.length - 1;
    const next = all[at < 0 ? first : at + by];
    if (next) this.select(next);
  }

  /** @param {number} by */
  stepClass(by) {
    const labels = [...selectOf('class').options].map(({ value }) => Number(value));
    const next = labels[labels.indexOf(this.label) + by];
    if (next !== undefined) this.chooseClass(next);
  }

  /** @param {Pair} view */
  zoom([from, to]) {
    const span = clamp(to - from, Math.min(MIN_VIEW, this.extent), this.extent);
    const start = clamp((from + to - span) / 2, 0, this.extent - span);
    this.view = [start, start + span];
    this.redraw();
  }

  /** @param {number} factor */
  zoomBy(factor) {
    const [from, to] = this.view;
    const reach = ((to - from) * factor) / 2;
    this.zoom([(from + to) / 2 - reach, (from + to) / 2 + reach]);
  }

  /**
   * Move the view to a share of its way: 0 is the video's start, 1 its end.
   *
   * @param {number} share
   */
  pan(share) {
    const span = this.view[1] - this.view[0];
    const start = share * (this.extent - span);
    this.zoom([start, start + span]);
  }

  /**
   * Move the view by a share of its width.
   *
   * @param {number} share
   */
  slide(share) {
    const [from, to] = this.view;
    this.zoom([from + share * (to - from), to + share * (to - from)]);
  }
}
