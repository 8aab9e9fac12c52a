// The moment of a playing video on the chart under it: its playhead, seeking, and the stretch in view.

import { buttonOf, clamp, svg } from './dom.js';
import { pixelOf } from './timeline.js';

/** @import { Pair, Scale } from './types' */

/** @param {number} bottom */
export const playheadTo = (bottom) => svg('g', { class: 'playhead' },
  svg('line', { y1: 10, y2: bottom }), svg('path', { d: 'M-6 2H6V8L0 15 -6 8Z' }));

/**
 * @param {SVGElement} playhead
 * @param {Scale} x
 * @param {Pair} view
 * @param {number} seconds
 */
export function placePlayhead(playhead, x, [from, to], seconds) {
  playhead.setAttribute('transform', `translate(${x(seconds).toFixed(2)} 0)`);
  playhead.setAttribute('visibility', seconds < from || seconds > to ? 'hidden' : 'visible');
}

/**
 * Seek to where the pointer is pressed, and along with it while it is.
 *
 * @param {SVGElement} chart
 * @param {Scale} x
 * @param {(seconds: number) => void} seek
 */
export function seekAlong(chart, x, seek) {
  const seekTo = (/** @type {PointerEvent} */ event) => seek(x.invert(clamp(pixelOf(event, chart), ...x.range)));
  chart.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    chart.setPointerCapture(event.pointerId);
    seekTo(event);
  });
  chart.addEventListener('pointermove', (event) => {
    if (chart.hasPointerCapture(event.pointerId)) seekTo(event);
  });
}

/**
 * A stretch of time about the middle of another, as long as that, but within bounds.
 *
 * @param {Pair} stretch
 * @param {number} closest
 * @param {number} extent
 * @returns {Pair}
 */
export function fitted([from, to], closest, extent) {
  const span = clamp(to - from, Math.min(closest, extent), extent);
  const start = clamp((from + to - span) / 2, 0, extent - span);
  return [start, start + span];
}

/**
 * Whether all is in view; offers to zoom out where it is not.
 *
 * @param {Pair} view
 * @param {number} extent
 */
export function offerZoom([from, to], extent) {
  const isWhole = to - from >= extent * 0.999;
  buttonOf('zoom-all').disabled = isWhole;
  buttonOf('zoom-out').disabled = isWhole;
  return isWhole;
}

/**
 * The next page, or the one before, where a moment is not on this one; null where it is.
 *
 * @param {Pair} view
 * @param {number} seconds
 * @returns {Pair | null}
 */
export const pageOf = ([from, to], seconds) => (seconds >= from && seconds <= to ? null
  : [seconds - 0.05 * (to - from), seconds + 0.95 * (to - from)]);

/**
 * Zoomed about a moment, so that what is seen stays in view.
 *
 * @param {Pair} view
 * @param {number} moment
 * @param {number} factor
 * @returns {Pair}
 */
export function zoomedAbout([from, to], moment, factor) {
  const seconds = clamp(moment, from, to);
  return [seconds - (seconds - from) * factor, seconds + (to - seconds) * factor];
}
