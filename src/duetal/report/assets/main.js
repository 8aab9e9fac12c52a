// Read the embedded data and draw every section that has any.

/** Switch between light and dark; the system's choice holds until the button is pressed. */
function offerThemes(button) {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const name = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Switch to ${isDark() ? 'light' : 'dark'} colours`);
  };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    name();
  });
  system.addEventListener('change', name);
  button.hidden = false;
  name();
}

const page = JSON.parse(byId('data').textContent);

offerThemes(byId('theme'));
if (page.journey.length > 1) {
  drawResponsively(byId('journey'), (width) => drawJourney(page.journey, page.headline, width));
}
if (page.precisionRecall.length) {
  drawResponsively(byId('precision-recall'), (width) => drawPrecisionRecall(page.precisionRecall, width));
}
showTraining(byId('training-curves'), page.training);
if (page.videos.length) showVideos(page);
