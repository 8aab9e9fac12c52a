// The page of one run: read the embedded data and draw every section that has any.

import { byId, drawResponsively, pageData } from './dom.js';
import { Explorer } from './explorer.js';
import { drawJourney } from './journey.js';
import { drawPrecisionRecall } from './precision_recall.js';
import { offerThemes } from './theme.js';
import { showTraining } from './training.js';

/** @type {import('./types').RunPage} */
const page = pageData();

offerThemes();
if (page.journey.length > 1) {
  drawResponsively(byId('journey'), (width) => drawJourney(page, width));
}
if (page.precisionRecall.length) {
  drawResponsively(byId('precision-recall'), (width) => drawPrecisionRecall(page, width));
}
showTraining(byId('training-curves'), page.training);
if (page.explorer.videos.length) new Explorer(page.explorer);
