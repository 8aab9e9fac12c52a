// Which predictions, missed segments and videos are shown.

import { MISSED } from './exploration.js';

/** @import { Exploration, Lane } from './exploration.js' */

export class Filters {
  /** @param {Exploration} exploration */
  constructor(exploration) {
    this.exploration = exploration;
    this.threshold = exploration.firstThreshold;
    /** Whether a row passes all filters, and what the filters other than the kinds leave by kind. */
    this.lanes = exploration.lanes.map((lane) => ({
      passes: new Uint8Array(lane.label.length), counts: new Array(MISSED + 1).fill(0), shown: 0,
    }));
    /** Lanes that are shown. @type {Set<number>} */
    this.visible = new Set();
    /** Kinds that are shown, all where it is empty. @type {Set<number>} */
    this.kinds = new Set();
    this.text = '';
    this.part = 'all';
    this.label = -1;
    this.floor = 0;
    /** Videos that are listed. @type {number[]} */
    this.order = [];
    this.allowed = new Uint8Array();
    this.perVideo = new Uint32Array();
    this.missedPerVideo = new Uint32Array();
  }

  /** Show everything; visible lanes and the threshold stay as they are. */
  reset() {
    this.kinds = new Set();
    this.text = '';
    this.part = 'all';
    this.label = -1;
    this.floor = 0;
  }

  /** @param {number} kind */
  isKindShown(kind) {
    return this.kinds.size === 0 || this.kinds.has(kind);
  }

  /** @param {string} by */
  apply(by) {
    const { exploration: { videos, training } } = this;
    const wanted = this.text.trim().toLowerCase();
    this.allowed = Uint8Array.from(videos, (name, i) => Number(
      (!wanted || name.toLowerCase().includes(wanted))
      && (this.part === 'all' || (this.part === 'training') === Boolean(training[i]))));
    this.perVideo = new Uint32Array(videos.length);
    this.missedPerVideo = new Uint32Array(videos.length);
    this.exploration.lanes.forEach((lane, number) => this.countLane(lane, number));
    this.order = [...videos.keys()].filter((video) => this.allowed[video] && this.isListed(video));
    this.sort(by);
  }

  /**
   * Count by kind what the other filters leave, and mark what all of them do.
   *
   * @param {Lane} lane
   * @param {number} number
   */
  countLane(lane, number) {
    const { passes, counts } = this.lanes[number];
    const least = this.floor * lane.best;
    const isVisible = this.visible.has(number);
    let shown = 0;
    counts.fill(0);
    passes.fill(0);
    for (let video = 0; video < this.allowed.length; video += 1) {
      if (!this.allowed[video]) continue;
      for (let row = lane.offsets[video]; row < lane.offsets[video + 1]; row += 1) {
        if (lane.score[row] < least && this.floor > 0) break;
        if (this.label >= 0 && lane.label[row] !== this.label) continue;
        const kind = lane.kindAt(row, this.threshold);
        counts[kind] += 1;
        if (!this.isKindShown(kind)) continue;
        passes[row] = 1;
        shown += 1;
        if (isVisible) this.perVideo[video] += 1;
      }
      const missed = this.missed(lane, video).length;
      counts[MISSED] += missed;
      if (isVisible && this.isKindShown(MISSED)) this.missedPerVideo[video] += missed;
    }
    this.lanes[number].shown = shown;
  }

  /**
   * Segments of a video that a lane misses, of the chosen class.
   *
   * @param {Lane} lane
   * @param {number} video
   */
  missed(lane, video) {
    const { offsets, label } = this.exploration.truth;
    const rows = [];
    for (let row = offsets[video]; row < offsets[video + 1]; row += 1) {
      if ((this.label < 0 || label[row] === this.label) && lane.isMissed(row, this.threshold)) rows.push(row);
    }
    return rows;
  }

  /**
   * Whether something of a video is shown, or it has the chosen class and no other filter applies.
   *
   * @param {number} video
   */
  isListed(video) {
    if (this.perVideo[video] + this.missedPerVideo[video] > 0) return true;
    if (this.floor > 0 || this.kinds.size > 0) return false;
    return this.label < 0 || this.exploration.isIn(video, this.label);
  }

  /** @param {string} by */
  sort(by) {
    const { videos } = this.exploration;
    const counts = by === 'shown' ? this.perVideo : this.missedPerVideo;
    if (by === 'shown' || by === 'missed') this.order.sort((a, b) => counts[b] - counts[a] || a - b);
    if (by === 'name') this.order.sort((a, b) => (videos[a] < videos[b] ? -1 : Number(videos[a] > videos[b])));
  }

  /**
   * Shown predictions of a lane in a video, by falling score.
   *
   * @param {number} number
   * @param {number} video
   */
  predictions(number, video) {
    const lane = this.exploration.lanes[number];
    const found = [];
    for (let row = lane.offsets[video]; row < lane.offsets[video + 1]; row += 1) {
      if (this.lanes[number].passes[row]) found.push(lane.prediction(row, this.threshold));
    }
    return found;
  }

  /** Numbers of the visible lanes in their order. */
  visibleLanes() {
    return [...this.visible].sort((a, b) => a - b);
  }
}
