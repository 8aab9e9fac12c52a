// Reading columns of numbers, as `duetal.pages.columns` writes them.

/** @import { LabelRun } from './types' */

/** @param {string} text */
export function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  // Several times as fast as Uint8Array.from, and a page holds megabytes.
  for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

export const floatsOf = (/** @type {string} */ text) => new Float32Array(bytesOf(text).buffer);
export const wholesOf = (/** @type {string} */ text) => new Uint32Array(bytesOf(text).buffer);
export const shortsOf = (/** @type {string} */ text) => new Uint16Array(bytesOf(text).buffer);

/** A curve of one byte per point as probabilities. */
export const decodeCurve = (/** @type {string} */ text) =>
  Float32Array.from(bytesOf(text), (level) => level / 255);

export const LABELS = ['ignored', 'background', 'foreground'];

/**
 * Pseudo-labels of two bits a snippet as runs, whose labels are indices in LABELS.
 *
 * @param {string} text
 * @param {number} snippets
 */
export function labelRuns(text, snippets) {
  const bytes = bytesOf(text);
  /** @type {LabelRun[]} */
  const runs = [];
  for (let t = 0; t < snippets; t += 1) {
    const label = (bytes[t >> 2] >> (2 * (t & 3))) & 3;
    const last = runs[runs.length - 1];
    if (last?.label === label) last.stop = t + 1;
    else runs.push({ label, first: t, stop: t + 1 });
  }
  return runs;
}
