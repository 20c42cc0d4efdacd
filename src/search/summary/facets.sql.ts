import type { Pool, PoolClient } from 'pg';
import { isTimeout, readOnly } from '../../postgres/read-only.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import { readNewest } from '../conditions/newest-part.ts';
import type { TimeSlice } from '../conditions/search-conditions.sql.ts';
import type { BarTimes, CountRow } from './count-statement.ts';
import { BARS, type FacetsQuestion, facetsStatement } from './facets-statement.ts';
import { type FacetField, facetFields, type SummaryFacets } from './summary.ts';

export interface FacetLimits {
  /** Of the newest events that match, so many are looked at. */
  readonly maxEvents: number;
  readonly timeoutMs: number;
  readonly valuesPerField: number;
}

/** The top values of the newest events that match; undefined if the time was over. `query` has its spellings. */
export const readFacets = async (
  pool: Pool,
  query: EventQuery,
  { maxEvents, timeoutMs, valuesPerField }: FacetLimits,
  nowMs: number,
  signal?: AbortSignal,
): Promise<SummaryFacets | undefined> => {
  const deadlineMs = performance.now() + timeoutMs;
  const read = (slice: TimeSlice, leftMs: number) => {
    const question = { maxEvents, valuesPerField, fields: facetFields, slice };
    return inTime(async () => facetsOf(await ask(pool, query, question, { timeoutMs: leftMs, signal }), maxEvents));
  };
  const options = { wanted: maxEvents + 1, nowMs, remainingMs: () => deadlineMs - performance.now() };
  const found = await readNewest(query, options, read, ({ looked, isSample }) => looked + Number(isSample));
  if (found === undefined || found.isWhole) return found?.answer;
  // Of what is older than the part that was looked at, nothing is known.
  return found.answer.looked === 0 ? undefined : { ...found.answer, isSample: true };
};

/** What all events that match come to. */
interface AllFacets {
  readonly facets: SummaryFacets;
  /** How many are in each bar. */
  readonly bars: readonly CountRow[];
}

/**
 * The same of all events that match, with their count in each bar: that takes less than looking twice. PostgreSQL groups in one process, and
 * others bring it the rows, if it is told that this costs little; one is enough unless a text is looked for.
 */
export const readAllFacets = async (
  pool: Pool,
  query: EventQuery,
  { timeoutMs, valuesPerField }: Omit<FacetLimits, 'maxEvents'>,
  bar: BarTimes,
  signal?: AbortSignal,
): Promise<AllFacets | undefined> => {
  const question = { maxEvents: undefined, valuesPerField, fields: facetFields, bar };
  const settings = looksForText(query) ? withWorkers : `${withWorkers}; ${oneWorker}`;
  const rows = await inTime(() => ask(pool, query, question, { timeoutMs, signal, settings }));
  return rows && { facets: facetsOf(rows), bars: barsOf(rows) };
};

const withWorkers = 'set local parallel_tuple_cost = 0.0001';
const oneWorker =
  "select set_config('max_parallel_workers_per_gather', least(current_setting('max_parallel_workers_per_gather')::integer, 1)::text, true)";

const ask = async (
  pool: Pool,
  query: EventQuery,
  question: FacetsQuestion,
  {
    timeoutMs,
    signal,
    settings,
  }: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined; readonly settings?: string },
): Promise<readonly FacetRow[]> => {
  const { text, values } = facetsStatement(query, question);
  const run = async (client: PoolClient) => {
    if (settings !== undefined) await client.query(settings);
    return await client.query<FacetRow>(text, [...values]);
  };
  return (await readOnly(pool, Math.max(1, Math.round(timeoutMs)), run, signal)).rows;
};

const inTime = async <T>(read: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await read();
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
};

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
  const looked = rows.find(({ field }) => field !== BARS)?.looked ?? 0;
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
