import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { inTransaction, longStatement } from '../pool.ts';
import { sqlState } from '../sql-state.ts';

/** Shorter than a server waits until it looks for a deadlock (1 s): a reader that waits for it in a circle is not the one that is ended. */
export const IMPATIENT = "set local lock_timeout = '800ms'";
const WAIT_BETWEEN_TRIES_MS = 200;
const UNDEFINED_TABLE = '42P01';
const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';
const CREATE = /^\s*(?:--[^\n]*\n\s*)*create index if not exists (\w+) on audit_events\s+([^;]+?);?\s*$/;

/** An index over all events. */
export interface EventIndex {
  readonly name: string;
  /** What follows the table's name in CREATE INDEX. */
  readonly definition: string;
}

/** The index that a statement of a migration makes, if it does nothing else. */
export const readEventIndex = (statement: string): EventIndex | undefined => {
  const [, name, definition] = CREATE.exec(statement) ?? [];
  return name === undefined || definition === undefined ? undefined : { name, definition };
};

/** Whether an error only says that another transaction is in the way. */
export const isInTheWay = (error: unknown): boolean =>
  [LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED].includes(sqlState(error) ?? '');

/**
 * Makes an index on every partition, one after the other and without blocking writes, and then has it on the parent, so that new
 * partitions have it, too. What is there already is left alone; an attempt that was cut off is begun again. It waits for transactions that
 * began before it, such as a dump. One process at a time may call it: another one would take what this one is building for what was cut off.
 */
export const buildIndexOnline = async (
  pool: Pool,
  { name, definition }: EventIndex,
  onPartition: (partition: string) => void = () => {},
): Promise<void> => {
  await impatiently(pool, `create index if not exists ${name} on only audit_events ${definition}`);
  for (;;) {
    const next = await findPartitionWithout(pool, name);
    if (next === undefined) return;
    onPartition(next.partition);
    try {
      await buildOnPartition(pool, name, definition, next);
    } catch (error) {
      // Retention has dropped it meanwhile.
      if (sqlState(error) !== UNDEFINED_TABLE) throw error;
    }
  }
};

interface UnindexedPartition {
  readonly partition: string;
  readonly index: string;
  /** Of an index that is not attached yet. Null without one. */
  readonly isValid: boolean | null;
}

const findPartitionWithout = async (pool: Pool, name: string): Promise<UnindexedPartition | undefined> => {
  const { rows } = await pool.query<UnindexedPartition>(
    `select c.relname as partition, own.name as index, x.indisvalid as "isValid"
     from pg_inherits i join pg_class c on c.oid = i.inhrelid
     cross join lateral (select c.relname || replace($1, 'audit_events', '') as name) own
     left join pg_index x on x.indrelid = c.oid and x.indexrelid = to_regclass(own.name)
     where i.inhparent = 'audit_events'::regclass
       and not exists (select from pg_inherits h join pg_index y on y.indexrelid = h.inhrelid
         where h.inhparent = to_regclass($1) and y.indrelid = c.oid)
     order by c.relname limit 1`,
    [name],
  );
  return rows[0];
};

const buildOnPartition = async (
  pool: Pool,
  name: string,
  definition: string,
  { partition, index, isValid }: UnindexedPartition,
): Promise<void> => {
  if (isValid === false) await pool.query(longStatement(`drop index concurrently if exists ${index}`));
  await pool.query(longStatement(`create index concurrently if not exists ${index} on ${partition} ${definition}`));
  await impatiently(pool, `alter index ${name} attach partition ${index}`);
};

/** Until it has its locks: it lets those pass that have come to wait behind it. */
const impatiently = async (pool: Pool, statement: string): Promise<void> => {
  for (;;) {
    try {
      await inTransaction(pool, async (client: PoolClient) => {
        await client.query(IMPATIENT);
        await client.query(statement);
      });
      return;
    } catch (error) {
      if (!isInTheWay(error)) throw error;
      await sleep(WAIT_BETWEEN_TRIES_MS);
    }
  }
};
