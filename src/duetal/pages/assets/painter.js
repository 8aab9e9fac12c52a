// Painting segments on canvases: thousands of bars, where as many elements would stall the page.

import { clamp } from './dom.js';
import { NOT_JUDGED } from './exploration.js';
import { HOLLOW, Palette } from './palette.js';

/** @import { Lane } from './exploration.js' */
/** @import { LabelRun, Prediction, Scale, Span } from './types' */
/** @typedef {CanvasRenderingContext2D} Context */

/**
 * Fit a canvas to a size in CSS pixels, on any screen, and clear it.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function clearCanvas(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = /** @type {Context} */ (canvas.getContext('2d'));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/**
 * The height of a prediction: a quarter at least, so that a pointer can meet it.
 *
 * @param {{ score: number }} prediction
 * @param {Lane} lane
 * @param {number} height
 */
export const barHeight = ({ score }, lane, height) => height * (0.25 + 0.75 * clamp(score / lane.best, 0, 1));

export class Painter {
  constructor() {
    this.palette = new Palette();
  }

  /**
   * A bar from `left` to `right`; never too narrow to see.
   *
   * @param {Context} context
   * @param {number} left
   * @param {number} right
   * @param {number} top
   * @param {number} height
   * @param {string} colour
   */
  bar(context, left, right, top, height, colour, isHollow = false) {
    const width = Math.max(1.5, right - left);
    context.fillStyle = colour;
    if (isHollow && width > 3 && height > 3) {
      context.globalAlpha = 0.16;
      context.fillRect(left, top, width, height);
      context.globalAlpha = 0.9;
      context.strokeStyle = colour;
      context.lineWidth = 1;
      context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    } else {
      context.globalAlpha = isHollow ? 0.45 : 0.82;
      context.fillRect(left, top, width, height);
    }
    context.globalAlpha = 1;
  }

  /**
   * Predictions that stand on a line, their height by their score; the best are painted last.
   *
   * @param {Context} context
   * @param {Lane} lane
   * @param {Prediction[]} predictions
   * @param {Scale} x
   * @param {number} base
   * @param {number} height
   */
  predictions(context, lane, predictions, x, base, height) {
    for (const prediction of predictions.toReversed()) {
      const { start, end, kind } = prediction;
      const tall = barHeight(prediction, lane, height);
      const isJudged = kind !== null && kind < NOT_JUDGED;
      const colour = isJudged ? this.palette.kind(kind) : this.palette.get(`--${lane.mark}`);
      this.bar(context, x(start), x(end), base - tall, tall, colour, isJudged && HOLLOW[kind]);
    }
  }

  /**
   * @param {Context} context
   * @param {Span[]} segments
   * @param {Scale} x
   * @param {number} top
   * @param {number} height
   */
  truth(context, segments, x, top, height) {
    for (const { start, end } of segments) {
      this.bar(context, x(start), x(end), top, height, this.palette.get('--truth'));
    }
  }

  /**
   * Segments that nothing found: an empty box below the line.
   *
   * @param {Context} context
   * @param {Span[]} segments
   * @param {Scale} x
   * @param {number} top
   * @param {number} height
   */
  missed(context, segments, x, top, height) {
    for (const { start, end } of segments) {
      this.bar(context, x(start), x(end), top, height, this.palette.get('--missed'), true);
    }
  }

  /**
   * @param {Context} context
   * @param {LabelRun[]} runs
   * @param {(snippet: number) => number} seconds
   * @param {Scale} x
   * @param {number} top
   * @param {number} height
   */
  labels(context, runs, seconds, x, top, height) {
    for (const { label, first, stop } of runs) {
      // Background is thin, foreground full, and what is ignored empty: no need to see colours.
      const tall = label === 2 ? height : 3;
      const colour = this.palette.get(label === 2 ? '--pseudo' : '--background');
      if (label > 0) this.bar(context, x(seconds(first)), x(seconds(stop)), top + height - tall, tall, colour);
    }
  }
}
