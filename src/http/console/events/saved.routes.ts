import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from '../../../postgres/access/access.ts';
import type { AccessSource } from '../../../postgres/access/open-access.sql.ts';
import { printLine, printSearch, readSearch, type Search, searchFields } from '../../../search/query/search.ts';
import {
  isSavable,
  MAX_NAME_LENGTH,
  readEverySeconds,
  readSavedName,
  type SavedSearch,
  type SavedSearches,
  savedFaults,
  whyNotTold,
} from '../../../search/saved-searches.sql.ts';
import { changeNote } from '../../access-trail.ts';
import { httpError } from '../../failure.ts';
import { FEED_TOKEN_NAME } from '../../guard.ts';
import { linkOf } from '../event-links.ts';
import { type Html, html } from '../html.ts';
import type { Operations } from '../operations.ts';
import { type Frame, hidden, pagesBeside, rowNumberOf, sendPage } from '../page.ts';
import { agoOf, countOf, shortened, timeOf } from '../words.ts';

interface Form {
  readonly Body: { readonly name?: unknown; readonly search?: unknown } | undefined;
}

/** For all who may sign in. Changes are in the trail of access. */
export const savedRoutes = (pages: FastifyInstance, frame: Frame, options: SavedOptions): void => {
  const { savedSearches, access } = options;
  pages.get('/searches', { schema: hidden }, async (request, reply) => {
    const all = await savedSearches.list();
    const rows = all.map((saved) => ({ saved, mayChange: mayChange(request.identity, saved) }));
    const body = savedListBody(rows, Date.now());
    return sendPage(request, reply, frame, { title: 'Saved searches', current: '/events', body });
  });
  pages.post<Form>('/searches', { schema: hidden }, async (request, reply) => {
    const search = readLink(request.body?.search);
    const given = String(request.body?.name ?? '');
    const refuse = (code: number, fault: string) => {
      const body = saveBody({ search, given, fault });
      return sendPage(request, reply.code(code), frame, { title: 'Save this search', current: '/events', body });
    };
    const reading = readSavedName(given);
    if ('fault' in reading) return refuse(400, reading.fault);
    const { name } = reading;
    const saved = await savedSearches.save({ name, search, by: request.identity?.who });
    if ('refused' in saved) return refuse(409, savedFaults[saved.refused]);
    noteSaved(access, request, { id: saved.id, name, search });
    return reply.redirect(`/searches#search-${saved.id}`, 303);
  });
  changeRoutes(pages, frame, options);
};

/** What cannot be searched for is not kept. */
const readLink = (given: unknown): string => {
  const parameters = [...new URLSearchParams(typeof given === 'string' ? given : '')];
  const known: ReadonlySet<string> = new Set(searchFields);
  const { search, faults: unreadable } = readSearch(Object.fromEntries(parameters), Date.now());
  // As for a page of events: what is unknown, or said twice, would make another search of it.
  const isWhole = parameters.every(
    ([name], at) => known.has(name) && parameters.findIndex(([one]) => one === name) === at,
  );
  const faults = isWhole ? unreadable : [...unreadable, 'parameters'];
  const link = printSearch(search).toString();
  if (faults.length === 0 && isSavable(link)) return link;
  const reason = faults.length > 0 ? 'cannot be read. Open it again, and save it from there' : 'is too long to be kept';
  throw httpError(400, `This search ${reason}.`);
};

export interface SavedOptions {
  readonly savedSearches: SavedSearches;
  readonly access: AccessSource;
  readonly operations: Pick<Operations, 'config'>;
}

const toldSinks = ({ operations }: SavedOptions): readonly string[] =>
  operations.config.sinks.filter(({ settings }) => settings.events === 'searches').map(({ name }) => name);

interface Numbered {
  readonly Params: { readonly id: string };
}

/** With the token that saved it, with ORGTRAIL_FEED_TOKEN, or locally if no token is needed. */
const mayChange = (identity: Identity | undefined, { savedBy }: SavedSearch): boolean =>
  identity !== undefined && [undefined, FEED_TOKEN_NAME, savedBy].includes(identity.who);

const changeRoutes = (pages: FastifyInstance, frame: Frame, options: SavedOptions): void => {
  const { savedSearches } = options;
  const find = async ({ params }: FastifyRequest<Numbered>): Promise<SavedSearch> => {
    const id = rowNumberOf(params.id);
    const saved = id === undefined ? undefined : await savedSearches.find(id);
    if (saved === undefined) throw httpError(404, 'Saved search not found. It may have been deleted.');
    return saved;
  };
  const findOwn = async (request: FastifyRequest<Numbered>): Promise<SavedSearch> => {
    const saved = await find(request);
    if (mayChange(request.identity, saved)) return saved;
    throw httpError(403, 'Another token saved this search: that one may change it, and ORGTRAIL_FEED_TOKEN');
  };
  const send = (request: FastifyRequest, reply: FastifyReply, saved: SavedSearch, more: object = {}) => {
    const of = { saved, mayChange: mayChange(request.identity, saved), sinks: toldSinks(options) };
    const body = savedBody({ ...of, nowMs: Date.now(), ...more });
    return sendPage(request, reply, frame, { title: `Saved search ${saved.name}`, current: '/events', body });
  };
  pages.get<Numbered>('/searches/:id', { schema: hidden }, async (request, reply) =>
    send(request, reply, await find(request)),
  );
  pages.post<Numbered & { Body: { readonly name?: unknown } | undefined }>(
    '/searches/:id/rename',
    { schema: hidden },
    async (request, reply) => {
      const saved = await findOwn(request);
      const given = String(request.body?.name ?? '');
      const reading = readSavedName(given);
      if ('fault' in reading) return send(request, reply.code(400), saved, { fault: reading.fault, given });
      const { name } = reading;
      const outcome = await savedSearches.rename(saved.id, name, request.identity?.who);
      if (outcome === 'name taken') {
        return send(request, reply.code(409), saved, { fault: savedFaults[outcome], given });
      }
      if (outcome === 'renamed') noteSaved(options.access, request, { id: saved.id, name, before: saved.name });
      return reply.redirect(`/searches#search-${saved.id}`, 303);
    },
  );
  pages.post<Numbered & { Body: { readonly sink?: unknown; readonly every?: unknown } | undefined }>(
    '/searches/:id/tell',
    { schema: hidden },
    async (request, reply) => {
      const saved = await findOwn(request);
      const [sink, every] = [String(request.body?.sink ?? ''), readEverySeconds(String(request.body?.every ?? ''))];
      const refuse = (tellFault: string) => send(request, reply.code(400), saved, { tellFault });
      if (sink !== '' && !toldSinks(options).includes(sink)) return refuse('This sink is not sent searches.');
      if (every === undefined) return refuse('One message comes every minute to every week at most.');
      const why = sink === '' ? undefined : whyNotTold(saved.search);
      if (why !== undefined) return refuse(`Of this search, ${why}.`);
      const by = request.identity?.who;
      const outcome = await savedSearches.tell(saved.id, { sink: sink || undefined, everySeconds: every, by });
      if (outcome === 'no sink') return refuse('The database does not know this sink: restart the daemon.');
      noteSaved(options.access, request, { id: saved.id, name: saved.name, sink: sink || null, every_seconds: every });
      return reply.redirect(`/searches#search-${saved.id}`, 303);
    },
  );
  pages.post<Numbered>('/searches/:id/delete', { schema: hidden }, async (request, reply) => {
    const { id, name, search } = await findOwn(request);
    if (await savedSearches.remove(id)) noteSaved(options.access, request, { id, name, search });
    return reply.redirect('/searches', 303);
  });
};

/** A row of the trail has 8,000 characters at most. */
const MAX_NOTED = 2_000;

/** The route says whether it was made, renamed or deleted. */
const noteSaved = (
  access: AccessSource,
  request: FastifyRequest,
  {
    search,
    ...changed
  }: Readonly<{
    id: number;
    name: string;
    before?: string;
    search?: string;
    sink?: string | null;
    every_seconds?: number;
  }>,
): void => {
  const kept = search === undefined ? {} : { search: search.slice(0, MAX_NOTED) };
  access.note(changeNote(request, 'saved-search', { ...changed, ...kept }));
};

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

const savedListBody = (rows: readonly SavedRow[], nowMs: number): Html => html`<div class="stack saved">
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
<td data-label="Saved by">${saved.savedBy ?? html`<span class="muted">no token</span>`}</td>
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

const savedBody = (view: SavedView): Html => {
  const { saved, mayChange } = view;
  return html`<div class="stack saved">
${searchesMenu('/searches')}
<p class="crumbs"><a href="/searches">All saved searches</a></p>
<div class="row between"><h1>${saved.name}</h1><a class="button" href="${hrefOf(saved)}">Open</a></div>
<section class="panel stack" aria-label="Search">
<p class="mono">${lineOf(saved)}</p>
<p class="muted">Saved ${byOf(saved.savedBy)}, ${timeOf(saved.savedAt)}${renamedOf(saved)}.</p>
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
  renamedAt === null ? null : html`; renamed ${byOf(renamedBy)}, ${timeOf(renamedAt)}`;

const byOf = (who: string | null): string => (who === null ? 'without a token' : `by ${who}`);

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

const saveBody = (view: SaveView): Html => html`<div class="stack">
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
