// Reading the embedded videos: see `duetal.report.videos` for the format.

/** Bytes of a base64 curve as probabilities. */
const decodeCurve = (text) => Float32Array.from(atob(text), (letter) => letter.charCodeAt(0) / 255);

/** `[start, end, start, end, …]` as objects, by time. */
function truthOf(video, label) {
  const flat = video.truth[label] ?? [];
  const segments = [];
  for (let i = 0; i < flat.length; i += 2) segments.push({ start: flat[i], end: flat[i + 1] });
  return segments.sort((a, b) => a.start - b.start);
}

/** `[start, end, score, …]` as objects, best first. */
function detectionsOf(video, stage, label) {
  const flat = video.found[stage]?.[label] ?? [];
  const detections = [];
  for (let i = 0; i < flat.length; i += 3) {
    detections.push({ start: flat[i], end: flat[i + 1], score: flat[i + 2], label });
  }
  return detections;
}

const allDetections = (video, stage) =>
  video.classes.flatMap((label) => detectionsOf(video, stage, label));

/** Temporal intersection over union. */
function tiou(a, b) {
  const shared = Math.min(a.end, b.end) - Math.max(a.start, b.start);
  if (shared <= 0) return 0;
  return shared / (Math.max(a.end, b.end) - Math.min(a.start, b.start));
}

const bestTiou = (detection, truth) =>
  Math.max(0, ...truth.map((segment) => tiou(detection, segment)));

/** Seconds that the timeline must cover: annotations of some videos run past their end. */
function extentOf(video, grid) {
  const truthEnds = Object.values(video.truth).flat();
  const foundEnds = Object.values(video.found).flatMap((byClass) =>
    Object.values(byClass).flatMap((flat) => flat.filter((_, i) => i % 3 === 1)));
  const scored = (video.snippets * grid.stride) / grid.fps;
  const longest = [...truthEnds, ...foundEnds].reduce((a, b) => Math.max(a, b), 0);
  return Math.max(video.duration ?? 0, scored, longest) || 1;
}

/** Seconds of the middle of a curve's point `i`, which joins `pool` snippets. */
function pointSeconds(i, pool, grid) {
  const snippet = i * pool + (pool - 1) / 2;
  return (snippet * grid.stride + grid.window / 2) / grid.fps;
}

/** The point of a curve whose span holds a second. */
const pointAt = (seconds, pool, grid) => Math.floor((seconds * grid.fps) / (grid.stride * pool));
