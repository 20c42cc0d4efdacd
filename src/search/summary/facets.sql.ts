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
    return inTime(async () => facetsOf(await ask(pool, query, question, leftMs, signal), maxEvents));
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

/** The same of all events that match, with their count in each bar: that takes less than looking twice. */
export const readAllFacets = async (
  pool: Pool,
  query: EventQuery,
  { timeoutMs, valuesPerField }: Omit<FacetLimits, 'maxEvents'>,
  bar: BarTimes,
  signal?: AbortSignal,
): Promise<AllFacets | undefined> => {
  const read = (fields: readonly FacetField[]) => {
    // The bars need the results.
    const question = { maxEvents: undefined, valuesPerField, fields, bar: fields.includes('result') ? bar : undefined };
    return ask(pool, query, question, timeoutMs, signal);
  };
  const parts = looksForText(query) ? [facetFields] : halves;
  const rows = await inTime(() => Promise.all(parts.map(read)));
  return rows && { facets: facetsOf(rows.flat()), bars: barsOf(rows.flat()) };
};

const ask = async (
  pool: Pool,
  query: EventQuery,
  question: FacetsQuestion,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<readonly FacetRow[]> => {
  const { text, values } = facetsStatement(query, question);
  const run = (client: PoolClient) => client.query<FacetRow>(text, [...values]);
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

/** All events are grouped by two connections at once: grouping takes most of the time, and PostgreSQL does it in one process. */
const halves = [0, 1].map((half) => facetFields.filter((_, at) => at % 2 === half));

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
