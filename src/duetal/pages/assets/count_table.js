// How many predictions are of each kind, lane by lane; its heads filter, its rows show lanes.

import { html, markAt, svg, tableOf } from './dom.js';
import { MISSED, NOT_JUDGED } from './exploration.js';

/** @import { Exploration, Lane } from './exploration.js' */
/** @import { Filters } from './filters.js' */

export class CountTable {
  /**
   * @param {Exploration} exploration
   * @param {Filters} filters
   * @param {() => void} onChange
   */
  constructor(exploration, filters, onChange) {
    this.exploration = exploration;
    this.filters = filters;
    this.onChange = onChange;
    const { lanes } = exploration;
    this.kinds = exploration.isJudged ? this.present() : [];
    this.heads = this.kinds.map((kind) => this.head(kind));
    this.cells = lanes.map(() => [html('td'), ...this.kinds.map(() => html('td'))]);
    const table = tableOf('counts');
    table.hidden = lanes.length === 0;
    table.replaceChildren(
      html('caption', { class: 'visually-hidden' }, 'Predictions by kind, and missed segments, as the filters leave them'),
      html('thead', {}, html('tr', {}, html('th', { scope: 'col' }, 'Shown lanes'), html('th', { scope: 'col' }, 'All'),
        ...this.heads.map((button) => html('th', { scope: 'col' }, button)))),
      html('tbody', {}, ...lanes.map((lane, number) =>
        html('tr', {}, html('th', { scope: 'row' }, this.box(lane, number)), ...this.cells[number]))));
  }

  /** All kinds; "not judged" only where there is any. */
  present() {
    const { kinds, lanes } = this.exploration;
    const hasUnjudged = lanes.some((lane) => lane.label.some((_, row) => lane.kindAt(row, 0) === NOT_JUDGED));
    return [...kinds.keys(), ...(hasUnjudged ? [NOT_JUDGED] : []), MISSED];
  }

  /** @param {number} kind */
  head(kind) {
    const name = this.exploration.kinds[kind] ?? (kind === MISSED ? 'missed segments' : 'not judged');
    const button = html('button', { type: 'button', class: 'kind', 'aria-pressed': 'false', 'data-kind': kind },
      html('span', { class: `swatch kind-${kind}`, 'aria-hidden': 'true' }), name);
    button.addEventListener('click', () => {
      const { kinds } = this.filters;
      if (!kinds.delete(kind)) kinds.add(kind);
      this.onChange();
    });
    return button;
  }

  /**
   * @param {Lane} lane
   * @param {number} number
   */
  box(lane, number) {
    const { visible } = this.filters;
    const box = html('input', { type: 'checkbox', 'data-lane': number });
    box.checked = visible.has(number);
    box.addEventListener('change', () => {
      if (box.checked) visible.add(number);
      else visible.delete(number);
      this.onChange();
    });
    const mark = svg('svg', { width: 16, height: 16, 'aria-hidden': 'true', focusable: 'false' }, markAt(lane.mark, 8, 8));
    return html('label', {}, box, mark, html('span', {}, lane.title));
  }

  fill() {
    const { filters } = this;
    this.heads.forEach((button, i) => {
      button.setAttribute('aria-pressed', String(filters.kinds.has(this.kinds[i])));
    });
    this.cells.forEach(([all, ...cells], number) => {
      const { counts } = filters.lanes[number];
      all.textContent = counts.slice(0, MISSED).reduce((a, b) => a + b, 0).toLocaleString('en');
      cells.forEach((cell, i) => {
        cell.textContent = counts[this.kinds[i]].toLocaleString('en');
        cell.classList.toggle('off', !filters.isKindShown(this.kinds[i]) || !filters.visible.has(number));
      });
    });
  }
}
