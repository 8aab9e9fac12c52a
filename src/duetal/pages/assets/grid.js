// The time grid: snippets and seconds, as `duetal.core.grid` has them.

/** @import { Grid } from './types' */

/**
 * Seconds at which a snippet begins.
 *
 * @param {number} snippet
 * @param {Grid} grid
 */
export const startOf = (snippet, { fps, stride, begin = 0 }) => begin + (snippet * stride) / fps;

/**
 * Seconds of the middle of a snippet's window.
 *
 * @param {number} snippet
 * @param {Grid} grid
 */
export const centreOf = (snippet, grid) => startOf(snippet, grid) + grid.window / 2 / grid.fps;

/**
 * The snippet that is under way at a second.
 *
 * @param {number} seconds
 * @param {Grid} grid
 */
export const snippetAt = (seconds, { fps, stride, begin = 0 }) =>
  Math.floor(((seconds - begin) * fps) / stride);
