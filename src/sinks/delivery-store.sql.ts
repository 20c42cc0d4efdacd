import { eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { OrgtrailError } from '../base/errors.ts';
import type { ArchivedEvents } from '../feed/feed.ts';
import { readFeedEvents, readMergedEvents } from '../feed/feed-events.sql.ts';
import { readFeedHead } from '../feed/feed-head.sql.ts';
import { isDeadOwner } from '../postgres/leases.ts';
import { db } from '../postgres/queries.ts';
import { isRefusal } from '../postgres/sql-state.ts';
import { sinks } from '../postgres/tables/events.ts';
import type { Sink } from './delivery.ts';
import { finishOwn, readAlarmChanges, readAlarmCursor } from './findings/alarms.sql.ts';
import { type Severity, severities } from './findings/finding.ts';
import { readFindings } from './findings/read-findings.sql.ts';
import { readSearchMatches } from './findings/tell-searches.sql.ts';
import type { DeliveryResult, DeliveryStore, SinkEvents, SinkTurn } from './ports.ts';

/** With an archive, sinks also get what retention has dropped. */
export const createDeliveryStore = (
  pool: Pool,
  owner: string,
  leaseMs: number,
  archived?: ArchivedEvents,
): DeliveryStore => ({
  claim: async (name) => {
    const claimed = await claimSink(pool, name, owner, leaseMs);
    if ('epoch' in claimed) return claimed;
    const { heldBy, restMs } = claimed;
    if (heldBy === undefined || !isDeadOwner(heldBy, owner)) return { waitMs: restMs };
    await releaseDeadSinks(pool, heldBy);
    return { waitMs: 0 };
  },
  renew: (turn) => renewSink(pool, turn, leaseMs),
  read: (range) => {
    if (range.stream === 'detections') return readFindings(pool, range);
    return archived === undefined ? readFeedEvents(pool, range) : readMergedEvents({ pool, archived }, range);
  },
  begin: (turn, until) => beginDelivery(pool, turn, until, leaseMs),
  finish: (turn, result) => finishDelivery(pool, turn, result, leaseMs),
  skip: (turn, until, skipped) =>
    skipped === 0 ? skipEvents(pool, turn, until, leaseMs) : skipOldEvents(pool, turn, { until, skipped }, leaseMs),
  fail: (turn, failure) => failDelivery(pool, turn, failure),
  note: async (name, { reason, afterMs }) => {
    await pool.query('select orgtrail_note_sink_failure($1, $2, $3)', [name, reason, afterMs]);
  },
  release: (turn) => releaseSink(pool, turn),
  isRefusal: (error) => isRefusal(error) || (error instanceof OrgtrailError && error.code === 'archive_unreadable'),
});

const isWanted = (severity: string, least: Severity | undefined): boolean =>
  least === undefined || (severities as readonly string[]).indexOf(severity) >= severities.indexOf(least);

/** Positions are numbers of their own, kept apart. The one in `sinks` goes along with the feed, since the sink needs no entry. */
export const createOwnStore = (
  pool: Pool,
  stream: 'alarms' | 'searches',
  store: DeliveryStore,
  leaseMs: number,
): DeliveryStore => {
  const isAlarms = stream === 'alarms';
  let held: SinkTurn | undefined;
  const followFeed = async (turn: SinkTurn): Promise<void> => {
    const { position } = await readFeedHead(pool);
    await skipEvents(pool, turn, position, leaseMs);
  };
  return {
    ...store,
    claim: async (name) => {
      held = undefined;
      const claimed = await store.claim(name);
      if (!('epoch' in claimed)) return claimed;
      held = claimed;
      return { ...claimed, position: isAlarms ? await readAlarmCursor(pool, name) : 0, batchUntil: undefined };
    },
    read: async ({ after, maxEvents, minSeverity, sink }): Promise<SinkEvents> => {
      const range = { after, maxEvents };
      const changes = await (isAlarms ? readAlarmChanges(pool, range) : readSearchMatches(pool, sink, range));
      // An idle one holds up nothing that waits for sinks, and is not behind.
      if (changes.length === 0 && held !== undefined) await followFeed(held);
      return {
        events: changes.filter(({ finding }) => !isAlarms || isWanted(finding.severity, minSeverity)),
        scannedTo: changes.at(-1)?.position ?? after,
        isFull: changes.length === maxEvents,
        waitedMs: 0,
        tooOld: 0,
      };
    },
    // A repeat has the same changes, perhaps with later ones.
    begin: (turn) => store.renew(turn),
    finish: (turn, result) => finishOwn(pool, stream, turn, result, leaseMs),
    skip: (turn, until) => finishOwn(pool, stream, turn, { until, accepted: 0 }, leaseMs),
  };
};

/** What is never given up: a refused message is retried and shows as a failure. */
export const neverRefused = (sink: Sink): Sink => ({
  ...sink,
  eventBytes: (event) => sink.eventBytes?.(event) ?? Buffer.byteLength(event.text, 'utf8'),
  deliver: async (delivery, signal) => {
    const outcome = await sink.deliver(delivery, signal);
    if (outcome.kind === 'failed') return outcome;
    const refusal = outcome.kind === 'refused' ? outcome.reason : outcome.refused[0]?.reason;
    return refusal === undefined ? outcome : { kind: 'failed', reason: `a message was refused: ${refusal}` };
  },
});

/** `target`: without a credential. `maxAgeMs`: skips events whose action is older. */
type SinkRegistration = Readonly<Record<'name' | 'kind' | 'target', string>> &
  Readonly<{ start: 'beginning' | 'now'; maxAgeMs?: number | undefined }>;

export interface ClaimedSink extends SinkTurn {
  readonly owner: string;
}

/** Only the owner has rights on the table: the collector's account calls functions (drizzle/schema/sinks.sql). */
type Turn = Pick<ClaimedSink, 'name' | 'epoch'>;

/** At every start of a daemon. A known sink keeps its position; its rest is over. */
export const registerSinks = async (pool: Pool, wanted: readonly SinkRegistration[]): Promise<void> => {
  await pool.query('select orgtrail_register_sinks_with_ages($1, $2, $3, $4, $5)', [
    wanted.map(({ name }) => name),
    wanted.map(({ kind }) => kind),
    wanted.map(({ target }) => target),
    wanted.map(({ start }) => start),
    wanted.map(({ maxAgeMs }) => (maxAgeMs === undefined ? null : Math.round(maxAgeMs / 1_000))),
  ]);
};

/** A new epoch each time: what an earlier holder has under way changes nothing. Otherwise returns the holder, or the milliseconds of rest. */
export const claimSink = async (
  pool: Pool,
  name: string,
  owner: string,
  leaseMs: number,
): Promise<ClaimedSink | { readonly heldBy: string | undefined; readonly restMs: number | undefined }> => {
  const { rows } = await pool.query<ClaimedRow>(
    `select epoch::float8, at_position::float8 as position, batch_until::float8 as "batchUntil", failures,
       refused_in_row as "refusedInRow"
     from orgtrail_claim_sink($1, $2, $3)`,
    [name, owner, leaseMs],
  );
  const row = rows[0];
  if (row === undefined) return await readHolder(pool, name);
  return { ...row, name, owner, batchUntil: row.batchUntil ?? undefined };
};

type ClaimedRow = Omit<ClaimedSink, 'name' | 'owner' | 'batchUntil'> & Pick<typeof sinks.$inferSelect, 'batchUntil'>;

const readHolder = async (pool: Pool, name: string) => {
  const isHeld = sql`${sinks.leaseUntil} > clock_timestamp()`;
  const [holder] = await db(pool)
    .select({
      heldBy: sql<string | null>`case when ${isHeld} then ${sinks.leaseOwner} end`,
      restMs: sql<number | null>`case when ${isHeld} then null
        else greatest(0, extract(epoch from ${sinks.nextAttemptAt} - clock_timestamp()) * 1000)::float8 end`,
    })
    .from(sinks)
    .where(eq(sinks.name, name));
  if (holder === undefined) throw new Error(`the sink ${name} is not in the database: a restart puts it there`);
  return { heldBy: holder.heldBy ?? undefined, restMs: holder.restMs ?? undefined };
};

/** Safe even if the owner lives: the next claim is a new epoch. */
export const releaseDeadSinks = async (pool: Pool, owner: string): Promise<void> => {
  await pool.query('select orgtrail_release_sinks_of($1)', [owner]);
};

/** Calls a function that tells whether the turn is still ours. */
const call = async (pool: Pool, name: string, values: readonly unknown[]): Promise<boolean> => {
  const parameters = values.map((_, index) => `$${index + 1}`).join(', ');
  const { rows } = await pool.query<{ held: boolean }>(`select ${name}(${parameters}) as held`, [...values]);
  return rows[0]?.held === true;
};

/** False if the turn is over. */
export const renewSink = (pool: Pool, { name, epoch }: Turn, leaseMs: number): Promise<boolean> =>
  call(pool, 'orgtrail_renew_sink', [name, epoch, leaseMs]);

/** Before the first attempt: after a crash the same events are sent under the same id. Renews the lease. False if the turn is over. */
export const beginDelivery = (pool: Pool, { name, epoch }: Turn, until: number, leaseMs: number): Promise<boolean> =>
  call(pool, 'orgtrail_begin_delivery', [name, epoch, until, leaseMs]);

/** One statement; it also deletes earlier dead letters that were accepted now. False, with nothing written, if the turn is over. */
export const finishDelivery = (
  pool: Pool,
  { name, epoch }: Turn,
  { until, accepted, deadLetters, refusedInRow, skipped }: DeliveryResult,
  leaseMs: number,
): Promise<boolean> => {
  const positions = deadLetters.map((letter) => letter.position);
  const reasons = deadLetters.map(({ reason }) => reason);
  const facts = [name, epoch, until, accepted, refusedInRow, positions, reasons];
  return skipped === 0
    ? call(pool, 'orgtrail_finish_delivery', [...facts, leaseMs])
    : call(pool, 'orgtrail_finish_delivery_and_skip', [...facts, skipped, leaseMs]);
};

/** Moves on over events not for this sink, or stays; clears failures. False if the turn is over. */
export const skipEvents = (pool: Pool, { name, epoch }: Turn, until: number, leaseMs: number): Promise<boolean> =>
  call(pool, 'orgtrail_skip_events', [name, epoch, until, leaseMs]);

/** The same, and counts those that are too old. */
export const skipOldEvents = (
  pool: Pool,
  { name, epoch }: Turn,
  { until, skipped }: Pick<DeliveryResult, 'until' | 'skipped'>,
  leaseMs: number,
): Promise<boolean> => call(pool, 'orgtrail_skip_old_events', [name, epoch, until, skipped, leaseMs]);

/** Notes a failure, lets the sink rest and gives the turn back: another replica may have a better way to it. */
export const failDelivery = (
  pool: Pool,
  { name, epoch }: Turn,
  failure: { readonly reason: string; readonly afterMs: number },
): Promise<boolean> => call(pool, 'orgtrail_fail_delivery', [name, epoch, failure.reason, failure.afterMs]);

/** Does nothing if the turn is over. */
export const releaseSink = async (pool: Pool, { name, epoch }: Turn): Promise<void> => {
  await pool.query('select orgtrail_release_sink($1, $2)', [name, epoch]);
};
