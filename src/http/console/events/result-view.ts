import type { FastifyInstance, FastifyRequest } from 'fastify';
import { raw } from 'hono/html';
import { didYouMean, nearest } from '../../../base/text.ts';
import type { FoundEvent } from '../../../search/answer.ts';
import { printSearch, type Search } from '../../../search/query/search.ts';
import type { TermField } from '../../../search/query/terms.ts';
import { linkOf, withTerm } from '../event-links.ts';
import { type Html, html } from '../html.ts';
import { A_YEAR_SECONDS, cookieOf, hidden, nextAddress } from '../page.ts';
import { instantOf, shortened } from '../words.ts';

interface Column {
  readonly label: string;
  readonly value: (event: FoundEvent) => string | number | null;
  readonly term?: TermField;
}

const columns = {
  address: { label: 'IP address', value: ({ actorIpAddress }) => actorIpAddress, term: 'ip' },
  token: { label: 'Token', value: (event) => event.actorTokenName ?? event.actorTokenId, term: 'token' },
  actor_type: { label: 'Actor type', value: ({ actorType }) => actorType, term: 'actor_type' },
  context: { label: 'Context', value: ({ actorContext }) => actorContext, term: 'context' },
  zone: { label: 'Zone', value: ({ zoneName, zoneId }) => zoneName ?? zoneId, term: 'zone' },
  method: { label: 'Method', value: ({ method }) => method, term: 'method' },
  uri: { label: 'URI', value: ({ uri }) => uri, term: 'uri' },
  status: { label: 'Status', value: ({ statusCode }) => statusCode, term: 'status' },
  agent: { label: 'User agent', value: ({ userAgent }) => userAgent, term: 'agent' },
  ray: { label: 'Ray id', value: ({ rayId }) => rayId, term: 'ray' },
  received: { label: 'Received', value: ({ receivedAt }) => receivedAt },
  position: { label: 'Position', value: ({ position }) => position },
  id: { label: 'Entry id', value: ({ id }) => id, term: 'id' },
} satisfies Record<string, Column>;

const usualLabels = {
  organization: 'Organization',
  actor: 'Actor',
  action: 'Action',
  resource: 'Resource',
  result: 'Result',
} as const;

type ExtraColumn = keyof typeof columns;
type ColumnName = keyof typeof usualLabels | ExtraColumn;
const usualColumns = Object.keys(usualLabels) as (keyof typeof usualLabels)[];
const columnNames = [...usualColumns, ...Object.keys(columns)] as ColumnName[];
const densities = ['comfortable', 'compact'] as const;

/** The time of an event is always shown: it leads to the event. */
export interface ResultView {
  readonly columns: readonly ColumnName[];
  readonly density: (typeof densities)[number];
}

export const usualView: ResultView = { columns: usualColumns, density: 'compact' };

/** A contract: people keep links. */
export const viewFields = ['columns', 'density'] as const;
type Query = Readonly<Record<string, unknown>>;

/** `columns=` with nothing in it is the time alone. Never throws. */
export const readView = (query: Query): { readonly view: ResultView; readonly faults: readonly string[] } => {
  const { columns: columnsText, density: densityText } = query;
  const words = wordsOf(columnsText);
  const unknown = words.filter((word) => !columnNames.some((name) => name === word));
  const density = densities.find((name) => name === densityText);
  const faults = unknown.map((word) => `columns: “${word.slice(0, 100).toWellFormed()}” is not a column${hint(word)}`);
  if (densityText !== undefined && density === undefined) faults.push(`density must be ${densities.join(' or ')}`);
  const columns =
    columnsText === undefined ? usualView.columns : columnNames.filter((name) => words.some((word) => word === name));
  return { view: { columns, density: density ?? usualView.density }, faults };
};

const hint = (word: string): string => didYouMean(nearest(word, columnNames));

/** Links separate with commas, forms repeat the name. */
const wordsOf = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : [value ?? ''])
    .flatMap((text) => String(text).split(','))
    .map((word) => word.trim())
    .filter((word) => word !== '');

/** None for the usual view: the same view has the same link. */
export const printView = ({ columns, density }: ResultView): URLSearchParams => {
  const parameters = new URLSearchParams();
  if (columns.join() !== usualView.columns.join()) parameters.set('columns', columns.join());
  if (density !== usualView.density) parameters.set('density', density);
  return parameters;
};

export const withView = (address: string, view: ResultView): string => {
  const [path = '', query = ''] = address.split('?', 2);
  const parameters = new URLSearchParams(query);
  for (const field of viewFields) parameters.delete(field);
  for (const [name, value] of printView(view)) parameters.set(name, value);
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
};

const VIEW_COOKIE = 'orgtrail_result';

const densityLabels = { comfortable: 'comfortable', compact: 'compact: one line for each event' } as const;

interface Body {
  readonly columns?: unknown;
  readonly density?: unknown;
  readonly usual?: unknown;
  readonly next?: unknown;
}

/** Leads to the same search with the view in its address. */
export const viewRoutes = (console: FastifyInstance): void => {
  console.post<{ Body: Body | undefined }>('/console/result-view', { schema: hidden }, (request, reply) => {
    const { columns = '', density, usual, next } = request.body ?? {};
    const { view, faults } = usual === undefined ? readView({ columns, density }) : { view: usualView, faults: [] };
    const chosen = faults.length === 0 ? view : usualView;
    return reply
      .setCookie(VIEW_COOKIE, printView(chosen).toString(), {
        ...cookieOf(request, '/events'),
        maxAge: A_YEAR_SECONDS,
      })
      .redirect(withView(nextAddress(next), chosen), 303);
  });
};

/** For a request without a view. The address always says what is shown: so does a link to it. */
export const rememberedView = ({ cookies, query, url }: FastifyRequest): string | undefined => {
  const cookie = cookies[VIEW_COOKIE];
  if (!cookie || viewFields.some((field) => Object.hasOwn(query as object, field))) return undefined;
  const { view, faults } = readView(Object.fromEntries(new URLSearchParams(cookie)));
  return faults.length > 0 || printView(view).size === 0 ? undefined : withView(url, view);
};

export const viewChoice = (
  view: ResultView,
  address: string,
): Html => html`<details class="view-choice drop" id="view-choice" name="drop"><summary class="quiet-button">Columns<span> and density</span></summary>
<form class="pop stack" method="post" action="/console/result-view"><input type="hidden" name="next" value="${address}">
<fieldset><legend>Columns, beside the time</legend><div class="choices">${columnNames.map(
  (name) =>
    html`<label class="flag"><input type="checkbox" name="columns" value="${name}"${view.columns.includes(name) ? html` checked` : null}> <span><span class="unseen">Column </span>${labelOfColumn(name)}</span></label>`,
)}</div></fieldset>
<fieldset><legend>Density</legend><div class="choices">${densities.map(
  (name) =>
    html`<label class="flag"><input type="radio" name="density" value="${name}"${view.density === name ? html` checked` : null}> ${densityLabels[name]}</label>`,
)}</div></fieldset>
<p class="row"><button class="button" type="submit">Show</button><button class="quiet-button" type="submit" name="usual" value="true">As usual</button>
<span class="hint">This browser remembers it. The address has it as well: a link to it shows the same.</span></p>
</form></details>`;

/** Adds the view to links and forms. Only an attribute of a template looks like one: `html` escapes the quotes of all values. */
export const keepView = (body: Html, view: ResultView): Html => {
  const parameters = printView(view);
  if (parameters.size === 0) return body;
  const link = parameters.toString().replaceAll('&', '&amp;');
  const fields = [...parameters].map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`);
  return raw(
    body
      .toString()
      .replaceAll(/href="\/events(?:\?([^"]*))?"/g, (_, query?: string) =>
        query === undefined ? `href="/events?${link}"` : `href="/events?${query}&amp;${link}"`,
      )
      .replaceAll(/<form (?:class="search"|id="times")[^>]*>/g, (form) => `${form}${fields.join('')}`),
  );
};

const labelOfColumn = (name: ColumnName): string => (isExtra(name) ? columns[name].label : usualLabels[name]);

const isExtra = (name: ColumnName): name is ExtraColumn => name in columns;

const chosen = ({ columns }: ResultView): readonly ExtraColumn[] => columns.filter(isExtra);

/** Cells of hidden columns stay, so that widths and references by number hold. */
export const tableClasses = (view: ResultView): string => {
  const without = usualColumns.filter((name) => !view.columns.includes(name));
  const isWide = chosen(view).length > 0;
  return ['events', view.density, ...without.map((name) => `without-${name}`), ...(isWide ? ['wide'] : [])].join(' ');
};

export const extraHeads = (view: ResultView): readonly Html[] =>
  chosen(view).map((name) => html`<th scope="col" class="extra">${columns[name].label}</th>`);

export const extraCells = (view: ResultView, search: Search, event: FoundEvent): readonly Html[] =>
  chosen(view).map(
    (name) =>
      html`<td class="extra extra-${name}" data-label="${columns[name].label}">${contentOf(name, search, event)}</td>`,
  );

const contentOf = (name: ExtraColumn, search: Search, event: FoundEvent): Html => {
  const { value: read, term }: Column = columns[name];
  const value = read(event);
  if (value === null) return html`<span class="muted" title="the entry does not say">–</span>`;
  if (name === 'received') return instantOf(String(value));
  const text = String(value);
  if (text === '') return html`<span class="muted">(empty)</span>`;
  // A star is a wildcard.
  if (term === undefined || text.includes('*'))
    return html`<span class="one-line">${shortened(text, MAX_SHOWN)}</span>`;
  return html`<a class="narrow one-line" href="${linkOf(withTerm(search, term, text, false))}" title="Filter by this value">${shortened(text, MAX_SHOWN)}</a>`;
};

const MAX_SHOWN = 120;

export interface LiveStart {
  readonly after: number;
  readonly feedId: string;
}

/** A script works the switch; or says why there is no live list. */
export const liveBar = ({ before, ...search }: Search, view: ResultView, start: LiveStart | undefined): Html => {
  if (start === undefined) {
    const where = before === undefined ? 'on a page of older events' : 'for a search that has an end';
    return html`<p class="live-list hint">No live list ${where}: <a href="${linkOf(search)}">newest events</a></p>`;
  }
  const query = [printSearch(search), printView(view)].map(String).filter((part) => part !== '');
  return html`<div class="live-list row" data-live="/events/arrivals?${query.join('&')}" data-after="${start.after}" data-feed="${start.feedId}">
<button class="quiet-button" type="button" data-live-switch hidden>Live</button>
<p class="live-status" role="status"></p><noscript><p class="hint">The live list needs a script. Reload to see what is new.</p></noscript></div>`;
};
