// The timeline as tables, for screen readers and for copying.

import { labelRuns } from './columns.js';
import { clock, html, tableOf } from './dom.js';

/** @import { ShownVideo } from './types' */
/** @import { VideoPanel } from './video_panel.js' */
/** @typedef {{ text: string, isName?: boolean }} Cell */

/** Rows of a table at most; the last row counts the rest. */
const MAX_ROWS = 400;

/** @param {string} text */
const name = (text) => ({ text, isName: true });
/** @param {number} value */
const number = (value) => ({ text: String(value) });
/** @param {number} seconds */
const time = (seconds) => ({ text: clock(seconds) });

/**
 * @param {HTMLTableElement} table
 * @param {string[]} heads
 * @param {Cell[][]} rows whose first cells are their heads
 */
function fillTable(table, heads, rows) {
  const kept = rows.slice(0, MAX_ROWS).map(([first, ...cells]) => html('tr', {},
    html('th', { scope: 'row' }, first.text),
    ...cells.map(({ text, isName }) => html('td', isName ? { class: 'name' } : {}, text))));
  if (rows.length > MAX_ROWS) {
    kept.push(html('tr', {}, html('td', { colspan: heads.length, class: 'name' },
      `and ${(rows.length - MAX_ROWS).toLocaleString('en')} more: narrow the filters to see them`)));
  }
  table.replaceChildren(
    html('thead', {}, html('tr', {}, ...heads.map((head) => html('th', { scope: 'col' }, head)))),
    html('tbody', {}, ...kept));
}

/**
 * @param {VideoPanel} panel
 * @param {ShownVideo} shown
 */
function predictionTable(panel, shown) {
  const { isJudged, lanes } = panel.exploration;
  const rows = shown.lanes.flatMap((lane) => panel.predictions(lane).map((each) => ({ ...each, lane })));
  return {
    heads: ['Start', 'End', 'Class', 'Score', ...(isJudged ? ['Kind', 'Best tIoU'] : []), ...(lanes.length > 1 ? ['Of'] : [])],
    rows: rows.sort((a, b) => b.score - a.score).map((each) => [
      time(each.start), time(each.end), name(panel.className(each.label)), { text: each.score.toPrecision(3) },
      ...(isJudged ? [
        name(panel.kindName(each.kind)), { text: panel.exploration.bestTiou(each, panel.video).toFixed(2) },
      ] : []),
      ...(lanes.length > 1 ? [name(panel.lane(each.lane).title)] : []),
    ]),
  };
}

/**
 * Annotated segments, and which lanes find each at the chosen threshold.
 *
 * @param {VideoPanel} panel
 * @param {ShownVideo} shown
 */
function truthTable({ exploration, filters }, shown) {
  const lanes = exploration.isJudged ? shown.lanes.map((lane) => exploration.lanes[lane]) : [];
  return {
    heads: ['Start', 'End', 'Class', ...lanes.map(({ title }) => title)],
    rows: shown.segments.map(({ row, start, end, label }) => [
      time(start), time(end), name(exploration.classes[label]),
      ...lanes.map((lane) => {
        if (!lane.isEvaluated(row)) return name('not evaluated');
        return name(lane.isMissed(row, filters.threshold) ? 'missed' : 'found');
      }),
    ]),
  };
}

/**
 * @param {VideoPanel} panel
 * @param {ShownVideo} shown
 */
function proposalTable(panel, shown) {
  return {
    heads: ['Start', 'End', 'Branch', 'Highest score'],
    rows: shown.curves.flatMap((curve) => panel.proposals(curve).map(({ start, end, score }) =>
      [time(start), time(end), name(curve.branch.title), { text: score.toFixed(2) }])),
  };
}

/**
 * How many snippets of each class each phase's pseudo-labels are of.
 *
 * @param {VideoPanel} panel
 * @param {ShownVideo} shown
 */
function labelTable(panel, shown) {
  const { labels = {}, labelled = 0 } = shown.signals ?? {};
  return {
    heads: ['Step', 'Class', 'Foreground', 'Background', 'Ignored'],
    rows: Object.entries(labels).flatMap(([phase, byClass]) => Object.entries(byClass).map(([label, text]) => {
      const counts = [0, 0, 0];
      for (const run of labelRuns(text, labelled)) counts[run.label] += run.stop - run.first;
      const [ignored, background, foreground] = counts.map(number);
      return [name(panel.phases[Number(phase)]), name(panel.className(Number(label))), foreground, background, ignored];
    })),
  };
}

const TABLES = {
  'prediction-table': predictionTable,
  'truth-table': truthTable,
  'proposal-table': proposalTable,
  'label-table': labelTable,
};

/**
 * Fill the open tables under the timeline.
 *
 * @param {VideoPanel} panel
 */
export function fillVideoTables(panel) {
  for (const [id, tableFor] of Object.entries(TABLES)) {
    const table = tableOf(id);
    const details = table.closest('details');
    if (!panel.shown || !details?.open || details.hidden) continue;
    const { heads, rows } = tableFor(panel, panel.shown);
    fillTable(table, heads, rows);
  }
}

/** @param {() => void} onOpen */
export function listenToVideoTables(onOpen) {
  for (const id of Object.keys(TABLES)) tableOf(id).closest('details')?.addEventListener('toggle', onOpen);
}
