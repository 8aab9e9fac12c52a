// Watching: the video, its timeline and its table kept at the same moment.

import { byId, clock, html, pageData } from './dom.js';
import { listenToKeys } from './player_keys.js';
import { DetectionTable, VideoList } from './player_list.js';
import { Media } from './player_media.js';
import { PlayerTimeline, readDetection, scoreText, spanText } from './player_timeline.js';
import { offerThemes } from './theme.js';

/** Seconds of the closest look. */
const CLOSEST = 1;
const ICONS = { play: 'M8 5v14l11-7z', pause: 'M8 5v14M16 5v14' };

class Player {
  constructor(page) {
    this.page = page;
    this.detections = new Map(page.videos.map((video) => [video, video.detections.map(readDetection)]));
    this.state = { index: 0, video: page.videos[0], label: -1, floor: page.floor, shown: [], best: 1, view: [0, 1] };
    this.media = new Media(byId('video'), {
      moved: () => this.follow(),
      changed: () => this.showPlaying(),
      failed: (reason) => this.showUnplayable(reason),
    });
    this.table = new DetectionTable(page, (detection) => this.goTo(detection));
    this.list = page.videos.length > 1
      ? new VideoList(byId('videos'), page, (index) => this.chooseVideo(index)) : null;
    this.timeline = null;
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
    byId('play').addEventListener('click', () => this.media.toggle());
    byId('video').addEventListener('click', () => this.media.toggle());
    byId('back').addEventListener('click', () => this.step(-1));
    byId('forward').addEventListener('click', () => this.step(1));
    byId('mute').addEventListener('click', () => this.mute());
    byId('full').addEventListener('click', () => this.fullScreen());
    byId('full').hidden = !document.fullscreenEnabled;
    byId('zoom-in').addEventListener('click', () => this.zoomBy(0.5));
    byId('zoom-out').addEventListener('click', () => this.zoomBy(2));
    byId('zoom-all').addEventListener('click', () => this.zoomAll());
    byId('speed').addEventListener('change', ({ target }) => {
      this.media.element.playbackRate = Number(target.value);
    });
    byId('class').addEventListener('change', ({ target }) => this.update({ label: Number(target.value) }));
    byId('floor').addEventListener('input', ({ target }) => this.update({ floor: Number(target.value) }));
    byId('floor').addEventListener('change', () => this.fillList());
  }

  offerFloor() {
    const floor = byId('floor');
    // Two hundred steps, of which the first floor is one as near as can be.
    floor.max = this.page.best;
    floor.step = this.page.best / 200;
    floor.value = Math.floor(this.page.floor / floor.step) * floor.step;
    this.state.floor = Math.min(this.page.floor, Number(floor.value) || 0);
    this.fillList();
  }

  above(video) {
    return this.detections.get(video).filter(({ score }) => score >= this.state.floor);
  }

  fillList() {
    this.list?.fill((video) => this.above(video));
  }

  chooseVideo(index) {
    const video = this.page.videos[index];
    byId('title').textContent = video.name;
    byId('about').textContent = [
      clock(video.duration),
      this.page.videos.length > 1 ? `video ${index + 1} of ${this.page.videos.length}` : '',
      video.note,
    ].filter(Boolean).join(' · ');
    byId('whole').textContent = `of ${clock(video.duration)}`;
    byId('class').replaceChildren(...video.classes.filter((label) => this.hasCurve(video, label)).map(
      (label) => html('option', { value: label }, this.page.classes[label])));
    byId('class').disabled = byId('class').options.length < 2;
    byId('timeline').setAttribute('aria-valuemax', video.duration);
    byId('stage').classList.remove('silent');
    byId('unplayable').hidden = true;
    const best = this.detections.get(video).reduce((a, { score }) => Math.max(a, score), 1e-9);
    Object.assign(this.state, { index, video, best, selected: null });
    this.update({ label: video.classes[0] ?? -1 });
    this.zoomAll();
    this.media.load(video);
    this.list?.mark(index);
    this.follow();
  }

  hasCurve(video, label) {
    return Object.values(video.scores).some((curves) => curves[label]);
  }

  get extent() {
    return this.state.video.duration || 1;
  }

  update(change) {
    Object.assign(this.state, change);
    const { state } = this;
    state.shown = this.above(state.video);
    byId('class').value = state.label;
    byId('floor-value').textContent = scoreText(state.floor);
    byId('back').disabled = state.shown.length === 0;
    byId('forward').disabled = state.shown.length === 0;
    this.table.fill(state);
    this.timeline?.redraw();
    this.follow();
  }

  /** Everything that depends on the present moment. */
  follow() {
    const seconds = this.media.position;
    const { shown, video } = this.state;
    if (this.media.playing) this.keepInView(seconds);
    const current = shown.filter(({ start, end }) => start <= seconds && seconds < end);
    const spoken = current.filter((detection) => detection.spoken).sort((a, b) => b.score - a.score);
    byId('now').textContent = clock(seconds);
    const slider = byId('timeline');
    slider.setAttribute('aria-valuenow', seconds.toFixed(2));
    const names = spoken.map(({ label }) => this.page.classes[label]);
    slider.setAttribute('aria-valuetext', [clock(seconds), `of ${clock(video.duration)}`, ...names].join(', '));
    const said = spoken.map(({ label, start, score }) => [label, start, score].join()).join(';');
    if (said !== this.said) {
      this.said = said;
      byId('said').replaceChildren(...spoken.map(({ label, score }) =>
        html('span', {}, this.page.classes[label], html('small', {}, scoreText(score)))));
    }
    this.table.mark(current);
    this.timeline?.mark(current);
    this.timeline?.movePlayhead(seconds);
  }

  showPlaying() {
    const { playing, playable, element } = this.media;
    byId('play').disabled = !playable;
    byId('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
    byId('play').querySelector('path').setAttribute('d', playing ? ICONS.pause : ICONS.play);
    byId('mute').setAttribute('aria-pressed', String(element.muted));
    this.follow();
  }

  showUnplayable(reason) {
    byId('stage').classList.add('silent');
    byId('unplayable').textContent = this.state.video.note || reason;
    byId('unplayable').hidden = false;
  }

  goTo(detection) {
    const { shown } = this.state;
    const name = this.page.classes[detection.label];
    this.state.selected = detection;
    this.update(this.hasCurve(this.state.video, detection.label) ? { label: detection.label } : {});
    this.keepInView(detection.start);
    this.media.seek(detection.start);
    byId('announce').textContent = `${name}, ${spanText(detection)}, score ${scoreText(detection.score)}, `
      + `${shown.indexOf(detection) + 1} of ${shown.length}`;
  }

  /** The next or previous detection: of the one gone to, while there; else of the present moment. */
  step(by) {
    const { shown, selected } = this.state;
    const seconds = this.media.position;
    const at = shown.indexOf(selected);
    const isThere = at >= 0 && seconds >= selected.start && seconds < selected.start + 0.5;
    let next = at + by;
    if (!isThere) {
      // Before the first step, a detection that begins right here has not been gone to.
      const isAhead = ({ start }) => (selected ? start > seconds : start >= seconds);
      next = by > 0 ? shown.findIndex(isAhead) : shown.findLastIndex(({ start }) => start < seconds);
    }
    if (shown[next]) this.goTo(shown[next]);
  }

  nudge(seconds) {
    this.media.seek(this.media.position + seconds);
  }

  stepVideo(by) {
    const index = this.state.index + by;
    if (index >= 0 && index < this.page.videos.length) this.chooseVideo(index);
  }

  /** Look at a stretch of time, or as much of it as there is. */
  look(from, to) {
    const span = Math.min(this.extent, Math.max(Math.min(CLOSEST, this.extent), to - from));
    const start = Math.min(this.extent - span, Math.max(0, (from + to - span) / 2));
    this.state.view = [start, start + span];
    const whole = span >= this.extent * 0.999;
    byId('zoom-all').disabled = whole;
    byId('zoom-out').disabled = whole;
    this.timeline?.redraw();
  }

  /** Turn the page, if a moment is not on it. */
  keepInView(seconds) {
    const [from, to] = this.state.view;
    if (seconds < from || seconds > to) this.look(seconds - 0.05 * (to - from), seconds + 0.95 * (to - from));
  }

  /** Zoom about the playhead, so that what is seen stays in view. */
  zoomBy(factor) {
    const [from, to] = this.state.view;
    const seconds = Math.min(to, Math.max(from, this.media.position));
    this.look(seconds - (seconds - from) * factor, seconds + (to - seconds) * factor);
  }

  zoomAll() {
    this.look(0, this.extent);
  }

  mute() {
    this.media.element.muted = !this.media.element.muted;
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId('stage').requestFullscreen?.().catch(() => {});
  }
}

const page = pageData();

offerThemes(byId('theme'));
if (page.videos.length) new Player(page).start();
