// The embedded predictions, segments and signals; `duetal.pages.explorer` writes them.

import { bytesOf, floatsOf, shortsOf, wholesOf } from './columns.js';
import { edgeOf } from './grid.js';

/** @import { ExplorerData, LaneData, Prediction, Segment, Span } from './types' */

/** Kinds after those of the diagnosis: a prediction that the protocol leaves out, a missed segment. */
export const NOT_JUDGED = 6;
export const MISSED = 7;

/** Bit of a segment that the protocol leaves out. */
const NOT_EVALUATED = 15;

/**
 * Temporal intersection over union.
 *
 * @param {Span} a
 * @param {Span} b
 */
function tiou(a, b) {
  const shared = Math.min(a.end, b.end) - Math.max(a.start, b.start);
  if (shared <= 0) return 0;
  return shared / (Math.max(a.end, b.end) - Math.min(a.start, b.start));
}

/** The predictions of one run or stage, a row each, by video and by falling score. */
export class Lane {
  /**
   * @param {LaneData} data
   * @param {number} thresholds
   */
  constructor(data, thresholds) {
    this.title = data.title;
    this.short = data.short;
    this.mark = data.mark;
    this.offsets = wholesOf(data.offsets);
    this.label = wholesOf(data.label);
    this.start = floatsOf(data.start);
    this.end = floatsOf(data.end);
    this.score = floatsOf(data.score);
    this.isJudged = data.kind !== undefined;
    this.kinds = bytesOf(data.kind ?? '');
    this.stride = Math.ceil(thresholds / 2);
    this.missed = shortsOf(data.missed ?? '');
    this.best = this.score.reduce((a, b) => Math.max(a, b), 1e-9);
  }

  /**
   * The kind of the prediction in a row at a threshold; NOT_JUDGED where nothing is.
   *
   * @param {number} row
   * @param {number} threshold
   */
  kindAt(row, threshold) {
    if (!this.isJudged) return NOT_JUDGED;
    return (this.kinds[row * this.stride + (threshold >> 1)] >> (4 * (threshold & 1))) & 15;
  }

  /**
   * Whether no prediction matches the annotated segment in a row.
   *
   * @param {number} segment
   * @param {number} threshold
   */
  isMissed(segment, threshold) {
    return this.isJudged && ((this.missed[segment] >> threshold) & 1) === 1;
  }

  /**
   * Whether the protocol evaluates the annotated segment in a row.
   *
   * @param {number} segment
   */
  isEvaluated(segment) {
    return ((this.missed[segment] >> NOT_EVALUATED) & 1) === 0;
  }

  /**
   * @param {number} row
   * @param {number} threshold
   * @returns {Prediction}
   */
  prediction(row, threshold) {
    return {
      row, label: this.label[row], start: this.start[row], end: this.end[row],
      score: this.score[row], kind: this.isJudged ? this.kindAt(row, threshold) : null,
    };
  }
}

export class Exploration {
  /** @param {ExplorerData} data */
  constructor(data) {
    this.classes = data.classes;
    this.kinds = data.kinds;
    this.thresholds = data.tiou;
    this.isJudged = data.tiou.length > 0;
    this.firstThreshold = data.shown;
    this.isComparison = data.compared;
    this.branches = data.branches;
    this.videos = data.videos;
    this.durations = data.durations;
    this.training = data.training;
    this.signals = data.signals;
    this.lanes = data.lanes.map((lane) => new Lane(lane, data.tiou.length));
    this.truth = {
      offsets: wholesOf(data.truth.offsets), label: wholesOf(data.truth.label),
      start: floatsOf(data.truth.start), end: floatsOf(data.truth.end),
    };
  }

  /**
   * Annotated segments of a video by start; all classes unless one is given.
   *
   * @param {number} video
   * @param {number} only
   */
  segments(video, only = -1) {
    const { offsets, label, start, end } = this.truth;
    /** @type {Segment[]} */
    const found = [];
    for (let row = offsets[video]; row < offsets[video + 1]; row += 1) {
      if (only < 0 || label[row] === only) {
        found.push({ row, label: label[row], start: start[row], end: end[row] });
      }
    }
    return found.sort((a, b) => a.start - b.start);
  }

  /**
   * The highest tIoU of a prediction with a segment of its class.
   *
   * @param {Prediction} prediction
   * @param {number} video
   */
  bestTiou(prediction, video) {
    return this.segments(video, prediction.label)
      .reduce((best, segment) => Math.max(best, tiou(prediction, segment)), 0);
  }

  /**
   * Curves and pseudo-labels of a run in a video; null where it has none.
   *
   * @param {number} video
   * @param {number} run
   */
  signalsOf(video, run) {
    return this.signals[run]?.videos[video] ?? null;
  }

  /**
   * Whether a class is known to be in a video: by its segments, or as a training label.
   *
   * @param {number} video
   * @param {number} label
   */
  isIn(video, label) {
    return this.segments(video, label).length > 0 || this.signals.some(({ videos }) =>
      Object.values(videos[video]?.labels ?? {}).some((byClass) => byClass[label] !== undefined));
  }

  /**
   * Classes that a run has curves or pseudo-labels of in a video.
   *
   * @param {number} video
   * @param {number} run
   */
  signalClasses(video, run) {
    const { scores = {}, labels = {} } = this.signalsOf(video, run) ?? {};
    return [...Object.values(labels), ...Object.values(scores)]
      .flatMap((byClass) => Object.keys(byClass).map(Number));
  }

  /**
   * Seconds that a timeline must cover: some annotations run past their video's end.
   *
   * @param {number} video
   */
  extent(video) {
    let longest = this.durations[video] ?? 0;
    for (const { end } of this.segments(video)) longest = Math.max(longest, end);
    for (const { offsets, end } of this.lanes) {
      for (let row = offsets[video]; row < offsets[video + 1]; row += 1) longest = Math.max(longest, end[row]);
    }
    for (const { grid, videos } of this.signals) {
      const { snippets = 0, labelled = 0, begin } = videos[video] ?? {};
      longest = Math.max(longest, edgeOf(Math.max(snippets, labelled), { ...grid, begin }));
    }
    return longest || 1;
  }
}
