// Out in every form, in again, and the names of classes.

import { buttonOf, byId, html, inputOf, selectOf } from './dom.js';

/** @import { ReviewStore } from './review_store.js' */

export class ReviewExchange {
  /** @param {ReviewStore} store */
  constructor(store) {
    this.store = store;
    buttonOf('export').addEventListener('click', () => this.save());
    const file = inputOf('import');
    file.addEventListener('change', async () => {
      if (file.files?.[0]) await store.takeIn(file.files[0], inputOf('fps').value);
      file.value = '';
    });
    const add = inputOf('new-class');
    add.addEventListener('change', () => {
      if (add.value.trim()) store.act(null, { verb: 'class', label: add.value });
      add.value = '';
    });
  }

  /** Download what is known, in the form chosen, and tell what it cannot hold. */
  async save() {
    const form = selectOf('form').value;
    const told = byId('export-notes');
    try {
      const answer = await fetch(`/export/${form}?${new URLSearchParams({ fps: inputOf('fps').value })}`);
      if (!answer.ok) {
        told.replaceChildren(html('li', {}, (await answer.json()).error));
        return;
      }
      const link = html('a', { download: JSON.parse(answer.headers.get('X-Duetal-Name') ?? '"review"') });
      link.href = URL.createObjectURL(await answer.blob());
      link.click();
      URL.revokeObjectURL(link.href);
      const notes = JSON.parse(answer.headers.get('X-Duetal-Notes') ?? '[]');
      told.replaceChildren(...(notes.length ? notes : ['Downloaded; nothing is lost.'])
        .map((/** @type {string} */ note) => html('li', {}, note)));
    } catch (error) {
      told.replaceChildren(html('li', {}, String(error)));
    }
  }

  fillClasses() {
    const list = byId('classes');
    if (list.contains(document.activeElement)) return;
    list.replaceChildren(...this.store.classes.map((label, i) => {
      const input = html('input', { type: 'search', value: label, 'aria-label': `Name of ${label}`, maxlength: 200 });
      input.addEventListener('change', () => {
        input.blur();
        this.store.act(null, { verb: 'rename', label, present: [input.value] });
      });
      return html('li', {}, html('kbd', {}, i < 9 ? String(i + 1) : '–'), input);
    }));
  }
}
