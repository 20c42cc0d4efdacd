import { printSearch, type Search } from '../../../search/search.ts';
import { type Html, html } from '../html.ts';
import { linkOf } from '../summary/search-links.ts';
import { printView, type ResultView } from './result-view.ts';

/** Where a live list goes on from. */
export interface LiveStart {
  readonly after: number;
  readonly feedId: string;
}

/** Above the list: the switch of the live list, which a script works; or why there is none here. */
export const liveBar = ({ before, ...search }: Search, view: ResultView, start: LiveStart | undefined): Html => {
  if (start === undefined) {
    const where = before === undefined ? 'on a page of older events' : 'for a search that has an end';
    return html`<p class="live-list hint">There is no live list ${where}: <a href="${linkOf(search)}">newest events of this search</a></p>`;
  }
  const query = [printSearch(search), printView(view)].map(String).filter((part) => part !== '');
  return html`<div class="live-list row" data-live="/events/arrivals?${query.join('&')}" data-after="${start.after}" data-feed="${start.feedId}">
<button class="quiet-button" type="button" data-live-switch hidden>Live</button>
<p class="live-status" role="status"></p><noscript><p class="hint">The live list needs a script. Reload to see what is new.</p></noscript></div>`;
};
