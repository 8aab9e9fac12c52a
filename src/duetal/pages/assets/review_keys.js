// The keys of a review. Every action has one.

import { byId, selectOf } from './dom.js';
import { usesKey } from './player_keys.js';

/** @import { Review } from './review.js' */

/** @param {Review} review */
export function listenToReviewKeys(review) {
  const frame = () => 1 / review.state.video.fps;
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const actions = {
    ' ': () => review.media.toggle(),
    k: () => review.media.toggle(),
    n: (event) => review.step(1, event.shiftKey),
    p: (event) => review.step(-1, event.shiftKey),
    a: (event) => (event.shiftKey ? review.acceptAll() : review.judge('accept')),
    x: () => review.judge('reject'),
    delete: () => review.judge('reject'),
    u: () => review.judge('reopen'),
    i: () => review.setEdge('start'),
    o: () => review.setEdge('end'),
    s: () => review.split(),
    j: () => review.merge(),
    d: () => review.add(),
    t: () => review.point(),
    e: (event) => review.nothingElse(event.shiftKey ? review.state.label : ''),
    g: () => review.next.go(),
    l: () => selectOf('label').focus(),
    z: (event) => (event.shiftKey ? review.store.redo() : review.store.undo()),
    y: () => review.store.redo(),
    w: () => review.labels.toggle(),
    escape: () => review.cancel(),
    ',': () => review.nudge(-frame()),
    '.': () => review.nudge(frame()),
    '+': () => review.zoomBy(0.5),
    '=': () => review.zoomBy(0.5),
    '-': () => review.zoomBy(2),
    0: () => review.zoomAll(),
    arrowleft: (event) => review.nudge(event.shiftKey ? -1 : -5),
    arrowright: (event) => review.nudge(event.shiftKey ? 1 : 5),
  };
  for (let digit = 1; digit <= 9; digit += 1) {
    actions[digit] = () => {
      const label = review.store.classes[digit - 1];
      if (label !== undefined) review.setLabel(label);
    };
  }
  /** @type {Record<string, () => void>} */
  const insidePlayer = {
    arrowup: () => review.stepVideo(-1),
    arrowdown: () => review.stepVideo(1),
    home: () => review.media.seek(0),
    end: () => review.media.seek(Infinity),
  };
  document.addEventListener('keydown', (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    const key = event.key.toLowerCase();
    const isUndo = (event.ctrlKey || event.metaKey) && !event.altKey && (key === 'z' || key === 'y');
    if (key === 'escape' && target.matches('input, select')) {
      byId('player').focus({ preventScroll: true });
      return;
    }
    if ((!isUndo && (event.ctrlKey || event.altKey || event.metaKey)) || usesKey(target, event.key)) return;
    const act = review.labels.keys(key, event)
      ?? actions[key] ?? (byId('player').contains(target) ? insidePlayer[key] : undefined);
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}
