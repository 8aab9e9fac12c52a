// The embedded predictions, segments and signals: see `duetal.report.explorer` for their form.

import { bytesOf, floats, shorts, wholes } from './columns.js';

/** Bit of a segment that nothing had to find. */
export const NOT_ASKED = 15;

/** Temporal intersection over union. */
function tiou(a, b) {
  const shared = Math.min(a.end, b.end) - Math.max(a.start, b.start);
  if (shared <= 0) return 0;
  return shared / (Math.max(a.end, b.end) - Math.min(a.start, b.start));
}

/** The predictions of one run or stage, a row each, by video and the surest first. */
class Lane {
  constructor(raw, thresholds) {
    Object.assign(this, { title: raw.title, short: raw.short, mark: raw.mark, total: raw.total });
    this.offsets = wholes(raw.offsets);
    this.label = wholes(raw.label);
    this.start = floats(raw.start);
    this.end = floats(raw.end);
    this.score = floats(raw.score);
    this.judged = raw.kind !== undefined;
    this.kind = this.judged ? bytesOf(raw.kind) : null;
    this.stride = Math.ceil(thresholds / 2);
    this.missed = this.judged ? shorts(raw.missed) : null;
    this.best = Math.max(1e-9, this.score.reduce((a, b) => Math.max(a, b), 0));
  }

  /** What the prediction of a row is at a threshold: an index of kinds, or 6: not judged. */
  kindAt(row, threshold) {
    return (this.kind[row * this.stride + (threshold >> 1)] >> (4 * (threshold & 1))) & 15;
  }

  /** Whether nothing found an annotated segment, by its row. */
  isMissed(segment, threshold) {
    return this.judged && ((this.missed[segment] >> threshold) & 1) === 1;
  }

  prediction(row, threshold) {
    return {
      row, label: this.label[row], start: this.start[row], end: this.end[row],
      score: this.score[row], kind: this.judged ? this.kindAt(row, threshold) : null,
    };
  }
}

export class Exploration {
  constructor(data) {
    const { classes, kinds, tiou: thresholds, videos, durations, training, signals } = data;
    Object.assign(this, { classes, kinds, thresholds, videos, durations, training, signals });
    this.lanes = data.lanes.map((lane) => new Lane(lane, thresholds.length));
    this.truth = {
      offsets: wholes(data.truth.offsets), label: wholes(data.truth.label),
      start: floats(data.truth.start), end: floats(data.truth.end),
    };
    this.shown = data.shown;
    this.judged = thresholds.length > 0;
  }

  /** Annotated segments of a video; all classes unless one is given. */
  segments(video, only = -1) {
    const { offsets, label, start, end } = this.truth;
    const found = [];
    for (let row = offsets[video]; row < offsets[video + 1]; row += 1) {
      if (only < 0 || label[row] === only) {
        found.push({ row, label: label[row], start: start[row], end: end[row] });
      }
    }
    return found.sort((a, b) => a.start - b.start);
  }

  /** The highest tIoU of a prediction with a segment of its class. */
  bestTiou(prediction, video) {
    return this.segments(video, prediction.label)
      .reduce((best, segment) => Math.max(best, tiou(prediction, segment)), 0);
  }

  /** What run `number` says of a video's snippets; null where it says nothing. */
  signalsOf(video, number) {
    return this.signals[number]?.videos[video] ?? null;
  }

  /** Whether a class is known to be in a video: by its segments, or as a training label. */
  isIn(video, label) {
    return this.segments(video, label).length > 0 || this.signals.some(({ videos }) =>
      Object.values(videos[video]?.labels ?? {}).some((byClass) => byClass[label] !== undefined));
  }

  /** Classes that a run has curves or pseudo-labels of in a video. */
  signalClasses(video, number) {
    const { scores = {}, labels = {} } = this.signalsOf(video, number) ?? {};
    return [...Object.values(labels), ...Object.values(scores)]
      .flatMap((byClass) => Object.keys(byClass).map(Number));
  }

  /** Seconds that a timeline must cover: some annotations run past their video's end. */
  extent(video) {
    let longest = this.durations[video] ?? 0;
    for (const { end } of this.segments(video)) longest = Math.max(longest, end);
    for (const { offsets, end } of this.lanes) {
      for (let row = offsets[video]; row < offsets[video + 1]; row += 1) longest = Math.max(longest, end[row]);
    }
    for (const { grid, videos } of this.signals) {
      const { snippets = 0, labelled = 0 } = videos[video] ?? {};
      longest = Math.max(longest, (Math.max(snippets, labelled) * grid.stride) / grid.fps);
    }
    return longest || 1;
  }
}
