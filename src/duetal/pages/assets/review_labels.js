// Labels first: which classes occur in a video, one key each, video after video.

import { buttonOf, byId, html, inputOf, selectOf } from './dom.js';

/** @import { Review } from './review.js' */

/** Keys of the classes, in their order. The rest is chosen with the pointer, or Tab and Space. */
const KEYS = '123456789abcdefghijlmopqrstuvx';
/** How fast a preview plays. */
const PREVIEW = 2;

export class LabelsFirst {
  /** @param {Review} review */
  constructor(review) {
    this.review = review;
    this.isOpen = false;
    /** The classes chosen for the video in view. @type {Set<string>} */
    this.chosen = new Set();
    this.shown = -1;
    buttonOf('labels-first').addEventListener('click', () => this.toggle());
    buttonOf('labels-next').addEventListener('click', () => this.save());
    buttonOf('labels-back').addEventListener('click', () => this.review.stepVideo(-1));
    const add = inputOf('new-label');
    add.addEventListener('keydown', async (event) => {
      const label = add.value.trim().split(/\s+/).join(' ');
      if (event.key !== 'Enter' || !label) return;
      event.preventDefault();
      add.value = '';
      await this.review.store.act(null, { verb: 'class', label });
      this.chosen.add(label);
      this.draw();
    });
  }

  toggle() {
    this.isOpen = !this.isOpen;
    document.body.classList.toggle('labelling', this.isOpen);
    buttonOf('labels-first').setAttribute('aria-pressed', String(this.isOpen));
    byId('labels').hidden = !this.isOpen;
    this.shown = -1;
    if (!this.isOpen) this.setSpeed(1);
    this.show();
    if (this.isOpen && !this.review.store.classes.length) inputOf('new-label').focus();
  }

  /** @param {number} rate */
  setSpeed(rate) {
    const { element } = this.review.media;
    element.defaultPlaybackRate = rate;
    element.playbackRate = rate;
    selectOf('speed').value = String(rate);
  }

  /** The video in view, its preview and what is known of it. */
  show() {
    if (!this.isOpen) return;
    const { video } = this.review.state;
    if (this.shown !== video.index) {
      this.shown = video.index;
      const occurs = video.statements.filter(({ kind, verdict }) =>
        verdict === 'accepted' && (kind === 'label' || kind === 'action'));
      this.chosen = new Set(occurs.map(({ label }) => label));
      const { element } = this.review.media;
      element.muted = true;
      this.setSpeed(PREVIEW);
      // A browser may refuse to play; then the first picture is seen.
      element.play().catch(() => {});
    }
    this.draw();
  }

  draw() {
    const { classes } = this.review.store;
    const said = this.review.state.video.statements.filter(({ kind }) => kind === 'label').length;
    byId('labels-said').textContent = said ? 'Labelled before; saving again replaces it.' : 'Not labelled yet.';
    byId('labels-list').replaceChildren(...classes.map((label, i) => {
      const button = html('button', { type: 'button', class: 'chip', 'aria-pressed': String(this.chosen.has(label)) },
        ...(KEYS[i] ? [html('kbd', { 'aria-hidden': 'true' }, KEYS[i].toUpperCase())] : []), label);
      button.addEventListener('click', () => this.choose(label));
      return html('li', {}, button);
    }));
  }

  /** @param {string} label */
  choose(label) {
    const isChosen = this.chosen.delete(label);
    if (!isChosen) this.chosen.add(label);
    this.draw();
    byId('announce').textContent = `${label} ${isChosen ? 'does not occur' : 'occurs'}`;
  }

  /** Save what occurs, and that all other classes do not; then the next video. */
  async save() {
    const { store, state } = this.review;
    const present = [...this.chosen];
    const absent = store.classes.filter((label) => !this.chosen.has(label));
    const { video } = state;
    await store.act(video, { verb: 'labels', present, absent });
    if (this.review.state.video === video) this.review.stepVideo(1);
  }

  /**
   * What a key does while labels are given; undefined where it does what it does otherwise.
   *
   * @param {string} key
   * @param {KeyboardEvent} event
   */
  keys(key, event) {
    if (!this.isOpen || event.ctrlKey || event.metaKey) return undefined;
    const label = this.review.store.classes[KEYS.indexOf(key)];
    if (key.length === 1 && KEYS.includes(key)) return () => { if (label !== undefined) this.choose(label); };
    if (key === 'enter') return () => { this.save(); };
    if (key === 'backspace') return () => this.review.stepVideo(-1);
    return undefined;
  }
}
