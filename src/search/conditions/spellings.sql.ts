import type { Pool } from 'pg';
import { readOnly } from '../../postgres/read-only.ts';
import { actorPrefixOf } from './actor.ts';
import { type Enumeration, type EventQuery, enumerations } from './event-query.ts';
import { rayPositions } from './ray-positions.sql.ts';
import { folded, hasOtherCase, patternOf, type SpelledColumn } from './spelled-columns.ts';

/** Runs a statement that only reads; undefined if its time was over. */
type Ask = <T extends object>(sql: string, values: readonly unknown[]) => Promise<readonly T[] | undefined>;

/** More than so many of what begins with something are not listed: their index is asked by the beginning itself. */
const MAX_BEGINNING = 64;

/**
 * The query with the positions of its ray id and with all spellings of its enumerations, e-mail address or name of a token: the one in small letters, which nearly all
 * events have, and the others that are stored. Looked up, so that the conditions stay equalities, with the indexes and statistics
 * of the columns.
 */
export const withSpellings = async (pool: Pool, asked: EventQuery, timeoutMs: number): Promise<EventQuery> => {
  const { ray } = asked;
  const query = ray === undefined ? asked : { ...asked, rayPositions: await rayPositions(pool, ray, timeoutMs) };
  if (valuesOf(query).length === 0) return query;
  const spelled = await readOnly(pool, timeoutMs, (client) =>
    addSpellings(query, async <T extends object>(sql: string, values: readonly unknown[]) => {
      const { rows } = await client.query<T>(sql, [...values]);
      return rows;
    }),
  );
  return spelled ?? query;
};

/** As `withSpellings`; undefined if there was no time for it. */
export const addSpellings = async (query: EventQuery, ask: Ask): Promise<EventQuery | undefined> => {
  const spellings: Partial<Record<SpelledColumn, readonly string[]>> = {};
  for (const { column, value, isBeginning } of valuesOf(query)) {
    const sql = isBeginning ? otherBeginnings(column) : spellingsIn(column);
    const rows = await ask<{ value: string }>(sql, [isBeginning ? patternOf(value) : value]);
    if (rows === undefined) return undefined;
    if (!isBeginning || rows.length <= MAX_BEGINNING) spellings[column] = rows.map((row) => row.value);
  }
  return { ...query, spellings };
};

interface SpelledValue {
  readonly column: SpelledColumn;
  readonly value: string;
  /** What begins with it is searched for. */
  readonly isBeginning: boolean;
}

const actorColumns = {
  email: ['actor_email'],
  token: ['actor_token_name'],
  any: ['actor_email', 'actor_token_name'],
  ip: [],
  id: [],
} as const;

const valuesOf = (query: EventQuery): readonly SpelledValue[] => {
  const values: SpelledValue[] = (Object.keys(enumerations) as Enumeration[]).flatMap((name) => {
    const value = query[name];
    return value === undefined ? [] : [{ column: enumerations[name], value, isBeginning: false }];
  });
  if (query.actor === undefined) return values;
  const { kind, value } = query.actor;
  const start = actorPrefixOf(value);
  for (const column of actorColumns[kind]) {
    values.push({ column, value: start ?? value, isBeginning: start !== undefined });
  }
  return values;
};

const spellingsIn = (column: SpelledColumn): string =>
  `with recursive ${found(column, `${folded(column)} = ${folded('$1')}`)}
   select lower($1) as value union all select value from found where lower(value) = lower($1)`;

const otherBeginnings = (column: SpelledColumn): string =>
  `with recursive ${found(column, `${folded(column)} like lower($1)`)}
   select value from found limit ${MAX_BEGINNING + 1}`;

/** A step through the index for each spelling, however many events have it. */
const found = (column: SpelledColumn, match: string): string => {
  const next = (more: string): string =>
    `select ${column}, ${folded(column)}, md5(${column}) from audit_events
     where ${hasOtherCase(column)} and ${match}${more} order by ${folded(column)}, md5(${column}) limit 1`;
  const behind = ` and (${folded(column)}, md5(${column})) > (found.key, found.hash)`;
  return `found (value, key, hash) as (
      (${next('')}) union all select one.* from found cross join lateral (${next(behind)}) one)`;
};
