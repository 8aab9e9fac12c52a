// The keys of the player.

import { byId } from './dom.js';

/** Whether a control that has the focus has a use for a key itself. */
function usesKey(target, key) {
  if (target.matches('input[type="range"]')) return /^(Arrow|Home|End|Page)/.test(key);
  if (target.matches('input, select')) return true;
  return (key === ' ' || key === 'Enter') && target.closest('button, summary, a');
}

/** Keys work wherever the focus is, except those that would take a scrolling key from the page. */
export function listenToKeys(player) {
  const actions = {
    ' ': () => player.media.toggle(),
    k: () => player.media.toggle(),
    n: () => player.step(1),
    ']': () => player.step(1),
    p: () => player.step(-1),
    '[': () => player.step(-1),
    m: () => player.mute(),
    f: () => player.fullScreen(),
    ',': () => player.nudge(-1 / player.page.grid.fps),
    '.': () => player.nudge(1 / player.page.grid.fps),
    '+': () => player.zoomBy(0.5),
    '=': () => player.zoomBy(0.5),
    '-': () => player.zoomBy(2),
    0: () => player.zoomAll(),
    arrowleft: (event) => player.nudge(event.shiftKey ? -1 : -5),
    arrowright: (event) => player.nudge(event.shiftKey ? 1 : 5),
  };
  const insidePlayer = {
    arrowup: () => player.stepVideo(-1),
    arrowdown: () => player.stepVideo(1),
    home: () => player.media.seek(0),
    end: () => player.media.seek(Infinity),
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || usesKey(event.target, event.key)) return;
    const key = event.key.toLowerCase();
    const act = actions[key] ?? (byId('player').contains(event.target) ? insidePlayer[key] : undefined);
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}
