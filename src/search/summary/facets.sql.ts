import type { Pool, PoolClient } from 'pg';
import { isTimeout, readOnly } from '../../postgres/read-only.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import type { BarTimes, CountRow } from './count-statement.ts';
import { BARS, facetsStatement } from './facets-statement.ts';
import { type FacetField, facetFields, type SummaryFacets } from './summary.ts';

export interface FacetLimits {
  /** Of the newest events that match, so many are looked at; undefined: all are. */
  readonly maxEvents: number | undefined;
  readonly timeoutMs: number;
  readonly valuesPerField: number;
}

/** The top values of the newest events that match; undefined if the time was over. `query` has its spellings. */
export const readFacets = async (
  pool: Pool,
  query: EventQuery,
  limits: FacetLimits,
  signal?: AbortSignal,
): Promise<SummaryFacets | undefined> => {
  const parts = limits.maxEvents === undefined && !looksForText(query) ? halves : [facetFields];
  const rows = await readParts(pool, query, limits, { parts, bar: undefined, signal });
  return rows && facetsOf(rows, limits.maxEvents);
};

/** The same of all events that match, with their count in each bar: that takes less than looking twice. */
export const readFacetsAndBars = async (
  pool: Pool,
  query: EventQuery,
  limits: Omit<FacetLimits, 'maxEvents'>,
  bar: BarTimes,
  signal?: AbortSignal,
): Promise<{ readonly facets: SummaryFacets; readonly bars: readonly CountRow[] } | undefined> => {
  const parts = looksForText(query) ? [facetFields] : halves;
  const rows = await readParts(pool, query, { ...limits, maxEvents: undefined }, { parts, bar, signal });
  return rows && { facets: facetsOf(rows), bars: barsOf(rows) };
};

interface Parts {
  /** Fields that are counted together. */
  readonly parts: readonly (readonly FacetField[])[];
  readonly bar: BarTimes | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Each part by a statement of its own, all at once; undefined if the time was over. The bars come with the results. */
const readParts = async (
  pool: Pool,
  query: EventQuery,
  { timeoutMs, ...limits }: FacetLimits,
  { parts, bar, signal }: Parts,
): Promise<readonly FacetRow[] | undefined> => {
  const read = async (fields: readonly FacetField[]): Promise<readonly FacetRow[]> => {
    const { text, values } = facetsStatement(query, {
      ...limits,
      fields,
      bar: fields.includes('result') ? bar : undefined,
    });
    const ask = (client: PoolClient) => client.query<FacetRow>(text, [...values]);
    return (await readOnly(pool, timeoutMs, ask, signal)).rows;
  };
  try {
    return (await Promise.all(parts.map(read))).flat();
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
};

/** All events are grouped by two connections at once: grouping takes most of the time, and PostgreSQL does it in one process. */
const halves = [0, 1].map((half) => facetFields.filter((_, at) => at % 2 === half));

/** Then looking takes most of the time, and is done once. */
const looksForText = ({ text, terms = [] }: EventQuery): boolean =>
  text !== undefined || terms.some(({ field }) => field === 'text');

interface FacetRow {
  readonly field: FacetField | typeof BARS;
  readonly value: string | null;
  readonly events: number;
  readonly distinctValues: number;
  readonly name: string | null;
  readonly looked: number;
  /** Of a bar. */
  readonly start: number | null;
}

const barsOf = (rows: readonly FacetRow[]): readonly CountRow[] =>
  rows.flatMap(({ field, value, start, events }) =>
    field === BARS ? [{ start, result: value as CountRow['result'], events }] : [],
  );

const facetsOf = (rows: readonly FacetRow[], maxEvents = Number.POSITIVE_INFINITY): SummaryFacets => {
  // Of two statements, the later one may have seen more.
  const looked = rows.reduce((most, row) => Math.max(most, row.looked), 0);
  const facets = facetFields.map((field) => {
    const own = rows.filter((row) => row.field === field);
    return {
      field,
      values: own.flatMap(({ value, name, events }) => (value === null ? [] : [{ value, name, events }])),
      distinct: own[0]?.distinctValues ?? 0,
      without: own.find(({ value }) => value === null)?.events ?? 0,
    };
  });
  return { facets, looked: Math.min(looked, maxEvents), isSample: looked > maxEvents };
};
