import type { SearchAnswer } from '../../../search/answer.ts';
import { DEFAULT_LIMIT, type PageCursors } from '../../../search/contract.ts';
import { commandOf, curlOf, sqlOf } from '../../../search/copy-as.sql.ts';
import type { OrganizationName } from '../../../search/names/names.ts';
import {
  printSearch,
  type Search,
  type SearchFault,
  type SearchField,
  type SearchReading,
} from '../../../search/query/search.ts';
import type { SearchSummary } from '../../../search/summary/summary.ts';
import type { EventMarks } from '../detections/page.ts';
import { type Html, html } from '../html.ts';
import { countFilters } from '../summary.ts';
import type { LiveStart, ResultView } from './result-view.ts';

interface TextField {
  readonly field: SearchField;
  readonly label: string;
  readonly hint?: string;
  readonly list?: string;
}

const who: readonly TextField[] = [
  { field: 'actor', label: 'Actor', hint: 'e-mail, IP, token; mira*' },
  { field: 'organization', label: 'Organization', hint: 'name or id', list: 'organizations' },
];

const what: readonly TextField[] = [
  { field: 'action', label: 'Action', hint: 'create', list: 'actions' },
  { field: 'result', label: 'Result', hint: 'failure', list: 'results' },
  { field: 'product', label: 'Product' },
  { field: 'resource_type', label: 'Resource type' },
  { field: 'resource', label: 'Resource id' },
  { field: 'ray', label: 'Ray id' },
  { field: 'account', label: 'Account', hint: 'name or id', list: 'accounts' },
  { field: 'zone', label: 'Zone', hint: 'name or id' },
];

const when: readonly TextField[] = [
  { field: 'since', label: 'Since', hint: '24h, 2026-01-31', list: 'times' },
  { field: 'before', label: 'Before', hint: 'now', list: 'times' },
];

const lineField: TextField = {
  field: 'q',
  label: 'Query',
  hint: '-action:view status:4xx uri:/accounts/* "some text"',
};

/** A script copies it into the two fields of time. It has no zone, and the fields are UTC. */
const calendar = html`<p class="pick-times" data-pick-times hidden><label>From <input type="datetime-local" data-into="f-since"></label> <label>to <input type="datetime-local" data-into="f-before"></label> <span class="muted">UTC</span></p>`;

const quickTimes = ['1h', '24h', '7d', '30d'] as const;

/** On narrow screens behind a fold, which stands before the form: a closed one around it would hide it on wide screens, too. */
export const searchForm = (
  view: EventsView,
): Html => html`<details class="search-fold" id="search-fold"${view.reading.faults.length > 0 ? html` open` : null}><summary class="button" aria-controls="search-form">Filters${filtersOf(view)}</summary></details>
<form class="search panel" id="search-form" method="get" action="/events" role="search" aria-label="Events">
<div class="search-main">
${textField(view, { field: 'text', label: 'Text', hint: 'anywhere in the original' }, true)}
${who.map((field) => textField(view, field))}
${when.map((field) => textField(view, field))}
</div>
${textField(view, lineField)}
<details id="more-filters"${usesMore(view) ? html` open` : null}><summary>More filters</summary>
<div class="search-more">
${what.map((field) => textField(view, field))}
<div class="flags" role="group" aria-labelledby="only"><span id="only">Show only</span>
${flag(view, 'changed', 'entries changed later')}
${flag(view, 'defects', 'entries with defects')}
</div>
<div class="flags">${flag(view, 'archive', 'Search archived months too')}${flag(view, 'copies', 'Copies in several accounts once', 'first')}</div>
</div></details>
${view.limit === 50 ? null : html`<input type="hidden" name="limit" value="${view.limit}">`}
<div class="row">
<button class="primary" type="submit">Search</button>
<a class="button" href="/events">Clear</a>
<p class="quick-times"><span class="muted">Last</span>${quickTimes.map((time) => quickTime(view, time))}</p>
${calendar}
<p class="keys muted"><kbd>/</kbd> search <kbd>j</kbd> <kbd>k</kbd> rows <kbd>Enter</kbd> open <kbd>Esc</kbd> close</p>
</div>
${namesOf('organizations', view.organizations)}
${namesOf('accounts', view.accounts)}
${suggestions('actions', ['create', 'delete', 'update', 'view', 'login'])}
${suggestions('results', ['success', 'failure'])}
${suggestions('times', ['now', ...quickTimes, '90d'])}
</form>`;

const filtersOf = ({ reading }: EventsView): string | null => {
  const filters = countFilters(reading.search);
  return filters === 0 ? null : ` (${filters})`;
};

const namesOf = (id: string, known: readonly OrganizationName[]): Html =>
  html`<datalist id="${id}">${known.map(
    ({ id, name }) => html`<option value="${name ?? id}">${name === null ? '' : id}</option>`,
  )}</datalist>`;

const suggestions = (id: string, values: readonly string[]): Html =>
  html`<datalist id="${id}">${values.map((value) => html`<option value="${value}"></option>`)}</datalist>`;

const usesMore = ({ reading }: EventsView): boolean =>
  [...what.map(({ field }) => field), ...(['changed', 'defects', 'archive', 'copies'] as const)].some(
    (field) => reading.given[field] !== undefined,
  );

const faultOf = ({ reading }: EventsView, field: SearchField): SearchFault | undefined =>
  reading.faults.find((fault) => fault.field === field);

/** In the order of the form: it gets the focus. */
const firstFault = (view: EventsView): SearchField | undefined =>
  ['text' as const, ...[...who, ...when, lineField, ...what].map(({ field }) => field)].find(
    (field) => faultOf(view, field) !== undefined,
  );

const faultText = ({ reading }: EventsView, label: string, { field, reason, suggestions = [] }: SearchFault): Html => {
  const link = ({ id, name }: OrganizationName): Html => {
    const parameters = printSearch({ ...reading.search });
    parameters.set(field, id);
    return html` <a href="/events?${parameters.toString()}">${name ?? id}</a>`;
  };
  return html`<p class="fault" id="fault-${field}">${label} ${reason}${suggestions.map(link)}</p>`;
};

const textField = (view: EventsView, { field, label, hint, list }: TextField, isSearch = false): Html => {
  const fault = faultOf(view, field);
  return html`<div class="field field-${field}"><label for="f-${field}">${label}</label>
<input id="f-${field}" name="${field}" type="${isSearch ? 'search' : 'text'}" value="${view.reading.given[field] ?? ''}"
 autocomplete="off" spellcheck="false" autocapitalize="off"${isSearch ? html` data-search` : null}${hint === undefined ? null : html` placeholder="${hint}"`}${list === undefined ? null : html` list="${list}"`}${fault === undefined ? null : html` aria-invalid="true" aria-describedby="fault-${field}"${field === firstFault(view) ? html` autofocus` : null}`}>
${fault === undefined ? null : faultText(view, label, fault)}</div>`;
};

const flag = (
  view: EventsView,
  field: 'changed' | 'defects' | 'archive' | 'copies',
  label: string,
  value = 'true',
): Html => {
  const fault = faultOf(view, field);
  const isSet = view.reading.search[field];
  return html`<label class="flag"><input type="checkbox" name="${field}" value="${value}"${isSet ? html` checked` : null}> ${label}</label>
${fault === undefined ? null : faultText(view, label, fault)}`;
};

const quickTime = ({ reading }: EventsView, time: string): Html => {
  const parameters = printSearch(reading.search);
  parameters.set('since', time);
  parameters.delete('before');
  const isCurrent = reading.search.since?.text === time && reading.search.before === undefined;
  return html`<a href="/events?${parameters.toString()}"${isCurrent ? html` aria-current="true"` : null}>${time}</a>`;
};

export interface EventsView {
  readonly reading: SearchReading;
  readonly limit: number;
  readonly nowMs: number;
  readonly organizations: readonly OrganizationName[];
  readonly accounts: readonly OrganizationName[];
  readonly marks?: EventMarks | undefined;
  readonly result?: PageCursors &
    SearchAnswer & {
      readonly isFirst: boolean;
      readonly summary: SearchSummary | undefined;
      readonly live: LiveStart | undefined;
    };
  /** Counted for up to 10 seconds. */
  readonly isExact: boolean;
  readonly unknown: readonly string[];
  readonly resultView: ResultView;
  readonly address: string;
  readonly copies?: CopyAsView;
  readonly failure?: { readonly code: number; readonly reason: string };
}

interface CopyAsView {
  readonly search: Search;
  /** The same with the ids of organizations and accounts. */
  readonly withIds: Search;
  readonly limit: number;
  readonly origin: string;
}

/** The texts are there without a script; with one, a button copies each. */
export const copyAs = ({ search, withIds, limit, origin }: CopyAsView): Html => {
  const own = limit === DEFAULT_LIMIT ? undefined : limit;
  const texts = [
    ['curl', 'Put a token with the scope search into the variable TOKEN.', curlOf(search, origin, own)],
    ['SQL', 'For an account with the role orgtrail_reader.', sqlOf(withIds, limit)],
    ['Command', 'On a machine that has DATABASE_URL or the settings.', commandOf(search, own)],
  ] as const;
  return html`<details class="copy-as" id="copy-as"><summary>Copy as curl, SQL or command</summary>
<div class="stack">${texts.map(
    ([name, hint, text], n) =>
      html`<div><div class="row between"><h2>${name}</h2><button class="quiet-button" type="button" data-copy-text="copy-${n}" hidden>Copy<span class="unseen"> ${name}</span></button></div>
<p class="hint">${hint}</p><pre class="text" id="copy-${n}" tabindex="0" role="region" aria-label="The search as ${name}">${text}</pre></div>`,
  )}</div></details>`;
};

/** The client's claim is written into a command: only a host as hosts are. */
export const originOf = (protocol: string, host: string): string =>
  /^(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/.test(host) ? `${protocol}://${host}` : 'http://localhost:8080';
