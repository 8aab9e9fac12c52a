// The colours of the page.

import { buttonOf } from './dom.js';

const REMEMBERED = 'duetal-theme';

/**
 * What the button chose on an earlier page. A browser may forbid pages to remember anything.
 *
 * @returns {string | null}
 */
function remembered() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

/** @param {string} theme */
function remember(theme) {
  try {
    localStorage.setItem(REMEMBERED, theme);
  } catch {
    // Then the choice holds for this page alone.
  }
}

/** Switch between light and dark; the system's choice holds until the button is first pressed. */
export function offerThemes() {
  const button = buttonOf('theme');
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const chosen = remembered();
  if (chosen === 'dark' || chosen === 'light') root.dataset.theme = chosen;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const update = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Switch to ${isDark() ? 'light' : 'dark'} colours`);
    // What is painted on canvases has to be painted anew.
    document.dispatchEvent(new Event('colours'));
  };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    remember(root.dataset.theme);
    update();
  });
  system.addEventListener('change', update);
  button.hidden = false;
  update();
}
