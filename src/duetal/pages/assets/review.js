// Reviewing: what a run found is accepted, rejected and corrected, at the moment that the video shows.

import { buttonOf, byId, clock, count, elementOf, html, inputOf, selectOf } from './dom.js';
import { Media } from './player_media.js';
import { fitted, offerZoom, pageOf, zoomedAbout } from './playhead.js';
import { ReviewExchange } from './review_exchange.js';
import { listenToReviewKeys } from './review_keys.js';
import { LabelsFirst } from './review_labels.js';
import { overviewOf, passes, StatementTable, VideoPicks } from './review_list.js';
import { NextUp } from './review_next.js';
import { actionsOf, isPoint, progressOf, ReviewStore } from './review_store.js';
import { aboutOf, ReviewTimeline } from './review_timeline.js';
import { ReviewTraining } from './review_training.js';

/** @import { ReviewAction, ReviewData, ReviewFilter, ReviewNews, ReviewState, Statement } from './types' */

/** Seconds of the closest look. */
const MIN_VIEW = 0.5;
const ICONS = { play: 'M8 5v14l11-7z', pause: 'M8 5v14M16 5v14' };

export class Review {
  /** @param {ReviewData} page */
  constructor(page) {
    this.page = page;
    this.store = new ReviewStore(page, {
      onNews: (news) => this.show(news),
      onTrouble: (cause) => this.trouble(cause),
    });
    this.videos = this.store.videos;
    /** @type {ReviewFilter} */
    this.filter = { text: '', label: '', floor: page.floor, verdict: '', progress: '' };
    /** @type {ReviewState} */
    this.state = {
      video: this.videos[0], curves: null, label: this.store.classes[0] ?? '', shown: [],
      selected: new Set(), view: [0, 1], pending: null,
    };
    this.media = new Media(elementOf('video', HTMLVideoElement), {
      onMove: () => this.follow(),
      onChange: () => this.showPlaying(),
      onFailure: (reason) => this.showUnplayable(reason),
    });
    this.table = new StatementTable((statement, isMore) => this.choose(statement, isMore));
    this.picks = new VideoPicks(byId('videos'), this.videos, (index) => this.chooseVideo(index));
    this.labels = new LabelsFirst(this);
    this.exchange = new ReviewExchange(this.store);
    this.training = new ReviewTraining(this.store);
    this.next = new NextUp(this);
    /** @type {ReviewTimeline | null} */
    this.timeline = null;
    /** The classes that the page offers. @type {string | null} */
    this.listed = null;
  }

  start() {
    this.offerFilters();
    this.listen();
    listenToReviewKeys(this);
    this.showClasses();
    this.chooseVideo(0);
    this.timeline = new ReviewTimeline(byId('timeline'), this.page, this.state, {
      seek: (seconds) => this.media.seek(seconds),
      choose: (statement, isMore) => this.choose(statement, isMore),
      setEdges: ({ number }, start, end) => this.act({ verb: 'edges', numbers: [number], start, end }),
    });
    this.showSteps();
    this.follow();
    this.next.refresh();
    byId('player').focus({ preventScroll: true });
    if (!this.videos.some((video) => actionsOf(video).length)) this.labels.toggle();
    // What another window did meanwhile.
    addEventListener('focus', () => this.store.refresh());
  }

  listen() {
    for (const [id, act] of Object.entries({
      play: () => this.media.toggle(), video: () => this.media.toggle(),
      back: () => this.step(-1), forward: () => this.step(1),
      'zoom-in': () => this.zoomBy(0.5), 'zoom-out': () => this.zoomBy(2), 'zoom-all': () => this.zoomAll(),
      accept: () => this.judge('accept'), reject: () => this.judge('reject'), reopen: () => this.judge('reopen'),
      'begin-here': () => this.setEdge('start'), 'end-here': () => this.setEdge('end'),
      split: () => this.split(), merge: () => this.merge(), add: () => this.add(), point: () => this.point(),
      'nothing-else': () => this.nothingElse(), 'no-more': () => this.nothingElse(this.state.label), undo: () => this.store.undo(), redo: () => this.store.redo(),
      dismiss: () => { byId('trouble').hidden = true; },
    })) byId(id).addEventListener('click', act);
    const speed = selectOf('speed');
    speed.addEventListener('change', () => { this.media.element.playbackRate = Number(speed.value); });
    const label = selectOf('label');
    label.addEventListener('change', () => this.setLabel(label.value));
    for (const edge of /** @type {const} */ (['start', 'end'])) {
      const input = inputOf(`edge-${edge}`);
      input.addEventListener('change', () => this.setEdge(edge, Number(input.value)));
    }
  }

  offerFilters() {
    const best = Math.max(1e-9, ...this.videos.map((video) =>
      actionsOf(video).reduce((most, { score }) => Math.max(most, score ?? 0), 0)));
    const floor = inputOf('floor');
    Object.assign(floor, { max: String(best), step: String(best / 200) });
    floor.value = String(this.filter.floor);
    const filter = (/** @type {Partial<ReviewFilter>} */ change) => {
      Object.assign(this.filter, change);
      byId('floor-value').textContent = this.filter.floor.toPrecision(2);
      this.picks.fill(this.filter);
      this.update({});
      byId('announce').textContent = `${count(this.picks.listed().length, 'video')} listed`;
    };
    floor.addEventListener('input', () => filter({ floor: Number(floor.value) }));
    const search = inputOf('search');
    search.addEventListener('input', () => filter({ text: search.value.trim().toLowerCase() }));
    for (const name of /** @type {const} */ (['label', 'verdict', 'progress'])) {
      const select = selectOf(`filter-${name}`);
      select.addEventListener('change', () => filter({ [name]: select.value }));
    }
    byId('floor-value').textContent = this.filter.floor.toPrecision(2);
    this.picks.fill(this.filter);
  }

  // What there is, and what of it is shown.

  /** @param {number} index */
  async chooseVideo(index) {
    const video = this.videos[index];
    byId('title').textContent = video.name;
    byId('whole').textContent = `of ${clock(video.duration)}`;
    byId('timeline').setAttribute('aria-valuemax', String(video.duration));
    byId('stage').classList.remove('silent');
    byId('unplayable').hidden = true;
    this.update({ video, curves: null, selected: new Set(), pending: null });
    this.zoomAll();
    this.media.load(video);
    this.picks.mark(index);
    this.labels.show();
    this.next.showReason();
    this.follow();
    if (!this.page.branches.length) return;
    const answer = await fetch(`/videos/${index}/scores`).catch(() => null);
    const curves = answer?.ok ? await answer.json() : null;
    if (this.state.video === video && curves?.scores) this.update({ curves });
  }

  /** @param {Partial<ReviewState>} change */
  update(change) {
    Object.assign(this.state, change);
    const { state } = this;
    state.shown = actionsOf(state.video).filter((each) => passes(this.filter, each));
    const there = new Set(state.video.statements.map(({ number }) => number));
    state.selected = new Set([...state.selected].filter((number) => there.has(number)));
    byId('about').textContent = [
      clock(state.video.duration), `video ${state.video.index + 1} of ${this.videos.length}`,
      { new: '', begun: '', done: 'looked through' }[progressOf(state.video)], state.video.note,
    ].filter(Boolean).join(' · ');
    this.table.fill(state);
    this.showSelected();
    this.timeline?.redraw();
    this.follow();
  }

  /** @returns {Statement[]} */
  get selected() {
    return this.state.video.statements.filter(({ number }) => this.state.selected.has(number));
  }

  showSelected() {
    const { selected, state } = this;
    const [only] = selected.length === 1 ? selected : [];
    const isAction = selected.length > 0 && selected.every(({ kind }) => kind === 'action');
    const length = only && !isPoint(only);
    byId('chosen').textContent = only
      ? `${only.kind === 'looked' ? `Nothing else${only.label && ` of ${only.label}`} in here` : only.label}: ${only.kind === 'action' ? aboutOf(only) : `${clock(only.start)} to ${clock(only.end)}`}`
      : selected.length ? `${selected.length} chosen` : 'Nothing chosen';
    for (const id of ['accept', 'reopen']) buttonOf(id).disabled = !isAction;
    buttonOf('reject').disabled = !selected.length;
    for (const id of ['begin-here', 'end-here', 'split']) buttonOf(id).disabled = !isAction || !length;
    buttonOf('merge').disabled = !isAction;
    byId('add').textContent = state.pending === null ? 'Add' : 'Add to here';
    for (const edge of /** @type {const} */ (['start', 'end'])) {
      const input = inputOf(`edge-${edge}`);
      input.disabled = !isAction || !only;
      if (document.activeElement !== input) input.value = only && isAction ? String(only[edge]) : '';
    }
    selectOf('label').value = only && isAction ? only.label : state.label;
  }

  showClasses() {
    const { classes } = this.store;
    if (classes.join('\n') === this.listed) return;
    this.listed = classes.join('\n');
    for (const [id, first] of [['label', ''], ['filter-label', 'All classes']]) {
      const select = selectOf(id);
      const { value } = select;
      select.replaceChildren(...(first ? [html('option', { value: '' }, first)] : []),
        ...classes.map((label, i) => html('option', { value: label }, i < 9 && !first ? `${i + 1}  ${label}` : label)));
      select.value = classes.includes(value) ? value : first ? '' : this.state.label;
    }
    if (!classes.includes(this.state.label)) this.state.label = classes[0] ?? '';
    this.exchange.fillClasses();
  }

  showSteps() {
    for (const name of /** @type {const} */ (['undo', 'redo'])) {
      const step = this.store.steps[name];
      buttonOf(name).disabled = step === null;
      buttonOf(name).title = step ? `${name === 'undo' ? 'Undo' : 'Redo'} ${step.title}` : '';
    }
    byId('overview').textContent = overviewOf(this.videos);
  }

  /** @param {ReviewNews} news */
  show(news) {
    for (const index of Object.keys(news.states)) this.picks.update(Number(index));
    this.showClasses();
    this.showSteps();
    this.next.refresh();
    if (news.title !== undefined) {
      byId('saved').textContent = `Saved: ${news.title}`;
      byId('announce').textContent = news.title;
      byId('trouble').hidden = true;
    }
    const { video } = this.state;
    const about = news.videos ?? [];
    // What is undone elsewhere is shown there.
    if (about.length && !about.includes(video.index) && !this.labels.isOpen) this.chooseVideo(about[0]);
    else this.update({});
    this.labels.show();
  }

  /** @param {string} cause */
  trouble(cause) {
    byId('saved').textContent = 'Not saved';
    byId('trouble-text').textContent = cause;
    byId('trouble').hidden = false;
  }

  /** Everything that depends on the present moment. */
  follow() {
    const seconds = this.media.position;
    const { video, shown } = this.state;
    if (this.media.isPlaying) this.keepInView(seconds);
    byId('now').textContent = clock(seconds, 2);
    const current = shown.filter(({ start, end, verdict }) =>
      verdict !== 'rejected' && start <= seconds && seconds <= end);
    const slider = byId('timeline');
    slider.setAttribute('aria-valuenow', seconds.toFixed(2));
    slider.setAttribute('aria-valuetext', [clock(seconds), `of ${clock(video.duration)}`,
      ...new Set(current.map(({ label }) => label))].join(', '));
    const chips = current.filter(({ verdict, number }) => verdict === 'accepted' || this.state.selected.has(number))
      .map(({ label }) => label);
    byId('captions').replaceChildren(...[...new Set(chips)].map((label) => html('span', {}, label)));
    this.timeline?.movePlayhead(seconds);
  }

  showPlaying() {
    const { isPlaying, isPlayable } = this.media;
    const play = buttonOf('play');
    play.disabled = !isPlayable;
    play.setAttribute('aria-label', isPlaying ? 'Pause' : 'Play');
    play.querySelector('path')?.setAttribute('d', isPlaying ? ICONS.pause : ICONS.play);
    this.follow();
  }

  /** @param {string} reason */
  async showUnplayable(reason) {
    byId('stage').classList.add('silent');
    byId('unplayable').textContent = this.state.video.note || reason;
    byId('unplayable').hidden = false;
    const { url } = this.state.video;
    if (url === null) return;
    // The server knows why: moved, or replaced.
    const answer = await fetch(url, { headers: { Range: 'bytes=0-0' } }).catch(() => null);
    const { error } = answer && !answer.ok ? await answer.json() : { error: '' };
    if (error && this.state.video.url === url) byId('unplayable').textContent = error;
  }

  // Going about.

  /**
   * @param {Statement} statement
   * @param {boolean} isMore
   */
  choose(statement, isMore = false) {
    const { selected } = this.state;
    const chosen = new Set(isMore ? selected : []);
    if (isMore && chosen.has(statement.number)) chosen.delete(statement.number);
    else chosen.add(statement.number);
    this.update({ selected: chosen, ...(statement.label ? { label: statement.label } : {}) });
    this.table.reveal();
    if (!isMore) {
      this.keepInView(statement.start);
      this.media.seek(statement.start);
    }
    byId('announce').textContent = `${statement.label}, ${aboutOf(statement)}`;
  }

  /**
   * The next or previous statement: of the one chosen, else of the present moment.
   *
   * @param {number} by
   */
  step(by, isMore = false) {
    const { shown, selected } = this.state;
    const places = shown.flatMap(({ number }, i) => (selected.has(number) ? [i] : []));
    const seconds = this.media.position;
    let next = by > 0 ? Math.max(...places) + 1 : Math.min(...places) - 1;
    if (!places.length) {
      next = by > 0
        ? shown.findIndex(({ start }) => start >= seconds) : shown.findLastIndex(({ start }) => start < seconds);
    }
    if (shown[next]) this.choose(shown[next], isMore);
  }

  /** @param {number} seconds */
  nudge(seconds) {
    this.media.seek(this.media.position + seconds);
  }

  /** @param {number} by */
  stepVideo(by) {
    const listed = this.picks.listed();
    const at = listed.indexOf(this.state.video.index);
    const next = at < 0 ? 0 : at + by;
    if (listed[next] !== undefined) this.chooseVideo(listed[next]);
  }

  // What is done. Each is saved before it is shown.

  /** @param {ReviewAction} action */
  act(action) {
    return this.store.act(this.state.video, action);
  }

  /** @param {'accept' | 'reject' | 'reopen'} verb */
  judge(verb) {
    const numbers = [...this.state.selected];
    if (!numbers.length) return;
    const { shown } = this.state;
    const at = shown.findIndex(({ number }) => number === numbers[numbers.length - 1]);
    const next = shown.slice(at + 1).find(({ verdict }) => verdict === 'open');
    this.act({ verb, numbers });
    // On to the next that nobody has judged.
    if (next && verb !== 'reopen') this.choose(next);
  }

  /** All that are shown and not judged. */
  acceptAll() {
    const numbers = this.state.shown.filter(({ verdict }) => verdict === 'open').map(({ number }) => number);
    if (numbers.length) this.act({ verb: 'accept', numbers });
  }

  /**
   * @param {'start' | 'end'} edge
   * @param {number} seconds
   */
  setEdge(edge, seconds = this.media.position) {
    const [one] = this.selected;
    if (!one || this.selected.length > 1 || one.kind !== 'action') return;
    const span = isPoint(one) ? { start: seconds, end: seconds } : { start: one.start, end: one.end, [edge]: seconds };
    this.act({ verb: 'edges', numbers: [one.number], ...span });
  }

  /** @param {string} label */
  setLabel(label) {
    const numbers = this.selected.filter(({ kind }) => kind === 'action').map(({ number }) => number);
    this.update({ label });
    if (numbers.length) this.act({ verb: 'label', numbers, label });
  }

  split() {
    this.act({ verb: 'split', numbers: [...this.state.selected].slice(0, 1), start: this.media.position });
  }

  /** Those chosen; of one, it and the next of its class. */
  merge() {
    const { selected, state } = this;
    const numbers = selected.map(({ number }) => number);
    const [one] = selected;
    const following = one && state.shown.find(({ label, start, number, verdict }) =>
      label === one.label && number !== one.number && start >= one.start && verdict !== 'rejected');
    if (numbers.length === 1 && following) numbers.push(following.number);
    this.act({ verb: 'merge', numbers });
  }

  /** Once where an action begins, and again where it ends. */
  add() {
    const seconds = this.media.position;
    const { pending, label } = this.state;
    if (pending === null) {
      this.update({ pending: seconds, selected: new Set() });
      byId('announce').textContent = `An action begins at ${clock(seconds)}: go to its end, and add again`;
      return;
    }
    this.update({ pending: null });
    this.act({ verb: 'add', label, start: Math.min(pending, seconds), end: Math.max(pending, seconds) });
  }

  point() {
    this.act({ verb: 'add', label: this.state.label, start: this.media.position, end: this.media.position });
  }

  /** In the stretch of time that is in view; of one class, or of all. */
  nothingElse(label = '') {
    const [start, end] = this.state.view;
    this.act({ verb: 'nothing else', label, start, end });
  }

  cancel() {
    this.update({ pending: null, selected: new Set() });
  }

  // The stretch of time in view.

  get extent() {
    return this.state.video.duration || 1;
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  zoom(from, to) {
    this.state.view = fitted([from, to], MIN_VIEW, this.extent);
    const isWhole = offerZoom(this.state.view, this.extent);
    byId('nothing-else').textContent = isWhole ? 'Nothing else' : 'Nothing else in view';
    this.timeline?.redraw();
  }

  /** @param {number} seconds */
  keepInView(seconds) {
    const page = pageOf(this.state.view, seconds);
    if (page) this.zoom(...page);
  }

  /** @param {number} factor */
  zoomBy(factor) {
    this.zoom(...zoomedAbout(this.state.view, this.media.position, factor));
  }

  zoomAll() {
    this.zoom(0, this.extent);
  }
}
