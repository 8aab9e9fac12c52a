// The timeline as tables: for those who read rather than look, and for copying.

import { labelRuns } from './columns.js';
import { byId, clock, html } from './dom.js';
import { NOT_ASKED } from './exploration.js';

/** Rows of a table at most; what lies beyond is said to be left out. */
const MAX_TABLE = 400;

function fillTable(table, heads, rows) {
  const kept = rows.slice(0, MAX_TABLE).map(([first, ...cells]) => html('tr', {},
    html('th', { scope: 'row' }, String(first)),
    ...cells.map((cell) => html('td', typeof cell === 'string' ? { class: 'name' } : {}, String(cell)))));
  if (rows.length > MAX_TABLE) {
    kept.push(html('tr', {}, html('td', { colspan: heads.length, class: 'name' },
      `and ${(rows.length - MAX_TABLE).toLocaleString('en')} more: narrow the filters to see them`)));
  }
  table.replaceChildren(
    html('thead', {}, html('tr', {}, ...heads.map((name) => html('th', { scope: 'col' }, name)))),
    html('tbody', {}, ...kept));
}

/** The number of a cell: a Number has no class of its own. */
const fixed = (value, digits) => Object(value.toFixed(digits));
const time = (seconds) => Object(clock(seconds));

function predictionRows(panel) {
  const { exploration, shown } = panel;
  const rows = shown.lanes.flatMap((lane) => panel.predictions(lane).map((each) => ({ ...each, lane })));
  return rows.sort((a, b) => b.score - a.score).map((each) => [
    clock(each.start), time(each.end), panel.className(each.label), Object(each.score.toPrecision(3)),
    ...(exploration.judged
      ? [panel.kindName(each.kind), fixed(exploration.bestTiou(each, panel.video), 2)] : []),
    ...(exploration.lanes.length > 1 ? [panel.lane(each.lane).title] : []),
  ]);
}

function predictionHeads({ exploration }) {
  return ['Start', 'End', 'Class', 'Score', ...(exploration.judged ? ['Kind', 'Best tIoU'] : []),
    ...(exploration.lanes.length > 1 ? ['Of'] : [])];
}

/** Annotated segments, and by whom each is found at the chosen threshold. */
function truthRows(panel) {
  const { exploration, shown, filters } = panel;
  return shown.segments.map((segment) => [
    clock(segment.start), time(segment.end), panel.className(segment.label),
    ...(exploration.judged ? shown.lanes.map((number) => {
      const lane = exploration.lanes[number];
      if (((lane.missed[segment.row] >> NOT_ASKED) & 1) === 1) return 'not asked';
      return lane.isMissed(segment.row, filters.threshold) ? 'missed' : 'found';
    }) : []),
  ]);
}

const truthHeads = ({ exploration, shown }) =>
  ['Start', 'End', 'Class', ...(exploration.judged ? shown.lanes.map((n) => exploration.lanes[n].title) : [])];

function proposalRows(panel) {
  return panel.shown.curves.flatMap(([branch]) => panel.proposals(branch).map(({ start, end, score }) =>
    [clock(start), time(end), branch.toUpperCase(), fixed(score, 2)]));
}

/** How many snippets of each class each step's teacher was sure of. */
function labelRows(panel) {
  const { labels = {}, labelled = 0 } = panel.shown.signals ?? {};
  return Object.entries(labels).flatMap(([phase, byClass]) => Object.entries(byClass).map(([label, text]) => {
    const counts = [0, 0, 0];
    for (const run of labelRuns(text, labelled)) counts[run.label] += run.stop - run.first;
    const [ignored, background, foreground] = counts.map((number) => Object(number));
    return [panel.phases[phase], panel.className(Number(label)), foreground, background, ignored];
  }));
}

/** The tables under the timeline: filled when opened, and again when what they show changes. */
export const VIDEO_TABLES = {
  'prediction-table': [predictionHeads, predictionRows],
  'truth-table': [truthHeads, truthRows],
  'proposal-table': [() => ['Start', 'End', 'Branch', 'Highest score'], proposalRows],
  'label-table': [() => ['Step', 'Class', 'Foreground', 'Background', 'Ignored'], labelRows],
};

export function fillVideoTables(panel) {
  for (const [id, [heads, rows]] of Object.entries(VIDEO_TABLES)) {
    const details = byId(id).closest('details');
    if (details.open && !details.hidden) fillTable(byId(id), heads(panel), rows(panel));
  }
}
