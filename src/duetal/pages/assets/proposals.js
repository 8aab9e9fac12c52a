// From a score curve to proposals: the rule of `duetal.localization.proposals` at one threshold.
// Tests run both on one table of cases.

import { edgeOf } from './grid.js';

/** @import { Grid, Proposal } from './types' */

/** A curve that varies less is flat. */
const FLAT = 1e-6;

/**
 * Min-max normalise a curve to 0..1; a flat one becomes 1 everywhere.
 *
 * @param {Float32Array} curve
 */
export function stretch(curve) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of curve) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (high - low < FLAT) return new Float32Array(curve.length).fill(1);
  return curve.map((value) => (value - low) / (high - low));
}

/**
 * Runs of consecutive points above a threshold, each as `[first, one past the last]`.
 *
 * @param {Float32Array} curve
 * @param {number} threshold
 */
export function findIntervals(curve, threshold) {
  const intervals = [];
  let first = -1;
  for (let i = 0; i <= curve.length; i += 1) {
    const isAbove = i < curve.length && curve[i] > threshold;
    if (isAbove && first < 0) first = i;
    if (!isAbove && first >= 0) {
      intervals.push([first, i]);
      first = -1;
    }
  }
  return intervals;
}

/**
 * Proposals in seconds, each with the highest score inside; none lasts longer than the video.
 *
 * @param {Float32Array} curve what is cut
 * @param {Float32Array} scores what is looked up
 * @param {number} threshold
 * @param {{ pool: number, snippets: number, grid: Grid, duration: number | null }} timing
 * @returns {Proposal[]}
 */
export function proposalsOf(curve, scores, threshold, { pool, snippets, grid, duration }) {
  const seconds = (/** @type {number} */ point) => edgeOf(Math.min(point * pool, snippets), grid);
  const limit = duration ?? Infinity;
  return findIntervals(curve, threshold)
    .map(([first, stop]) => ({
      start: seconds(first),
      end: Math.min(seconds(stop), limit),
      score: scores.subarray(first, stop).reduce((a, b) => Math.max(a, b)),
    }))
    .filter(({ start }) => start < limit);
}
