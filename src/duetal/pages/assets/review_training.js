// Training again on what was said: rounds, how much better each was, and whose proposals are shown.

import { buttonOf, byId, html } from './dom.js';

/** @import { ReviewStore } from './review_store.js' */
/** @import { TrainingRound, TrainingState } from './types' */

/** Milliseconds between two questions while a round is under way. */
const PAUSE = 2000;

const percent = (/** @type {number} */ share) => (100 * share).toFixed(1);
const signed = (/** @type {number} */ share) => `${share < 0 ? '−' : '+'}${percent(Math.abs(share))}`;

export class ReviewTraining {
  /** @param {ReviewStore} store */
  constructor(store) {
    this.store = store;
    this.timer = 0;
    for (const [id, what] of [['train', 'begin'], ['train-on', 'go on'], ['train-stop', 'stop']]) {
      buttonOf(id).addEventListener('click', () => this.ask('/train', { do: what }));
    }
    this.ask('/rounds');
  }

  /**
   * @param {string} path
   * @param {object} [body]
   */
  async ask(path, body) {
    clearTimeout(this.timer);
    try {
      const answer = await fetch(path, body && {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
      });
      const state = await answer.json();
      if (!answer.ok) throw new Error(state.error);
      this.draw(state);
    } catch (error) {
      this.store.listeners.onTrouble(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {TrainingState} state */
  draw(state) {
    const last = state.rounds.at(-1);
    const isOpen = last !== undefined && !state.busy && ['stopped', 'failed'].includes(last.state);
    buttonOf('train').disabled = state.busy;
    buttonOf('train').textContent = state.run || state.rounds.length ? 'Train again' : 'Train';
    byId('train-stop').hidden = !state.busy;
    byId('train-on').hidden = !isOpen;
    byId('train-progress').textContent = state.busy ? `Round ${last?.number}: ${state.progress || 'begins'}` : '';
    const first = { number: 0, title: state.run ? `First: ${state.run}` : 'What the review began with', about: '' };
    const rows = [first, ...state.rounds.map((round) => ({
      number: round.number, title: `Round ${round.number}`, about: aboutOf(round), isDone: round.state === 'done',
    }))];
    byId('rounds').replaceChildren(...rows.map((row) => this.rowOf(row, state)));
    if (state.busy) this.timer = setTimeout(() => this.ask('/rounds'), PAUSE);
  }

  /**
   * @param {{ number: number, title: string, about: string, isDone?: boolean }} row
   * @param {TrainingState} state
   */
  rowOf({ number, title, about, isDone = true }, state) {
    const isShown = number === state.shown;
    const button = html('button', { type: 'button', 'aria-label': `Show what ${title} found` }, 'Show');
    button.addEventListener('click', () => this.show(number));
    return html('li', isShown ? { 'aria-current': 'true' } : {},
      html('strong', {}, title), isShown ? ' (shown)' : isDone ? button : '', html('p', { class: 'quiet' }, about));
  }

  /** @param {number} number */
  async show(number) {
    // Curves, branches and the floor are others then.
    if (await this.store.post('/train', () => ({ show: number }))) location.reload();
  }
}

/** @param {TrainingRound} round */
function aboutOf({ state, told, cause, seconds, gain }) {
  const parts = [told];
  if (state === 'running') return told;
  if (state === 'failed') parts.push(`failed: ${cause}`);
  if (state === 'stopped') parts.push('stopped');
  if (state === 'done') {
    parts.push(seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);
    parts.push(gain ? `mAP ${gain.headline} on ${gain.videos} held-out videos ${percent(gain.before)} → ${percent(gain.after)} %, `
      + `${signed(gain.after - gain.before)} (95 % interval ${signed(gain.low)} to ${signed(gain.high)})`
      : 'no held-out video has known actions, so nothing is measured');
  }
  return parts.join('; ');
}
