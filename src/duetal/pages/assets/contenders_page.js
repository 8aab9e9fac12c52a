// The page of several runs or files of detections, to be explored side by side.

import { pageData } from './dom.js';
import { Explorer } from './explorer.js';
import { offerThemes } from './theme.js';

/** @type {import('./types').ContendersPage} */
const page = pageData();

offerThemes();
if (page.explorer.videos.length) new Explorer(page.explorer);
