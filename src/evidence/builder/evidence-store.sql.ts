import type { Pool } from 'pg';
import { copyOut } from '../../postgres/copy/copy-out.ts';
import { isDeadOwner } from '../../postgres/leases/process-identity.ts';
import { longStatement } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import { eventFields } from '../growth/event-row.ts';
import type { HoleRange } from '../growth/explained-holes.ts';
import { type LogName, writeOrigin } from '../notes/origin.ts';
import { foundClock } from '../stored/found-clock.sql.ts';
import { readKeyState } from '../stored/journal-keys.sql.ts';
import type { TileId } from '../tree/tiles.ts';
import { growLogs } from './grow-logs.sql.ts';
import { loadLogs, readTiles } from './load-logs.sql.ts';
import type { Claim, EvidenceStore, StoredLogs } from './ports.ts';
import { readCoverage } from './read-coverage.sql.ts';
import { readDue } from './read-due.sql.ts';

const SERIALIZATION_FAILURE = '40001';
const UNIQUE_VIOLATION = '23505';

/** Joins the statements of the log to the port that building declares. The rights on the tables are the owner's: functions write. */
export const createEvidenceStore = (pool: Pool, owner: string, leaseMs: number): EvidenceStore => ({
  readLogs: () => readLogs(pool),
  open: async (base) => {
    const { rows } = await pool.query<{ feedId: string }>('select feed_id::text as "feedId" from feed_head');
    const origin = (log: LogName) => writeOrigin({ base, feedId: rows[0]?.feedId ?? '', generation: 1, log });
    await pool.query('select orgtrail_open_evidence($1, $2)', [origin('events'), origin('journal')]);
  },
  claim: (generation) => claim(pool, generation, owner, leaseMs),
  renew: async ({ generation, epoch }) => {
    const sql = 'select orgtrail_renew_evidence($1, $2, $3) as held';
    const { rows } = await pool.query<{ held: boolean }>(sql, [generation, epoch, leaseMs]);
    return rows[0]?.held === true;
  },
  release: async ({ generation, epoch }) => {
    await pool.query('select orgtrail_release_evidence($1, $2)', [generation, epoch]);
  },
  load: (logs) => loadLogs(pool, logs),
  readKeys: (generation) => readKeyState(pool, generation),
  readTiles: (log: LogName, generation: number, tiles: readonly TileId[]) => readTiles(pool, log, generation, tiles),
  readDue: (generation) => readDue(pool, generation),
  readCoverage: (held, query) => readCoverage(pool, held, query, leaseMs),
  readJumps: () => readRanges(pool, jumpRanges),
  readExplanations: (range) => readRanges(pool, `${jumpRanges} union all ${dropRanges}`, range),
  copyEvents: (after, until, take) => copyOut(pool, eventsQuery(after, until), take),
  readOrganizations: async (sources) => {
    const { rows } = await pool.query<{ id: string | null }>(
      `select s.organization_id as id from unnest($1::text[], $2::text[]) with ordinality as u (kind, id, place)
       left join sources s on s.kind = u.kind and s.id = u.id order by u.place`,
      [sources.map(({ kind }) => kind), sources.map(({ id }) => id)],
    );
    return rows.map(({ id }) => id);
  },
  grow: async (growth) => {
    try {
      return await growLogs(pool, growth);
    } catch (error) {
      // A key of a month that was dropped meanwhile, or a statement that another process has made.
      if ([SERIALIZATION_FAILURE, UNIQUE_VIOLATION].includes(sqlState(error) ?? '')) return 'stale';
      throw error;
    }
  },
  noteCheckpoint: async ({ generation, epoch }, log, { size, root }, note) => {
    const { rows } = await pool.query<{ noted: boolean }>(
      'select orgtrail_note_checkpoint($1, $2, $3, $4, $5, $6) as noted',
      [generation, epoch, log, size, root, note],
    );
    return rows[0]?.noted === true;
  },
  refuse: async (generation, reason) => {
    await pool.query('select orgtrail_refuse_evidence($1, $2)', [generation, reason]);
  },
  noteState: async ({ generation, epoch }, state, reason) => {
    await pool.query('select orgtrail_note_evidence($1, $2, $3, $4)', [generation, epoch, state, reason ?? null]);
  },
  goOnHere: async ({ generation, epoch }) => {
    const sql = 'select orgtrail_continue_evidence($1, $2) as done';
    return (await pool.query<{ done: boolean }>(sql, [generation, epoch])).rows[0]?.done === true;
  },
  thin: async () => {
    await pool.query(longStatement('select orgtrail_thin_checkpoints()'));
    await pool.query(longStatement('select orgtrail_thin_reads()'));
  },
});

const claim = async (pool: Pool, generation: number, owner: string, leaseMs: number): Promise<Claim | Held> => {
  const { rows } = await pool.query<{ epoch: number | null; heldBy: string | null }>(
    'select epoch::float8, held_by as "heldBy" from orgtrail_claim_evidence($1, $2, $3)',
    [generation, owner, leaseMs],
  );
  const { epoch = null, heldBy = null } = rows[0] ?? {};
  if (epoch !== null) return { generation, epoch };
  if (heldBy === null || !isDeadOwner(heldBy, owner)) return { heldBy: heldBy ?? undefined };
  await pool.query('select orgtrail_release_evidence_of($1)', [heldBy]);
  return await claim(pool, generation, owner, leaseMs);
};

interface Held {
  readonly heldBy: string | undefined;
}

type LogRow = { readonly [L in LogName as `${L}Size` | `${L}SignedSize`]: number } & {
  readonly [L in LogName as `${L}Origin`]: string;
} & { readonly [L in LogName as `${L}Root`]: Buffer } & Omit<StoredLogs, LogName>;

const readLogs = async (pool: Pool): Promise<StoredLogs | undefined> => {
  const columns = (['events', 'journal'] as const).map(
    (log) => `${log}.origin as "${log}Origin", ${log}.size::float8 as "${log}Size", ${log}.root as "${log}Root",
      ${log}.signed_size::float8 as "${log}SignedSize"`,
  );
  const { rows } = await pool.query<LogRow>(
    `select events.generation, ${columns.join(', ')}, events.state, events.state_reason as "stateReason",
       events.ended_at is not null as "isEnded",
       events.adopted_size::float8 as adopted, h.feed_id::text as "feedId", h.position::float8 as head,
       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
       orgtrail_is_evidence_here(events.timeline) as "isHere", ${foundClock} as clock,
       (select justify_hours(p.shortest)::text from retention_policy p) as retention
     from feed_head h, evidence_logs events join evidence_logs journal on journal.generation = events.generation
     where events.name = 'events' and journal.name = 'journal' order by events.generation desc limit 1`,
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    ...row,
    events: {
      origin: row.eventsOrigin,
      size: row.eventsSize,
      root: row.eventsRoot,
      signedSize: row.eventsSignedSize ?? undefined,
    },
    journal: {
      origin: row.journalOrigin,
      size: row.journalSize,
      root: row.journalRoot,
      signedSize: row.journalSignedSize ?? undefined,
    },
    clock: row.clock ?? undefined,
    stateReason: row.stateReason ?? undefined,
    retention: row.retention ?? undefined,
  };
};

const eventsQuery = (after: number, until: number): string => {
  if (!Number.isSafeInteger(after) || !Number.isSafeInteger(until)) throw new RangeError('positions are integers');
  const columns = eventFields.join(', ');
  return `select ${columns} from audit_events where position > ${after} and position <= ${until} order by position`;
};

const jumpRanges = 'select from_position + 1 as first, to_position + 1 as last from position_jumps';
/** Of a drop before there was evidence only the first and the last position are known. */
const dropRanges = `select lower(r), upper(r) from retention_drops d, unnest(d.positions) r
  union all select first_position, last_position + 1 from retention_drops where positions is null and first_position is not null`;

const readRanges = async (pool: Pool, query: string, range?: HoleRange): Promise<readonly HoleRange[]> => {
  const { rows } = await pool.query<{ first: number; end: number }>(
    `select r.first::float8, r.end::float8 from (${query}) as r (first, "end")
     where $1::bigint is null or r.first < $2 and r.end > $1 order by r.first`,
    range === undefined ? [null, null] : [...range],
  );
  return rows.map(({ first, end }): HoleRange => [first, end]);
};
