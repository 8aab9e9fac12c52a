// What to look at next: the stretches that a correction teaches most of, each with its reason.

import { buttonOf, byId, clock, html } from './dom.js';
import { passes } from './review_list.js';

/** @import { Review } from './review.js' */
/** @import { ReviewNext, ReviewSuggestion } from './types' */

/** Suggestions that are listed. */
const LISTED = 3;

/** @param {ReviewSuggestion} suggestion */
const keyOf = ({ video, label, start }) => `${video} ${start} ${label}`;

/** @param {ReviewSuggestion} suggestion */
const spanOf = ({ start, end }) => `${clock(start, 0)} to ${clock(end, 0)}`;

export class NextUp {
  /** @param {Review} review */
  constructor(review) {
    this.review = review;
    /** @type {ReviewSuggestion[]} */
    this.found = [];
    /** Those that were gone to: they come again when all have been. @type {Set<string>} */
    this.seen = new Set();
    /** @type {ReviewSuggestion | null} */
    this.current = null;
    /** Whether something has changed since the order was asked for. */
    this.isStale = false;
    /** While it is asked for. @type {Promise<void> | null} */
    this.asking = null;
    buttonOf('next-up').addEventListener('click', () => this.go());
  }

  /** Ask for the order as it is now; of several changes at once, once more. */
  refresh() {
    this.isStale = true;
    this.asking ??= this.ask();
  }

  async ask() {
    while (this.isStale) {
      this.isStale = false;
      const answer = await fetch('/next').catch(() => null);
      /** @type {ReviewNext | null} */
      const news = answer?.ok ? await answer.json() : null;
      if (news) {
        this.found = news.next;
        this.fill(news.basis);
      }
    }
    this.asking = null;
  }

  /** @param {string} basis */
  fill(basis) {
    const { videos } = this.review;
    buttonOf('next-up').disabled = !this.found.length;
    byId('next-basis').textContent = this.found.length
      ? `In order, ${basis}.`
      : basis ? 'Nothing is left to look at.' : 'Nothing was found that could be ordered.';
    byId('next').replaceChildren(...this.found.slice(0, LISTED).map((each) => {
      const button = html('button', { type: 'button', class: 'pick plain' },
        html('span', { class: 'name' }, `${each.label}, ${spanOf(each)}`),
        html('span', { class: 'quiet' }, videos[each.video].name),
        html('span', { class: 'quiet why' }, each.reason));
      button.addEventListener('click', () => this.show(each));
      return html('li', {}, button);
    }));
  }

  /** The first that was not gone to, of the order as it is now. */
  async go() {
    await this.asking;
    if (!this.found.length) {
      byId('announce').textContent = byId('next-basis').textContent;
      return;
    }
    let next = this.found.find((each) => !this.seen.has(keyOf(each)));
    if (!next) {
      this.seen.clear();
      [next] = this.found;
    }
    this.show(next);
  }

  /** @param {ReviewSuggestion} suggestion */
  show(suggestion) {
    const { review } = this;
    const { video, label, start, end, at, reason } = suggestion;
    this.seen.add(keyOf(suggestion));
    if (review.labels.isOpen) review.labels.toggle();
    if (review.state.video.index !== video) review.chooseVideo(video);
    this.current = suggestion;
    const there = review.state.video.statements.find((each) => each.label === label
      && each.verdict === 'open' && each.start <= at && at <= each.end && passes(review.filter, each));
    review.update({ label, pending: null, selected: new Set(there ? [there.number] : []) });
    review.zoom(start, end);
    review.media.seek(start);
    this.showReason();
    byId('announce').textContent = `${label} in ${review.state.video.name}, ${spanOf(suggestion)}: ${reason}`;
  }

  /** Why what is shown is shown; nothing once another video is. */
  showReason() {
    const { current, review } = this;
    if (current && review.state.video.index !== current.video) this.current = null;
    const why = byId('why');
    why.hidden = !this.current;
    why.textContent = this.current ? `${this.current.label}, ${spanOf(this.current)}: ${this.current.reason}.` : '';
  }
}
