// How many predictions are of each kind, lane by lane; its heads filter, its rows show lanes.

import { byId, html, laneMark, svg } from './dom.js';
import { MISSED, NOT_JUDGED } from './filters.js';

export class CountTable {
  constructor(exploration, filters, changed) {
    Object.assign(this, { exploration, filters, changed });
    const { lanes, judged } = exploration;
    this.kinds = judged ? this.present() : [];
    this.heads = this.kinds.map((kind) => this.head(kind));
    this.cells = lanes.map(() => [html('td'), ...this.kinds.map(() => html('td'))]);
    this.boxes = lanes.map((lane, number) => this.box(lane, number));
    byId('counts').replaceChildren(
      html('caption', { class: 'visually-hidden' }, 'Predictions by kind, and missed segments, as the filters leave them'),
      html('thead', {}, html('tr', {}, html('th', { scope: 'col' }, 'Shown lanes'), html('th', { scope: 'col' }, 'All'),
        ...this.heads.map((button) => html('th', { scope: 'col' }, button)))),
      html('tbody', {}, ...lanes.map((_, number) =>
        html('tr', {}, html('th', { scope: 'row' }, this.boxes[number]), ...this.cells[number]))));
    byId('counts').hidden = lanes.length === 0;
    document.addEventListener('colours', () => this.fill());
  }

  /** All kinds; "not judged" only where there is any. */
  present() {
    const unjudged = this.exploration.lanes.some((lane) => lane.label.some((_, row) => lane.kindAt(row, 0) === NOT_JUDGED));
    return [0, 1, 2, 3, 4, 5, ...(unjudged ? [NOT_JUDGED] : []), MISSED];
  }

  name(kind) {
    return { [NOT_JUDGED]: 'not judged', [MISSED]: 'missed segments' }[kind] ?? this.exploration.kinds[kind];
  }

  head(kind) {
    const button = html('button', { type: 'button', class: 'kind', 'aria-pressed': 'false', 'data-kind': kind },
      html('span', { class: `swatch kind-${kind}`, 'aria-hidden': 'true' }), this.name(kind));
    button.addEventListener('click', () => {
      const { kinds } = this.filters;
      if (!kinds.delete(kind)) kinds.add(kind);
      this.changed();
    });
    return button;
  }

  box(lane, number) {
    const box = html('input', { type: 'checkbox', 'data-lane': number });
    box.checked = this.filters.visible.has(number);
    box.addEventListener('change', () => {
      if (box.checked) this.filters.visible.add(number);
      else this.filters.visible.delete(number);
      this.changed();
    });
    const mark = svg('svg', { width: 16, height: 16, 'aria-hidden': 'true', focusable: 'false' }, laneMark(lane.mark, 8, 8));
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
