// Reading columns of numbers: see `duetal.report.columns` for how they are written.

export function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

export const floats = (text) => new Float32Array(bytesOf(text).buffer);
export const wholes = (text) => new Uint32Array(bytesOf(text).buffer);
export const shorts = (text) => new Uint16Array(bytesOf(text).buffer);

/** A curve of one byte per point as probabilities. */
export const decodeCurve = (text) => Float32Array.from(bytesOf(text), (level) => level / 255);

export const LABELS = ['ignored', 'background', 'foreground'];

/** Pseudo-labels of two bits a snippet as runs: `[{label: index in LABELS, first, stop}]`. */
export function labelRuns(text, snippets) {
  const bytes = bytesOf(text);
  const runs = [];
  for (let t = 0; t < snippets; t += 1) {
    const label = (bytes[t >> 2] >> (2 * (t & 3))) & 3;
    if (runs.length && runs.at(-1).label === label) runs.at(-1).stop = t + 1;
    else runs.push({ label, first: t, stop: t + 1 });
  }
  return runs;
}
