// Colours for canvases, as the style sheet has them at the moment.

import { html } from './dom.js';

const KIND_COLOURS = ['--truth', '--truth', '--other', '--near', '--other', '--background', '--quiet', '--missed'];
/** Kinds that are drawn as an outline: the shape tells apart what shares a colour. */
export const HOLLOW = [false, true, false, false, true, true, false, true];

export class Palette {
  constructor() {
    this.probe = html('span', { hidden: '' });
    document.body.append(this.probe);
    this.known = new Map();
    document.addEventListener('colours', () => this.known.clear());
  }

  /** A custom property as a colour: its own text may be `light-dark(…)`, which canvases don't read. */
  get(name) {
    if (!this.known.has(name)) {
      this.probe.style.color = `var(${name})`;
      this.known.set(name, getComputedStyle(this.probe).color);
    }
    return this.known.get(name);
  }

  kind(number) {
    return this.get(KIND_COLOURS[number]);
  }
}
