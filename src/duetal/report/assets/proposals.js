// From a score curve to proposals: the rule of `duetal.localization.proposals` at one threshold.

/** A curve that varies less is flat. */
const FLAT = 1e-6;

/** Min-max normalise a curve to 0..1; a flat one becomes 1 everywhere. */
export function stretch(curve) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of curve) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (high - low < FLAT) return new Float32Array(curve.length).fill(1);
  return curve.map((value) => (value - low) / (high - low));
}

/** Runs of consecutive points above a threshold, each as `[first, one past the last]`. */
function findIntervals(curve, threshold) {
  const intervals = [];
  let first = -1;
  for (let i = 0; i <= curve.length; i += 1) {
    const above = i < curve.length && curve[i] > threshold;
    if (above && first < 0) first = i;
    if (!above && first >= 0) {
      intervals.push([first, i]);
      first = -1;
    }
  }
  return intervals;
}

/**
 * Proposals in seconds, each with the highest score inside.
 *
 * curve: what is thresholded; scores: what is looked up; timing: {pool, snippets, grid, duration};
 * nothing lasts longer than the video.
 */
export function proposalsOf(curve, scores, threshold, { pool, snippets, grid, duration }) {
  const seconds = (point) => (Math.min(point * pool, snippets) * grid.stride) / grid.fps;
  const limit = duration ?? Infinity;
  return findIntervals(curve, threshold)
    .map(([first, stop]) => ({
      start: seconds(first),
      end: Math.min(seconds(stop), limit),
      score: scores.subarray(first, stop).reduce((a, b) => Math.max(a, b)),
    }))
    .filter(({ start }) => start < limit);
}
