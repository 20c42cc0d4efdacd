import type { Pool } from 'pg';
import { copyOut } from '../../postgres/copy.ts';
import { isDeadOwner } from '../../postgres/leases.ts';
import { longStatement } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import { type KeyHistory, type KeyOrder, type KeyState, keyHistory } from '../append/keys-in-force.ts';
import { type BinaryFields, eventFields, type HoleRange } from '../append/logs.ts';
import { type DueFacts, MAX_HOLDS } from '../append/new-statements.ts';
import { type Checkpoint, type LogName, writeOrigin } from '../notes/checkpoint.ts';
import type { TileId } from '../tree/tiles.ts';
import { loadLogs, readTiles } from './load-logs.sql.ts';
import type { Claim, CoverageQuery, Growth, GrowthResult, StoredLogs } from './ports.ts';
import { readCoverage } from './read-coverage.sql.ts';

const SERIALIZATION_FAILURE = '40001';
const UNIQUE_VIOLATION = '23505';

/** Every method is one statement, or reads alone. Functions of the schema's owner write. */
export const createEvidenceStore = (pool: Pool, owner: string, leaseMs: number) => ({
  readLogs: () => readLogs(pool),
  /** Unless there is a generation. */
  open: async (base: string): Promise<void> => {
    const { rows } = await pool.query<{ feedId: string }>('select feed_id::text as "feedId" from feed_head');
    const origin = (log: LogName) => writeOrigin({ base, feedId: rows[0]?.feedId ?? '', generation: 1, log });
    await pool.query('select orgtrail_open_evidence($1, $2)', [origin('events'), origin('journal')]);
  },
  claim: (generation: number) => claim(pool, generation, owner, leaseMs),
  renew: async ({ generation, epoch }: Claim): Promise<boolean> => {
    const sql = 'select orgtrail_renew_evidence($1, $2, $3) as held';
    const { rows } = await pool.query<{ held: boolean }>(sql, [generation, epoch, leaseMs]);
    return rows[0]?.held === true;
  },
  release: async ({ generation, epoch }: Claim): Promise<void> => {
    await pool.query('select orgtrail_release_evidence($1, $2)', [generation, epoch]);
  },
  load: (logs: StoredLogs) => loadLogs(pool, logs),
  readKeys: (generation: number) => readKeyState(pool, generation),
  readTiles: (log: LogName, generation: number, tiles: readonly TileId[]) => readTiles(pool, log, generation, tiles),
  readDue: (generation: number) => readDue(pool, generation),
  readCoverage: (held: Claim, query: CoverageQuery) => readCoverage(pool, held, query, leaseMs),
  readJumps: () => readRanges(pool, jumpRanges),
  /** That have to do with these positions. */
  readExplanations: (range: HoleRange) => readRanges(pool, `${jumpRanges} union all ${dropRanges}`, range),
  /** (after, until] in order. A row is valid only while it is handed over. */
  copyEvents: (after: number, until: number, take: (row: BinaryFields) => void): Promise<void> =>
    copyOut(pool, eventsQuery(after, until), take),
  readOrganizations: async (sources: readonly { readonly kind: string; readonly id: string }[]) => {
    const { rows } = await pool.query<{ id: string | null }>(
      `select s.organization_id as id from unnest($1::text[], $2::text[]) with ordinality as u (kind, id, place)
       left join sources s on s.kind = u.kind and s.id = u.id order by u.place`,
      [sources.map(({ kind }) => kind), sources.map(({ id }) => id)],
    );
    return rows.map(({ id }) => id);
  },
  grow: async (growth: Growth): Promise<GrowthResult> => {
    try {
      return await growLogs(pool, growth);
    } catch (error) {
      // A key of a month that was dropped meanwhile, or a statement that another process has made.
      if ([SERIALIZATION_FAILURE, UNIQUE_VIOLATION].includes(sqlState(error) ?? '')) return 'stale';
      throw error;
    }
  },
  /** False: it must not be given out. */
  noteCheckpoint: async ({ generation, epoch }: Claim, log: LogName, { size, root }: Checkpoint, note: string) => {
    const { rows } = await pool.query<{ noted: boolean }>(
      'select orgtrail_note_checkpoint($1, $2, $3, $4, $5, $6) as noted',
      [generation, epoch, log, size, root, note],
    );
    return rows[0]?.noted === true;
  },
  /** This process cannot sign, and no other does. */
  refuse: async (generation: number, reason: string): Promise<void> => {
    await pool.query('select orgtrail_refuse_evidence($1, $2)', [generation, reason]);
  },
  noteState: async ({ generation, epoch }: Claim, state: StoredLogs['state'], reason: string | undefined) => {
    await pool.query('select orgtrail_note_evidence($1, $2, $3, $4)', [generation, epoch, state, reason ?? null]);
  },
  /** From here on, this is the server of the log. */
  goOnHere: async ({ generation, epoch }: Claim): Promise<boolean> => {
    const sql = 'select orgtrail_continue_evidence($1, $2) as done';
    return (await pool.query<{ done: boolean }>(sql, [generation, epoch])).rows[0]?.done === true;
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
  generation: number,
  owner: string,
  leaseMs: number,
): Promise<Claim | { readonly heldBy: string | undefined }> => {
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

type LogRow = { readonly [L in LogName as `${L}Size` | `${L}SignedSize`]: number } & {
  readonly [L in LogName as `${L}Origin`]: string;
} & { readonly [L in LogName as `${L}Root`]: Buffer } & Omit<StoredLogs, LogName>;

/** Undefined: there is no log yet. */
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
  const logOf = <L extends LogName>(log: L) => ({
    origin: row[`${log}Origin`],
    size: row[`${log}Size`],
    root: row[`${log}Root`],
    signedSize: row[`${log}SignedSize`] ?? undefined,
  });
  return {
    ...row,
    events: logOf('events'),
    journal: logOf('journal'),
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
/** Of a drop before there was evidence, only its ends are known. */
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

/** Leaves and statements in one statement: all, or nothing. */
const growLogs = async (pool: Pool, growth: Growth): Promise<GrowthResult> => {
  const { generation, epoch, from, to, tiles, monthKeys, sources, entries } = growth;
  const values = [
    generation,
    epoch,
    [from.events, from.journal],
    [to.events.size, to.journal.size],
    [to.events.root, to.journal.root],
    tiles.map(({ log }) => log),
    tiles.map(({ level }) => level),
    tiles.map(({ n }) => n),
    tiles.map(({ hashes }) => hashes),
    tiles.map((tile) => tile.sources ?? null),
    monthKeys.map(({ month }) => month),
    monthKeys.map(({ key }) => key),
    monthKeys.map(({ isNew }) => isNew),
    sources.map(({ number }) => number),
    sources.map(({ kind }) => kind),
    sources.map(({ id }) => id),
    sources.map(({ events }) => events),
    sources.map(({ chain }) => chain),
    entries.map(({ kind }) => kind),
    entries.map(({ ref }) => ref),
    entries.map(({ text }) => text),
  ];
  const parameters = values.map((_, index) => `$${index + 1}`).join(', ');
  const { rows } = await pool.query<{ result: GrowthResult }>(
    `select orgtrail_grow_evidence(${parameters}) as result`,
    values,
  );
  return rows[0]?.result ?? 'stale';
};

type Fact<K extends keyof DueFacts> = DueFacts[K][number];

const MAX_CHANGES = 500;
/** Characters: enough to know a hold by. */
const MAX_REASON = 4_000;

const isStated = (kind: string, ref: string): string =>
  `exists (select from evidence_journal j where j.generation = $1 and j.kind = '${kind}' and j.ref = ${ref})`;
/** Infinite times are null. */
const utcOrNull = (column: string): string =>
  `case when isfinite(${column}) then to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end`;

const drops = `
select d.id::float8 as id, to_char(d.month, 'YYYY-MM') as month, d.events::float8 as events, d.ids_sha256,
  justify_hours(d.retention)::text as retention, d.dropped_as as account,
  (select coalesce(json_agg(h.id order by h.id), '[]') from holds h
   where h.created_at <= d.dropped_at and (h.released_at is null or h.released_at > d.dropped_at)) as holds,
  (select json_agg(json_build_array(lower(r), upper(r)) order by lower(r)) from unnest(d.positions) r) as positions,
  ${utcOrNull('d.dropped_at')} as dropped_at
from retention_drops d where d.positions is not null and not ${isStated('drop', `d.id || '/1'`)} order by d.id limit 10`;

const jumps = `
select p.id::float8 as id, json_build_array(json_build_array(p.from_position + 1, p.to_position + 1)) as positions,
  p.old_timeline, p.new_timeline, ${utcOrNull('p.found_at')} as found_at
from position_jumps p where not ${isStated('jump', 'p.id::text')} order by p.id limit 100`;

const holds = `
select h.action, h.id::float8 as id, h.organization_id, h.account_id, ${utcOrNull('h.since')} as since, ${utcOrNull('h.before')} as before,
  left(h.reason, ${MAX_REASON}) as reason, left(h.created_by, 200) as created_by, h.created_as, ${utcOrNull('h.created_at')} as created_at,
  case when h.action = 'released' then left(h.released_by, 200) end as released_by,
  case when h.action = 'released' then h.released_as end as released_as,
  case when h.action = 'released' then ${utcOrNull('h.released_at')} end as released_at
from (
  select 'added' as action, * from holds union all select 'released', * from holds where released_at is not null) as h
where not ${isStated('hold', `h.id || '/' || h.action`)} order by h.id, h.action limit ${MAX_HOLDS}`;

const changes = `
select c.id::float8 as id, c.position::float8 as position, c.event_id,
  encode(sha256(convert_to(c.raw::text, 'UTF8')), 'hex') as raw_sha256, octet_length(c.raw::text) as length,
  ${utcOrNull('c.seen_at')} as seen_at
from audit_event_changes c where not ${isStated('change', 'c.id::text')} order by c.id limit ${MAX_CHANGES}`;

const timestamps = `
select a.anchor, encode(sha256(a.receipt), 'hex') as token_sha256,
  json_build_object('origin', l.origin, 'size', c.size, 'root', encode(c.root, 'base64')) as checkpoint
from evidence_anchors a join evidence_checkpoints c using (log, generation, size)
  join evidence_logs l on l.name = a.log and l.generation = a.generation
where a.log = 'journal' and a.generation = $1 and a.anchor like 'tsa:%' and a.receipt is not null
  and not ${isStated('timestamp', `a.anchor || '/' || a.size`)} order by a.size limit 100`;

const archived = `
select o.id::float8 as id, o.kind, to_char(o.month, 'YYYY-MM') as month, o.first_position::float8 as first_position,
  o.last_position::float8 as last_position, o.events::float8 as events, o.bytes::float8 as bytes, o.sha256, o.ids_sha256, o.raw_sha256,
  ${utcOrNull('o.written_at')} as written_at
from archive_objects o where not ${isStated('archive', 'o.id::text')} order by o.id limit 500`;

const schemas = `
select l.schema_version as from_version, orgtrail_schema_version() as to_version from evidence_logs l
where l.name = 'events' and l.generation = $1 and l.schema_version <> orgtrail_schema_version()`;

const readDue = async (pool: Pool, generation: number): Promise<DueFacts> => {
  const read = async <K extends keyof DueFacts>(sql: string) =>
    (await pool.query<Fact<K> & object>(sql, [generation])).rows as unknown as readonly Fact<K>[];
  return {
    drops: await read<'drops'>(drops),
    jumps: await read<'jumps'>(jumps),
    holds: await read<'holds'>(holds),
    changes: await read<'changes'>(changes),
    timestamps: await read<'timestamps'>(timestamps),
    archived: await read<'archived'>(archived),
    schemas: await read<'schemas'>(schemas),
  };
};

/** A clock that is behind a time that it has shown by more than this went back. */
const BACK = "interval '1 minute'";
/** Drift against Cloudflare's clock since the last statement. */
const DRIFT_SECONDS = 600;

const utc = (time: string): string => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const ofClock = (columns: string, more: string): string =>
  `select ${columns} from evidence_journal j where j.generation = events.generation and j.kind = 'clock' ${more}`;

/**
 * JSON of what is to be stated of the clock; null if nothing is. Within a query over `events` and `journal`, rows of
 * evidence_logs. Back: by the last statement, and when it was signed. Ahead of Cloudflare's: by the last listing.
 */
const foundClock = `
(select json_build_object('ref', ref, 'before', case when is_back then ${utc('seen')} end, 'ahead_seconds', ahead, 'compared_at', ${utc('compared_at')})
from (
  select f.*, case when is_back then 'back/' || ${utc('seen')} else 'ahead/' || ${utc('compared_at')} end as ref
  from (
    select seen, seen > clock_timestamp() + ${BACK} as is_back, d.last_success_at as compared_at,
      extract(epoch from d.last_success_at - d.server_time)::bigint as ahead
    from (select greatest(events.signed_at, journal.signed_at, (select (j.text::jsonb ->> 'at')::timestamptz from evidence_journal j
        where j.generation = events.generation order by j.index desc limit 1)) as seen) last
      left join discovery d on d.server_time is not null) f
  where is_back or abs(ahead - coalesce((${ofClock("(j.text::jsonb ->> 'ahead_seconds')::bigint", 'order by j.index desc limit 1')}), 0)) > ${DRIFT_SECONDS}
) found where not exists (${ofClock('', 'and j.ref = found.ref')}))`;

/** So that every replica and command knows what is overdue. */
export const noteBuilderSettings = async (
  pool: Pool,
  { generation, epoch }: Claim,
  { anchors, statementsMs }: { readonly anchors: readonly string[]; readonly statementsMs: number },
): Promise<void> => {
  const sql = 'select orgtrail_note_evidence_settings($1, $2, $3, $4)';
  await pool.query(sql, [generation, epoch, anchors, statementsMs]);
};

/** `isSigned`: only as far as it is signed. */
export const readKeyHistory = async (
  pool: Pick<Pool, 'query'>,
  generation: number,
  { isSigned = false } = {},
): Promise<KeyHistory> => {
  const { rows } = await pool.query<{ text: string }>(
    `select j.text from evidence_journal j join evidence_logs l on l.generation = j.generation and l.name = 'journal'
     where j.generation = $1 and j.kind in ('genesis', 'key', 'fork') and (not $2 or j.index < l.signed_size) order by j.index`,
    [generation, isSigned],
  );
  return keyHistory(rows.map(({ text }) => text));
};

const readKeyState = async (pool: Pool, generation: number): Promise<KeyState> => {
  const { rows } = await pool.query<KeyOrder>(
    `select id::float8 as id, reason, new_vkeys as "newVkeys", (extract(epoch from both_for) * 1000)::float8 as "bothForMs",
       ordered_by as by
     from evidence_key_orders where generation = $1 and stated_at is null order by id desc limit 1`,
    [generation],
  );
  return { history: await readKeyHistory(pool, generation), order: rows[0] };
};
