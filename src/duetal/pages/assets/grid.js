// The time grid: snippets and seconds, as `duetal.core.grid` has them.

/** @import { Grid } from './types' */

/**
 * Seconds of the middle of a snippet's window.
 *
 * @param {number} snippet
 * @param {Grid} grid
 */
export const centreOf = (snippet, { fps, stride, window, begin = 0 }) =>
  begin + (snippet * stride + window / 2) / fps;

/**
 * Seconds of a place between snippets: midway between two centres, not before the first snippet.
 *
 * @param {number} place
 * @param {Grid} grid
 */
export const edgeOf = (place, grid) => Math.max(centreOf(place - 0.5, grid), grid.begin ?? 0);

/**
 * The snippet whose centre is nearest to a second.
 *
 * @param {number} seconds
 * @param {Grid} grid
 */
export const snippetAt = (seconds, { fps, stride, window, begin = 0 }) =>
  Math.round(((seconds - begin) * fps - window / 2) / stride);
