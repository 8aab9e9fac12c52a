// The review as the server knows it: nothing is shown as done before it is saved.

/** @import { ReviewAction, ReviewData, ReviewNews, ReviewVideo, Statement, StatementRow, Step } from './types' */
/**
 * @typedef {object} Listeners
 * @property {(news: ReviewNews) => void} onNews
 * @property {(cause: string) => void} onTrouble
 */

/** Characters of a request that outlives its window. */
const MOST_KEPT = 50_000;
const ENDED = 'Not saved: duetal review has ended. The same command goes on with the review, at the address that it prints.';

/**
 * @param {StatementRow} row
 * @returns {Statement}
 */
const readStatement = ([number, kind, label, start, end, score, verdict]) =>
  ({ number, kind, label, start, end, score, verdict });

/** @param {Statement} statement */
export const isPoint = ({ start, end }) => start === end;

/** @param {ReviewVideo} video */
export const actionsOf = (video) => video.statements.filter(({ kind }) => kind === 'action');

/**
 * Whether a person has said something of a video, and whether all of it was looked through.
 *
 * @param {ReviewVideo} video
 */
export function progressOf({ statements, duration }) {
  let reached = 0;
  for (const { kind, label, start, end } of statements) {
    if (kind === 'looked' && !label && start <= reached + 0.021) reached = Math.max(reached, end);
  }
  if (reached >= duration - 0.021) return 'done';
  return statements.some(({ verdict }) => verdict !== 'open') ? 'begun' : 'new';
}

export class ReviewStore {
  /**
   * @param {ReviewData} data
   * @param {Listeners} listeners
   */
  constructor(data, listeners) {
    this.listeners = listeners;
    /** @type {ReviewVideo[]} */
    this.videos = data.videos.map((video, index) => ({
      ...video, index, version: 0, statements: [],
    }));
    /** @type {string[]} */
    this.classes = [];
    this.last = 0;
    /** @type {{ undo: Step | null, redo: Step | null }} */
    this.steps = { undo: null, redo: null };
    /** Requests go one after the other: each knows the version that the one before made. */
    this.queue = /** @type {Promise<unknown>} */ (Promise.resolve());
    this.take({ ...data, videos: [] });
  }

  /** @param {ReviewNews} news */
  take(news) {
    for (const [index, rows] of Object.entries(news.states)) {
      const video = this.videos[Number(index)];
      video.statements = rows.map(readStatement).sort((a, b) => a.start - b.start || a.number - b.number);
      video.version = news.versions[video.index];
    }
    this.classes = news.classes;
    this.last = news.last;
    this.steps = { undo: news.undo, redo: news.redo };
  }

  /**
   * @param {ReviewVideo | null} video
   * @param {ReviewAction} action
   */
  act(video, action) {
    return this.post('/act', () => ({ video: video?.index, version: video?.version, action }));
  }

  undo() {
    return this.post('/act', () => this.steps.undo && { undo: this.steps.undo.entry });
  }

  redo() {
    return this.post('/act', () => this.steps.redo && { redo: this.steps.redo.entry });
  }

  /**
   * @param {File} file
   * @param {string} fps
   */
  takeIn(file, fps) {
    return this.request(() => fetch(`/import?${new URLSearchParams({
      name: file.name, last: String(this.last), fps,
    })}`, { method: 'POST', body: file }));
  }

  /** What other windows have done. */
  refresh() {
    return this.request(() => fetch(`/state?since=${this.last}`));
  }

  /**
   * @param {string} path
   * @param {() => object | null} body asked once all before is saved; null where there is nothing to do
   */
  post(path, body) {
    return this.request(() => {
      const asked = body();
      if (asked === null) return null;
      const text = JSON.stringify({ last: this.last, ...asked });
      return fetch(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: text,
        // It arrives, too, where the window is closed meanwhile; browsers refuse that of large ones.
        keepalive: text.length < MOST_KEPT,
      });
    });
  }

  /**
   * @param {() => Promise<Response> | null} send
   * @returns {Promise<boolean>} whether it was done
   */
  request(send) {
    const done = this.queue.then(async () => {
      try {
        const answer = await send();
        if (answer === null) return false;
        const news = await answer.json().catch(() => ({ error: ENDED }));
        if (news.states) {
          this.take(news);
          this.listeners.onNews(news);
        }
        if (news.error) this.listeners.onTrouble(news.error);
        return !news.error;
      } catch (error) {
        this.listeners.onTrouble(error instanceof TypeError ? ENDED : String(error));
        return false;
      }
    });
    this.queue = done;
    return done;
  }
}
