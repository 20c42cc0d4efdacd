import type { Pool, PoolClient } from 'pg';
import { readOnly } from '../../postgres/queries.ts';
import { effects } from '../conditions/filter-conditions.sql.ts';
import { conditionsOf, nothingInTime, readNewest, type TimeSlice } from '../conditions/search-conditions.sql.ts';
import type { EventQuery } from '../query/event-query.ts';
import { type BarTimes, binOf, type CountRow, milliseconds, resultOf } from './count.sql.ts';
import { type FacetField, facetFields, type SummaryFacets } from './summary.ts';

export interface FacetLimits {
  /** Looked at, the newest that match. */
  readonly maxEvents: number;
  readonly timeoutMs: number;
  readonly valuesPerField: number;
}

/** Of the newest events that match; undefined if the time was over. `query` has its spellings. */
export const readFacets = async (
  pool: Pool,
  query: EventQuery,
  { maxEvents, timeoutMs, valuesPerField }: FacetLimits,
  nowMs: number,
  signal?: AbortSignal,
): Promise<SummaryFacets | undefined> => {
  const deadlineMs = performance.now() + timeoutMs;
  const read = async (slice: TimeSlice, leftMs: number) => {
    const question = { maxEvents, valuesPerField, slice };
    const rows = await ask(pool, query, question, { timeoutMs: leftMs, signal });
    return rows && facetsOf(rows, maxEvents);
  };
  const options = { wanted: maxEvents + 1, nowMs, remainingMs: () => deadlineMs - performance.now() };
  const found = await readNewest(query, options, read, ({ looked, isSample }) => looked + Number(isSample));
  if (found === undefined || found.isWhole) return found?.answer;
  // Nothing is known of what is older than the part that was looked at.
  return found.answer.looked === 0 ? undefined : { ...found.answer, isSample: true };
};

/**
 * Of all events that match, with how many are in each bar: that takes less than looking twice. PostgreSQL groups in one process, and others bring
 * it the rows if it is told that this costs little; one is enough unless a text is looked for.
 */
export const readAllFacets = async (
  pool: Pool,
  query: EventQuery,
  { timeoutMs, valuesPerField }: Omit<FacetLimits, 'maxEvents'>,
  bar: BarTimes,
  signal?: AbortSignal,
): Promise<{ readonly facets: SummaryFacets; readonly bars: readonly CountRow[] } | undefined> => {
  const question = { maxEvents: undefined, valuesPerField, bar };
  const settings = looksForText(query) ? withWorkers : `${withWorkers}; ${oneWorker}`;
  const rows = await ask(pool, query, question, { timeoutMs, signal, settings });
  return rows && { facets: facetsOf(rows), bars: barsOf(rows) };
};

const withWorkers = 'set local parallel_tuple_cost = 0.0001';
const oneWorker =
  "select set_config('max_parallel_workers_per_gather', least(current_setting('max_parallel_workers_per_gather')::integer, 1)::text, true)";

const ask = async (
  pool: Pool,
  query: EventQuery,
  question: Parameters<typeof facetsStatement>[1],
  options: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined; readonly settings?: string },
): Promise<readonly FacetRow[] | undefined> => {
  const { timeoutMs, signal, settings } = options;
  const { text, values } = facetsStatement(query, question);
  const run = async (client: PoolClient) => {
    if (settings !== undefined) await client.query(settings);
    return await client.query<FacetRow>(text, [...values]);
  };
  return (await readOnly(pool, Math.max(1, Math.round(timeoutMs)), run, signal).catch(nothingInTime))?.rows;
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

/** Between several values of an event, which are counted each. */
const BETWEEN = 'chr(31)';

/** What a term with the value finds. */
const expressions: Readonly<Record<FacetField, string>> = {
  actor: 'coalesce(actor_email, actor_token_name, actor_id)',
  action: 'action_type',
  result: 'action_result',
  resource_type: 'resource_type',
  product: 'resource_product',
  organization: 'organization_id',
  account: 'account_id',
  zone: 'coalesce(zone_name, zone_id)',
  ip: 'actor_ip_address',
  token: 'coalesce(actor_token_name, actor_token_id)',
  // Of what is no batch, it is the action, if that is one: told apart when it is counted.
  effect: `case when raw_uri like '%/batch%' then array_to_string(${effects}, ${BETWEEN}) else action_type end`,
  detection: 'found.detection',
  country: 'place.country',
  network: 'place.network',
};
const listed: readonly FacetField[] = ['effect', 'detection'];
/** Whatever the case of letters, as searches compare them. */
const folded: readonly FacetField[] = [
  'actor',
  'action',
  'result',
  'resource_type',
  'product',
  'zone',
  'token',
  'effect',
];

/** Cut to what facets show. Values are folded when they are counted, not in each row. */
const storedValue = (field: FacetField): string => {
  const value = expressions[field];
  if (listed.includes(field)) return `${value} as ${field}`;
  return `case when octet_length(${value}) <= ${STORED_LENGTH} then ${value} else left(${value}, ${STORED_LENGTH}) end as ${field}`;
};
const STORED_LENGTH = 1_000;

/** By a table in memory for each field, and one for bars. What the planner knows of the columns is hidden: it would sort all rows for some. */
const statementOf = (matching: string, top: string, withBars: boolean): string => {
  const fields: readonly FacetField[] = facetFields;
  const columns = withBars ? [...fields, 'bar'] : fields;
  const bars = withBars ? [[fields.indexOf('result'), fields.length]] : [];
  const names = fields.map((field, at) => `when ${groupingOf([at], columns.length)} then '${field}'`);
  const sets = [...fields.map((_, at) => [at]), ...bars];
  return `
  with counted as (
    select case grouping(${columns.join(', ')}) ${names.join(' ')}
        ${bars.map((set) => `when ${groupingOf(set, columns.length)} then '${BARS}'`).join(' ')} end as field,
      coalesce(${fields.join(', ')}) as value, ${withBars ? 'bar' : 'null::timestamptz as bar'}, count(*) as events
    from (${matching}) as matching
    group by grouping sets (${sets.map((set) => `(${set.map((at) => columns[at]).join(', ')})`).join(', ')}, ())),
  folded as (
    select field, left(case when field = any('{${folded.join(',')}}') then lower(one) else one end, 400) as value, sum(events)::integer as events
    from counted left join lateral (select case when field = 'effect' and lower(each) not in ('create', 'update', 'delete', 'mixed') then null else each end as one
      from unnest(case when field = any('{${listed.join(',')}}') then string_to_array(value, ${BETWEEN}) else array[value] end) each) ones on true
    where field <> '${BARS}' group by 1, 2),
  totals as (select field, count(value)::integer as distinct_values from folded group by field)
  select r.field, r.value, r.events, t.distinct_values as "distinctValues", coalesce(o.name, a.name) as name,
    (select events::integer from counted where field is null) as looked, null::float8 as start, r.value is null as without
  from totals t cross join lateral (
    (select * from folded f where f.field = t.field and f.value is not null order by f.events desc, f.value limit ${top})
    union all select * from folded f where f.field = t.field and f.value is null) r
  left join organizations o on r.field = 'organization' and o.id = r.value
  left join accounts a on r.field = 'account' and a.id = r.value
  union all
  select field, ${resultOf('value')}, events::integer, 0, null, 0, ${milliseconds('bar')}, false from counted where field = '${BARS}'
  order by field, without, events desc, value`;
};
const rulesOf = `string_agg(distinct f.detection, ${BETWEEN})`;
/** Of few rows by an index; of all of them by a table in memory. */
const findingsOf = `(select ${rulesOf} from findings f where f.event_position = m.position)`;
const withFindings = `left join (select f.event_position, ${rulesOf} as detection from findings f group by 1) found on found.event_position = position`;
export const withPlaces = 'left join address_places place on place.address = actor_ip_address';
/** Of other tables. */
const joined: readonly FacetField[] = ['detection', 'country', 'network'];

/** In place of the name of a field. */
const BARS = 'bar';

export const facetsStatement = (
  query: EventQuery,
  question: {
    /** The newest that match, and one more to know whether there are more; undefined: all. */
    readonly maxEvents: number | undefined;
    readonly valuesPerField: number;
    /** Counts the bars of a histogram as well. */
    readonly bar?: BarTimes | undefined;
    /** Default: all of the time. */
    readonly slice?: TimeSlice;
  },
): { readonly text: string; readonly values: readonly unknown[] } => {
  const { maxEvents, valuesPerField, bar, slice = { low: undefined, high: undefined } } = question;
  const { sql, values } = conditionsOf(query, undefined, slice);
  const [top, limit] = [`$${values.length + 1}`, `$${values.length + 2}`];
  const newest = maxEvents === undefined ? 'offset 0' : `order by action_time desc, position desc limit ${limit} + 1`;
  const given = [...values, valuesPerField, ...(maxEvents === undefined ? [] : [maxEvents])];
  const isAll = maxEvents === undefined;
  const columns = facetFields.filter((field) => isAll || !joined.includes(field)).map(storedValue);
  if (bar !== undefined) columns.push(`${binOf(bar, (value) => `$${given.push(value)}`)} as bar`);
  if (!isAll) columns.push('position', 'actor_ip_address');
  const from = isAll ? `audit_events ${withFindings} ${withPlaces}` : 'audit_events';
  const rows = `select ${columns.join(', ')} from ${from} where ${sql} ${newest}`;
  const matching = isAll
    ? rows
    : `select m.*, ${findingsOf} as detection, place.country, place.network from (${rows}) m ${withPlaces} offset 0`;
  return { text: statementOf(matching, top, bar !== undefined), values: given };
};

/** `grouping(a, b, …)` of so many columns, for a set of some of them: a bit is set for each of the others, the highest for the first column. */
export const groupingOf = (set: readonly number[], columns: number): number =>
  set.reduce((bits, at) => bits - 2 ** (columns - 1 - at), 2 ** columns - 1);
