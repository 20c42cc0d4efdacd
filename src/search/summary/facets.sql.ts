import type { Pool, PoolClient } from 'pg';
import { isTimeout, readOnly } from '../../postgres/read-only.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import { conditionsOf } from '../conditions/search-conditions.sql.ts';
import { groupingOf } from './grouping.ts';
import { type FacetField, facetFields, type SummaryFacets } from './summary.ts';

export interface FacetLimits {
  /** Of the newest events that match, so many are looked at; undefined: all are. */
  readonly maxEvents: number | undefined;
  readonly timeoutMs: number;
  readonly valuesPerField: number;
}

/** Of a value, what a term with it finds. */
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
};
/** Whatever the case of letters, as searches compare them. */
const folded: readonly FacetField[] = ['actor', 'action', 'result', 'resource_type', 'product', 'zone', 'token'];

/** A value as it is stored, without what no facet shows of a long one: values are folded when they are counted, not in each row. */
const storedValue = (field: FacetField): string => {
  const value = expressions[field];
  return `case when octet_length(${value}) <= ${STORED_LENGTH} then ${value} else left(${value}, ${STORED_LENGTH}) end as ${field}`;
};
const STORED_LENGTH = 1_000;

/** By a table in memory for each field. `matching` must hide what the planner knows of the columns: else it sorts all rows for some. */
const statementOf = (matching: string, fields: readonly FacetField[], top: string): string => `
  with counted as (
    select case grouping(${fields.join(', ')})
        ${fields.map((field, at) => `when ${groupingOf(at, fields.length)} then '${field}'`).join(' ')} end as field,
      coalesce(${fields.join(', ')}) as value, count(*) as events
    from (${matching}) as matching group by grouping sets (${fields.map((field) => `(${field})`).join(', ')}, ())),
  folded as (
    select field, left(case when field = any('{${folded.join(',')}}') then lower(value) else value end, 400) as value, sum(events)::integer as events
    from counted where field is not null group by 1, 2),
  ranked as (
    select *, row_number() over (partition by field order by value is null, events desc, value) as rank,
      count(value) over (partition by field) as distinct_values
    from folded)
  select r.field, r.value, r.events, r.distinct_values::integer as "distinctValues", coalesce(o.name, a.name) as name,
    (select events::integer from counted where field is null) as looked
  from ranked r
  left join organizations o on r.field = 'organization' and o.id = r.value
  left join accounts a on r.field = 'account' and a.id = r.value
  where r.rank <= ${top} or r.value is null
  order by r.field, r.value is null, r.events desc, r.value`;

/** Of the newest events, or of all: see `FacetLimits`. */
export const facetsStatement = (
  query: EventQuery,
  maxEvents: number | undefined,
  valuesPerField: number,
  fields: readonly FacetField[] = facetFields,
): { readonly text: string; readonly values: readonly unknown[] } => {
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const [top, limit] = [`$${values.length + 1}`, `$${values.length + 2}`];
  const newest = maxEvents === undefined ? 'offset 0' : `order by action_time desc, position desc limit ${limit} + 1`;
  const matching = `select ${fields.map(storedValue).join(', ')} from audit_events where ${sql} ${newest}`;
  const given = [...values, valuesPerField, ...(maxEvents === undefined ? [] : [maxEvents])];
  return { text: statementOf(matching, fields, top), values: given };
};

/** The top values of the newest events that match; undefined if the time was over. `query` has its spellings. */
export const readFacets = async (
  pool: Pool,
  query: EventQuery,
  { maxEvents, timeoutMs, valuesPerField }: FacetLimits,
  signal?: AbortSignal,
): Promise<SummaryFacets | undefined> => {
  const read = async (fields: readonly FacetField[]): Promise<readonly FacetRow[]> => {
    const { text, values } = facetsStatement(query, maxEvents, valuesPerField, fields);
    const ask = (client: PoolClient) => client.query<FacetRow>(text, [...values]);
    return (await readOnly(pool, timeoutMs, ask, signal)).rows;
  };
  const parts = maxEvents === undefined && !looksForText(query) ? halves : [facetFields];
  try {
    return facetsOf((await Promise.all(parts.map(read))).flat(), maxEvents);
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
  readonly field: FacetField;
  readonly value: string | null;
  readonly events: number;
  readonly distinctValues: number;
  readonly name: string | null;
  readonly looked: number;
}

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
