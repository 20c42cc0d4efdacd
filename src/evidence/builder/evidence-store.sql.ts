import type { Pool } from 'pg';
import { copyOut } from '../../postgres/copy.ts';
import { isDeadOwner } from '../../postgres/leases.ts';
import { longStatement } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import { type BinaryFields, eventFields } from '../append/event-row.ts';
import { type KeyHistory, type KeyOrder, type KeyState, keyHistory } from '../append/keys-in-force.ts';
import type { StoredTile } from '../append/log.ts';
import { type Checkpoint, writeOrigin } from '../notes/checkpoint.ts';
import type { TileId } from '../tree/tiles.ts';
import { loadLog, readStatementsOf, readTiles } from './load-log.sql.ts';
import type { Claim, CoverageQuery, Growth, GrowthResult, StoredLog } from './ports.ts';
import { readCoverage, readUnnumbered } from './read-coverage.sql.ts';
import { readDue } from './read-due.sql.ts';

const SERIALIZATION_FAILURE = '40001';
const UNIQUE_VIOLATION = '23505';

/** Every method is one statement, or reads alone. Functions of the schema's owner write. */
export const createEvidenceStore = (pool: Pool, owner: string, leaseMs: number) => ({
  readLog: () => readLog(pool),
  /** Unless there is one. */
  open: async (base: string): Promise<void> => {
    await pool.query('select orgtrail_open_evidence($1)', [base]);
  },
  claim: () => claim(pool, owner, leaseMs),
  renew: async ({ epoch }: Claim): Promise<boolean> => {
    const { rows } = await pool.query<{ held: boolean }>('select orgtrail_renew_evidence($1, $2) as held', [
      epoch,
      leaseMs,
    ]);
    return rows[0]?.held === true;
  },
  release: async ({ epoch }: Claim): Promise<void> => {
    await pool.query('select orgtrail_release_evidence($1)', [epoch]);
  },
  load: (log: StoredLog) => loadLog(pool, log),
  readKeys: () => readKeyState(pool),
  readTiles: (tiles: readonly TileId[]) => readTiles(pool, tiles),
  readHolds: () => readStatementsOf(pool, 'hold'),
  readDue: (position: number) => readDue(pool, position),
  readUnnumbered: (query: CoverageQuery) => readUnnumbered(pool, query),
  readCoverage: (held: Claim, query: CoverageQuery) => readCoverage(pool, held, query, leaseMs),
  /** At most so many of (after, head], in order. A row is valid only while it is handed over. */
  copyEvents: (after: number, head: number, limit: number, take: (row: BinaryFields) => void): Promise<void> =>
    copyOut(pool, eventsQuery(after, head, limit), take),
  grow: async (growth: Growth): Promise<GrowthResult> => {
    try {
      return await grow(pool, growth);
    } catch (error) {
      // A key of a month that was dropped meanwhile, or a statement that another process has made.
      if ([SERIALIZATION_FAILURE, UNIQUE_VIOLATION].includes(sqlState(error) ?? '')) return 'stale';
      throw error;
    }
  },
  /** False: it must not be given out. */
  noteCheckpoint: async ({ epoch }: Claim, { size, root }: Checkpoint, note: string) => {
    const sql = 'select orgtrail_note_checkpoint($1, $2, $3, $4) as noted';
    const { rows } = await pool.query<{ noted: boolean }>(sql, [epoch, size, root, note]);
    return rows[0]?.noted === true;
  },
  /** This process cannot sign, and no other does. */
  refuse: async (reason: string): Promise<void> => {
    await pool.query('select orgtrail_refuse_evidence($1)', [reason]);
  },
  noteState: async ({ epoch }: Claim, state: StoredLog['state'], reason: string | undefined) => {
    await pool.query('select orgtrail_note_evidence($1, $2, $3)', [epoch, state, reason ?? null]);
  },
  noteHeldBack: async ({ epoch }: Claim, sources: number): Promise<void> => {
    await pool.query('select orgtrail_note_held_back($1, $2)', [epoch, sources]);
  },
  noteVerified: async ({ epoch }: Claim, block: number, faults: readonly string[]): Promise<void> => {
    await pool.query('select orgtrail_note_verified($1, $2, $3)', [epoch, block, faults]);
  },
  /** From here on, this is the server of the log. */
  goOnHere: async ({ epoch }: Claim): Promise<boolean> => {
    const sql = 'select orgtrail_continue_evidence($1) as done';
    return (await pool.query<{ done: boolean }>(sql, [epoch])).rows[0]?.done === true;
  },
  /** Deletes what is no longer kept of checkpoints and requests. */
  thin: async (): Promise<void> => {
    await pool.query(longStatement('select orgtrail_thin_checkpoints()'));
    await pool.query(longStatement('select orgtrail_thin_reads()'));
  },
});

export type EvidenceStore = ReturnType<typeof createEvidenceStore>;

const claim = async (
  pool: Pool,
  owner: string,
  leaseMs: number,
): Promise<Claim | { readonly heldBy: string | undefined }> => {
  const { rows } = await pool.query<{ epoch: number | null; heldBy: string | null }>(
    'select epoch::float8, held_by as "heldBy" from orgtrail_claim_evidence($1, $2)',
    [owner, leaseMs],
  );
  const { epoch = null, heldBy = null } = rows[0] ?? {};
  if (epoch !== null) return { epoch };
  if (heldBy === null || !isDeadOwner(heldBy, owner)) return { heldBy: heldBy ?? undefined };
  await pool.query('select orgtrail_release_evidence_of($1)', [heldBy]);
  return await claim(pool, owner, leaseMs);
};

type LogRow = { readonly [Field in keyof StoredLog]: StoredLog[Field] | null };

/** Undefined: there is no log yet. */
const readLog = async (pool: Pool): Promise<StoredLog | undefined> => {
  const { rows } = await pool.query<LogRow>(
    `select l.number, l.base, l.feed_id::text as "feedId", l.size::float8 as size, l.root, l.signed_size::float8 as "signedSize",
       l.position::float8 as position, l.state, l.state_reason as "stateReason", l.ended_at is not null as "isEnded",
       l.adopted_position::float8 as "adoptedPosition", h.position::float8 as head, h.feed_id::text as "feedOfHead",
       ${utc('clock_timestamp()')} as at, orgtrail_is_evidence_here(l.timeline) as "isHere", ${foundClock} as clock,
       (select v.faults[1] from evidence_verified v where v.faults <> '{}' order by v.block limit 1) as fault
     from feed_head h, evidence_log l`,
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const known = Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value ?? undefined]));
  const log = known as unknown as Omit<StoredLog, 'origin'>;
  return { ...log, origin: writeOrigin(log) };
};

const eventsQuery = (after: number, head: number, limit: number): string => {
  if (![after, head, limit].every(Number.isSafeInteger)) throw new RangeError('positions are integers');
  const columns = eventFields.join(', ');
  return `select ${columns} from audit_events where position > ${after} and position <= ${head} order by position limit ${limit}`;
};

/** Leaves in one statement: all, or nothing. */
const grow = async (pool: Pool, growth: Growth): Promise<GrowthResult> => {
  const { epoch, from, to, root, position, tiles, monthKeys, numbers, statements } = growth;
  const values = [
    epoch,
    from,
    to,
    root,
    position,
    ...tileColumns(tiles),
    monthKeys.map(({ month }) => month),
    monthKeys.map(({ key }) => key),
    monthKeys.map(({ isNew }) => isNew),
    numbers.map(({ number }) => number),
    numbers.map(({ kind }) => kind),
    numbers.map(({ id }) => id),
    numbers.map(({ leaves }) => leaves),
    numbers.map(({ events }) => events),
    numbers.map(({ chain }) => chain),
    statements.map(({ index }) => index),
    statements.map(({ type }) => type),
    statements.map(({ source }) => source),
    statements.map(({ ref }) => ref),
    statements.map(({ text }) => text),
  ];
  const parameters = values.map((_, index) => `$${index + 1}`).join(', ');
  const { rows } = await pool.query<{ result: GrowthResult }>(
    `select orgtrail_grow_evidence(${parameters}) as result`,
    values,
  );
  return rows[0]?.result ?? 'stale';
};

export const tileColumns = (tiles: readonly StoredTile[]) => [
  tiles.map(({ level }) => level),
  tiles.map(({ n }) => n),
  tiles.map(({ hashes }) => hashes),
  tiles.map(({ positions }) => positions ?? null),
  tiles.map(({ sources }) => sources ?? null),
  tiles.map(({ firstPosition }) => firstPosition ?? null),
];

/** A clock that is behind a time that it has shown by more than this went back. */
const BACK = "interval '1 minute'";
/** Drift against Cloudflare's clock since the last statement. */
const DRIFT_SECONDS = 600;

const utc = (time: string): string => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const ofClock = (columns: string, more: string): string =>
  `select ${columns} from evidence_statements j where j.type = 'note' and j.ref like 'clock/%' ${more}`;

/**
 * JSON of what is to be stated of the clock; null if nothing is. Within a query over `l`, the row of evidence_log. Back: by the
 * last statement, and when it was signed. Ahead of Cloudflare's: by the last listing.
 */
const foundClock = `
(select json_build_object('ref', ref, 'before', case when is_back then ${utc('seen')} end, 'ahead_seconds', ahead, 'compared_at', ${utc('compared_at')})
from (
  select f.*, case when is_back then 'back/' || ${utc('seen')} else 'ahead/' || ${utc('compared_at')} end as ref
  from (
    select seen, seen > clock_timestamp() + ${BACK} as is_back, d.last_success_at as compared_at,
      extract(epoch from d.last_success_at - d.server_time)::bigint as ahead
    from (select greatest(l.signed_at, (select (j.text::jsonb ->> 'at')::timestamptz from evidence_statements j
        order by j.index desc limit 1)) as seen) last
      left join discovery d on d.server_time is not null) f
  where is_back or abs(ahead - coalesce((${ofClock("(j.text::jsonb #>> '{facts,ahead_seconds}')::bigint", 'order by j.index desc limit 1')}), 0)) > ${DRIFT_SECONDS}
) found where not exists (${ofClock('', `and j.ref = 'clock/' || found.ref`)}))`;

/** So that every replica and command knows what is overdue. */
export const noteBuilderSettings = async (
  pool: Pool,
  { epoch }: Claim,
  { anchors, statementsMs }: { readonly anchors: readonly string[]; readonly statementsMs: number },
): Promise<void> => {
  await pool.query('select orgtrail_note_evidence_settings($1, $2, $3)', [epoch, anchors, statementsMs]);
};

/** `isSigned`: only as far as it is signed. */
export const readKeyHistory = async (pool: Pick<Pool, 'query'>, { isSigned = false } = {}): Promise<KeyHistory> => {
  const { rows } = await pool.query<{ text: string }>(
    `select j.text from evidence_statements j, evidence_log l
     where j.type in ('begin', 'key') and (not $1 or j.index < l.signed_size) order by j.index`,
    [isSigned],
  );
  return keyHistory(rows.map(({ text }) => text));
};

const readKeyState = async (pool: Pool): Promise<KeyState> => {
  const { rows } = await pool.query<KeyOrder>(
    `select id::float8 as id, reason, encode(new_key, 'hex') as "newKey", (extract(epoch from both_for) * 1000)::float8 as "bothForMs",
       ordered_by as by
     from evidence_key_orders where stated_at is null order by id desc limit 1`,
  );
  return { history: await readKeyHistory(pool), order: rows[0] };
};
