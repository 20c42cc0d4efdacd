import type { OrganizationName } from '../../../organizations/organization-name.ts';
import type { SearchCoverage } from '../../../search/found-event.ts';
import type { Search } from '../../../search/search.ts';
import type { SearchSummary } from '../../../search/summary/summary.ts';
import { type Html, html } from '../html.ts';
import { countOf, countText, timeOf } from '../words.ts';
import { chipsOf } from './chips.ts';
import { facetsPanel } from './facets-panel.ts';
import { histogramOf } from './histogram.ts';
import { linkOf } from './search-links.ts';

export interface SummaryView {
  /** As it was written. */
  readonly search: Search;
  readonly summary: SearchSummary;
  readonly gaps: SearchCoverage['gaps'];
  readonly organizations: readonly OrganizationName[];
  readonly accounts: readonly OrganizationName[];
  readonly isExact: boolean;
}

/** Above the list: what is searched for, how many match, when, and the top values. */
export const summaryPanel = (view: SummaryView): Html => {
  const { search, summary, gaps } = view;
  const plain = linkOf(search);
  const exactLink = `${plain}${plain.includes('?') ? '&' : '?'}exact=true`;
  return html`<section class="panel summary" aria-label="Summary">
${chipsOf(search)}
${countLine(summary, exactLink, view.isExact)}
${histogramOf({ search, count: summary.count, gaps })}
${facetsPanel({ ...view, facets: summary.facets, exactLink })}
</section>`;
};

const countLine = ({ count }: SearchSummary, exactLink: string, isExact: boolean): Html => {
  const { events, isAtLeast, countedSinceMs, untimed } = count;
  const without = untimed === 0 ? null : html` <span class="muted">${countText(untimed)} without a usable time</span>`;
  if (!isAtLeast || countedSinceMs === null) {
    return html`<p class="match-count"><strong>${countOf(events, 'event')}</strong> ${events === 1 ? 'matches' : 'match'}${without}</p>`;
  }
  return html`<p class="match-count"><strong>At least ${countOf(events, 'event')}</strong> match: counted back to <span class="mono">${timeOf(countedSinceMs)}</span>${without}. ${isExact ? null : html`<a href="${exactLink}">Count for up to 10 seconds</a>`}</p>`;
};
