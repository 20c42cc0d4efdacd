import type { FastifyInstance, FastifyRequest } from 'fastify';
import { SearchError } from '../../base/errors.ts';
import { parseInstantMs } from '../../base/time.ts';
import { accessKinds } from '../../postgres/access/access.ts';
import {
  type AccessCursor,
  type AccessPage,
  readAccessPage,
  type ShownAccess,
} from '../../postgres/access/access-log.sql.ts';
import { instantOfBound, readSearch, searchFields } from '../../search/query/search.ts';
import { asRecord } from '../access-trail.ts';
import { httpError, unknownIn } from '../failure.ts';
import { FEED_TOKEN_NAME } from '../guard.ts';
import { commandBlock, type Html, html } from './html.ts';
import { OPERATIONS_PATH, type Operations, operationsHead } from './operations.ts';
import { type Frame, hidden, sendPage } from './page.ts';
import { sessionProofOf } from './sign-in.routes.ts';
import { countOf, instantOf, zoneLabel } from './words.ts';

const DEFAULT_SINCE = '7d';
const LIMIT = 50;
const parameters = ['since', 'before', 'who', 'kind', 'from'];

type Query = Readonly<Record<string, unknown>>;

/** Opening the page is a row of its own. */
export const accessLogPages = (pages: FastifyInstance, frame: Frame, operations: Operations): void => {
  pages.get<{ Querystring: Query }>(
    ACCESS_LOG_PATH,
    { schema: hidden, config: { trail: 'access-log' } },
    async (request, reply) => {
      const view = await readView(operations, request);
      if (view.faults.length > 0) reply.code(400);
      else if (view.failure !== undefined) reply.code(503);
      const body = accessLogBody(view);
      return sendPage(request, reply, frame, { title: 'Access log', current: OPERATIONS_PATH, body });
    },
  );
};

const readView = async (
  operations: Operations,
  request: FastifyRequest<{ Querystring: Query }>,
): Promise<AccessLogView> => {
  const given = readGiven(request.query);
  const nowMs = Date.now();
  const { search, faults } = readSearch({ since: given.since, before: given.before }, nowMs);
  const who = request.identity?.who;
  const view = { given, who, faults: faults.map(({ field, reason }) => `${field} ${reason}`) };
  if (faults.length > 0 || search.since === undefined) return { ...view, page: undefined, failure: undefined };
  try {
    const page: AccessPage = await readAccessPage(operations.slowPool, {
      session: sessionProofOf(request),
      token: who === FEED_TOKEN_NAME ? undefined : who,
      who: given.who === '' ? undefined : given.who,
      kind: given.kind === '' ? undefined : given.kind,
      since: instantOfBound(search.since, nowMs),
      before: search.before && instantOfBound(search.before, nowMs),
      from: given.from,
      limit: LIMIT,
    });
    return { ...view, page, failure: undefined };
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    return { ...view, page: undefined, failure: error.message };
  }
};

const readGiven = (query: Query): GivenAccess => {
  const [unknown] = unknownIn(query, parameters);
  if (unknown !== undefined) throw httpError(400, `${unknown}.`);
  const text = (name: string): string => (typeof query[name] === 'string' ? query[name].trim().slice(0, 200) : '');
  const kind = text('kind');
  if (kind !== '' && !accessKinds.some((known) => known === kind)) {
    throw httpError(400, `kind must be one of ${accessKinds.join(', ')}.`);
  }
  const since = text('since');
  return {
    since: since === '' ? DEFAULT_SINCE : since,
    before: text('before'),
    who: text('who').replaceAll('\0', '\ufffd'),
    kind,
    from: readCursor(text('from')),
  };
};

/** As `accessLogHref` writes it; undefined for anything else. */
const readCursor = (text: string): AccessCursor | undefined => {
  const [, at, id] = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?\+00)~(\d{1,15})$/.exec(text) ?? [];
  if (at === undefined || parseInstantMs(at.replace('+00', 'Z')) === undefined) return undefined;
  return { at, id: Number(id) };
};

const accessLogBody = (view: AccessLogView): Html => html`<div class="stack">
${operationsHead(ACCESS_LOG_PATH, 'Access log')}
${view.page?.shown === 'none' ? closedPanel(view, view.page) : html`${form(view.given)}${faultsOf(view)}${view.page === undefined ? null : listPanel(view.given, view.page)}`}
</div>`;

const faultsOf = ({ faults, failure }: AccessLogView): Html | null => {
  const all = failure === undefined ? faults : [...faults, failure];
  return all.length === 0 ? null : html`<p class="fault" role="alert">${all.join('; ')}.</p>`;
};

const form = (
  given: GivenAccess,
): Html => html`<form class="search panel" method="get" action="${ACCESS_LOG_PATH}" role="search" aria-label="Access log">
<div class="search-more">
${field(given.since, 'since', 'Since', '24h, 7d, 2026-01-31')}
${field(given.before, 'before', 'Before', 'now')}
${field(given.who, 'who', 'Who', 'name of a token, whole')}
<div class="field"><label for="kind">Action</label><select id="kind" name="kind"><option value="">all</option>${accessKinds.map(
  (kind) => html`<option value="${kind}"${kind === given.kind ? html` selected` : null}>${kind}</option>`,
)}</select></div>
</div>
<div class="row"><button class="primary" type="submit">Show</button><a class="button" href="${ACCESS_LOG_PATH}">Clear</a>
<p class="quick-times"><span class="muted">Last</span>${(['24h', '7d', '31d', '400d'] as const).map((since) => html` <a href="${accessLogHref(given, { since, before: '' })}">${since}</a>`)}</p></div></form>`;

const field = (value: string, name: string, label: string, placeholder: string): Html =>
  html`<div class="field"><label for="${name}">${label}</label><input id="${name}" name="${name}" value="${value}" placeholder="${placeholder}" autocomplete="off" spellcheck="false"></div>`;

const listPanel = (
  given: GivenAccess,
  page: AccessPage,
): Html => html`<section class="panel" aria-labelledby="rows"><h2 id="rows">${page.shown === 'own' ? 'What your token was used for' : 'What was searched, opened, exported and refused'}</h2>
<p class="hint">${page.shown === 'own' ? html`Only rows of your token, from when it was made; a token that is made with <code>--access-log</code> sees all. ` : null}What repeats within an hour is one row at its end, with the sums. Rows are kept for 400 days; a row may come some seconds after its request.</p>
${page.rows.length === 0 ? html`<p class="empty">No row matches.</p>` : accessRows(page.rows)}
${pager(given, page)}</section>`;

const pager = (given: GivenAccess, { next }: AccessPage): Html | null =>
  given.from === undefined && next === undefined
    ? null
    : html`<nav class="row pager" aria-label="Pages of the access log">
${given.from === undefined ? null : html`<a class="button" rel="prev" href="${accessLogHref(given, {})}">Newest</a>`}
${next === undefined ? null : html`<a class="button" rel="next" href="${accessLogHref(given, { from: next })}">Older</a>`}</nav>`;

const closedPanel = (
  { who }: AccessLogView,
  { canProve }: AccessPage,
): Html => html`<section class="panel" aria-labelledby="closed"><h2 id="closed">Not shown to this session</h2><div class="stack">
<p>The trail says what others look for, so the database account of the daemon may not read it: an attacker who has its password would see all of it. The database shows it to sessions that began with a token that can prove itself.</p>
${reasonOf(who, canProve)}
${commandBlock('command-create', 'the command that makes a token for the whole access log', 'orgtrail token create NAME --scope search --access-log')}
<p class="muted">Without <code>--access-log</code> a token sees its own rows alone. Every account with the role <code>orgtrail_reader</code> reads the table <code>access_log</code> in SQL; if the account of the daemon has it, this page shows all to <code>ORGTRAIL_FEED_TOKEN</code> and to local requests as well (docs/access.md).</p></div></section>`;

const reasonOf = (who: string | undefined, canProve: boolean): Html => {
  if (canProve) return html`<p>Your session began before it could be proven. Sign out, and sign in again.</p>`;
  const proves =
    who === undefined
      ? 'You have not signed in with a token'
      : who === 'ORGTRAIL_FEED_TOKEN'
        ? 'The database does not know ORGTRAIL_FEED_TOKEN'
        : `The token ${who} was made by an earlier version`;
  return html`<p>${proves}. Sign in with a token that is made like this:</p>`;
};

const accessRows = (
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
  const entries = Object.entries(asRecord(access.what));
  if (entries.length === 0) return html`<span class="muted">nothing more</span>`;
  const link = searchOf(access, entries);
  return html`${entries.map(
    ([name, value]) =>
      html`<p><span class="muted">${name}</span> ${typeof value === 'string' ? value : JSON.stringify(value)}</p>`,
  )}${link === undefined ? null : html`<p class="sub"><a href="${link}">This search</a></p>`}`;
};

/** Undefined for all else, and for values that may have been cut: that would be another search. */
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

const ACCESS_LOG_PATH = '/access-log';

interface GivenAccess {
  readonly since: string;
  readonly before: string;
  readonly who: string;
  readonly kind: string;
  readonly from: AccessCursor | undefined;
}

interface AccessLogView {
  readonly given: GivenAccess;
  /** Undefined: a local request without a token. */
  readonly who: string | undefined;
  readonly faults: readonly string[];
  readonly page: AccessPage | undefined;
  readonly failure: string | undefined;
}

const accessLogHref = (given: GivenAccess, change: Partial<GivenAccess>): string => {
  const { from, ...texts } = { ...given, from: undefined, ...change };
  const query = new URLSearchParams(Object.entries(texts).filter(([, text]) => text !== ''));
  if (from !== undefined) query.set('from', `${from.at}~${from.id}`);
  return `${ACCESS_LOG_PATH}?${query}`;
};
