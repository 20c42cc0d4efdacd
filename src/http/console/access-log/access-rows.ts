import type { ShownAccess } from '../../../access/access-log-page.sql.ts';
import { searchFields } from '../../../search/search.ts';
import { type Html, html } from '../html.ts';
import { countOf, instantOf, zoneLabel } from '../words.ts';

/** The rows as a table, with what was asked in full. */
export const accessRows = (
  rows: readonly ShownAccess[],
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="Table of accesses"><table class="sinks">
<thead><tr><th scope="col">Time (${zoneLabel()})</th><th scope="col">Who</th><th scope="col">Action</th><th scope="col">What was asked</th><th scope="col" class="number">Given</th></tr></thead>
<tbody>${rows.map(row)}</tbody></table></div>`;

const row = (access: ShownAccess): Html => html`<tr><th scope="row">${instantOf(access.at)}</th>
<td>${access.who ?? html`<span class="muted">no token</span>`}<p class="sub">${access.address ?? html`database account ${access.account}`}</p></td>
<td>${access.kind}${access.outcome === 'ok' ? null : html` <strong>${access.outcome}</strong>`}<p class="sub">${access.route}${access.status === null ? null : html` · ${access.status}`}</p></td>
<td>${askedOf(access)}</td>
<td class="number">${access.events === null ? null : countOf(access.events, 'event')}<p class="sub">${countOf(access.requests, 'request')}</p></td></tr>`;

/** Texts as they are, so that a search can be read; all else as JSON. */
const askedOf = (access: ShownAccess): Html => {
  const entries = Object.entries(recordOf(access.what));
  if (entries.length === 0) return html`<span class="muted">nothing more</span>`;
  const link = searchOf(access, entries);
  return html`${entries.map(
    ([name, value]) =>
      html`<p><span class="muted">${name}</span> ${typeof value === 'string' ? value : JSON.stringify(value)}</p>`,
  )}${link === undefined ? null : html`<p class="sub"><a href="${link}">This search</a></p>`}`;
};

const recordOf = (what: unknown): Readonly<Record<string, unknown>> =>
  typeof what === 'object' && what !== null ? (what as Record<string, unknown>) : {};

/** A search as a link; undefined for all else. Its values may have been cut, and then it is another search. */
const searchOf = ({ route }: ShownAccess, entries: readonly (readonly [string, unknown])[]): string | undefined => {
  if (route !== 'GET /events' && route !== 'GET /v1/search') return undefined;
  const asked = entries.flatMap(([name, value]): [string, string][] =>
    searchFields.some((field) => field === name) && typeof value === 'string' && value.length < 300
      ? [[name, value]]
      : [],
  );
  return asked.length === 0 || asked.length < entries.filter(([name]) => name !== 'format').length
    ? undefined
    : `/events?${new URLSearchParams(asked)}`;
};
