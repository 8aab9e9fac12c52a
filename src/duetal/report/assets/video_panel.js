// Choosing a video, a stage, a class and a stretch of time, and what follows from the choice.

/** Seconds of the closest look. */
const MIN_VIEW = 1;

function showVideos(page) {
  const controls = Object.fromEntries(
    ['video-search', 'stage', 'class', 'floor', 'floor-value', 'pan', 'pan-field', 'video-summary', 'timeline',
      'detection-key', 'detection-details', 'detection-table', 'previous', 'next',
      'zoom-in', 'zoom-out', 'zoom-all'].map((id) => [id, byId(id)]));
  const state = { index: 0, stage: Math.max(0, page.stages.length - 1), floor: 0, label: 0, view: [0, 1] };
  const panel = new VideoPanel(page, state, controls);
  byId('video-panel').hidden = false;
  panel.fillChoices();
  panel.listen();
  panel.chooseVideo(0);
  drawResponsively(controls.timeline, (width) => panel.draw(width));
}

class VideoPanel {
  constructor(page, state, controls) {
    this.page = page;
    this.state = state;
    this.controls = controls;
    this.indexByName = new Map(page.videos.map((video, i) => [video.name, i]));
  }

  fillChoices() {
    byId('video-names').append(...this.page.videos.map((video) => html('option', { value: video.name })));
    this.controls.stage.append(
      ...this.page.stages.map((stage, i) => html('option', { value: i }, stage.title)));
    this.controls.stage.value = this.state.stage;
    this.controls.stage.disabled = this.page.stages.length === 0;
  }

  listen() {
    const c = this.controls;
    c.previous.addEventListener('click', () => this.step(-1));
    c.next.addEventListener('click', () => this.step(1));
    c['video-search'].addEventListener('change', () => this.search());
    c['video-search'].addEventListener('keydown', (event) => {
      if (event.key === 'Enter') this.search();
    });
    // A click empties the field so that the list offers every video, not only the present one.
    c['video-search'].addEventListener('focus', () => c['video-search'].select());
    c.stage.addEventListener('change', () => this.update({ stage: Number(c.stage.value) }));
    c.class.addEventListener('change', () => this.update({ label: Number(c.class.value) }));
    c.floor.addEventListener('input', () => this.update({ floor: Number(c.floor.value) }));
    c.pan.addEventListener('input', () => this.pan(Number(c.pan.value)));
    c['zoom-in'].addEventListener('click', () => this.zoomBy(0.5));
    c['zoom-out'].addEventListener('click', () => this.zoomBy(2));
    c['zoom-all'].addEventListener('click', () => this.update({ view: [0, this.extent] }));
    c['detection-details'].addEventListener('toggle', () => this.fillTable());
    c.timeline.addEventListener('keydown', (event) => this.press(event));
  }

  chooseVideo(index) {
    const video = this.page.videos[index];
    this.extent = extentOf(video, this.page.grid);
    this.controls['video-search'].value = video.name;
    this.controls.class.replaceChildren(...video.classes.map((label) => {
      const instances = truthOf(video, label).length;
      const note = instances ? ` (${instances} in ground truth)` : '';
      return html('option', { value: label }, this.page.classes[label] + note);
    }));
    this.controls.class.disabled = video.classes.length === 0;
    this.controls.previous.disabled = index === 0;
    this.controls.next.disabled = index === this.page.videos.length - 1;
    this.update({ index, video, label: video.classes[0] ?? -1, view: [0, this.extent] });
  }

  step(by) {
    const index = this.state.index + by;
    if (index >= 0 && index < this.page.videos.length) this.chooseVideo(index);
  }

  /** The video of that name, else the next one whose name contains the text. */
  search() {
    const text = this.controls['video-search'].value;
    const { videos } = this.page;
    const wanted = text.trim().toLowerCase();
    const order = videos.map((_, i) => (this.state.index + 1 + i) % videos.length);
    const index = this.indexByName.get(text)
      ?? order.find((i) => wanted && videos[i].name.toLowerCase().includes(wanted)) ?? this.state.index;
    this.chooseVideo(index);
  }

  update(change) {
    Object.assign(this.state, change);
    const { state, controls } = this;
    controls.class.value = state.label;
    controls['floor-value'].textContent = `${Math.round(100 * state.floor)} %`;
    const whole = state.view[1] - state.view[0] >= this.extent * 0.999;
    controls['pan-field'].hidden = whole;
    controls['zoom-all'].disabled = whole;
    controls['zoom-out'].disabled = whole;
    const room = this.extent - (state.view[1] - state.view[0]);
    controls.pan.value = room > 0 ? state.view[0] / room : 0;
    const branch = this.page.stages[state.stage]?.branch ?? '';
    controls['detection-key'].setAttribute('class', `swatch detection ${branch}`);
    this.describe();
    if (this.width) controls.timeline.replaceChildren(this.draw(this.width));
    this.fillTable();
  }

  draw(width) {
    this.width = width;
    return drawTimeline(this.state, this.page, {
      chooseClass: (label) => this.update({ label }),
      zoom: (view) => this.zoom(view),
    }, width);
  }

  describe() {
    const { video, index, stage } = this.state;
    const truth = video.classes.map((label) => [label, truthOf(video, label).length]).filter(([, n]) => n);
    const names = truth.map(([label, n]) => `${this.page.classes[label]} × ${n}`).join(', ');
    const parts = [
      ` · video ${index + 1} of ${this.page.videos.length}`,
      video.duration === null ? '' : ` · ${clock(video.duration)}`,
      ` · ground truth: ${names || 'none'}`,
      this.page.stages.length ? ` · ${count(this.shown().length, 'detection')} of ${this.page.stages[stage].title}` : '',
    ];
    this.controls['video-summary'].replaceChildren(html('b', {}, video.name), parts.join(''));
  }

  shown() {
    const all = allDetections(this.state.video, this.state.stage);
    const best = Math.max(1e-9, ...all.map((detection) => detection.score));
    return all.filter((detection) => detection.score >= this.state.floor * best);
  }

  zoom([from, to]) {
    const span = Math.min(this.extent, Math.max(Math.min(MIN_VIEW, this.extent), to - from));
    const start = Math.min(this.extent - span, Math.max(0, (from + to - span) / 2));
    this.update({ view: [start, start + span] });
  }

  zoomBy(factor) {
    const [from, to] = this.state.view;
    const reach = ((to - from) * factor) / 2;
    this.zoom([(from + to) / 2 - reach, (from + to) / 2 + reach]);
  }

  /** Move the view to a share of its way: 0 is the video's start, 1 its end. */
  pan(share) {
    const span = this.state.view[1] - this.state.view[0];
    const start = share * (this.extent - span);
    this.update({ view: [start, start + span] });
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const [from, to] = this.state.view;
    const move = (share) => this.zoom([from + share * (to - from), to + share * (to - from)]);
    const act = {
      ArrowLeft: () => (event.shiftKey ? move(-0.25) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? move(0.25) : this.step(1)),
      ArrowUp: () => this.stepClass(-1),
      ArrowDown: () => this.stepClass(1),
      '+': () => this.zoomBy(0.5),
      '=': () => this.zoomBy(0.5),
      '-': () => this.zoomBy(2),
      0: () => this.update({ view: [0, this.extent] }),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  stepClass(by) {
    const { classes } = this.state.video;
    const next = classes[classes.indexOf(this.state.label) + by];
    if (next !== undefined) this.update({ label: next });
  }

  fillTable() {
    if (!this.controls['detection-details'].open) return;
    const { video } = this.state;
    const head = ['Start', 'End', 'Class', 'Score', 'Best tIoU'].map((name) => html('th', { scope: 'col' }, name));
    const rows = this.shown().sort((a, b) => b.score - a.score).map((d) => html('tr', {},
      html('th', { scope: 'row' }, clock(d.start)), html('td', {}, clock(d.end)),
      html('td', { class: 'name' }, this.page.classes[d.label]), html('td', {}, d.score.toPrecision(3)),
      html('td', {}, bestTiou(d, truthOf(video, d.label)).toFixed(2))));
    this.controls['detection-table'].replaceChildren(
      html('thead', {}, html('tr', {}, ...head)), html('tbody', {}, ...rows));
  }
}
