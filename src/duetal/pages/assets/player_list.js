// The videos to pick from, and the table of detections.

import { byId, clamp, clock, html, svg, tableOf } from './dom.js';
import { scoreText } from './player_timeline.js';

/** @import { Detection, PlayedVideo, PlayerPage, PlayerState } from './types' */

/**
 * Where the detections of a video lie, small.
 *
 * @param {PlayedVideo} video
 * @param {Detection[]} detections
 * @param {PlayerPage} page
 */
function strip(video, detections, { mark, best }) {
  const share = (/** @type {number} */ seconds) => ((100 * seconds) / (video.duration || 1)).toFixed(2);
  return svg('svg', { class: `strip ${mark}`, 'aria-hidden': 'true', focusable: 'false' },
    ...detections.map(({ start, end, score }) => svg('rect', {
      x: `${share(start)}%`, width: `${share(Math.max(end - start, 0.004 * video.duration))}%`,
      height: '100%', 'fill-opacity': clamp(score / best, 0.25, 1),
    })));
}

/**
 * A picture of a video: its best detection, or its middle. It loads when it comes into view.
 *
 * @param {PlayedVideo} video
 * @param {IntersectionObserver} inView
 */
function thumbnail({ url, offset, duration, detections }, inView) {
  if (url === null) return html('span', { class: 'thumbnail' });
  const best = detections.reduce((a, b) => (b[3] > a[3] ? b : a), [0, 0, duration, -1, 0]);
  const picture = html('video', {
    class: 'thumbnail', preload: 'metadata', tabindex: -1, 'aria-hidden': 'true',
    'data-source': `${url}#t=${(offset + (best[1] + best[2]) / 2).toFixed(2)}`,
  });
  picture.muted = true;
  inView.observe(picture);
  return picture;
}

/** Let a picture load once it is seen: hundreds of videos opened at once would stall the page. */
function loadWhenSeen() {
  const inView = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || !(target instanceof HTMLVideoElement)) continue;
      target.src = target.dataset.source ?? '';
      inView.unobserve(target);
    }
  });
  return inView;
}

export class VideoList {
  /**
   * @param {HTMLElement} host
   * @param {PlayerPage} page
   * @param {(index: number) => void} onChoose
   */
  constructor(host, page, onChoose) {
    this.host = host;
    this.page = page;
    const inView = loadWhenSeen();
    this.pictures = page.videos.map((video) => thumbnail(video, inView));
    this.buttons = page.videos.map((_, index) => {
      const button = html('button', { type: 'button', class: 'pick' });
      button.addEventListener('click', () => onChoose(index));
      return button;
    });
    this.items = this.buttons.map((button) => html('li', {}, button));
    host.append(...this.items);
    const search = document.getElementById('search');
    if (search instanceof HTMLInputElement) search.addEventListener('input', () => this.filter(search.value));
  }

  /** @param {string} text */
  filter(text) {
    const wanted = text.trim().toLowerCase();
    this.page.videos.forEach(({ name }, index) => {
      this.items[index].hidden = !name.toLowerCase().includes(wanted);
    });
  }

  /** @param {(index: number) => Detection[]} detectionsOf */
  fill(detectionsOf) {
    this.page.videos.forEach((video, index) => {
      const found = detectionsOf(index);
      this.buttons[index].replaceChildren(
        this.pictures[index],
        html('span', { class: 'name' }, video.name),
        html('span', { class: 'quiet' }, `${clock(video.duration, 0)} · ${found.length} found`),
        strip(video, found.filter(({ captioned }) => captioned), this.page));
      this.buttons[index].title = video.name;
    });
  }

  /** @param {number} index */
  mark(index) {
    this.buttons.forEach((button, i) => button.setAttribute('aria-current', String(i === index)));
    // Within the list alone: the page must not jump.
    const { offsetTop, offsetHeight } = this.items[index];
    const { host } = this;
    const top = offsetTop - host.offsetTop;
    if (top < host.scrollTop || top + offsetHeight > host.scrollTop + host.clientHeight) {
      host.scrollTop = top - host.clientHeight / 2;
    }
  }
}

export class DetectionTable {
  /**
   * @param {PlayerPage} page
   * @param {(detection: Detection) => void} onChoose
   */
  constructor(page, onChoose) {
    this.page = page;
    this.onChoose = onChoose;
    this.region = byId('found');
    this.table = tableOf('detections');
    /** Rows of the shown detections. @type {Map<Detection, HTMLElement>} */
    this.rows = new Map();
    /** @type {Detection[]} */
    this.current = [];
  }

  /** @param {PlayerState} state */
  fill({ shown, best, video }) {
    this.rows = new Map(shown.map((detection) => [detection, this.row(detection, best)]));
    this.current = [];
    this.table.tBodies[0].replaceChildren(...this.rows.values());
    this.region.hidden = shown.length === 0;
    byId('none').hidden = shown.length > 0;
    const all = video.detections.length;
    byId('none').textContent = all
      ? 'All of this video score below the floor; lower it to see them.'
      : 'Nothing was found in this video.';
    byId('shown').textContent = shown.length === all ? `${all}` : `${shown.length} of ${all}`;
  }

  /**
   * @param {Detection} detection
   * @param {number} best
   */
  row(detection, best) {
    const name = this.page.classes[detection.label];
    const go = html('button', { type: 'button', 'aria-label': `Go to ${name} at ${clock(detection.start)}` },
      clock(detection.start));
    go.addEventListener('click', () => this.onChoose(detection));
    const score = html('td', { class: `score ${this.page.mark}` }, scoreText(detection.score));
    score.style.setProperty('--share', String(clamp(detection.score / best, 0, 1)));
    return html('tr', {}, html('th', { scope: 'row' }, go), html('td', {}, clock(detection.end)),
      html('td', { class: 'name' }, name), score);
  }

  /**
   * Mark the rows of the present moment and bring the first of them into the table's view.
   *
   * @param {Detection[]} current
   */
  mark(current) {
    if (current.length === this.current.length && current.every((each, i) => each === this.current[i])) return;
    this.current = current;
    for (const [detection, row] of this.rows) {
      if (current.includes(detection)) row.setAttribute('aria-current', 'true');
      else row.removeAttribute('aria-current');
    }
    const first = this.rows.get(current[0]);
    const { region } = this;
    if (!first || region.contains(document.activeElement)) return;
    const head = this.table.tHead?.offsetHeight ?? 0;
    if (first.offsetTop - head < region.scrollTop
      || first.offsetTop + first.offsetHeight > region.scrollTop + region.clientHeight) {
      region.scrollTop = first.offsetTop - head - region.clientHeight / 3;
    }
  }
}
