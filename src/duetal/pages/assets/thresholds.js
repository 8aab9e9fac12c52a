// Thresholds on score curves, to drag or to move with keys.

import { clamp, html } from './dom.js';

/** @import { Branch, Scale } from './types' */

const STEP = 0.01;

export class Threshold {
  /**
   * @param {Branch} branch
   * @param {number} place of the handle, from the right
   * @param {Scale} y of the scores
   * @param {() => void} onMove
   */
  constructor(branch, place, y, onMove) {
    this.place = place;
    this.y = y;
    this.onMove = onMove;
    this.value = 0.5;
    /** From the handle's middle to the pointer that drags it. */
    this.offset = 0;
    this.line = html('div', { class: `threshold ${branch.mark}` });
    this.handle = html('div', {
      class: `handle ${branch.mark}`, role: 'slider', tabindex: 0, 'data-branch': branch.name,
      'aria-label': `Threshold on the ${branch.title} score`,
      'aria-orientation': 'vertical', 'aria-valuemin': 0, 'aria-valuemax': 1,
    });
    this.handle.addEventListener('keydown', (event) => this.press(event));
    this.handle.addEventListener('pointerdown', (event) => this.grab(event));
    this.handle.addEventListener('pointermove', (event) => {
      if (this.handle.hasPointerCapture(event.pointerId)) this.drag(event);
    });
  }

  /**
   * Place line and handle on the plot between `left` and `right`.
   *
   * @param {number} left
   * @param {number} right
   */
  layOut(left, right) {
    this.line.style.left = `${left}px`;
    this.line.style.width = `${right - left}px`;
    this.handle.style.left = `${right - 50 * (this.place + 1)}px`;
    this.move();
  }

  move() {
    this.line.style.top = `${this.y(this.value)}px`;
    this.handle.style.top = `${this.y(this.value)}px`;
    this.handle.textContent = this.value.toFixed(2);
  }

  /**
   * Describe the value to screen readers.
   *
   * @param {string} text
   */
  describe(text) {
    this.handle.setAttribute('aria-valuenow', String(this.value));
    this.handle.setAttribute('aria-valuetext', `${this.value.toFixed(2)}: ${text}`);
  }

  /** @param {number} value */
  set(value) {
    this.value = Number((Math.round(clamp(value, 0, 1) / STEP) * STEP).toFixed(2));
    this.move();
    this.onMove();
  }

  /** @param {PointerEvent} event */
  grab(event) {
    if (event.button !== 0) return;
    event.stopPropagation();
    this.handle.setPointerCapture(event.pointerId);
    this.handle.focus();
    this.offset = event.clientY - this.handle.getBoundingClientRect().top - this.handle.offsetHeight / 2;
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  drag(event) {
    const top = this.handle.offsetParent?.getBoundingClientRect().top ?? 0;
    this.set(this.y.invert(event.clientY - this.offset - top));
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const to = new Map([
      ['ArrowUp', this.value + STEP], ['ArrowRight', this.value + STEP],
      ['ArrowDown', this.value - STEP], ['ArrowLeft', this.value - STEP],
      ['PageUp', this.value + 0.1], ['PageDown', this.value - 0.1], ['Home', 0], ['End', 1],
    ]).get(event.key);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.set(to);
  }
}
