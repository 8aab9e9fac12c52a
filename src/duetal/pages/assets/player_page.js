// The page on which found actions are watched.

import { pageData } from './dom.js';
import { Player } from './player.js';
import { offerThemes } from './theme.js';

/** @type {import('./types').PlayerPage} */
const page = pageData();

offerThemes();
if (page.videos.length) new Player(page).start();
