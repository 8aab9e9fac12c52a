// The timeline of one video: score curves of the chosen class above, a lane for each class below.

const CURVES = { top: 18, bottom: 150 };
const LANE = { label: 16, up: 28, down: 9, gap: 10 };
const LANE_HEIGHT = LANE.label + LANE.up + LANE.down + LANE.gap;
const PLOT_LEFT = 34;

/**
 * Draw a timeline.
 *
 * state: {video, stage, label, floor, view: [from, to] in seconds}; page: the embedded data;
 * actions: {chooseClass(label), zoom([from, to])}.
 */
function drawTimeline(state, page, actions, width) {
  const { video } = state;
  const hasCurves = Object.keys(video.scores).length > 0;
  const lanesTop = hasCurves ? CURVES.bottom + 16 : 8;
  const laneClasses = classesWithBars(state);
  const bottom = lanesTop + laneClasses.length * LANE_HEIGHT;
  const x = linear(state.view, [PLOT_LEFT, width - 10]);
  const chart = drawing(width, bottom + 28, `Timeline of ${video.name}`);
  const clip = svg('clipPath', { id: 'plot-clip' }, svg('rect', {
    class: 'plot-area', x: PLOT_LEFT, y: 0, width: width - 10 - PLOT_LEFT, height: bottom + 2,
  }));
  const inside = svg('g', { 'clip-path': 'url(#plot-clip)' });
  chart.append(svg('defs', {}, clip), timeAxis(x, bottom), inside);
  inside.append(...beyondEnd(video, x, bottom));
  if (hasCurves) {
    chart.append(curveAxis(width));
    inside.append(...scoreCurves(state, page, x));
    chart.append(svg('text', { class: 'halo value', x: PLOT_LEFT, y: 11 }, page.classes[state.label] ?? ''));
  }
  const best = Math.max(1e-9, ...allDetections(video, state.stage).map((d) => d.score));
  laneClasses.forEach((label, i) => {
    inside.append(lane(state, page, label, x, lanesTop + i * LANE_HEIGHT, best, actions));
  });
  addCursor(chart, inside, state, page, x, bottom);
  addBrush(chart, inside, x, bottom, actions);
  return chart;
}

/** Classes with ground truth or detections of this stage, and the chosen one. */
const classesWithBars = ({ video, stage, label: chosen }) => video.classes.filter((label) =>
  label === chosen || video.truth[label] || video.found[stage]?.[label]);

function timeAxis(x, bottom) {
  const room = x.range[1] - x.range[0];
  const values = timeTicks(x.domain, room / 70);
  const digits = x.domain[1] - x.domain[0] < 8 ? 1 : 0;
  return svg('g', { class: 'time-axis' },
    ...values.map((value) => svg('line', { class: 'grid', x1: x(value), x2: x(value), y1: 18, y2: bottom })),
    svg('line', { class: 'axis', x1: x.range[0], x2: x.range[1], y1: bottom, y2: bottom }),
    xAxis(x, bottom, values, (value) => clock(value, digits)));
}

/** Shade what lies past the video's own end: there the annotation is wrong, or a detection. */
function beyondEnd(video, x, bottom) {
  if (video.duration === null || x.domain[1] <= video.duration) return [];
  const from = Math.max(x.range[0], x(video.duration));
  return [
    svg('rect', { class: 'beyond', x: from, y: 18, width: x.range[1] - from, height: bottom - 18 }),
    svg('line', { class: 'axis', x1: x(video.duration), x2: x(video.duration), y1: 18, y2: bottom }),
  ];
}

const curveScale = () => linear([0, 1], [CURVES.bottom, CURVES.top]);

const curveAxis = (width) =>
  yAxis(curveScale(), [PLOT_LEFT, width - 10], [0, 0.5, 1], (value) => String(value));

function scoreCurves(state, page, x) {
  const { video, label } = state;
  const y = curveScale();
  const shades = truthOf(video, label).map(({ start, end }) => svg('rect', {
    class: 'truth-shade', x: x(start), width: Math.max(1, x(end) - x(start)),
    y: CURVES.top, height: CURVES.bottom - CURVES.top,
  }));
  const curves = Object.entries(video.scores).filter(([, curve]) => curve[label]).map(([branch, curve]) => {
    const points = Array.from(decodeCurve(curve[label]), (value, i) =>
      [pointSeconds(i, video.pool, page.grid), value]);
    return svg('path', { class: `${branch} stroke curve`, d: linePath(points, x, y) });
  });
  return [...shades, ...curves];
}

/** One class: detections stand on the line, as tall as they are sure; the truth hangs below it. */
function lane(state, page, label, x, top, best, actions) {
  const { video, stage, floor } = state;
  const [left, right] = x.range;
  const base = top + LANE.label + LANE.up;
  const truth = truthOf(video, label);
  const chosen = label === state.label;
  const group = svg('g', { class: chosen ? 'lane chosen' : 'lane', 'data-class': label },
    svg('rect', { class: 'hit', x: left, y: top, width: right - left, height: LANE_HEIGHT - 4 }));
  const bars = detectionsOf(video, stage, label).reverse().filter((d) => d.score >= floor * best);
  for (const detection of bars) {
    group.append(detectionBar(detection, truth, page, stage, x, base, best));
  }
  group.append(
    svg('line', { class: 'baseline', x1: left, x2: right, y1: base, y2: base }),
    ...truth.map((segment) => truthBar(segment, page.classes[label], x, base)),
    svg('text', { class: 'halo', x: left, y: top + 12 }, page.classes[label]),
  );
  group.addEventListener('click', () => actions.chooseClass(label));
  return group;
}

function detectionBar(detection, truth, page, stage, x, base, best) {
  const share = Math.max(0, detection.score / best);
  const height = 4 + share * (LANE.up - 4);
  const bar = svg('rect', {
    class: `detection ${page.stages[stage].branch}`,
    'data-start': detection.start, 'data-end': detection.end,
    x: x(detection.start), width: Math.max(1.5, x(detection.end) - x(detection.start)),
    y: base - height, height, 'fill-opacity': (0.2 + 0.6 * share).toFixed(2),
  });
  bar.addEventListener('pointermove', (event) => {
    event.stopPropagation();
    const overlap = truth.length ? `tIoU ${bestTiou(detection, truth).toFixed(2)} with the nearest truth`
      : 'this class is not annotated here';
    showTip(event, [page.classes[detection.label],
      `${clock(detection.start)} to ${clock(detection.end)}, score ${detection.score}`, overlap]);
  });
  return bar;
}

function truthBar(segment, name, x, base) {
  const bar = svg('rect', {
    class: 'truth-bar', 'data-start': segment.start, 'data-end': segment.end,
    x: x(segment.start), width: Math.max(1.5, x(segment.end) - x(segment.start)),
    y: base + 1.5, height: LANE.down,
  });
  bar.addEventListener('pointermove', (event) => {
    event.stopPropagation();
    showTip(event, [`Ground truth: ${name}`, `${clock(segment.start)} to ${clock(segment.end)}`]);
  });
  return bar;
}

/** A line under the pointer, and the scores of both branches there. */
function addCursor(chart, inside, state, page, x, bottom) {
  const { video, label } = state;
  const cursor = svg('line', { class: 'cursor', y1: 18, y2: bottom, visibility: 'hidden' });
  const curves = Object.entries(video.scores).filter(([, curve]) => curve[label])
    .map(([branch, curve]) => [branch, decodeCurve(curve[label])]);
  inside.append(cursor);
  chart.addEventListener('pointermove', (event) => {
    const pixel = event.clientX - chart.getBoundingClientRect().left;
    const seconds = x.invert(pixel);
    const within = pixel >= x.range[0] && pixel <= x.range[1];
    cursor.setAttribute('visibility', within ? 'visible' : 'hidden');
    if (!within) return hideTip();
    cursor.setAttribute('x1', pixel);
    cursor.setAttribute('x2', pixel);
    const scores = curves.map(([branch, curve]) => {
      const value = curve[pointAt(seconds, video.pool, page.grid)];
      return value === undefined ? null : `${branch.toUpperCase()} ${value.toFixed(2)}`;
    });
    return showTip(event, [clock(seconds), ...scores.filter(Boolean)]);
  });
  chart.addEventListener('pointerleave', () => {
    cursor.setAttribute('visibility', 'hidden');
    hideTip();
  });
}

/** Drag over the timeline to look closer. */
function addBrush(chart, inside, x, bottom, actions) {
  const brush = svg('rect', { class: 'brush', y: 0, height: bottom, width: 0 });
  let from = null;
  inside.append(brush);
  const at = (event) => {
    const pixel = event.clientX - chart.getBoundingClientRect().left;
    return Math.min(x.range[1], Math.max(x.range[0], pixel));
  };
  const stop = () => {
    from = null;
    brush.setAttribute('width', 0);
  };
  chart.addEventListener('pointerdown', (event) => {
    if (event.button === 0) from = at(event);
  });
  chart.addEventListener('pointermove', (event) => {
    // The button may have been let go outside of the chart.
    if (from === null || event.buttons === 0) return stop();
    brush.setAttribute('x', Math.min(from, at(event)));
    return brush.setAttribute('width', Math.abs(at(event) - from));
  }, { capture: true });
  chart.addEventListener('pointerup', (event) => {
    const edges = from === null ? [0, 0] : [from, at(event)].sort((a, b) => a - b);
    stop();
    if (edges[1] - edges[0] > 6) actions.zoom(edges.map(x.invert));
  });
}
