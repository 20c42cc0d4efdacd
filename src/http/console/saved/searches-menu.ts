import type { Search } from '../../../search/search.ts';
import type { Html } from '../html.ts';
import { pagesBeside } from '../pages-beside.ts';
import { linkOf } from '../summary/search-links.ts';

type SearchesPath = '/events' | '/events/news' | '/searches';

/** The pages of searches beside one another. `search`: what the two that show one go on with. */
export const searchesMenu = (current: SearchesPath, search: Search = { defects: false, changed: false }): Html =>
  pagesBeside('Searches', [
    { href: linkOf(search), name: 'Search', isCurrent: current === '/events' },
    {
      href: newsHref(search),
      name: 'What is new',
      isCurrent: current === '/events/news',
      title: 'Values that the last 7 days have and the 90 days before have not',
    },
    { href: '/searches', name: 'Saved searches', isCurrent: current === '/searches' },
  ]);

/** It has times of its own. */
const newsHref = ({ since: _since, before: _before, ...rest }: Search): string =>
  linkOf(rest).replace('/events', '/events/news');
