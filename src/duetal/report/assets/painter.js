// Painting segments on canvases: thousands of bars, where as many elements would stall the page.

import { NOT_JUDGED } from './filters.js';
import { HOLLOW } from './palette.js';

/** Fit a canvas to a size in CSS pixels, on any screen, and clear it. */
export function clearCanvas(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

export class Painter {
  constructor(palette) {
    this.palette = palette;
  }

  /** A bar from `left` to `right`; never too narrow to see. */
  bar(context, left, right, top, height, colour, hollow) {
    const width = Math.max(1.5, right - left);
    if (hollow && width > 3 && height > 3) {
      context.globalAlpha = 0.16;
      context.fillStyle = colour;
      context.fillRect(left, top, width, height);
      context.globalAlpha = 0.9;
      context.strokeStyle = colour;
      context.lineWidth = 1;
      context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    } else {
      context.globalAlpha = hollow ? 0.45 : 0.82;
      context.fillStyle = colour;
      context.fillRect(left, top, width, height);
    }
    context.globalAlpha = 1;
  }

  /** Predictions that stand on a line, as tall as they are sure; the surest are painted last. */
  predictions(context, lane, predictions, x, base, height) {
    for (let i = predictions.length - 1; i >= 0; i -= 1) {
      const { start, end, kind } = predictions[i];
      const tall = barHeight(predictions[i], lane, height);
      const judged = kind !== null && kind < NOT_JUDGED;
      const colour = judged ? this.palette.kind(kind) : this.palette.get(`--${lane.mark}`);
      this.bar(context, x(start), x(end), base - tall, tall, colour, judged && HOLLOW[kind]);
    }
  }

  truth(context, segments, x, top, height) {
    for (const { start, end } of segments) {
      this.bar(context, x(start), x(end), top, height, this.palette.get('--truth'), false);
    }
  }

  /** Segments that nothing found: an empty box below the line. */
  missed(context, segments, x, top, height) {
    for (const { start, end } of segments) {
      this.bar(context, x(start), x(end), top, height, this.palette.get('--missed'), true);
    }
  }

  labels(context, runs, seconds, x, top, height) {
    const colours = [null, '--background', '--truth'];
    for (const { label, first, stop } of runs) {
      const [left, right] = [x(seconds(first)), x(seconds(stop))];
      // Background is thin, foreground full, and what is ignored empty: no need to see colours.
      const tall = label === 2 ? height : 3;
      if (label > 0) this.bar(context, left, right, top + height - tall, tall, this.palette.get(colours[label]), false);
    }
  }
}

/** How tall a prediction stands: a quarter at least, so that it can be met with a pointer. */
export const barHeight = ({ score }, lane, height) =>
  height * (0.25 + 0.75 * Math.min(1, Math.max(0, score / lane.best)));
