// Watching: the video, its timeline and its table kept at the same moment.

import { buttonOf, byId, clock, elementOf, html, inputOf, selectOf } from './dom.js';
import { listenToKeys } from './player_keys.js';
import { DetectionTable, VideoList } from './player_list.js';
import { Media } from './player_media.js';
import { PlayerTimeline, scoreText, spanText } from './player_timeline.js';
import { fitted, offerZoom, pageOf, zoomedAbout } from './playhead.js';

/** @import { Detection, PlayedVideo, PlayerPage, PlayerState } from './types' */

/** Seconds of the closest look. */
const MIN_VIEW = 1;
const ICONS = { play: 'M8 5v14l11-7z', pause: 'M8 5v14M16 5v14' };

/**
 * @param {PlayedVideo['detections'][number]} row
 * @returns {Detection}
 */
const readDetection = ([label, start, end, score, captioned]) =>
  ({ label, start, end, score, captioned: Boolean(captioned) });

/**
 * @param {PlayedVideo} video
 * @param {number} label
 */
const hasCurve = (video, label) => Object.values(video.scores).some((curves) => curves[label]);

export class Player {
  /** @param {PlayerPage} page */
  constructor(page) {
    this.page = page;
    this.detections = page.videos.map((video) => video.detections.map(readDetection));
    /** @type {PlayerState} */
    this.state = {
      index: 0, video: page.videos[0], label: -1, floor: page.floor, shown: [], best: 1, view: [0, 1], selected: null,
    };
    this.media = new Media(elementOf('video', HTMLVideoElement), {
      onMove: () => this.follow(),
      onChange: () => this.showPlaying(),
      onFailure: (reason) => this.showUnplayable(reason),
    });
    this.table = new DetectionTable(page, (detection) => this.goTo(detection));
    this.list = page.videos.length > 1
      ? new VideoList(byId('videos'), page, (index) => this.chooseVideo(index)) : null;
    /** @type {PlayerTimeline | null} */
    this.timeline = null;
    this.captions = '';
  }

  start() {
    this.offerFloor();
    this.listen();
    listenToKeys(this);
    this.chooseVideo(0);
    this.timeline = new PlayerTimeline(byId('timeline'), this.page, this.state, {
      seek: (seconds) => this.media.seek(seconds),
      choose: (detection) => this.goTo(detection),
    });
    this.follow();
    // The keys of the player work at once.
    byId('player').focus({ preventScroll: true });
  }

  listen() {
    const [speed, label, floor] = [selectOf('speed'), selectOf('class'), inputOf('floor')];
    for (const [id, act] of Object.entries({
      play: () => this.media.toggle(),
      video: () => this.media.toggle(),
      back: () => this.step(-1),
      forward: () => this.step(1),
      mute: () => this.mute(),
      full: () => this.fullScreen(),
      'zoom-in': () => this.zoomBy(0.5),
      'zoom-out': () => this.zoomBy(2),
      'zoom-all': () => this.zoomAll(),
    })) byId(id).addEventListener('click', act);
    byId('full').hidden = !document.fullscreenEnabled;
    speed.addEventListener('change', () => {
      this.media.element.playbackRate = Number(speed.value);
    });
    label.addEventListener('change', () => this.update({ label: Number(label.value) }));
    floor.addEventListener('input', () => this.update({ floor: Number(floor.value) }));
    floor.addEventListener('change', () => this.fillList());
  }

  offerFloor() {
    const floor = inputOf('floor');
    // Two hundred steps, of which the first floor is one as near as can be.
    const step = this.page.best / 200;
    floor.max = String(this.page.best);
    floor.step = String(step);
    floor.value = String(Math.floor(this.page.floor / step) * step);
    this.state.floor = Math.min(this.page.floor, Number(floor.value) || 0);
    this.fillList();
  }

  /** @param {number} index */
  aboveFloor(index) {
    return this.detections[index].filter(({ score }) => score >= this.state.floor);
  }

  fillList() {
    this.list?.fill((index) => this.aboveFloor(index));
  }

  /** @param {number} index */
  chooseVideo(index) {
    const video = this.page.videos[index];
    byId('title').textContent = video.name;
    byId('about').textContent = [
      clock(video.duration),
      this.page.videos.length > 1 ? `video ${index + 1} of ${this.page.videos.length}` : '',
      video.note,
    ].filter(Boolean).join(' · ');
    byId('whole').textContent = `of ${clock(video.duration)}`;
    const classes = selectOf('class');
    classes.replaceChildren(...video.classes.filter((label) => hasCurve(video, label)).map(
      (label) => html('option', { value: label }, this.page.classes[label])));
    classes.disabled = classes.options.length < 2;
    byId('timeline').setAttribute('aria-valuemax', String(video.duration));
    byId('stage').classList.remove('silent');
    byId('unplayable').hidden = true;
    const best = this.detections[index].reduce((a, { score }) => Math.max(a, score), 1e-9);
    this.update({ index, video, best, selected: null, label: video.classes[0] ?? -1 });
    this.zoomAll();
    this.media.load(video);
    this.list?.mark(index);
    this.follow();
  }

  get extent() {
    return this.state.video.duration || 1;
  }

  /** @param {Partial<PlayerState>} change */
  update(change) {
    Object.assign(this.state, change);
    const { state } = this;
    state.shown = this.aboveFloor(state.index);
    selectOf('class').value = String(state.label);
    byId('floor-value').textContent = scoreText(state.floor);
    buttonOf('back').disabled = state.shown.length === 0;
    buttonOf('forward').disabled = state.shown.length === 0;
    this.table.fill(state);
    this.timeline?.redraw();
    this.follow();
  }

  /** Everything that depends on the present moment. */
  follow() {
    const seconds = this.media.position;
    const { shown, video } = this.state;
    if (this.media.isPlaying) this.keepInView(seconds);
    const current = shown.filter(({ start, end }) => start <= seconds && seconds < end);
    this.showMoment(seconds, video, current.filter(({ captioned }) => captioned).sort((a, b) => b.score - a.score));
    this.table.mark(current);
    this.timeline?.mark(current);
    this.timeline?.movePlayhead(seconds);
  }

  /**
   * The clock, the slider's text, and the captions over the picture.
   *
   * @param {number} seconds
   * @param {PlayedVideo} video
   * @param {Detection[]} captioned
   */
  showMoment(seconds, video, captioned) {
    byId('now').textContent = clock(seconds);
    const slider = byId('timeline');
    slider.setAttribute('aria-valuenow', seconds.toFixed(2));
    const names = captioned.map(({ label }) => this.page.classes[label]);
    slider.setAttribute('aria-valuetext', [clock(seconds), `of ${clock(video.duration)}`, ...names].join(', '));
    const captions = captioned.map(({ label, start, score }) => [label, start, score].join()).join(';');
    if (captions === this.captions) return;
    this.captions = captions;
    byId('captions').replaceChildren(...captioned.map(({ label, score }) =>
      html('span', {}, this.page.classes[label], html('small', {}, scoreText(score)))));
  }

  showPlaying() {
    const { isPlaying, isPlayable, element } = this.media;
    const play = buttonOf('play');
    play.disabled = !isPlayable;
    play.setAttribute('aria-label', isPlaying ? 'Pause' : 'Play');
    play.querySelector('path')?.setAttribute('d', isPlaying ? ICONS.pause : ICONS.play);
    byId('mute').setAttribute('aria-pressed', String(element.muted));
    this.follow();
  }

  /** @param {string} reason */
  showUnplayable(reason) {
    byId('stage').classList.add('silent');
    byId('unplayable').textContent = this.state.video.note || reason;
    byId('unplayable').hidden = false;
  }

  /** @param {Detection} detection */
  goTo(detection) {
    const { label } = detection;
    this.update({ selected: detection, ...(hasCurve(this.state.video, label) ? { label } : {}) });
    this.keepInView(detection.start);
    this.media.seek(detection.start);
    const { shown } = this.state;
    byId('announce').textContent = `${this.page.classes[label]}, ${spanText(detection)}, `
      + `score ${scoreText(detection.score)}, ${shown.indexOf(detection) + 1} of ${shown.length}`;
  }

  /**
   * The next or previous detection: of the one gone to, while there; else of the present moment.
   *
   * @param {number} by
   */
  step(by) {
    const { shown, selected } = this.state;
    const seconds = this.media.position;
    const at = selected ? shown.indexOf(selected) : -1;
    let next = at + by;
    if (!selected || at < 0 || seconds < selected.start || seconds >= selected.start + 0.5) {
      // Before the first step, a detection that begins right here has not been gone to.
      next = by > 0
        ? shown.findIndex(({ start }) => (selected ? start > seconds : start >= seconds))
        : shown.findLastIndex(({ start }) => start < seconds);
    }
    if (shown[next]) this.goTo(shown[next]);
  }

  /** @param {number} seconds */
  nudge(seconds) {
    this.media.seek(this.media.position + seconds);
  }

  /** @param {number} by */
  stepVideo(by) {
    const index = this.state.index + by;
    if (index >= 0 && index < this.page.videos.length) this.chooseVideo(index);
  }

  /**
   * Show a stretch of time, or as much of it as there is.
   *
   * @param {number} from
   * @param {number} to
   */
  zoom(from, to) {
    this.state.view = fitted([from, to], MIN_VIEW, this.extent);
    offerZoom(this.state.view, this.extent);
    this.timeline?.redraw();
  }

  /**
   * Turn the page, if a moment is not on it.
   *
   * @param {number} seconds
   */
  keepInView(seconds) {
    const page = pageOf(this.state.view, seconds);
    if (page) this.zoom(...page);
  }

  /**
   * Zoom about the playhead, so that what is seen stays in view.
   *
   * @param {number} factor
   */
  zoomBy(factor) {
    this.zoom(...zoomedAbout(this.state.view, this.media.position, factor));
  }

  zoomAll() {
    this.zoom(0, this.extent);
  }

  mute() {
    this.media.element.muted = !this.media.element.muted;
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId('stage').requestFullscreen?.().catch(() => {});
  }
}
