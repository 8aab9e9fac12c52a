// The playing video, in seconds of the detections' clock.

import { clamp } from './dom.js';

/** @import { PlayedFile } from './types' */
/**
 * @typedef {object} Callbacks
 * @property {() => void} onMove
 * @property {() => void} onChange
 * @property {(reason: string) => void} onFailure
 */

/** Seconds past the wanted moment: players round, and must not round to the picture before it. */
const INSIDE = 0.001;

const WHY_NOT = {
  absent: 'This video is not played here; its timeline works all the same.',
  failed: 'This browser cannot play the video, or it is no longer where it was; '
    + 'its timeline works all the same.',
};

export class Media {
  /**
   * @param {HTMLVideoElement} element
   * @param {Callbacks} callbacks
   */
  constructor(element, callbacks) {
    this.element = element;
    this.callbacks = callbacks;
    this.isPlayable = false;
    /** The position of a video that is not playable. */
    this.resting = 0;
    /** First and last moment that has a picture. */
    this.begin = 0;
    this.last = 0;
    this.end = 0;
    /** What the element's clock is ahead. */
    this.offset = 0;
    element.addEventListener('error', () => this.fail(WHY_NOT.failed));
    element.addEventListener('play', () => this.follow());
    for (const name of ['play', 'pause', 'ended', 'volumechange', 'loadedmetadata']) {
      element.addEventListener(name, () => callbacks.onChange());
    }
    for (const name of ['timeupdate', 'seeked', 'loadeddata']) {
      element.addEventListener(name, () => callbacks.onMove());
    }
  }

  /** @param {PlayedFile} video */
  load({ url, begin, offset, fps, duration }) {
    const { element } = this;
    element.pause();
    this.isPlayable = url !== null;
    this.resting = begin;
    this.begin = begin;
    this.offset = offset - begin;
    this.end = duration;
    // The end itself holds no picture.
    this.last = Math.max(begin, duration - 1 / fps);
    if (url === null) {
      element.removeAttribute('src');
      element.load();
      this.fail(WHY_NOT.absent);
      return;
    }
    const { playbackRate } = element;
    element.src = url;
    // A new source resets the speed.
    element.defaultPlaybackRate = playbackRate;
    element.currentTime = offset;
    this.callbacks.onChange();
  }

  /** @param {string} reason */
  fail(reason) {
    // Removing the source is an error to the element, and has been reported.
    if (reason === WHY_NOT.failed && !this.isPlayable) return;
    this.isPlayable = false;
    this.callbacks.onFailure(reason);
    this.callbacks.onChange();
  }

  get isPlaying() {
    return this.isPlayable && !this.element.paused && !this.element.ended;
  }

  get position() {
    const seconds = this.isPlayable ? this.element.currentTime - this.offset : this.resting;
    return clamp(seconds, this.begin, this.end);
  }

  /** @param {number} seconds */
  seek(seconds) {
    this.resting = clamp(seconds, this.begin, this.end);
    if (this.isPlayable) this.element.currentTime = this.offset + Math.min(this.last, this.resting) + INSIDE;
    this.callbacks.onMove();
  }

  toggle() {
    if (!this.isPlayable) return;
    if (this.isPlaying) this.element.pause();
    // Interrupted by the next source, the promise is rejected: nothing is wrong then.
    else this.element.play().catch(() => this.callbacks.onChange());
  }

  /** Report every drawn picture while playing; the element's own events come four times a second. */
  follow() {
    this.callbacks.onMove();
    if (this.isPlaying) requestAnimationFrame(() => this.follow());
  }
}
