// Thresholds on score curves, to drag or to move with keys.

import { html } from './dom.js';

const STEP = 0.01;

export class Threshold {
  /** moved(value) is called whenever it has been moved; `place` counts handles from the right. */
  constructor(branch, place, moved) {
    Object.assign(this, { branch, place, moved, value: 0.5 });
    this.line = html('div', { class: `threshold ${branch}` });
    this.handle = html('div', {
      class: `handle ${branch}`, role: 'slider', tabindex: 0, 'data-branch': branch,
      'aria-label': `Threshold on the ${branch.toUpperCase()} score`,
      'aria-orientation': 'vertical', 'aria-valuemin': 0, 'aria-valuemax': 1,
    });
    this.handle.addEventListener('keydown', (event) => this.press(event));
    this.handle.addEventListener('pointerdown', (event) => this.grab(event));
    this.handle.addEventListener('pointermove', (event) => {
      if (this.handle.hasPointerCapture(event.pointerId)) this.drag(event);
    });
  }

  /** Lie on the plot between `left` and `right`, by its scale of scores. */
  lay(y, left, right) {
    this.y = y;
    this.line.style.left = `${left}px`;
    this.line.style.width = `${right - left}px`;
    this.handle.style.left = `${right - 50 * (this.place + 1)}px`;
    this.move();
  }

  move() {
    if (!this.y) return;
    this.line.style.top = `${this.y(this.value)}px`;
    this.handle.style.top = `${this.y(this.value)}px`;
    this.handle.textContent = this.value.toFixed(2);
  }

  /** What a screen reader says after a move. */
  tell(text) {
    this.handle.setAttribute('aria-valuenow', this.value);
    this.handle.setAttribute('aria-valuetext', `${this.value.toFixed(2)}: ${text}`);
  }

  set(value) {
    const rounded = Math.round(Math.min(1, Math.max(0, value)) / STEP) * STEP;
    this.value = Number(rounded.toFixed(2));
    this.move();
    this.moved(this.value);
  }

  grab(event) {
    if (event.button !== 0) return;
    event.stopPropagation();
    this.handle.setPointerCapture(event.pointerId);
    this.handle.focus();
    const { top } = this.handle.getBoundingClientRect();
    // The handle's middle stands on the line, wherever it was taken.
    this.slip = event.clientY - top - this.handle.offsetHeight / 2;
    event.preventDefault();
  }

  drag(event) {
    const { top } = this.handle.offsetParent.getBoundingClientRect();
    this.set(this.y.invert(event.clientY - this.slip - top));
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const to = {
      ArrowUp: this.value + STEP, ArrowRight: this.value + STEP,
      ArrowDown: this.value - STEP, ArrowLeft: this.value - STEP,
      PageUp: this.value + 0.1, PageDown: this.value - 0.1, Home: 0, End: 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.set(to);
  }
}
