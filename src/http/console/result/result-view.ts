import { didYouMean, nearest } from '../../../text/nearest.ts';

/** What the table of events shows without a choice, and what it can show beside that, in the order of its columns. */
const usualColumns = ['organization', 'actor', 'action', 'resource', 'result'] as const;
export const extraColumns = [
  'address',
  'token',
  'actor_type',
  'context',
  'zone',
  'method',
  'uri',
  'status',
  'agent',
  'ray',
  'received',
  'position',
  'id',
] as const;
export type ExtraColumn = (typeof extraColumns)[number];
export const columnNames = [...usualColumns, ...extraColumns] as const;
export type ColumnName = (typeof columnNames)[number];
export const densities = ['comfortable', 'compact'] as const;

/** How a result is shown. The time of an event is always there: it leads to the event. */
export interface ResultView {
  /** In the order of `columnNames`. */
  readonly columns: readonly ColumnName[];
  readonly density: (typeof densities)[number];
}

export const usualView: ResultView = { columns: usualColumns, density: 'comfortable' };

/** The parameters of an address that say it. A contract: people keep links. */
export const viewFields = ['columns', 'density'] as const;
type Query = Readonly<Record<string, unknown>>;

/** Reads the view of an address. `columns=` with nothing in it is the time alone. Never throws. */
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

/** A link has them with commas, a form each by itself. */
const wordsOf = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : [value ?? ''])
    .flatMap((text) => String(text).split(','))
    .map((word) => word.trim())
    .filter((word) => word !== '');

/** The parameters of a view, none for the usual one: the same view has the same link. */
export const printView = ({ columns, density }: ResultView): URLSearchParams => {
  const parameters = new URLSearchParams();
  if (columns.join() !== usualView.columns.join()) parameters.set('columns', columns.join());
  if (density !== usualView.density) parameters.set('density', density);
  return parameters;
};

/** An address of a search with another view than the one that it has. */
export const withView = (address: string, view: ResultView): string => {
  const [path = '', query = ''] = address.split('?', 2);
  const parameters = new URLSearchParams(query);
  for (const field of viewFields) parameters.delete(field);
  for (const [name, value] of printView(view)) parameters.set(name, value);
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
};
