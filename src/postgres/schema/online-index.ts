import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { inTransaction, longStatement } from '../pool.ts';
import { sqlState } from '../sql-state.ts';

/** Shorter than a server waits until it looks for a deadlock (1 s): a reader that waits for it in a circle is not the one that is ended. */
export const IMPATIENT = "set local lock_timeout = '800ms'";
const FIRST_PAUSE_MS = 200;
/** Six times as long as a try: behind a reader that does not end, writers get most of the time. */
const LONGEST_PAUSE_MS = 5_000;
const UNDEFINED_TABLE = '42P01';
const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';
const CREATE = /^\s*(?:--[^\n]*\n\s*)*create index if not exists (\w+) on audit_events\s+([^;]+?);?\s*$/;

interface EventIndex {
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

/** How long the `tries`-th try for a lock (1, 2, …) is waited after, so that those pass that have come to wait behind it. */
export const pauseAfterTryMs = (tries: number): number =>
  Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(20, tries - 1));

interface IndexObserver {
  readonly onPartition?: ((partition: string) => void) | undefined;
  /** Hears again and again whom a statement waits for. */
  readonly onBlocked?: OnBlocked | undefined;
}

/**
 * Makes an index on every partition, one after the other and without blocking writes, and then has it on the parent, so that new
 * partitions have it, too. What is there already is left alone; an attempt that was cut off is begun again. It waits for transactions that
 * began before it, such as a dump, however long they last; writers do not wait for them with it. One process at a time may call it: another one
 * would take what this one is building for what was cut off.
 */
export const buildIndexOnline = async (
  pool: Pool,
  index: EventIndex,
  { onPartition, onBlocked = () => {} }: IndexObserver = {},
): Promise<void> => {
  const { name, definition } = index;
  await impatiently(pool, `create index if not exists ${name} on only audit_events ${definition}`, onBlocked);
  for (;;) {
    const next = await findPartitionWithout(pool, name);
    if (next === undefined) return;
    onPartition?.(next.partition);
    try {
      await buildOnPartition(pool, index, next, onBlocked);
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
  { name, definition }: EventIndex,
  { partition, index, isValid }: UnindexedPartition,
  onBlocked: OnBlocked,
): Promise<void> => {
  // What it waits with holds up no reader and no writer.
  const concurrently = (statement: string) =>
    tellBlockers(pool, statement, onBlocked, () => pool.query(longStatement(statement)));
  if (isValid === false) await concurrently(`drop index concurrently if exists ${index}`);
  await concurrently(`create index concurrently if not exists ${index} on ${partition} ${definition}`);
  await impatiently(pool, `alter index ${name} attach partition ${index}`, onBlocked);
};

/** Until it has its locks: it lets those pass that have come to wait behind it. */
const impatiently = async (pool: Pool, statement: string, onBlocked: OnBlocked): Promise<void> => {
  for (let tries = 1; ; tries += 1) {
    try {
      await tellBlockers(pool, statement, onBlocked, () => tryOnce(pool, statement));
      return;
    } catch (error) {
      if (!isInTheWay(error)) throw error;
      await sleep(pauseAfterTryMs(tries));
    }
  }
};

const tryOnce = async (pool: Pool, statement: string): Promise<void> =>
  await inTransaction(pool, async (client: PoolClient) => {
    await client.query(IMPATIENT);
    await client.query(statement);
  });

/** What can be made searchable: the payload by containment, and the whole text of an entry by any part of it. */
export const searchIndexes = {
  json: { name: 'audit_events_payload', method: 'gin (orgtrail_payload(raw, defects) jsonb_path_ops)' },
  text: { name: 'audit_events_text', method: 'gin ((raw::text) gin_trgm_ops)' },
} as const;

export type SearchIndexKind = keyof typeof searchIndexes;

/** Feature not supported, or no such file: the extension is not installed on the server. Insufficient privilege. */
const NOT_TO_BE_HAD = ['0A000', '58P01', '42501', '42704'];

/**
 * Makes a search index as `buildIndexOnline` does. Called by `migrate --search-index`. Throws OrgtrailError `configuration` if pg_trgm is not available.
 */
export const createSearchIndex = async (
  pool: Pool,
  kind: SearchIndexKind,
  observer: IndexObserver = {},
): Promise<void> => {
  const { name, method } = searchIndexes[kind];
  if (kind === 'text') await createTrigrams(pool);
  await buildIndexOnline(pool, { name, definition: `using ${method}` }, observer);
};

const createTrigrams = async (pool: Pool): Promise<void> => {
  try {
    await pool.query('create extension if not exists pg_trgm');
  } catch (error) {
    if (!NOT_TO_BE_HAD.includes(sqlState(error) ?? '') || !(error instanceof Error)) throw error;
    throw new OrgtrailError('configuration', `the extension pg_trgm is not available: ${error.message}`, {
      hint: 'let the administrator of the server run `create extension pg_trgm` in this database, then run this again',
      cause: error,
    });
  }
};

/** A session that a statement waits for. What this account may not see of it is null. */
interface Blocker {
  /** 0: a prepared transaction. */
  readonly pid: number;
  readonly application: string | null;
  readonly state: string | null;
  readonly seconds: number | null;
  /** How its last statement begins: what stands further on may be a secret. */
  readonly query: string | null;
}

export interface BlockedStatement {
  readonly statement: string;
  readonly blockers: readonly Blocker[];
}

export type OnBlocked = (blocked: BlockedStatement) => void;

/** Half of the time for which an impatient statement asks for its lock: it is looked at once. */
const FIRST_LOOK_MS = 400;
const LONGEST_BETWEEN_LOOKS_MS = 6_400;

/**
 * Does `work`, which runs `statement`, and tells whom that waits for, each time it looks. It is found by its text, so that this works behind a pooler.
 * Looks take another connection of the pool; one that fails tells nothing.
 */
export const tellBlockers = async <T>(
  pool: Pool,
  statement: string,
  onBlocked: OnBlocked,
  work: () => Promise<T>,
): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  let isDone = false;
  const lookIn = (waitMs: number): void => {
    timer = setTimeout(async () => {
      const blockers = await findBlockers(pool, statement).catch(() => []);
      if (isDone) return;
      if (blockers.length > 0) onBlocked({ statement, blockers });
      lookIn(Math.min(LONGEST_BETWEEN_LOOKS_MS, 2 * waitMs));
    }, waitMs);
  };
  lookIn(FIRST_LOOK_MS);
  try {
    return await work();
  } finally {
    isDone = true;
    clearTimeout(timer);
  }
};

const findBlockers = async (pool: Pool, statement: string): Promise<readonly Blocker[]> => {
  // The server keeps the first kilobyte of a statement.
  const { rows } = await pool.query<Blocker>(
    `select distinct on (b.pid) b.pid, a.application_name as application, a.state,
       extract(epoch from clock_timestamp() - a.xact_start)::integer as seconds,
       left(regexp_replace(a.query, '\\s+', ' ', 'g'), 40) as query
     from pg_stat_activity w cross join unnest(pg_blocking_pids(w.pid)) b (pid) left join pg_stat_activity a on a.pid = b.pid
     where w.datname = current_database() and w.state = 'active' and w.wait_event_type = 'Lock'
       -- The build waits for each snapshot, that of this look included.
       and b.pid <> pg_backend_pid() and left(w.query, 200) = left($1, 200) order by b.pid`,
    [statement],
  );
  return rows;
};
