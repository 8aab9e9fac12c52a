// The colours of the page.

import { buttonOf } from './dom.js';

/** Switch between light and dark; the system's choice holds until the button is pressed. */
export function offerThemes() {
  const button = buttonOf('theme');
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const update = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Switch to ${isDark() ? 'light' : 'dark'} colours`);
    // What is painted on canvases has to be painted anew.
    document.dispatchEvent(new Event('colours'));
  };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    update();
  });
  system.addEventListener('change', update);
  button.hidden = false;
  update();
}
