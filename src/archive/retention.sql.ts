import { desc, eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { OrgtrailError, reasonOf } from '../base/errors.ts';
import { formatDuration, type Time } from '../base/time.ts';
import { isThawed } from '../feed/feed.sql.ts';
import type { Range } from '../ingest/planning/coverage.ts';
import type { KindPolicy } from '../ingest/planning/source.ts';
import { giveOrder, type Ordering } from '../postgres/access/access-log.sql.ts';
import { longStatement } from '../postgres/pool.ts';
import { db, type Row } from '../postgres/queries.ts';
import { sqlState } from '../postgres/sql-state.ts';
import { retentionDrops, retentionPolicy } from '../postgres/tables/archive.ts';
import { databaseTime } from '../postgres/tables/column-types.ts';

const LOCK_NOT_AVAILABLE = '55P03';

const columns = {
  month: sql<string>`to_char(${retentionDrops.month}, 'YYYY-MM')`,
  events: retentionDrops.events,
  changes: retentionDrops.changes,
  firstPosition: retentionDrops.firstPosition,
  lastPosition: retentionDrops.lastPosition,
  bytes: retentionDrops.bytes,
};

export type DroppedMonth = Row<typeof columns>;

export type ArchiveMonth = (month: string) => Promise<unknown>;

/** Reasons of orgtrail_archive_obstacle and orgtrail_archive_difference begin so: archiving the month helps. */
const OF_ARCHIVE = /^the archive /;
/** A reason of orgtrail_retention_wait: an operator or a process with the key may end it at any time. */
const OF_WAIT = /^nothing is dropped/;

export interface RetentionResult {
  readonly dropped: readonly DroppedMonth[];
  readonly kept: readonly { readonly month: string; readonly reason: string }[];
  /** What was in the way passes by itself: it is worth trying again soon. */
  readonly again: boolean;
}

/**
 * Drops the months that ended longer than `retentionMs` ago, oldest first, each in a transaction of its own, but for those that a hold or a sink still
 * needs. The database decides, with its own clock and Cloudflare's. With `archiveMonth`, a month that nothing else needs is archived first.
 * `readUnread`: months that are not read in full stay, since more of them would be read, or the same again. Each daemon calls it once a day; safe to
 * call from many at once.
 */
export const dropOldMonths = async (
  pool: Pool,
  retentionMs: number,
  archiveMonth?: ArchiveMonth,
  readUnread?: () => Promise<ReadonlyMap<string, string>>,
): Promise<RetentionResult> => {
  const months = await readOldMonths(pool, retentionMs);
  const unread = await readUnread?.();
  const dropped: DroppedMonth[] = [];
  const kept: { month: string; reason: string }[] = [];
  let [again, reading] = [false, false];
  for (const month of months) {
    const source = unread?.get(month);
    if (source !== undefined) {
      kept.push({ month, reason: `it is not read in full: ${source}` });
      reading = true;
      continue;
    }
    const outcome = await archiveAndDrop(pool, month, retentionMs, archiveMonth);
    if (outcome.reason !== undefined) kept.push({ month, reason: outcome.reason });
    if (outcome.dropped !== undefined) dropped.push(outcome.dropped);
    again = outcome.again;
    // A statement that waits for the lock blocks all others: it is not repeated month after month.
    if (again) break;
  }
  return { dropped, kept, again: again || reading };
};

const archiveAndDrop = async (
  pool: Pool,
  month: string,
  retentionMs: number,
  archiveMonth?: ArchiveMonth,
): Promise<DropOutcome> => {
  // Objects may have been changed since they were read.
  if (archiveMonth !== undefined) await pool.query('select orgtrail_forget_archive_reads($1)', [`${month}-01`]);
  const outcome = await dropMonth(pool, month, retentionMs);
  if (archiveMonth === undefined || !OF_ARCHIVE.test(outcome.reason ?? '')) return outcome;
  const failure = await archiveMonth(month).then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
  if (failure === undefined) return await dropMonth(pool, month, retentionMs);
  return { reason: `archiving it failed: ${failure}`, again: true };
};

/** At the end of its time, whatever the retention is. Its objects are read back, and only what came since is written. Undefined: it is gone; else why not. */
export const dropThawed = async (pool: Pool, month: string, archiveMonth: ArchiveMonth): Promise<string | undefined> =>
  (await archiveAndDrop(pool, month, DROP_INTERVAL_MS, archiveMonth)).reason;

/** They have a partition; oldest first. */
export const readOldMonths = async (pool: Pool, retentionMs: number): Promise<readonly string[]> => {
  if (retentionMs === Number.POSITIVE_INFINITY) return [];
  const { rows } = await pool.query<{ month: string }>(
    `select month from (
       select replace(substring(c.relname from '^audit_events_(\\d{4}_\\d{2})$'), '_', '-') as month
       from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_events'::regclass) as months
     where month is not null and (month || '-01')::timestamp + interval '1 month 1 day'
       <= (clock_timestamp() - make_interval(secs => $1::float8 / 1000)) at time zone 'UTC' order by month`,
    [retentionMs],
  );
  return rows.map(({ month }) => month);
};

interface DropOutcome {
  readonly dropped?: DroppedMonth | undefined;
  readonly reason?: string;
  readonly again: boolean;
}

const dropMonth = async (pool: Pool, month: string, retentionMs: number): Promise<DropOutcome> => {
  try {
    const { rows } = await pool.query<{ obstacle: string | null }>(
      longStatement('select orgtrail_drop_month($1::date, make_interval(secs => $2::float8 / 1000)) as obstacle', [
        `${month}-01`,
        retentionMs,
      ]),
    );
    const obstacle = rows[0]?.obstacle;
    if (obstacle != null) return { reason: obstacle, again: OF_WAIT.test(obstacle) };
  } catch (error) {
    if (sqlState(error) !== LOCK_NOT_AVAILABLE || !(error instanceof Error)) throw error;
    const reading = /lock timeout/.test(error.message);
    return { reason: reading ? 'a long transaction reads the table' : error.message, again: true };
  }
  const [dropped] = await db(pool)
    .select(columns)
    .from(retentionDrops)
    .where(eq(retentionDrops.month, `${month}-01`))
    .orderBy(desc(retentionDrops.id))
    .limit(1);
  return { dropped, again: false };
};

/** Between the two times, oldest first, without those that came back. */
export const readDroppedMonths = async (pool: Pool, { fromMs, toMs }: Range): Promise<readonly DroppedMonth[]> => {
  const { id, month } = retentionDrops;
  return await db(pool)
    .select(columns)
    .from(retentionDrops)
    .where(
      sql`${month} at time zone 'UTC' < to_timestamp(${toMs}::float8 / 1000)
        and (${month} + interval '1 month') at time zone 'UTC' > to_timestamp(${fromMs}::float8 / 1000)
        and not ${sql.raw(isThawed('retention_drops'))}`,
    )
    .orderBy(month, id);
};

/** By kind, the end of dropped months that sources were read for under other filters alone, and the day more that a walk asks for. */
export const readDroppedUnderOthers = async (
  pool: Pool,
  kinds: readonly Pick<KindPolicy, 'kind' | 'filterHash'>[],
): Promise<ReadonlyMap<string, number>> => {
  const { rows } = await pool.query<{ kind: string; until_ms: number }>(
    `with dropped as (select distinct tstzrange(month::timestamp at time zone 'UTC', (month + interval '1 month') at time zone 'UTC') as time
       from retention_drops)
     select k.kind, (extract(epoch from max(upper(d.time)) + interval '1 day') * 1000)::float8 as until_ms
     from unnest($1::text[], $2::text[]) as k (kind, filter_hash)
       join coverage c on c.source_kind = k.kind and c.filter_hash <> k.filter_hash and c.pass = 0
       join dropped d on c.ranges && d.time
     where not exists (select from coverage own where own.source_kind = k.kind and own.source_id = c.source_id
       and own.filter_hash = k.filter_hash and own.pass = 0 and own.ranges && d.time)
     group by k.kind`,
    [kinds.map(({ kind }) => kind), kinds.map(({ filterHash }) => filterHash)],
  );
  return new Map(rows.map(({ kind, until_ms: untilMs }) => [kind, untilMs]));
};

/** Throws OrgtrailError `usage` if a part of the window was dropped. */
export const requireKept = async (pool: Pool, window: Range): Promise<void> => {
  const months = [...new Set((await readDroppedMonths(pool, window)).map(({ month }) => month))];
  if (months.length === 0) return;
  throw new OrgtrailError('usage', `events of ${months.join(', ')} have been dropped (ORGTRAIL_RETENTION)`, {
    hint: 'leave these months out; the table retention_drops says when they were dropped and what they were',
  });
};

/** The shortest retention that accounts other than the owner may drop by; infinite: they may drop nothing. Only the owner can set it. */
export const setRetentionPolicy = async (pool: Pool, retentionMs: number): Promise<void> => {
  if (retentionMs === Number.POSITIVE_INFINITY) {
    await db(pool).delete(retentionPolicy);
    return;
  }
  const shortest = sql`make_interval(secs => ${retentionMs}::float8 / 1000)`;
  await db(pool)
    .insert(retentionPolicy)
    .values({ shortest })
    .onConflictDoUpdate({ target: retentionPolicy.onlyRow, set: { shortest, setAt: databaseTime } });
};

/** Ends the wait behind a failover or a restore, and returns its reasons. Only the owner can, or who has a token for it. */
export const confirmRetention = async (source: Ordering, by: string | undefined): Promise<readonly string[]> =>
  (await giveOrder<{ readonly reasons: readonly string[] }>(source, 'hold confirm', { by }))?.reasons ?? [];

const DROP_INTERVAL_MS = 86_400_000;
/** For what passes by itself (a long read, another replica, no listing yet). */
const RETRY_INTERVAL_MS = 600_000;
/** A replica that has just begun waits for its listing, which tells Cloudflare's time. */
const STARTUP_DELAY_MS = 5_000;

/** Drops what is older than ORGTRAIL_RETENTION and archives closed months, now and once a day, and says what it dropped and kept. Resolves after the signal. */
export const startRetention = async (options: {
  readonly pool: Pool;
  /** Infinite: everything is kept. */
  readonly retentionMs: number;
  /** Undefined: months are dropped as they are, if the database has no archive in use. */
  readonly archiveMonth?: ArchiveMonth | undefined;
  readonly readUnread?: (() => Promise<ReadonlyMap<string, string>>) | undefined;
  /** Brings closed months into the archive. Resolves to false if that is worth trying again soon. */
  readonly archiveSettled?: (() => Promise<boolean>) | undefined;
  readonly notRead?: (() => Promise<string | undefined>) | undefined;
  readonly time: Pick<Time, 'sleep'>;
  readonly logger: Logger;
  /** A month that is being dropped is finished. */
  readonly signal: AbortSignal;
}): Promise<void> => {
  const { pool, retentionMs, archiveMonth, readUnread, archiveSettled, notRead, time, logger, signal } = options;
  if (retentionMs === Number.POSITIVE_INFINITY && archiveSettled === undefined) return;
  const pause = (ms: number) => time.sleep(ms, signal).catch(() => {});
  await pause(STARTUP_DELAY_MS);
  let told: readonly string[] = [];
  while (!signal.aborted) {
    let again = true;
    try {
      const missed = await notRead?.();
      if (missed !== undefined) logger.warn(missed);
      const result = await dropOldMonths(pool, retentionMs, archiveMonth, readUnread);
      told = report(logger, result, retentionMs, told);
      const archived = await archiveSettled?.();
      again = result.again || archived === false;
    } catch (error) {
      logger.error({ reason: reasonOf(error) }, 'dropping events older than ORGTRAIL_RETENTION failed; retrying later');
    }
    await pause(again ? RETRY_INTERVAL_MS : DROP_INTERVAL_MS);
  }
};

/** What comes again soon is said once, until its reason is another one. */
const report = (
  logger: Logger,
  { dropped, kept, again }: RetentionResult,
  retentionMs: number,
  told: readonly string[],
): readonly string[] => {
  const retention = formatDuration(retentionMs);
  for (const month of dropped) {
    logger.info({ ...month, retention }, 'dropped a month of events older than ORGTRAIL_RETENTION');
  }
  for (const { month, reason } of kept) {
    if (again && told.includes(`${month} ${reason}`)) continue;
    logger.info({ month, reason, retention }, 'kept a month of events older than ORGTRAIL_RETENTION');
  }
  return kept.map(({ month, reason }) => `${month} ${reason}`);
};
