// The page on which what was found is corrected. All that it shows comes from its server.

import { byId } from './dom.js';
import { Review } from './review.js';
import { offerThemes } from './theme.js';

offerThemes();
fetch('/state').then(async (answer) => {
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error);
  new Review(data).start();
  document.body.dataset.ready = 'true';
}).catch((error) => {
  byId('trouble-text').textContent = `The review cannot be shown: ${error.message}`;
  byId('trouble').hidden = false;
});
