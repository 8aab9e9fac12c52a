// Making elements. Text enters the page through textContent and attributes alone, never as markup.

const SVG = 'http://www.w3.org/2000/svg';
export const byId = (id) => document.getElementById(id);

/** Give `node` attributes and children; strings become text, null is skipped. */
function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const html = (tag, attributes = {}, ...children) =>
  dress(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  dress(document.createElementNS(SVG, tag), attributes, children);

/** A drawing of the given size whose label says to a screen reader what it shows. */
export const drawing = (width, height, label) =>
  svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });

/** Draw `draw(width)` into `host`, now and whenever the host's width changes. */
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

/** The mark of a branch: a circle for CBP, a square for VLP, a diamond for both together. */
export function branchMark(branch, x, y, size = 5) {
  const place = { transform: `translate(${x} ${y})`, class: `${branch} fill` };
  if (branch === 'cbp') return svg('circle', { ...place, r: size });
  const side = 2 * size * 0.9;
  if (branch === 'vlp') {
    return svg('rect', { ...place, x: -side / 2, y: -side / 2, width: side, height: side });
  }
  const reach = size * 1.4;
  return svg('path', { ...place, d: `M0 ${-reach} ${reach} 0 0 ${reach} ${-reach} 0Z` });
}

/** Show lines of text beside the pointer. */
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
export function clock(seconds, digits = 1) {
  const scale = 10 ** digits;
  const rounded = Math.round(seconds * scale) / scale;
  if (rounded < 60) return `${rounded.toFixed(digits)} s`;
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, '0')}`;
}

export const count = (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;

const RUN_SHAPES = ['circle', 'square', 'diamond', 'triangle', 'wedge', 'cross'];

/** The mark of a lane: of a branch, or the shape of one of several runs. */
export function laneMark(mark, x, y, size = 5) {
  const shape = RUN_SHAPES[Number(mark.replace('run-', '')) - 1];
  if (!shape) return branchMark(mark, x, y, size);
  const [s, l] = [size, size * 1.3];
  const path = {
    circle: `M${-s} 0a${s} ${s} 0 1 0 ${2 * s} 0a${s} ${s} 0 1 0 ${-2 * s} 0Z`,
    square: `M${-s} ${-s}H${s}V${s}H${-s}Z`,
    diamond: `M0 ${-l} ${l} 0 0 ${l} ${-l} 0Z`,
    triangle: `M0 ${-l} ${l} ${s} ${-l} ${s}Z`,
    wedge: `M0 ${l} ${l} ${-s} ${-l} ${-s}Z`,
    cross: `M${-s} ${-l}L0 ${-0.3 * s} ${s} ${-l} ${l} ${-s} ${0.3 * s} 0 ${l} ${s} ${s} ${l} 0 ${0.3 * s} ${-s} ${l} ${-l} ${s} ${-0.3 * s} 0 ${-l} ${-s}Z`,
  }[shape];
  return svg('path', { transform: `translate(${x} ${y})`, class: `${mark} fill`, d: path });
}

/** The data that Python embedded in the page. */
export const pageData = () => JSON.parse(byId('data').textContent);
