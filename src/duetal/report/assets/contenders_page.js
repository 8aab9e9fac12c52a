// The page of several runs or files of detections, to be explored side by side.

import { byId, pageData } from './dom.js';
import { Explorer } from './explorer.js';
import { offerThemes } from './theme.js';

const page = pageData();

offerThemes(byId('theme'));
if (page.explorer.videos.length) new Explorer(page.explorer);
