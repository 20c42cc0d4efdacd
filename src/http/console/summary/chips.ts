import { printSearch, type Search, type SearchField } from '../../../search/search.ts';
import { printTerm } from '../../../search/terms/terms.ts';
import { type Html, html } from '../html.ts';
import { linkOf } from './search-links.ts';

const names: Partial<Readonly<Record<SearchField, string>>> = {
  resource_type: 'resource type',
  resource: 'resource id',
  ray: 'ray id',
};

/** What is searched for, each with a link to the search without it. Nothing of a search for everything. */
export const chipsOf = (search: Search): Html | null => {
  const { terms = [], ...fields } = search;
  const plain = [...printSearch(fields)].map(([field, value]) => {
    const rest = printSearch(search);
    rest.delete(field);
    const text = rest.toString();
    return chip(`${names[field as SearchField] ?? field}: ${value}`, text === '' ? '/events' : `/events?${text}`);
  });
  const line = terms.map((term) =>
    chip(printTerm(term), linkOf({ ...fields, terms: terms.filter((one) => one !== term) }), term.isNegated),
  );
  const all = [...plain, ...line];
  if (all.length === 0) return null;
  return html`<ul class="chips" aria-label="Filters">${all}${all.length > 1 ? html`<li><a class="chip-clear" href="/events">Clear all</a></li>` : null}</ul>`;
};

/** How many chips there are. */
export const countFilters = ({ terms = [], ...fields }: Search): number => printSearch(fields).size + terms.length;

const chip = (text: string, without: string, isNegated = false): Html =>
  html`<li class="chip${isNegated ? ' chip-not' : ''}"><span>${text.length > 80 ? `${text.slice(0, 79).toWellFormed()}…` : text}</span> <a href="${without}" title="Remove this filter" aria-label="Remove ${text}">×</a></li>`;
