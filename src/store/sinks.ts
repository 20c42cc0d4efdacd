import type { Pool } from 'pg';

/** A sink as it is configured. */
export interface SinkRegistration {
  readonly name: string;
  readonly kind: string;
  /** Where it delivers to, without any credential. */
  readonly target: string;
  /** Where a new one begins. */
  readonly start: 'beginning' | 'now';
}

/** The right to deliver to a sink, and how far it is. */
export interface ClaimedSink {
  readonly name: string;
  readonly owner: string;
  readonly epoch: number;
  readonly position: number;
  readonly batchUntil: number | undefined;
  readonly failures: number;
  readonly refusedInRow: number;
}

type Turn = Pick<ClaimedSink, 'name' | 'epoch'>;

/** Makes the sinks known, at every start of a daemon. One that is known keeps its position; what it rests is over. */
export const registerSinks = async (pool: Pool, sinks: readonly SinkRegistration[]): Promise<void> => {
  await pool.query(
    `insert into sinks (name, kind, target, position)
     select name, kind, target, case when start = 'now' then feed_head.position else 0 end
     from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as s (name, kind, target, start), feed_head
     on conflict (name) do update set kind = excluded.kind, target = excluded.target, next_attempt_at = null`,
    [
      sinks.map(({ name }) => name),
      sinks.map(({ kind }) => kind),
      sinks.map(({ target }) => target),
      sinks.map(({ start }) => start),
    ],
  );
};

/**
 * Takes the turn of a sink. Every taking is a new epoch, so that whatever an earlier holder (this process included) still
 * has under way changes nothing. Otherwise says who has it, or how long it rests.
 */
export const claimSink = async (
  pool: Pool,
  name: string,
  owner: string,
  leaseMs: number,
): Promise<ClaimedSink | { readonly heldBy: string | undefined; readonly restMs: number | undefined }> => {
  const { rows } = await pool.query<{
    epoch: number;
    position: number;
    batch_until: number | null;
    failures: number;
    refused_in_row: number;
  }>(
    // Skips a row that is locked: whoever is writing to it has the turn.
    `with free as (
       select name from sinks
       where name = $1 and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = $2)
         and (next_attempt_at is null or next_attempt_at <= clock_timestamp())
       for update skip locked)
     update sinks s set lease_owner = $2, lease_epoch = lease_epoch + 1,
       lease_until = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
     from free where s.name = free.name
     returning lease_epoch::float8 as epoch, position::float8, batch_until::float8, failures, refused_in_row`,
    [name, owner, leaseMs],
  );
  const row = rows[0];
  if (row === undefined) return await readHolder(pool, name);
  const { epoch, position, failures } = row;
  const batchUntil = row.batch_until ?? undefined;
  return { name, owner, epoch, position, batchUntil, failures, refusedInRow: row.refused_in_row };
};

const readHolder = async (pool: Pool, name: string) => {
  const { rows } = await pool.query<{ held_by: string | null; rest_ms: number | null }>(
    `select case when lease_until > clock_timestamp() then lease_owner end as held_by,
       case when lease_until > clock_timestamp() then null
         else greatest(0, extract(epoch from next_attempt_at - clock_timestamp()) * 1000)::float8 end as rest_ms
     from sinks where name = $1`,
    [name],
  );
  if (rows[0] === undefined) throw new Error(`the sink ${name} is not in the database: a restart puts it there`);
  return { heldBy: rows[0].held_by ?? undefined, restMs: rows[0].rest_ms ?? undefined };
};

/** Ends the turns of an owner that is known to be dead. Safe even if it lives: the next claim is a new epoch. */
export const releaseDeadSinks = async (pool: Pool, owner: string): Promise<void> => {
  await pool.query('update sinks set lease_until = null where lease_owner = $1', [owner]);
};

/** A later epoch means that somebody else has the sink, or that it was set back. Clocks do not decide here. */
const held = 'name = $1 and lease_epoch = $2';
const renewed = (leaseMs: string): string =>
  `lease_until = clock_timestamp() + make_interval(secs => ${leaseMs}::float8 / 1000)`;

const changesOne = async (pool: Pool, text: string, values: readonly unknown[]): Promise<boolean> => {
  const { rowCount } = await pool.query(text, [...values]);
  return rowCount === 1;
};

/** Lets the lease last longer, while a receiver is waited for. False where the turn is over. */
export const renewSink = (pool: Pool, { name, epoch }: Turn, leaseMs: number): Promise<boolean> =>
  changesOne(pool, `update sinks set ${renewed('$3')} where ${held}`, [name, epoch, leaseMs]);

/**
 * Notes, before the first attempt, up to where a delivery goes: after a crash the same events are sent under the same id.
 * Renews the lease. False where the turn is over.
 */
export const beginDelivery = (pool: Pool, { name, epoch }: Turn, until: number, leaseMs: number): Promise<boolean> =>
  changesOne(
    pool,
    `update sinks set batch_until = $3, last_attempt_at = clock_timestamp(), ${renewed('$4')}
     where ${held} and position < $3`,
    [name, epoch, until, leaseMs],
  );

/** What became of a delivery. */
export interface FinishedDelivery {
  readonly until: number;
  readonly accepted: number;
  readonly deadLetters: readonly { readonly position: number; readonly reason: string }[];
  readonly refusedInRow: number;
}

/**
 * Position, count and dead letters in one statement. Dead letters of the same stretch, from before a replay, are gone where
 * they were accepted now. False, with nothing written, where the turn is over.
 */
export const finishDelivery = async (
  pool: Pool,
  { name, epoch, position }: Turn & Pick<ClaimedSink, 'position'>,
  { until, accepted, deadLetters, refusedInRow }: FinishedDelivery,
  leaseMs: number,
): Promise<boolean> => {
  const { rows } = await pool.query<{ moved: number }>(
    `with moved as (
       update sinks set position = $3, batch_until = null, delivered = delivered + $4, refused_in_row = $5, failures = 0,
         next_attempt_at = null, last_error = null, last_success_at = clock_timestamp(), ${renewed('$6')}
       where ${held} returning name),
     accepted as (
       delete from sink_dead_letters d using moved
       where d.sink = moved.name and d.position > $7 and d.position <= $3 and d.position <> all($8)),
     refused as (
       insert into sink_dead_letters (sink, position, reason)
       select moved.name, u.position, u.reason from moved, unnest($8::bigint[], $9::text[]) as u (position, reason)
       on conflict (sink, position) do update set reason = excluded.reason, refused_at = clock_timestamp())
     select count(*)::integer as moved from moved`,
    [
      ...[name, epoch, until, accepted, refusedInRow, leaseMs, position],
      ...[deadLetters.map((letter) => letter.position), deadLetters.map(({ reason }) => reason)],
    ],
  );
  return rows[0]?.moved === 1;
};

/** Moves on over events that are not for this sink. False where the turn is over. */
export const skipEvents = (pool: Pool, { name, epoch }: Turn, until: number, leaseMs: number): Promise<boolean> =>
  changesOne(pool, `update sinks set position = $3, batch_until = null, ${renewed('$4')} where ${held}`, [
    ...[name, epoch, until, leaseMs],
  ]);

/** Notes a failure, lets the sink rest and gives the turn back: another replica may have the better way to it. */
export const failDelivery = (
  pool: Pool,
  { name, epoch }: Turn,
  failure: { readonly reason: string; readonly afterMs: number },
): Promise<boolean> =>
  changesOne(
    pool,
    `update sinks set failures = failures + 1, last_error = $3, lease_until = null,
       next_attempt_at = clock_timestamp() + make_interval(secs => $4::float8 / 1000)
     where ${held}`,
    [name, epoch, failure.reason, failure.afterMs],
  );

/** Gives the turn back, so that nobody has to wait for it to run out. Does nothing where it is over. */
export const releaseSink = async (pool: Pool, { name, epoch }: Turn): Promise<void> => {
  await pool.query(`update sinks set lease_until = null where ${held}`, [name, epoch]);
};

/**
 * Sets a sink to a position: all after it goes out again. The new epoch keeps a delivery under way from undoing that.
 * False where there is no such sink, or no such position yet.
 */
export const replaySink = (pool: Pool, name: string, after: number): Promise<boolean> =>
  changesOne(
    pool,
    `update sinks set position = $2, batch_until = null, lease_epoch = lease_epoch + 1, lease_until = null, failures = 0,
       refused_in_row = 0, next_attempt_at = null, last_error = null
     where name = $1 and $2::bigint between 0 and (select position from feed_head)`,
    [name, after],
  );
