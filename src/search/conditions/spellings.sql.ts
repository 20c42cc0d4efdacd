import type { Pool } from 'pg';
import { readOnly } from '../../postgres/read-only.ts';
import { folded } from './filter-conditions.sql.ts';
import type { EventQuery } from './search-conditions.sql.ts';

const enumerations = {
  action: 'action_type',
  result: 'action_result',
  product: 'resource_product',
  resourceType: 'resource_type',
} as const;
export type Enumeration = keyof typeof enumerations;
export type Spellings = Readonly<Partial<Record<Enumeration, readonly string[]>>>;

/**
 * The query with all spellings of its enumerations: the one in small letters, which nearly all events have, and the others that are
 * stored. Looked up, so that the conditions stay equalities, with the indexes and statistics of the columns.
 */
export const withSpellings = async (pool: Pool, query: EventQuery, timeoutMs: number): Promise<EventQuery> => {
  const names = (Object.keys(enumerations) as Enumeration[]).filter((name) => query[name] !== undefined);
  if (names.length === 0) return query;
  const spellings = await readOnly(pool, timeoutMs, async (client) => {
    const found: Partial<Record<Enumeration, readonly string[]>> = {};
    for (const name of names) {
      const { rows } = await client.query<{ value: string }>(spellingsIn(enumerations[name]), [query[name]]);
      found[name] = rows.map(({ value }) => value);
    }
    return found;
  });
  return { ...query, spellings };
};

/** A step through the index for each spelling, however many events have it. */
const spellingsIn = (column: string): string => {
  const next = (more: string): string =>
    `select ${column}, md5(${column}) from audit_events
     where ${column} <> lower(${column}) and ${folded(column)} = ${folded('$1')}${more} order by md5(${column}) limit 1`;
  return `with recursive found (value, hash) as (
      (${next('')}) union all select one.* from found cross join lateral (${next(` and md5(${column}) > found.hash`)}) one)
    select lower($1) as value union all select value from found where lower(value) = lower($1)`;
};
