import type { FoundEvent } from '../../../search/found-event.ts';
import type { Search } from '../../../search/search.ts';
import type { TermField } from '../../../search/terms/terms.ts';
import { type Html, html } from '../html.ts';
import { linkOf, withTerm } from '../summary/search-links.ts';
import { instantOf } from '../words.ts';
import { type ColumnName, type ExtraColumn, extraColumns, type ResultView } from './result-view.ts';

interface Column {
  readonly label: string;
  readonly value: (event: FoundEvent) => string | number | null;
  /** What a click on a value filters by. */
  readonly term?: TermField;
}

const columns: Readonly<Record<ExtraColumn, Column>> = {
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
};

const usualLabels = {
  organization: 'Organization',
  actor: 'Actor',
  action: 'Action',
  resource: 'Resource',
  result: 'Result',
} as const;

/** What stands above a column. */
export const labelOfColumn = (name: ColumnName): string =>
  isExtra(name) ? columns[name].label : usualLabels[name as keyof typeof usualLabels];

const isExtra = (name: ColumnName): name is ExtraColumn => extraColumns.some((one) => one === name);

const chosen = ({ columns }: ResultView): readonly ExtraColumn[] => columns.filter(isExtra);

/**
 * Classes of the table: the usual columns that are not chosen are not shown. Their cells stay, so that the widths of columns and
 * what refers to them by number stay as well.
 */
export const tableClasses = (view: ResultView): string => {
  const without = Object.keys(usualLabels).filter((name) => !view.columns.some((one) => one === name));
  const isWide = chosen(view).length > 0;
  return ['events', view.density, ...without.map((name) => `without-${name}`), ...(isWide ? ['wide'] : [])].join(' ');
};

/** The heads of the columns beside the usual ones. */
export const extraHeads = (view: ResultView): readonly Html[] =>
  chosen(view).map((name) => html`<th scope="col" class="extra">${columns[name].label}</th>`);

/** The cells of an event below them. A value filters the search at hand by itself. */
export const extraCells = (view: ResultView, search: Search, event: FoundEvent): readonly Html[] =>
  chosen(view).map(
    (name) =>
      html`<td class="extra extra-${name}" data-label="${columns[name].label}">${contentOf(name, search, event)}</td>`,
  );

const contentOf = (name: ExtraColumn, search: Search, event: FoundEvent): Html => {
  const { value: read, term } = columns[name];
  const value = read(event);
  if (value === null) return html`<span class="muted" title="the entry does not say">–</span>`;
  if (name === 'received') return instantOf(String(value));
  const text = String(value);
  if (text === '') return html`<span class="muted">(empty)</span>`;
  // A star would stand for a rest of any kind.
  if (term === undefined || text.includes('*')) return html`<span class="one-line">${cut(text)}</span>`;
  return html`<a class="narrow one-line" href="${linkOf(withTerm(search, term, text, false))}" title="Filter by this value">${cut(text)}</a>`;
};

const MAX_SHOWN = 120;

const cut = (text: string): string =>
  text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1).toWellFormed()}…` : text;
