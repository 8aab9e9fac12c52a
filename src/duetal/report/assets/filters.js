// Which predictions, missed segments and videos are shown.

/** Index of missed segments among kinds, and of predictions that nothing judges. */
export const NOT_JUDGED = 6;
export const MISSED = 7;

export class Filters {
  constructor(exploration) {
    this.exploration = exploration;
    this.lanes = exploration.lanes.map((lane) => ({
      passes: new Uint8Array(lane.label.length), counts: new Array(8).fill(0), shown: 0,
    }));
    this.visible = new Set();
    this.reset();
  }

  /** Everything is shown; which lanes are visible and the threshold stay as they are. */
  reset() {
    Object.assign(this, { text: '', part: 'all', label: -1, floor: 0, kinds: new Set() });
    this.threshold ??= this.exploration.shown;
  }

  get narrows() {
    return this.floor > 0 || this.kinds.size > 0;
  }

  isKindShown(kind) {
    return this.kinds.size === 0 || this.kinds.has(kind);
  }

  apply() {
    const { exploration: { videos, training } } = this;
    const wanted = this.text.trim().toLowerCase();
    this.allowed = Uint8Array.from(videos, (name, i) => Number(
      (!wanted || name.toLowerCase().includes(wanted))
      && (this.part === 'all' || (this.part === 'training') === Boolean(training[i]))));
    this.perVideo = new Uint32Array(videos.length);
    this.missedPerVideo = new Uint32Array(videos.length);
    this.exploration.lanes.forEach((_, number) => this.countLane(number));
    this.order = [];
    for (let video = 0; video < videos.length; video += 1) {
      if (this.allowed[video] && this.isListed(video)) this.order.push(video);
    }
  }

  /** Count by kind what the other filters leave, and mark what all of them do. */
  countLane(number) {
    const lane = this.exploration.lanes[number];
    const { passes, counts } = this.lanes[number];
    const least = this.floor * lane.best;
    const visible = this.visible.has(number);
    let shown = 0;
    counts.fill(0);
    passes.fill(0);
    for (let video = 0; video < this.allowed.length; video += 1) {
      if (!this.allowed[video]) continue;
      for (let row = lane.offsets[video]; row < lane.offsets[video + 1]; row += 1) {
        if (lane.score[row] < least && this.floor > 0) break;
        if (this.label >= 0 && lane.label[row] !== this.label) continue;
        const kind = lane.judged ? lane.kindAt(row, this.threshold) : NOT_JUDGED;
        counts[kind] += 1;
        if (!this.isKindShown(kind)) continue;
        passes[row] = 1;
        shown += 1;
        if (visible) this.perVideo[video] += 1;
      }
      const missed = this.missed(lane, video).length;
      counts[MISSED] += missed;
      if (visible && this.isKindShown(MISSED)) this.missedPerVideo[video] += missed;
    }
    this.lanes[number].shown = shown;
  }

  /** Rows of the segments of a video that a lane misses, of the chosen class. */
  missed(lane, video) {
    const { offsets, label } = this.exploration.truth;
    const rows = [];
    for (let row = offsets[video]; row < offsets[video + 1]; row += 1) {
      if ((this.label < 0 || label[row] === this.label) && lane.isMissed(row, this.threshold)) rows.push(row);
    }
    return rows;
  }

  /** A video is listed where something of it is shown, or that is all there is to ask. */
  isListed(video) {
    if (this.perVideo[video] + this.missedPerVideo[video] > 0) return true;
    if (this.narrows) return false;
    return this.label < 0 || this.exploration.isIn(video, this.label);
  }

  sort(by) {
    const { perVideo, missedPerVideo, exploration: { videos } } = this;
    const keys = { shown: (v) => -perVideo[v], missed: (v) => -missedPerVideo[v] }[by];
    if (keys) this.order.sort((a, b) => keys(a) - keys(b) || a - b);
    if (by === 'name') this.order.sort((a, b) => (videos[a] < videos[b] ? -1 : Number(videos[a] > videos[b])));
  }

  /** What is shown of a lane in a video, the surest first. */
  predictions(number, video, only = -1) {
    const lane = this.exploration.lanes[number];
    const found = [];
    for (let row = lane.offsets[video]; row < lane.offsets[video + 1]; row += 1) {
      if (this.lanes[number].passes[row] && (only < 0 || lane.label[row] === only)) {
        found.push(lane.prediction(row, this.threshold));
      }
    }
    return found;
  }
}
