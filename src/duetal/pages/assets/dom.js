// Making elements. Text enters the page through textContent and attributes alone, never as markup.

/**
 * @typedef {Record<string, string | number | null>} Attributes
 * @typedef {Node | string | null} Child
 */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * The element of an id, which must be of the given kind.
 *
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function elementOf(id, kind) {
  const node = document.getElementById(id);
  if (!(node instanceof kind)) throw new Error(`no ${kind.name} has the id ${id}`);
  return node;
}

/** @param {string} id */
export const byId = (id) => elementOf(id, HTMLElement);
/** @param {string} id */
export const inputOf = (id) => elementOf(id, HTMLInputElement);
/** @param {string} id */
export const buttonOf = (id) => elementOf(id, HTMLButtonElement);
/** @param {string} id */
export const selectOf = (id) => elementOf(id, HTMLSelectElement);
/** @param {string} id */
export const tableOf = (id) => elementOf(id, HTMLTableElement);

/** The data that Python embedded in the page. */
export const pageData = () => JSON.parse(byId('data').textContent);

/**
 * Give `node` attributes and children; null is skipped.
 *
 * @template {Element} T
 * @param {T} node
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
export const html = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/**
 * A drawing with a description for screen readers.
 *
 * @param {number} width
 * @param {number} height
 * @param {string} label
 */
export const drawing = (width, height, label) =>
  svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });

/**
 * Draw `draw(width)` into `host`, now and whenever the host's width changes.
 *
 * @param {HTMLElement} host
 * @param {(width: number) => Element} draw
 */
export function drawResponsively(host, draw) {
  let drawnWidth = 0;
  const redraw = () => {
    const style = getComputedStyle(host);
    const padding = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    const width = Math.max(200, Math.floor(host.clientWidth - padding));
    if (host.clientWidth === 0 || width === drawnWidth) return;
    drawnWidth = width;
    host.replaceChildren(draw(width));
  };
  new ResizeObserver(redraw).observe(host);
  redraw();
}

/**
 * The mark of a branch or run: its shape is defined in the page, its colour in the style sheet.
 *
 * @param {string} mark
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
export const markAt = (mark, x, y, size = 5) => svg('use', {
  href: `#shape-${mark}`, class: `${mark} fill`, transform: `translate(${x} ${y}) scale(${size / 5})`,
});

/**
 * Show lines of text beside the pointer.
 *
 * @param {MouseEvent} event
 * @param {string[]} lines
 */
export function showTip(event, lines) {
  const tip = byId('tip');
  tip.replaceChildren(...lines.map((line) => html('div', {}, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = event.clientX + 14 + width > innerWidth ? event.clientX - width - 14 : event.clientX + 14;
  const top = event.clientY + 14 + height > innerHeight ? event.clientY - height - 14 : event.clientY + 14;
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}

export function hideTip() {
  byId('tip').hidden = true;
}

/** Seconds as a clock once they pass a minute: 12.3 s, 2:05.0. */
export function clock(/** @type {number} */ seconds, digits = 1) {
  const scale = 10 ** digits;
  const rounded = Math.round(seconds * scale) / scale;
  if (rounded < 60) return `${rounded.toFixed(digits)} s`;
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, '0')}`;
}

/**
 * @param {number} number
 * @param {string} noun
 */
export const count = (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
