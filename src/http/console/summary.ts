import { formatDuration, parseInstantMs } from '../../base/time.ts';
import type { SearchCoverage } from '../../search/answer.ts';
import type { OrganizationName } from '../../search/names/names.ts';
import { printSearch, type Search, type SearchField } from '../../search/query/search.ts';
import { printTerm } from '../../search/query/terms.ts';
import type {
  Facet,
  FacetField,
  FacetValue,
  SearchSummary,
  SummaryBucket,
  SummaryCount,
  SummaryFacets,
} from '../../search/summary/summary.ts';
import { linkOf, withinTime, withTerm } from './event-links.ts';
import { type Html, html } from './html.ts';
import { countOf, countText, shortened, timeOf, timeText, zonedText, zoneLabel } from './words.ts';

interface SummaryView {
  readonly search: Search;
  readonly summary: SearchSummary;
  readonly organizations: readonly OrganizationName[];
  readonly accounts: readonly OrganizationName[];
  readonly isExact: boolean;
}

export const exactLinkOf = (search: Search): string => {
  const plain = linkOf(search);
  return `${plain}${plain.includes('?') ? '&' : '?'}exact=true`;
};

export const countLine = ({ search, summary, isExact }: SummaryView): Html => {
  const { events, isAtLeast, countedSinceMs, untimed } = summary.count;
  const without = untimed === 0 ? null : html` <span class="muted">${countText(untimed)} without time</span>`;
  if (!isAtLeast || countedSinceMs === null)
    return html`<p class="match-count"><strong>${countOf(events, 'event')}</strong>${without}</p>`;
  const since = events === 0 ? null : html` back to <span class="mono">${timeOf(countedSinceMs)}</span>`;
  return html`<p class="match-count"><strong>${events === 0 ? 'Not counted in time' : html`At least ${countOf(events, 'event')}`}</strong>${since}${without}${isExact ? null : html` <a href="${exactLinkOf(search)}">Count for up to 10 seconds</a>`}</p>`;
};

const BAR = 10;
const GAP = 1.5;
const HEIGHT = 100;

/** From below: what went wrong stands on the axis, where small numbers are seen. */
const results = ['failure', 'other', 'success'] as const;

interface HistogramView {
  readonly search: Search;
  readonly count: Pick<SummaryCount, 'buckets' | 'bucketMs' | 'countedSinceMs'>;
  readonly gaps: readonly Pick<SearchCoverage['gaps'][number], 'since' | 'before'>[];
  /** Of a page that is not a search: without zooming, and with another name of the table. */
  readonly isOfHours?: boolean;
}

/** Stacked by result; what is not collected or not counted is hatched. */
export const histogramOf = ({ search, count, gaps, isOfHours = false }: HistogramView): Html | null => {
  const { buckets, bucketMs } = count;
  const [first, last] = [buckets[0], buckets.at(-1)];
  if (first === undefined || last === undefined || buckets.length < 2) return null;
  const what = isOfHours ? 'Events' : 'Matching events';
  const most = Math.max(1, ...buckets.map(totalOf));
  const width = buckets.length * BAR;
  const place = (ms: number) => Math.min(width, Math.max(0, ((ms - first.startMs) / bucketMs) * BAR));
  const hatch = (sinceMs: number, beforeMs: number, kind: string, words: string): Html | null => {
    const [from, to] = [place(sinceMs), place(beforeMs)];
    return to - from < 0.1
      ? null
      : html`<rect class="${kind}" fill="url(#hatch)" x="${round(from)}" y="0" width="${round(Math.max(1, to - from))}" height="${HEIGHT}"><title>${words}</title></rect>`;
  };
  const unread = gaps.map(({ since, before }) =>
    hatch(
      parseInstantMs(since) ?? 0,
      parseInstantMs(before) ?? 0,
      'hatch-unread',
      'Not collected: events of this time may be missing',
    ),
  );
  const uncounted =
    count.countedSinceMs === null
      ? null
      : hatch(first.startMs, count.countedSinceMs, 'hatch-uncounted', 'Not counted yet');
  return html`<figure class="histogram"${isOfHours ? null : html` data-histogram data-first="${first.startMs}" data-bucket="${bucketMs}" data-buckets="${buckets.length}"`}>
<div class="chart-area"><span class="chart-most" aria-hidden="true">${countText(most)}</span>
<svg class="bars" viewBox="0 0 ${width} ${HEIGHT}" preserveAspectRatio="none" role="group" aria-label="${what} over time, in steps of ${formatDuration(bucketMs)}. The table below has each step.">
<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch-line" width="2" height="6"></rect></pattern></defs>
${uncounted}${unread}
${buckets.map((bucket, index) => barOf(search, bucket, { index, bucketMs, most }))}
</svg></div>
<div class="chart-axis" aria-hidden="true"><span>${axisText(first.startMs)}</span><span>${axisText(first.startMs + Math.floor(buckets.length / 2) * bucketMs)}</span><span>${axisText(last.startMs + bucketMs)}</span></div>
<figcaption class="muted">each bar is ${formatDuration(bucketMs)} · <span class="series series-failure">failure</span> <span class="series series-other">other</span> <span class="series series-success">success</span>${gaps.length > 0 ? html` <span class="series series-unread">not collected</span>` : null}</figcaption>
<details id="${isOfHours ? 'hours' : 'histogram'}-table"><summary>As a table</summary><div class="scroll tall" tabindex="0" role="region" aria-label="Table of ${what.toLowerCase()} over time"><table>
<thead><tr><th scope="col">From (${zoneLabel()})</th><th scope="col" class="number">Success</th><th scope="col" class="number">Failure</th><th scope="col" class="number">Other</th></tr></thead>
<tbody>${[...buckets].reverse().map((bucket) => html`<tr><td><a href="${linkOf(bucketSearch(search, bucket, bucketMs))}">${timeOf(bucket.startMs)}</a></td><td class="number">${countText(bucket.success)}</td><td class="number">${countText(bucket.failure)}</td><td class="number">${countText(bucket.other)}</td></tr>`)}</tbody>
</table></div></details></figure>`;
};

const totalOf = ({ success, failure, other }: SummaryBucket): number => success + failure + other;

const bucketSearch = (search: Search, { startMs }: SummaryBucket, bucketMs: number): Search =>
  withinTime(search, startMs, startMs + bucketMs);

const barOf = (
  search: Search,
  bucket: SummaryBucket,
  { index, bucketMs, most }: { readonly index: number; readonly bucketMs: number; readonly most: number },
): Html | null => {
  const total = totalOf(bucket);
  if (total === 0) return null;
  let top = HEIGHT;
  const parts = results.map((result) => {
    if (bucket[result] === 0) return null;
    const height = Math.max(1.5, (bucket[result] / most) * (HEIGHT - 4));
    top -= height;
    return html`<rect class="bar-${result}" x="${index * BAR + GAP / 2}" y="${round(top)}" width="${BAR - GAP}" height="${round(height)}"></rect>`;
  });
  const words = `${zonedText(bucket.startMs)}: ${countOf(total, 'event')}${bucket.failure > 0 ? `, ${countText(bucket.failure)} failed` : ''}`;
  // The Tab key leads to the same links in the table.
  return html`<a href="${linkOf(bucketSearch(search, bucket, bucketMs))}" tabindex="-1" aria-label="${words}"><title>${words}</title><rect class="bar-whole" x="${index * BAR}" y="0" width="${BAR}" height="${HEIGHT}"></rect>${parts}</a>`;
};

const round = (value: number): number => Math.round(value * 100) / 100;

const axisText = (ms: number): string => timeText(ms).slice(0, 16);

const names: Readonly<Record<FacetField, string>> = {
  actor: 'Actor',
  action: 'Action',
  result: 'Result',
  resource_type: 'Resource type',
  product: 'Product',
  organization: 'Organization',
  account: 'Account',
  zone: 'Zone',
  ip: 'Address',
  token: 'Token',
  effect: 'Effect',
  detection: 'Detection',
  country: 'Country',
  network: 'Network owner',
};

interface FacetsView extends Pick<SummaryView, 'search' | 'organizations' | 'accounts' | 'isExact'> {
  readonly facets: SummaryFacets | undefined;
  readonly exactLink: string;
  readonly summary?: SearchSummary;
  readonly isPutAway?: boolean;
}

/** A click filters by a value, ⊖ excludes it. */
export const facetsPanel = (view: FacetsView): Html | null => {
  const { facets, exactLink, summary, isPutAway = false } = view;
  if (facets === undefined) {
    return html`<p class="muted">Counting values timed out. <a href="${exactLink}">Try for up to 10 seconds</a></p>`;
  }
  const shown = facets.facets.filter(({ values }) => values.length > 0);
  if (shown.length === 0) return null;
  return html`<details class="facets" id="facets"${isPutAway ? null : html` open`}><summary>Top values${
    facets.isSample ? html` of the newest ${countText(facets.looked)} matches` : null
  }</summary>
${facets.isSample ? html`<p class="muted facets-note">${summary?.count.isAtLeast === false ? html`${countOf(summary.count.events, 'event')} match.` : 'There may be more matches.'} <a href="${exactLink}">Count all values</a> (up to 10 seconds)</p>` : null}
<div class="facet-grid">${shown.map((facet) => facetOf(view, facet))}</div></details>`;
};

const SHOWN_VALUES = 5;

const facetOf = (view: FacetsView, { field, values: known, distinct, without }: Facet): Html => {
  const values = view.isExact ? known.slice(0, 4 * SHOWN_VALUES) : known.slice(0, SHOWN_VALUES);
  const most = values[0]?.events ?? 1;
  const more = distinct - values.length;
  const moreText = `${countText(more)} more`;
  const notes = [
    ...(more > 0
      ? [view.isExact ? html`${moreText}` : html`<a class="facet-more" href="${view.exactLink}">${moreText}</a>`]
      : []),
    ...(without > 0 ? [html`${countText(without)} without`] : []),
  ];
  return html`<div class="facet"><h2>${names[field]}</h2>
<ul>${values.map((value) => valueItem(view, field, value, most))}</ul>
${notes.length === 0 ? null : html`<p class="muted">${notes.map((note, n) => html`${n === 0 ? '' : ' · '}${note}`)}</p>`}</div>`;
};

const valueItem = (view: FacetsView, field: FacetField, { value, name, events }: FacetValue, most: number): Html => {
  const { search } = view;
  const label = name ?? value;
  const amount = html`<meter min="0" max="${most}" value="${events}" aria-hidden="true"></meter><span class="number">${countText(events)}</span>`;
  // No term says it.
  if (label === '') return html`<li><span class="muted">(empty)</span>${amount}</li>`;
  const sought = soughtOf(view, field, value, name);
  return html`<li><a class="facet-value" href="${linkOf(withTerm(search, field, sought, false))}" title="Only ${label}"><span>${shortened(label, 60)}</span></a>${amount}<a class="facet-not" href="${linkOf(withTerm(search, field, sought, true))}" title="Exclude ${label}" aria-label="Exclude ${label}">⊖</a></li>`;
};

/** By name, which people know, if no other has it. */
const soughtOf = (
  { organizations, accounts }: FacetsView,
  field: FacetField,
  value: string,
  name: string | null,
): string => {
  const known = field === 'organization' ? organizations : field === 'account' ? accounts : [];
  return name !== null && known.filter((one) => one.name === name).length === 1 ? name : value;
};

const searchedNames: Partial<Readonly<Record<SearchField, string>>> = {
  resource_type: 'resource type',
  resource: 'resource id',
  ray: 'ray id',
};

export const chipsOf = (search: Search): Html | null => {
  const { terms = [], ...fields } = search;
  const plain = [...printSearch(fields)].map(([field, value]) => {
    const rest = printSearch(search);
    rest.delete(field);
    const text = rest.toString();
    return chip(
      `${searchedNames[field as SearchField] ?? field}: ${value}`,
      text === '' ? '/events' : `/events?${text}`,
    );
  });
  const line = terms.map((term) =>
    chip(printTerm(term), linkOf({ ...fields, terms: terms.filter((one) => one !== term) }), term.isNegated),
  );
  const all = [...plain, ...line];
  if (all.length === 0) return null;
  return html`<ul class="chips" aria-label="Filters">${all}${all.length > 1 ? html`<li><a class="chip-clear" href="/events">Clear all</a></li>` : null}</ul>`;
};

export const countFilters = ({ terms = [], ...fields }: Search): number => printSearch(fields).size + terms.length;

const chip = (text: string, without: string, isNegated = false): Html =>
  html`<li class="chip${isNegated ? ' chip-not' : ''}"><span>${shortened(text, 80)}</span> <a href="${without}" title="Remove this filter" aria-label="Remove ${text}">×</a></li>`;
