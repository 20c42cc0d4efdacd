import type { SearchAnswer } from '../../../search/answer.ts';
import { DEFAULT_LIMIT, type PageCursors } from '../../../search/contract.ts';
import { commandOf, curlOf, sqlOf } from '../../../search/copy-as.sql.ts';
import type { OrganizationName } from '../../../search/names/names.ts';
import {
  printLine,
  printSearch,
  printWord,
  readSearch,
  type Search,
  type SearchFault,
  type SearchField,
  type SearchReading,
  type TimeBound,
  textOfBound,
} from '../../../search/query/search.ts';
import { printTerms, settingFields, termFields } from '../../../search/query/terms.ts';
import type { SearchSummary } from '../../../search/summary/summary.ts';
import type { EventMarks } from '../detections/page.ts';
import { type Html, html } from '../html.ts';
import type { LiveStart, ResultView } from './result-view.ts';

/** One line says all of a search; its faults stand below it. The times beside it are links. */
export const searchForm = (view: EventsView): Html => {
  const { faults } = view.reading;
  const [line, rest] = lineOf(view);
  const limit: Fields = view.limit === DEFAULT_LIMIT ? [] : [['limit', `${view.limit}`]];
  return html`<form class="search" id="search-form" method="get" action="/events" role="search" aria-label="Events">
<div class="ask"><label class="unseen" for="f-q">Query</label>
<input id="f-q" name="q" type="text" value="${line}" autocomplete="off" spellcheck="false" autocapitalize="off" data-search data-fields="${JSON.stringify(completionOf(view))}" placeholder="actor:mira* -action:view status:4xx since:24h &quot;some text&quot;"${faults.length === 0 ? null : html` aria-invalid="true" aria-describedby="faults" autofocus`}>
${hiddenFields([...rest, ...limit])}
${timePicker(view)}
<button class="primary" type="submit">Search</button>
${fieldList}</div>
${faults.length === 0 ? null : html`<div class="stack" id="faults">${faults.map((fault) => faultText(view, fault))}</div>`}
</form>
<form id="times" method="get" action="/events">${hiddenFields([...printSearch(withoutTimes(view.reading.search)), ...limit])}</form>`;
};

const hiddenFields = (fields: Fields): readonly Html[] =>
  fields.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`);

type Fields = readonly (readonly [name: string, value: string])[];

/** The line, and what it cannot say: in a field of its own a star is no wildcard. With a fault all is as it was written, to be mended. */
const lineOf = ({ reading: { search, faults, given }, nowMs }: EventsView): readonly [line: string, rest: Fields] => {
  if (faults.length > 0) {
    const { q = '', ...fields } = given;
    return [[...Object.entries(fields).map(printWord), q].join(' ').trim(), []];
  }
  const line = printLine(search);
  if (`${printSearch(readSearch({ q: line }, nowMs).search)}` === `${printSearch(search)}`) return [line, []];
  const { terms = [], ...fields } = search;
  return [printTerms(terms), [...printSearch(fields)]];
};

const hints: Partial<Record<string, string>> = {
  organization: 'name or id',
  account: 'name or id',
  zone: 'name or id',
  actor: 'e-mail, id, token, address, network; mira*',
  ip: 'address or network, 198.51.100.0/24',
  action: 'create, delete, update',
  result: 'success, failure',
  status: '403, 4xx, 400-499, >=500',
  uri: '/accounts/*',
  text: 'anywhere in the original; the field may be left out',
  since: '24h, today, yesterday, week, around-14:30, 2026-01-31',
  before: 'as since',
  defects: 'true: entries with defects',
  changed: 'true: entries changed later',
  archive: 'true: archived months, too',
  copies: 'first: copies in several accounts once',
};

const lineFields = [...termFields, ...settingFields];

/** What the script completes from, without one to be read. */
const fieldList = html`<details class="drop fields" name="drop"><summary class="quiet-button">Fields</summary><div class="pop stack">
<p class="hint"><code>-</code> excludes, a comma is <i>or</i>, <code>*</code> at the end: all that begin so. Words without a field are looked for in the original.</p>
<ul>${lineFields.map((field) => html`<li><code>${field}:</code> <span class="muted">${hints[field] ?? ''}</span></li>`)}</ul></div></details>`;

const MAX_VALUES = 200;

/** Of each field its name, what it takes, and the values that this page knows. */
const completionOf = ({ organizations, accounts, result }: EventsView) => {
  const namesOf = (known: readonly OrganizationName[]) => known.slice(0, MAX_VALUES).map(({ id, name }) => name ?? id);
  const known: Partial<Record<string, readonly string[]>> = {
    ...Object.fromEntries(
      (result?.summary?.facets?.facets ?? []).map(({ field, values }) => [
        field,
        values.map((one) => one.name ?? one.value),
      ]),
    ),
    organization: namesOf(organizations),
    account: namesOf(accounts),
    ...Object.fromEntries(['since', 'before'].map((field) => [field, times.flatMap(([, since]) => since ?? [])])),
    ...Object.fromEntries(['defects', 'changed', 'archive'].map((field) => [field, ['true']])),
    copies: ['first'],
  };
  return lineFields.map((field) => [field, hints[field] ?? '', (known[field] ?? []).filter((one) => one !== '')]);
};

const times: readonly (readonly [name: string, since?: string, before?: string])[] = [
  ...['15m', '1h', '24h', '7d', '30d', '90d'].map((span) => [`Last ${span}`, span] as const),
  ['Today', 'today'],
  ['Yesterday', 'yesterday', 'today'],
  ['This week', 'week'],
  ['All times'],
];

/** Links, and fields of a form of its own: what is picked takes the place of the times of the line. */
const timePicker = ({ reading }: EventsView): Html => {
  const { since, before } = reading.search;
  const [sinceText, beforeText] = [since, before].map((bound) => bound && textOfBound(bound));
  const name = times.find(([, from, to]) => from === sinceText && to === beforeText)?.[0];
  const shown = (bound: TimeBound | undefined, text: string) =>
    bound?.kind === 'at' && !bound.word ? utcMinute(bound.ms) : bound ? textOfBound(bound) : text;
  const field = (label: string, name: string, bound?: TimeBound): Html =>
    html`<label>${label}<input type="datetime-local" step="1" form="times" name="${name}" value="${bound?.kind === 'at' ? utcText(bound.ms) : ''}"></label>`;
  return html`<details class="drop when" name="drop"><summary class="button">${name ?? `${shown(since, 'Begin')} to ${shown(before, 'now')}`}</summary>
<div class="pop"><ul>${times.map(([label, from, to]) => html`<li><a href="${timeLink(reading.search, from, to)}"${label === name ? html` aria-current="true"` : null}>${label}${from === undefined ? null : html`<code>${from}</code>`}</a></li>`)}</ul>
<div class="stack">${field('Around, 15 minutes each way', 'around')}${field('From', 'since', since)}${field('To', 'before', before)}
<p class="row"><button class="button" type="submit" form="times">Apply</button><span class="hint">UTC</span></p>
<p class="hint">In the line: <code>since:yesterday</code>, <code>since:around-14:30</code>, <code>since:3d before:1d</code></p></div></div></details>`;
};

const utcText = (ms: number): string => new Date(ms).toISOString().slice(0, 19);
const utcMinute = (ms: number): string => utcText(ms).slice(0, 16).replace('T', ' ');

const timeLink = (search: Search, since: string | undefined, before: string | undefined): string => {
  const parameters = printSearch(withoutTimes(search));
  if (since !== undefined) parameters.set('since', since);
  if (before !== undefined) parameters.set('before', before);
  return parameters.size === 0 ? '/events' : `/events?${parameters.toString()}`;
};

const withoutTimes = ({ since: _since, before: _before, ...rest }: Search): Search => rest;

const faultText = ({ reading }: EventsView, { field, reason, suggestions = [] }: SearchFault): Html => {
  const link = ({ id, name }: OrganizationName): Html => {
    const parameters = printSearch({ ...reading.search });
    parameters.set(field, id);
    return html` <a href="/events?${parameters.toString()}">${name ?? id}</a>`;
  };
  return html`<p class="fault" id="fault-${field}">${fieldName(field)} ${reason}${suggestions.map(link)}</p>`;
};

const fieldName = (field: SearchField): string =>
  field === 'q' ? 'Query' : `${field.charAt(0).toUpperCase()}${field.slice(1).replace('_', ' ')}`;

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
  readonly isPutAway: boolean;
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
