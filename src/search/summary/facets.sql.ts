import type { Pool } from 'pg';
import { isTimeout, readOnly } from '../../postgres/read-only.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import { conditionsOf } from '../conditions/search-conditions.sql.ts';
import { type FacetField, facetFields, type SummaryFacets } from './summary.ts';

export interface FacetLimits {
  /** Of the newest events that match, so many are looked at. */
  readonly maxEvents: number;
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

const comparedValue = (field: FacetField): string =>
  folded.includes(field) ? `lower(${expressions[field]})` : expressions[field];

/** The top values of the newest events that match; undefined if the time was over. `query` has its spellings. */
export const readFacets = async (
  pool: Pool,
  query: EventQuery,
  { maxEvents, timeoutMs, valuesPerField }: FacetLimits,
  signal?: AbortSignal,
): Promise<SummaryFacets | undefined> => {
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const limit = `$${values.length + 1}`;
  const top = `$${values.length + 2}`;
  const statement = `
    with newest as (
      select ${facetFields.map((field) => `left(${comparedValue(field)}, 400) as ${field}`).join(', ')} from audit_events
      where ${sql} order by action_time desc, position desc limit ${limit} + 1),
    counted as (
      select field, value, count(*)::integer as events
      from newest cross join lateral (values ${facetFields.map((field) => `('${field}', ${field})`).join(', ')}) as each (field, value)
      group by field, value),
    ranked as (
      select *, row_number() over (partition by field order by value is null, events desc, value) as rank,
        count(value) over (partition by field) as distinct_values
      from counted)
    select r.field, r.value, r.events, r.distinct_values::integer as "distinctValues", coalesce(o.name, a.name) as name,
      (select count(*)::integer from newest) as looked
    from ranked r
    left join organizations o on r.field = 'organization' and o.id = r.value
    left join accounts a on r.field = 'account' and a.id = r.value
    where r.rank <= ${top} or r.value is null
    order by r.field, r.value is null, r.events desc, r.value`;
  try {
    const { rows } = await readOnly(
      pool,
      timeoutMs,
      (client) => client.query<FacetRow>(statement, [...values, maxEvents, valuesPerField]),
      signal,
    );
    return facetsOf(rows, maxEvents);
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
};

interface FacetRow {
  readonly field: FacetField;
  readonly value: string | null;
  readonly events: number;
  readonly distinctValues: number;
  readonly name: string | null;
  readonly looked: number;
}

const facetsOf = (rows: readonly FacetRow[], maxEvents: number): SummaryFacets => {
  const looked = rows[0]?.looked ?? 0;
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
