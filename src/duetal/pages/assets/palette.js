// Colours for canvases, as the style sheet has them at the moment.

import { html } from './dom.js';

const KIND_COLOURS = ['--truth', '--truth', '--other', '--near', '--other', '--background', '--quiet', '--missed'];
/** Kinds that are drawn as an outline: the shape distinguishes what shares a colour. */
export const HOLLOW = [false, true, false, false, true, true, false, true];

export class Palette {
  constructor() {
    this.probe = html('span', { hidden: '' });
    document.body.append(this.probe);
    /** @type {Map<string, string>} */
    this.known = new Map();
    document.addEventListener('colours', () => this.known.clear());
  }

  /**
   * A custom property as a colour: canvases cannot read `light-dark(…)`, which its text may be.
   *
   * @param {string} name
   */
  get(name) {
    const known = this.known.get(name);
    if (known) return known;
    this.probe.style.color = `var(${name})`;
    const { color } = getComputedStyle(this.probe);
    this.known.set(name, color);
    return color;
  }

  /** @param {number} number */
  kind(number) {
    return this.get(KIND_COLOURS[number]);
  }
}
