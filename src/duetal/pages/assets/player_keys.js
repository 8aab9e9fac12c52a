// The keys of the player.

import { byId } from './dom.js';

/** @import { Player } from './player.js' */

/**
 * Whether a control that has the focus has a use for a key itself.
 *
 * @param {Element} target
 * @param {string} key
 */
export function usesKey(target, key) {
  if (target.matches('input[type="range"]')) return /^(Arrow|Home|End|Page)/.test(key);
  if (target.matches('input, select')) return true;
  return (key === ' ' || key === 'Enter') && target.closest('button, summary, a') !== null;
}

/**
 * Keys work wherever the focus is, except those that would take a scrolling key from the page.
 *
 * @param {Player} player
 */
export function listenToKeys(player) {
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const actions = {
    ' ': () => player.media.toggle(),
    k: () => player.media.toggle(),
    n: () => player.step(1),
    ']': () => player.step(1),
    p: () => player.step(-1),
    '[': () => player.step(-1),
    m: () => player.mute(),
    f: () => player.fullScreen(),
    ',': () => player.nudge(-1 / player.state.video.fps),
    '.': () => player.nudge(1 / player.state.video.fps),
    '+': () => player.zoomBy(0.5),
    '=': () => player.zoomBy(0.5),
    '-': () => player.zoomBy(2),
    0: () => player.zoomAll(),
    arrowleft: (event) => player.nudge(event.shiftKey ? -1 : -5),
    arrowright: (event) => player.nudge(event.shiftKey ? 1 : 5),
  };
  /** @type {Record<string, () => void>} */
  const insidePlayer = {
    arrowup: () => player.stepVideo(-1),
    arrowdown: () => player.stepVideo(1),
    home: () => player.media.seek(0),
    end: () => player.media.seek(Infinity),
  };
  document.addEventListener('keydown', (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.ctrlKey || event.altKey || event.metaKey || usesKey(target, event.key)) return;
    const key = event.key.toLowerCase();
    const act = actions[key] ?? (byId('player').contains(target) ? insidePlayer[key] : undefined);
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}
