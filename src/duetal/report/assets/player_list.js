// The videos to pick from, and the table of detections.

import { byId, clock, html, svg } from './dom.js';
import { scoreText } from './player_timeline.js';

/** Where the detections of a video lie, small. */
function strip(video, detections, branch, best) {
  const share = (seconds) => ((100 * seconds) / (video.duration || 1)).toFixed(2);
  return svg('svg', { class: `strip ${branch}`, 'aria-hidden': 'true', focusable: 'false' },
    ...detections.map(({ start, end, score }) => svg('rect', {
      x: `${share(start)}%`, width: `${share(Math.max(end - start, 0.004 * video.duration))}%`,
      height: '100%', 'fill-opacity': Math.min(1, Math.max(0.25, score / best)),
    })));
}

export class VideoList {
  constructor(host, page, choose) {
    Object.assign(this, { host, page });
    this.buttons = page.videos.map((video, index) => {
      const button = html('button', { type: 'button', class: 'pick' });
      button.addEventListener('click', () => choose(index));
      return button;
    });
    host.append(...this.buttons.map((button) => html('li', {}, button)));
    byId('search')?.addEventListener('input', ({ target }) => this.filter(target.value));
  }

  filter(text) {
    const wanted = text.trim().toLowerCase();
    this.page.videos.forEach(({ name }, index) => {
      this.buttons[index].parentNode.hidden = !name.toLowerCase().includes(wanted);
    });
  }

  fill(detectionsOfVideo) {
    this.page.videos.forEach((video, index) => {
      const found = detectionsOfVideo(video);
      this.buttons[index].replaceChildren(
        html('span', { class: 'name' }, video.name),
        html('span', { class: 'quiet' }, `${clock(video.duration, 0)} · ${found.length} found`),
        strip(video, found.filter(({ spoken }) => spoken), this.page.stages[0].branch, this.page.best));
      this.buttons[index].title = video.name;
    });
  }

  mark(index) {
    this.buttons.forEach((button, i) => button.setAttribute('aria-current', String(i === index)));
    // Within the list alone: the page must not jump.
    const { offsetTop, offsetHeight } = this.buttons[index].parentNode;
    const { host } = this;
    const top = offsetTop - host.offsetTop;
    if (top < host.scrollTop || top + offsetHeight > host.scrollTop + host.clientHeight) {
      host.scrollTop = top - host.clientHeight / 2;
    }
  }
}

export class DetectionTable {
  constructor(page, choose) {
    Object.assign(this, { page, choose, region: byId('found'), rows: [] });
    this.body = byId('detections').tBodies[0];
  }

  fill({ shown, best, video }) {
    this.shown = shown;
    this.rows = shown.map((detection) => this.row(detection, best));
    this.body.replaceChildren(...this.rows);
    this.region.hidden = shown.length === 0;
    byId('none').hidden = shown.length > 0;
    byId('none').textContent = video.detections.length
      ? 'All of this video score below the floor; lower it to see them.'
      : 'Nothing was found in this video.';
    const all = video.detections.length;
    byId('shown').textContent = shown.length === all ? `${all}` : `${shown.length} of ${all}`;
    this.current = '';
  }

  row(detection, best) {
    const name = this.page.classes[detection.label];
    const go = html('button', { type: 'button', 'aria-label': `Go to ${name} at ${clock(detection.start)}` },
      clock(detection.start));
    go.addEventListener('click', () => this.choose(detection));
    const score = html('td', { class: `score ${this.page.stages[0].branch}` }, scoreText(detection.score));
    score.style.setProperty('--share', Math.min(1, Math.max(0, detection.score / best)));
    return html('tr', {}, html('th', { scope: 'row' }, go), html('td', {}, clock(detection.end)),
      html('td', { class: 'name' }, name), score);
  }

  /** Mark the rows of the present moment and bring the first of them into the table's view. */
  mark(current) {
    const set = new Set(current);
    const key = this.shown.map((detection) => Number(set.has(detection))).join('');
    if (key === this.current) return;
    this.current = key;
    this.shown.forEach((detection, i) => {
      if (set.has(detection)) this.rows[i].setAttribute('aria-current', 'true');
      else this.rows[i].removeAttribute('aria-current');
    });
    const first = this.rows[key.indexOf('1')];
    if (!first || this.region.contains(document.activeElement)) return;
    const { region } = this;
    const head = byId('detections').tHead.offsetHeight;
    if (first.offsetTop - head < region.scrollTop
      || first.offsetTop + first.offsetHeight > region.scrollTop + region.clientHeight) {
      region.scrollTop = first.offsetTop - head - region.clientHeight / 3;
    }
  }
}
