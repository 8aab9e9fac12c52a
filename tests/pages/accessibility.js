// What a page's own elements tell of it: run inside the page by test_accessibility.py.
({
  /** Relative luminance of `[r, g, b]`, as WCAG defines it. */
  luminance([r, g, b]) {
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  },

  contrast(one, other) {
    const [a, b] = [this.luminance(one), this.luminance(other)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  },

  channels: (text) => (text.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number),

  /** The opaque colour behind a node. */
  behind(node) {
    for (let at = node; at; at = at.parentElement) {
      const colour = this.channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  },

  /** Visible text of too little contrast; disabled controls are meant to step back. */
  faintText() {
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const node = text.parentElement;
      const seen = text.data.trim() && node.checkVisibility();
      if (!seen || node.matches('script, style, :disabled')) continue;
      const style = getComputedStyle(node);
      const ink = this.channels(node instanceof SVGElement ? style.fill : style.color);
      const ratio = this.contrast(ink, this.behind(node));
      if (ratio < 4.5) faint.push(`${text.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return faint;
  },

  /** Custom properties that do not stand out on panels. */
  faintMarks(names) {
    const probe = document.querySelector('main').appendChild(document.createElement('span'));
    const colour = (name) => {
      probe.style.color = `var(${name})`;
      return this.channels(getComputedStyle(probe).color);
    };
    return names.filter((name) => this.contrast(colour(name), colour('--panel')) < 3);
  },

  name(node) {
    const texts = (ids) => (ids ?? '').split(' ').map((id) => document.getElementById(id)?.textContent);
    return [
      node.getAttribute('aria-label'), ...texts(node.getAttribute('aria-labelledby')),
      ...[...(node.labels ?? [])].map((label) => label.textContent),
      node.matches('input') ? '' : node.textContent,
    ].join('').trim();
  },

  nameless() {
    const operated = 'a, button, input, select, summary, [tabindex], [role=slider], [role=img]';
    return [...document.querySelectorAll(operated)].filter((node) => !this.name(node))
      .map((node) => node.outerHTML.slice(0, 80));
  },

  /** References to elements that are not there. */
  dangling() {
    const attributes = ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for'];
    return [...document.querySelectorAll(attributes.map((name) => `[${name}]`).join())]
      .flatMap((node) => attributes.flatMap((name) => (node.getAttribute(name) ?? '').split(' ')))
      .filter((id) => id && !document.getElementById(id));
  },

  /** The colour that most of the timeline's opaque pixels have. */
  painted() {
    const canvas = document.querySelector('#timeline canvas');
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Map();
    for (let i = 0; i < data.length; i += 4) {
      const key = data.slice(i, i + 3).join();
      if (data[i + 3] >= 200) seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    return [...seen].sort((a, b) => b[1] - a[1])[0][0].split(',').map(Number);
  },
})
