import type { EventQuery } from '../conditions/event-query.ts';
import { conditionsOf, type TimeSlice } from '../conditions/search-conditions.sql.ts';
import { type BarTimes, binOf, milliseconds, resultOf } from './count-statement.ts';
import { groupingOf } from './grouping.ts';
import type { FacetField } from './summary.ts';

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

/**
 * By a table in memory for each field, and one for the bars of a histogram if `matching` has them. It must hide what the planner knows of the
 * columns: else it sorts all rows for some.
 */
const statementOf = (matching: string, fields: readonly FacetField[], top: string, withBars: boolean): string => {
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
    select field, left(case when field = any('{${folded.join(',')}}') then lower(value) else value end, 400) as value, sum(events)::integer as events
    from counted where field <> '${BARS}' group by 1, 2),
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
/** In place of the name of a field. */
export const BARS = 'bar';

/** What is asked beside the condition. */
export interface FacetsQuestion {
  /** Of the newest events that match, so many are looked at, and one more to know whether there are more; undefined: all are. */
  readonly maxEvents: number | undefined;
  readonly valuesPerField: number;
  readonly fields: readonly FacetField[];
  /** Counts the bars of a histogram, too; `fields` must have the result then. */
  readonly bar?: BarTimes | undefined;
  /** All of the time, if it is left out. */
  readonly slice?: TimeSlice;
}

export const facetsStatement = (
  query: EventQuery,
  { maxEvents, valuesPerField, fields, bar, slice = { low: undefined, high: undefined } }: FacetsQuestion,
): { readonly text: string; readonly values: readonly unknown[] } => {
  const { sql, values } = conditionsOf(query, undefined, slice);
  const [top, limit] = [`$${values.length + 1}`, `$${values.length + 2}`];
  const newest = maxEvents === undefined ? 'offset 0' : `order by action_time desc, position desc limit ${limit} + 1`;
  const given = [...values, valuesPerField, ...(maxEvents === undefined ? [] : [maxEvents])];
  const columns = fields.map(storedValue);
  if (bar !== undefined) columns.push(`${binOf(bar, (value) => `$${given.push(value)}`)} as bar`);
  const matching = `select ${columns.join(', ')} from audit_events where ${sql} ${newest}`;
  return { text: statementOf(matching, fields, top, bar !== undefined), values: given };
};
