import type { Pool } from 'pg';
import { type DueDrop, type DueFacts, MAX_HOLDS } from '../append/new-statements.ts';
import type { NumberRange } from '../journal/instants.ts';
import { holdsNumber } from '../journal/instants.ts';
import { TILE_WIDTH } from '../tree/tiles.ts';
import { type LeafTile, readLeafTiles } from './load-log.sql.ts';

const MAX_CHANGES = 500;
/** Characters: enough to know a hold by. */
const MAX_REASON = 4_000;

const isStated = (type: string, ref: string): string =>
  `exists (select from evidence_statements j where j.type = '${type}' and j.ref = ${ref})`;
const utc = (time: string): string => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
/** Infinite times are null. */
const utcOrNull = (column: string): string => `case when isfinite(${column}) then ${utc(column)} end`;

const schemas = `
select l.schema_version as from_version, orgtrail_schema_version() as to_version from evidence_log l
where l.schema_version <> orgtrail_schema_version()`;

/** Of an organization: of the number of its log. */
const holds = `
select case when h.account_id is not null then 'account' when h.organization_id is not null then 'organization' end as kind,
  coalesce(h.account_id, h.organization_id) as id, s.organization_id,
  json_build_object('action', h.action, 'id', h.id, 'since', ${utcOrNull('h.since')}, 'before', ${utcOrNull('h.before')},
    'reason', left(h.reason, ${MAX_REASON}), 'by', left(h.done_by, 200), 'done_at', ${utc('h.done_at')}) as hold
from (
  select 'added' as action, created_at as done_at, created_by as done_by, holds.* from holds
  union all select 'released', released_at, released_by, holds.* from holds where released_at is not null) as h
  left join sources s on s.kind = 'account' and s.id = h.account_id or s.kind = 'organization' and h.account_id is null and s.id = h.organization_id
where not ${isStated('hold', `h.id || '/' || h.action`)} order by h.id, h.action limit ${MAX_HOLDS}`;

const archived = `
select o.id::float8 as id, json_build_object('id', o.id, 'kind', o.kind, 'month', to_char(o.month, 'YYYY-MM'),
  'first_position', o.first_position, 'last_position', o.last_position, 'events', o.events, 'bytes', o.bytes, 'sha256', o.sha256,
  'ids_sha256', o.ids_sha256, 'raw_sha256', o.raw_sha256, 'written_at', ${utc('o.written_at')}) as facts
from archive_objects o where not ${isStated('note', `'archive/' || o.id`)} order by o.id limit 500`;

const drops = `
select d.id::float8 as id, first_position::float8 as first, last_position::float8 as last,
  (select json_agg(json_build_array(lower(r), upper(r)) order by lower(r)) from unnest(d.positions) r) as positions,
  json_build_object('month', to_char(d.month, 'YYYY-MM'), 'retention', justify_hours(d.retention)::text,
    'older_than', ${utc('(d.dropped_at - d.retention)')}, 'dropped_at', ${utc('d.dropped_at')}, 'dropped_by', d.dropped_as,
    'holds', (select coalesce(json_agg(h.id order by h.id), '[]') from holds h
     where h.created_at <= d.dropped_at and (h.released_at is null or h.released_at > d.dropped_at))) as drop
from retention_drops d where d.positions is not null and not ${isStated('drop', `d.id || '/0'`)} order by d.id limit 10`;

/** With the tile of level 0 that has its leaf. */
const changes = `
select c.id::float8 as id, c.position::float8 as position, encode(sha256(convert_to(c.raw::text, 'UTF8')), 'hex') as raw_sha256,
  octet_length(c.raw::text) as raw_bytes, ${utc('c.seen_at')} as seen_at, t.n::float8 as n, t.positions, t.sources
from audit_event_changes c
  left join lateral (select t.n, t.positions, t.sources from evidence_tiles t where t.level = 0 and t.first_position <= c.position
    order by t.first_position desc limit 1) t on true
where c.position <= $1 and not ${isStated('change', 'c.id::text')} order by c.id limit ${MAX_CHANGES}`;

type TileOfPositions = Pick<LeafTile, 'n' | 'positions' | 'sources'>;

interface ChangeRow extends TileOfPositions {
  readonly id: number;
  readonly position: number;
  readonly raw_sha256: string;
  readonly raw_bytes: number;
  readonly seen_at: string;
}

/** `position`: each event up to it has its leaf, in a stored tile. */
export const readDue = async (pool: Pool, position: number): Promise<DueFacts> => {
  const { rows: found } = await pool.query<DropRow>(drops);
  const { rows: changed } = await pool.query<ChangeRow>(changes, [position]);
  return {
    schemas: (await pool.query<DueFacts['schemas'][number] & object>(schemas)).rows,
    holds: (await pool.query<DueFacts['holds'][number] & object>(holds)).rows,
    archived: (await pool.query<DueFacts['archived'][number] & object>(archived)).rows,
    drops: await Promise.all(found.map((row) => dropOf(pool, row))),
    changes: changed.flatMap(({ id, position: at, raw_sha256, raw_bytes, seen_at, ...tile }) => {
      const leaf = tile.positions === null ? undefined : leavesOf(tile).find((each) => each.position === at);
      return leaf === undefined ? [] : [{ id, source: leaf.number, event: leaf.index, raw_sha256, raw_bytes, seen_at }];
    }),
  };
};

interface DropRow extends Pick<DueDrop, 'id' | 'drop'> {
  readonly first: number;
  readonly last: number;
  readonly positions: readonly NumberRange[];
}

const TILES_AT_ONCE = 500;

/** By the positions beside the hashes. */
const dropOf = async (pool: Pool, { id, drop, first, last, positions }: DropRow): Promise<DueDrop> => {
  const indexes: [number, number][] = [];
  const numbers = new Set<number>();
  for (let after = await tileBefore(pool, first); ; ) {
    const which = `n > $1 and coalesce(first_position, 0) <= $2 order by n limit ${TILES_AT_ONCE}`;
    const tiles = await readLeafTiles(pool, which, [after, last]);
    for (const { index, position, number } of tiles.flatMap(leavesOf)) {
      if (position === 0 || !holdsNumber(positions, position)) continue;
      numbers.add(number);
      const before = indexes.at(-1);
      if (before?.[1] === index) before[1] = index + 1;
      else indexes.push([index, index + 1]);
    }
    if (tiles.length < TILES_AT_ONCE) return { id, drop, indexes, numbers };
    after = tiles.at(-1)?.n ?? after;
  }
};

/** The tile with this position, or one before it; less one. */
const tileBefore = async (pool: Pool, position: number): Promise<number> => {
  const { rows } = await pool.query<{ n: number }>(
    'select n::float8 as n from evidence_tiles where level = 0 and first_position <= $1 order by first_position desc limit 1',
    [position],
  );
  return (rows[0]?.n ?? 0) - 1;
};

/** Leaves of a tile of level 0; the position of a statement is 0. */
export const leavesOf = ({ n, positions, sources }: TileOfPositions) =>
  Array.from({ length: positions.length / 8 }, (_, at) => ({
    index: n * TILE_WIDTH + at,
    position: Number(positions.readBigUInt64BE(8 * at)),
    number: sources.readUInt32BE(4 * at),
  }));
