import { printLine, printSearch, readSearch, type Search } from '../../../search/query/search.ts';
import { MAX_NAME_LENGTH, readEverySeconds, type SavedSearch } from '../../../search/saved-searches.sql.ts';
import { linkOf } from '../event-links.ts';
import { type Html, html } from '../html.ts';
import { pagesBeside } from '../page.ts';
import { agoOf, countOf, shortened, timeOf } from '../words.ts';

interface SavedRow {
  readonly saved: SavedSearch;
  readonly mayChange: boolean;
}

interface SavedView extends SavedRow {
  /** That are sent searches. */
  readonly sinks: readonly string[];
  readonly tellFault?: string | undefined;
  readonly nowMs: number;
  readonly given?: string | undefined;
  readonly fault?: string | undefined;
}

const MAX_LINE = 300;

export const savedListBody = (rows: readonly SavedRow[], nowMs: number): Html => html`<div class="stack saved">
${searchesMenu('/searches')}
<h1>Saved searches</h1>
<section class="panel" aria-label="Saved searches">
${rows.length === 0 ? html`<p class="empty">No search is saved. “Save this search” in “Use result” of <a href="/events">Events</a> keeps it here, for all who may sign in.</p>` : tableOf(rows, nowMs)}
</section></div>`;

const tableOf = (rows: readonly SavedRow[], nowMs: number): Html => html`<table class="events saved-list">
<caption class="unseen">Saved searches, by name</caption>
<thead><tr><th scope="col">Name</th><th scope="col">Search</th><th scope="col">Saved by</th><th scope="col">Saved</th><th scope="col">Tells</th><th scope="col"><span class="unseen">Change</span></th></tr></thead>
<tbody>${rows.map((row) => rowOf(row, nowMs))}</tbody>
</table>`;

const rowOf = ({ saved, mayChange }: SavedRow, nowMs: number): Html => html`<tr id="search-${saved.id}">
<th scope="row"><a href="${hrefOf(saved)}">${saved.name}</a></th>
<td data-label="Search"><span class="mono">${lineOf(saved)}</span></td>
<td data-label="Saved by">${whoOf(saved.savedBy)}</td>
<td data-label="Saved">${agoOf(saved.savedAt, nowMs)}</td>
<td data-label="Tells">${tellsOf(saved, nowMs)}</td>
<td><a href="/searches/${saved.id}">${mayChange ? 'Change' : 'Details'}<span class="unseen"> ${saved.name}</span></a></td>
</tr>`;

const tellsOf = ({ tells }: SavedSearch, nowMs: number): Html => {
  if (tells === null) return html`<span class="muted">no sink</span>`;
  const { sink, lastMatchAt, error } = tells;
  const last = lastMatchAt === null ? html`no match yet` : html`last match ${agoOf(lastMatchAt, nowMs)}`;
  return html`<a href="/sinks/${sink}">${sink}</a> <span class="sub">${last}</span>${error === null ? null : html`<p class="error-text">Fails: ${shortened(error, MAX_LINE)}</p>`}`;
};

export const savedBody = (view: SavedView): Html => {
  const { saved, mayChange } = view;
  return html`<div class="stack saved">
${searchesMenu('/searches')}
<p class="crumbs"><a href="/searches">All saved searches</a></p>
<div class="row between"><h1>${saved.name}</h1><a class="button" href="${hrefOf(saved)}">Open</a></div>
<section class="panel stack" aria-label="Search">
<p class="mono">${lineOf(saved)}</p>
<p class="muted">Saved by ${whoOf(saved.savedBy)}, ${timeOf(saved.savedAt)}${renamedOf(saved)}.</p>
${saved.tells === null ? null : html`<p>Tells ${tellsOf(saved, view.nowMs)}${saved.tells.matched === 0 ? null : html` ${countOf(saved.tells.matched, 'event')} so far`}, since ${timeOf(saved.tells.toldSince)}.</p>`}
</section>
${mayChange ? changeForms(view) : html`<p class="muted">${saved.savedBy === null ? 'ORGTRAIL_FEED_TOKEN may' : html`${saved.savedBy}, and ORGTRAIL_FEED_TOKEN, may`} rename and delete it, and say which sink it tells.</p>`}
</div>`;
};

/** How often a message comes at most. */
const everyChoices = ['1m', '5m', '15m', '1h', '24h'] as const;

const tellForm = ({
  saved,
  sinks,
  tellFault,
}: SavedView): Html => html`<section class="panel" aria-labelledby="tell"><h2 id="tell">Tell me</h2>
${
  sinks.length === 0 && saved.tells === null
    ? html`<p class="hint">A search can send what newly matches to a sink whose <code>events</code> are <code>searches</code>. None is in ORGTRAIL_SINKS.</p>`
    : html`<form class="stack save" method="post" action="/searches/${saved.id}/tell">
<div class="field"><label for="tell-sink">Send what newly matches to</label>
<select id="tell-sink" name="sink">${option('', 'no sink', saved.tells === null)}${sinks.map((name) => option(name, name, name === saved.tells?.sink))}</select></div>
<div class="field"><label for="tell-every">One message at most every</label>
<select id="tell-every" name="every">${everyChoices.map((every) => option(every, every, readEverySeconds(every) === (saved.tells?.everySeconds ?? DEFAULT_EVERY_SECONDS)))}</select></div>
${tellFault === undefined ? null : html`<p class="fault" role="alert">${tellFault}</p>`}
<p class="hint">Each match is told once, with a link. Times of the search do not count: it tells of what happens from now on.</p>
<p><button class="primary" type="submit">Set</button></p>
</form>`
}</section>`;

const DEFAULT_EVERY_SECONDS = 900;

const option = (value: string, text: string, isChosen: boolean): Html =>
  html`<option value="${value}"${isChosen ? html` selected` : null}>${text}</option>`;

const changeForms = ({
  saved,
  given,
  fault,
  ...rest
}: SavedView): Html => html`<section class="panel" aria-label="Rename">
<form class="stack save" method="post" action="/searches/${saved.id}/rename">
${nameField('rename', { given: given ?? saved.name, fault })}
<p><button class="primary" type="submit">Rename</button></p>
</form></section>
${tellForm({ saved, given, fault, ...rest })}
<details class="panel"><summary>Delete…</summary>
<form class="stack save" method="post" action="/searches/${saved.id}/delete">
<p>Delete “${saved.name}” for all who may sign in? Its events stay.</p>
<p><button class="button danger" type="submit">Delete this search</button></p>
</form></details>`;

const renamedOf = ({ renamedAt, renamedBy }: SavedSearch): Html | null =>
  renamedAt === null ? null : html`; renamed by ${whoOf(renamedBy)}, ${timeOf(renamedAt)}`;

const whoOf = (who: string | null): Html => (who === null ? html`<span class="muted">no token</span>` : html`${who}`);

const hrefOf = ({ search }: SavedSearch): string => (search === '' ? '/events' : `/events?${search}`);

/** What this version cannot read, of a later one, stays as it is. */
const lineOf = ({ search }: SavedSearch): string => {
  const { search: read, faults } = readSearch(Object.fromEntries(new URLSearchParams(search)), Date.now());
  const line = faults.length > 0 ? search : printLine(read);
  return line === '' ? 'all events' : shortened(line, MAX_LINE);
};

interface SaveView {
  readonly search: string;
  readonly given?: string | undefined;
  readonly fault?: string | undefined;
}

export const saveThis = (
  search: Search,
): Html => html`<details class="copy-as" id="save-search"><summary>Save this search</summary>
${saveForm({ search: printSearch(search).toString() })}</details>`;

export const saveBody = (view: SaveView): Html => html`<div class="stack">
<p class="crumbs"><a href="/events${view.search === '' ? '' : `?${view.search}`}">Events</a></p>
<h1>Save this search</h1>
<div class="panel">${saveForm(view)}</div>
</div>`;

const saveForm = (view: SaveView): Html => html`<form class="stack save" method="post" action="/searches">
<input type="hidden" name="search" value="${view.search}">
${nameField('save-name', view)}
<p class="hint" id="save-hint">All who may sign in see it. Relative times, such as 24h, stay relative.</p>
<p><button class="primary" type="submit">Save</button></p>
</form>`;

const nameField = (id: string, { given = '', fault }: Pick<SaveView, 'given' | 'fault'>): Html =>
  html`<div class="field"><label for="${id}">Name</label>
<input id="${id}" name="name" type="text" value="${given}" required maxlength="${2 * MAX_NAME_LENGTH}" autocomplete="off"${fault === undefined ? null : html` autofocus aria-invalid="true" aria-describedby="${id}-fault"`}>
${fault === undefined ? null : html`<p class="fault" role="alert" id="${id}-fault">The name ${fault}.</p>`}</div>`;

type SearchesPath = '/events' | '/events/news' | '/searches';

/** `search`: what the two pages that show one go on with. */
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

const newsHref = ({ since: _since, before: _before, ...rest }: Search): string =>
  linkOf(rest).replace('/events', '/events/news');
