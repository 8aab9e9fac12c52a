// The playing video, by our seconds: those since its first picture.

/** Half a picture inside the moment asked for: a player rounds, and must not round back. */
const INSIDE = 0.001;

const WHY_NOT = {
  absent: 'This video is not played here; its timeline works all the same.',
  failed: 'This browser cannot play the video, or it is no longer where it was; '
    + 'its timeline works all the same.',
};

export class Media {
  /** told: {moved(), changed(), failed(reason)}. */
  constructor(element, told) {
    Object.assign(this, { element, told, playable: false, resting: 0, duration: 0, offset: 0 });
    element.addEventListener('error', () => this.fail(WHY_NOT.failed));
    element.addEventListener('play', () => this.follow());
    for (const name of ['play', 'pause', 'ended', 'volumechange', 'loadedmetadata']) {
      element.addEventListener(name, () => told.changed());
    }
    for (const name of ['timeupdate', 'seeked', 'loadeddata']) {
      element.addEventListener(name, () => told.moved());
    }
  }

  load({ url, offset, duration }) {
    const { element } = this;
    element.pause();
    Object.assign(this, { playable: url !== null, resting: 0, offset, duration });
    if (url === null) {
      element.removeAttribute('src');
      element.load();
      this.fail(WHY_NOT.absent);
      return;
    }
    const { playbackRate } = element;
    element.src = url;
    // A new source forgets the speed.
    element.defaultPlaybackRate = playbackRate;
    element.currentTime = offset;
    this.told.changed();
  }

  fail(reason) {
    // A source taken away is an error to the element, and has been told of.
    if (reason === WHY_NOT.failed && !this.playable) return;
    this.playable = false;
    this.told.failed(reason);
    this.told.changed();
  }

  get playing() {
    return this.playable && !this.element.paused && !this.element.ended;
  }

  get position() {
    const seconds = this.playable ? this.element.currentTime - this.offset : this.resting;
    return Math.min(this.duration, Math.max(0, seconds));
  }

  seek(seconds) {
    this.resting = Math.min(this.duration, Math.max(0, seconds));
    if (this.playable) {
      // The end itself holds no picture.
      const last = Math.max(0, this.duration - 0.04);
      this.element.currentTime = this.offset + Math.min(last, this.resting) + INSIDE;
    }
    this.told.moved();
  }

  toggle() {
    if (!this.playable) return;
    if (this.playing) this.element.pause();
    // Interrupted by the next source, the promise is refused: nothing is wrong then.
    else this.element.play().catch(() => this.told.changed());
  }

  /** Tell of every drawn picture while playing; the element's own events come four times a second. */
  follow() {
    this.told.moved();
    if (this.playing) requestAnimationFrame(() => this.follow());
  }
}
