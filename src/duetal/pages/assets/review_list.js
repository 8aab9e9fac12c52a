// The videos to pick from, and the table of a video's statements; both stay quick at tens of thousands.

import { byId, clamp, clock, count, html, tableOf } from './dom.js';
import { Palette } from './palette.js';
import { scoreText } from './player_timeline.js';
import { actionsOf, isPoint, progressOf } from './review_store.js';
import { aboutOf } from './review_timeline.js';

/** @import { Pair, ReviewFilter, ReviewState, ReviewVideo, Statement } from './types' */

const PROGRESS = { new: 'new', begun: 'begun', done: 'done' };
/** Of a strip's parts: what nobody has judged is ink. */
const COLOURS = { open: '--ink', accepted: '--truth', rejected: '--rule' };
/** Of the table: more would be slow, and nobody reads them. */
const MOST_ROWS = 1000;
const SIGNS = { open: '○', accepted: '✓', rejected: '✗' };

/**
 * Whether a filter shows a statement.
 *
 * @param {ReviewFilter} filter
 * @param {Statement} statement
 */
export const passes = ({ label, floor, verdict }, statement) =>
  (label === '' || statement.label === label)
  // What a person said is never hidden by its score.
  && (statement.score === null || statement.verdict !== 'open' || statement.score >= floor)
  && (verdict === '' || (verdict === 'added' ? statement.score === null : statement.verdict === verdict));

/**
 * What is stated of a video's actions, small, on a canvas: thousands of elements would be slow.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {ReviewVideo} video
 * @param {Statement[]} shown
 * @param {Palette} palette
 * @param {Pair} size
 */
function paintStrip(canvas, video, shown, palette, [width, height]) {
  const pen = canvas.getContext('2d');
  if (!pen || !width) return;
  Object.assign(canvas, { width, height });
  const scale = width / (video.duration || 1);
  for (const verdict of /** @type {const} */ (['rejected', 'open', 'accepted'])) {
    pen.fillStyle = palette.get(COLOURS[verdict]);
    for (const each of shown) {
      if (each.verdict !== verdict) continue;
      pen.globalAlpha = verdict === 'open' ? clamp(each.score ?? 1, 0.25, 1) : 1;
      pen.fillRect(scale * each.start, 0, Math.max(1.5, scale * (each.end - each.start)), height);
    }
  }
}

export class VideoPicks {
  /**
   * @param {HTMLElement} host
   * @param {ReviewVideo[]} videos
   * @param {(index: number) => void} onChoose
   */
  constructor(host, videos, onChoose) {
    this.host = host;
    this.videos = videos;
    /** @type {ReviewFilter | null} */
    this.filter = null;
    /** Strips to paint when they are seen. @type {Set<number>} */
    this.stale = new Set();
    /** @type {Set<number>} */
    this.visible = new Set();
    /** Pixels of a strip, asked for once, because asking makes the browser lay out. @type {Pair | null} */
    this.size = null;
    this.palette = new Palette();
    this.parts = videos.map((video) => {
      const parts = {
        about: html('span', { class: 'quiet' }),
        strip: html('canvas', { class: 'strip', 'aria-hidden': 'true' }),
      };
      const button = html('button', { type: 'button', class: 'pick plain', title: video.name },
        html('span', { class: 'name' }, video.name), parts.about, parts.strip);
      button.addEventListener('click', () => onChoose(video.index));
      const item = html('li', { 'data-index': video.index }, button);
      return { ...parts, button, item };
    });
    host.append(...this.parts.map(({ item }) => item));
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const index = Number(/** @type {HTMLElement} */ (target).dataset.index);
        if (isIntersecting) this.visible.add(index);
        else this.visible.delete(index);
        if (isIntersecting && this.stale.has(index)) this.paint(index);
      }
    }, { root: host, rootMargin: '200px' });
    for (const { item } of this.parts) seen.observe(item);
    const repaint = () => {
      this.size = null;
      this.fill(this.filter);
    };
    document.addEventListener('colours', repaint);
    addEventListener('resize', repaint);
  }

  /** @param {number} index */
  paint(index) {
    this.stale.delete(index);
    const video = this.videos[index];
    const { filter } = this;
    const { strip } = this.parts[index];
    const ratio = devicePixelRatio || 1;
    this.size ??= [Math.round(strip.clientWidth * ratio), Math.round(strip.clientHeight * ratio)];
    const shown = actionsOf(video).filter((each) => !filter || passes(filter, each));
    paintStrip(strip, video, shown, this.palette, this.size);
  }

  /** @param {ReviewFilter | null} filter */
  fill(filter) {
    this.filter = filter;
    for (const { index } of this.videos) this.update(index);
  }

  /** @param {number} index */
  update(index) {
    const video = this.videos[index];
    const { about, button, item } = this.parts[index];
    const { filter } = this;
    const shown = actionsOf(video).filter((each) => !filter || passes(filter, each));
    const progress = progressOf(video);
    const open = shown.filter(({ verdict }) => verdict === 'open').length;
    about.textContent = [clock(video.duration, 0), open ? `${open} open` : '', PROGRESS[progress]]
      .filter(Boolean).join(' · ');
    button.dataset.progress = progress;
    item.hidden = Boolean(filter) && !this.isListed(video, shown, progress);
    this.stale.add(index);
    if (this.visible.has(index)) requestAnimationFrame(() => this.paint(index));
  }

  /**
   * @param {ReviewVideo} video
   * @param {Statement[]} shown
   * @param {string} progress
   */
  isListed(video, shown, progress) {
    const { filter } = this;
    if (!filter) return true;
    const isOfClass = filter.label === '' || shown.length > 0
      || video.statements.some(({ kind, label }) => kind === 'label' && label === filter.label);
    return video.name.toLowerCase().includes(filter.text)
      && isOfClass
      && (filter.verdict === '' || shown.length > 0)
      && (filter.progress === '' || filter.progress === progress);
  }

  /** Numbers of the videos that are listed. */
  listed() {
    return this.videos.map(({ index }) => index).filter((index) => !this.parts[index].item.hidden);
  }

  /** @param {number} index */
  mark(index) {
    this.parts.forEach(({ button }, i) => button.setAttribute('aria-current', String(i === index)));
    const { item } = this.parts[index];
    const { host } = this;
    const top = item.offsetTop - host.offsetTop;
    if (top < host.scrollTop || top + item.offsetHeight > host.scrollTop + host.clientHeight) {
      host.scrollTop = top - host.clientHeight / 2;
    }
  }
}

export class StatementTable {
  /**
   * @param {(statement: Statement, isMore: boolean) => void} onChoose
   */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.region = byId('found');
    this.table = tableOf('statements');
    /** Rows by what they show: those that show the same are kept. @type {Map<string, HTMLElement>} */
    this.rows = new Map();
  }

  /** @param {ReviewState} state */
  fill({ shown, selected, video }) {
    const rows = new Map();
    for (const each of shown.slice(0, MOST_ROWS)) {
      const key = JSON.stringify(each);
      rows.set(key, this.rows.get(key) ?? this.row(each));
      rows.get(key).setAttribute('aria-current', String(selected.has(each.number)));
    }
    this.rows = rows;
    // Rows that stay where they are are not touched: laying out all of them would be slow.
    const [body] = this.table.tBodies;
    const kept = new Set(rows.values());
    for (const row of [...body.children]) if (!kept.has(row)) row.remove();
    let place = body.firstElementChild;
    for (const row of rows.values()) {
      if (row === place) place = row.nextElementSibling;
      else body.insertBefore(row, place);
    }
    const all = actionsOf(video).length;
    byId('shown').textContent = [
      shown.length === all ? `${all}` : `${shown.length} of ${all}`,
      shown.length > MOST_ROWS ? `the first ${MOST_ROWS} are listed: filter for others` : '',
    ].filter(Boolean).join('; ');
    byId('none').hidden = shown.length > 0;
    this.region.hidden = shown.length === 0;
    byId('none').textContent = all ? 'The filter hides all of this video.' : 'Nothing is proposed or added here yet.';
  }

  /** @param {Statement} statement */
  row(statement) {
    const { label, start, end, score, verdict } = statement;
    const go = html('button', { type: 'button', 'aria-label': `${label}, ${aboutOf(statement)}` }, clock(start, 2));
    go.addEventListener('click', (event) => this.onChoose(statement, event.shiftKey || event.ctrlKey));
    return html('tr', { class: verdict },
      html('th', { scope: 'row' }, go),
      html('td', {}, isPoint(statement) ? 'point' : clock(end, 2)),
      html('td', { class: 'name' }, label),
      html('td', {}, score === null ? 'added' : scoreText(score)),
      html('td', { class: 'verdict' }, html('span', { 'aria-hidden': 'true' }, SIGNS[verdict]),
        html('span', { class: 'visually-hidden' }, verdict)));
  }

  /** Bring the selected row into the table's view. */
  reveal() {
    const row = /** @type {HTMLElement | null} */ (this.table.querySelector('[aria-current="true"]'));
    const { region } = this;
    if (!row) return;
    const head = this.table.tHead?.offsetHeight ?? 0;
    if (row.offsetTop - head < region.scrollTop
      || row.offsetTop + row.offsetHeight > region.scrollTop + region.clientHeight) {
      region.scrollTop = row.offsetTop - head - region.clientHeight / 3;
    }
  }
}

/** @param {ReviewVideo[]} videos */
export function overviewOf(videos) {
  const done = videos.filter((video) => progressOf(video) === 'done').length;
  const all = videos.flatMap(actionsOf).filter(({ score }) => score !== null);
  const judged = all.filter(({ verdict }) => verdict !== 'open').length;
  const labelled = videos.filter(({ statements }) => statements.some(({ kind }) => kind === 'label')).length;
  return [
    labelled ? `${labelled.toLocaleString('en')} of ${count(videos.length, 'video')} labelled` : '',
    `${done.toLocaleString('en')} of ${count(videos.length, 'video')} looked through`,
    all.length ? `${judged.toLocaleString('en')} of ${count(all.length, 'proposal')} judged` : '',
  ].filter(Boolean).join(' · ');
}
