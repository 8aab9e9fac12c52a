// Read the embedded data and draw every section that has any.

const page = JSON.parse(byId('data').textContent);

offerThemes(byId('theme'));
if (page.journey?.length > 1) {
  drawResponsively(byId('journey'), (width) => drawJourney(page.journey, page.headline, width));
}
if (page.precisionRecall?.length) {
  drawResponsively(byId('precision-recall'), (width) => drawPrecisionRecall(page.precisionRecall, width));
}
if (page.training) showTraining(byId('training-curves'), page.training);
if (page.explorer.videos.length) new Explorer(page.explorer);
document.documentElement.dataset.ready = 'true';
