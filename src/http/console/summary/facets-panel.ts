import type { OrganizationName } from '../../../organizations/organization-name.ts';
import type { Search } from '../../../search/search.ts';
import type { Facet, FacetField, FacetValue, SummaryFacets } from '../../../search/summary/summary.ts';
import { type Html, html } from '../html.ts';
import { countText } from '../words.ts';
import { linkOf, withTerm } from './search-links.ts';

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
};

export interface FacetsView {
  readonly search: Search;
  readonly facets: SummaryFacets | undefined;
  readonly organizations: readonly OrganizationName[];
  readonly accounts: readonly OrganizationName[];
  /** The same search with exact facets. */
  readonly exactLink: string;
  readonly isExact: boolean;
}

/** The top values of the matches: a click filters by one, ⊖ excludes it. */
export const facetsPanel = (view: FacetsView): Html | null => {
  const { facets, exactLink } = view;
  if (facets === undefined) {
    return html`<p class="muted">Counting values timed out. <a href="${exactLink}">Try for up to 10 seconds</a></p>`;
  }
  const shown = facets.facets.filter(({ values }) => values.length > 0);
  if (shown.length === 0) return null;
  return html`<details class="facets" id="facets" open><summary>Top values${
    facets.isSample ? html` of the newest ${countText(facets.looked)} matches` : null
  }</summary>
${facets.isSample ? html`<p class="muted facets-note">There may be more matches. <a href="${exactLink}">Count all values</a> (up to 10 seconds)</p>` : null}
<div class="facet-grid">${shown.map((facet) => facetOf(view, facet))}</div></details>`;
};

/** Of each field; exact ones are more. */
const SHOWN_VALUES = 5;

const facetOf = (view: FacetsView, { field, values: known, distinct, without }: Facet): Html => {
  const values = view.isExact ? known.slice(0, 4 * SHOWN_VALUES) : known.slice(0, SHOWN_VALUES);
  const most = values[0]?.events ?? 1;
  const more = distinct - values.length;
  const moreText = `${countText(more)} more`;
  const notes = [
    ...(more > 0 ? [view.isExact ? html`${moreText}` : html`<a href="${view.exactLink}">${moreText}</a>`] : []),
    ...(without > 0 ? [html`${countText(without)} without`] : []),
  ];
  return html`<div class="facet"><h2>${names[field]}</h2>
<ul>${values.map((value) => valueItem(view, field, value, most))}</ul>
${notes.length === 0 ? null : html`<p class="muted">${notes.map((note, n) => html`${n === 0 ? '' : ' · '}${note}`)}</p>`}</div>`;
};

const valueItem = (view: FacetsView, field: FacetField, { value, name, events }: FacetValue, most: number): Html => {
  const { search } = view;
  const label = name ?? value;
  const sought = soughtOf(view, field, value, name);
  const shown = label.length > 60 ? `${label.slice(0, 59).toWellFormed()}…` : label;
  return html`<li><a class="facet-value" href="${linkOf(withTerm(search, field, sought, false))}" title="Only ${label}"><span>${shown}</span></a><meter min="0" max="${most}" value="${events}" aria-hidden="true"></meter><span class="number">${countText(events)}</span><a class="facet-not" href="${linkOf(withTerm(search, field, sought, true))}" title="Exclude ${label}" aria-label="Exclude ${label}">⊖</a></li>`;
};

/** Organizations and accounts by their names, which people know, if no other has it. */
const soughtOf = (
  { organizations, accounts }: FacetsView,
  field: FacetField,
  value: string,
  name: string | null,
): string => {
  const known = field === 'organization' ? organizations : field === 'account' ? accounts : [];
  return name !== null && known.filter((one) => one.name === name).length === 1 ? name : value;
};
