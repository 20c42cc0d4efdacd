import type { Pool } from 'pg';
import type { NumberedSource } from '../append/logs.ts';
import { EvidenceFault } from '../bytes.ts';
import type { LogName } from '../notes/checkpoint.ts';
import type { Tile } from '../tree/growing-tree.ts';
import { edgeOf, type TileId } from '../tree/tiles.ts';
import type { LoadedLogs, StoredLogs } from './ports.ts';

/** Another process may commit meanwhile: the next commit, which compares the sizes, shows it. */
export const loadLogs = async (pool: Pool, { generation, events, journal }: StoredLogs): Promise<LoadedLogs> => {
  const eventTiles = await readTiles(pool, 'events', generation, edgeOf(events.size));
  const last = eventTiles.find(({ level }) => level === 0);
  const tileSources = last === undefined ? Buffer.alloc(0) : await readTileSources(pool, generation, last);
  const { rows: sources } = await pool.query<NumberedSource>(
    `select number, source_kind as kind, source_id as id, events::float8 as events, chain
     from evidence_sources where generation = $1 order by number`,
    [generation],
  );
  const { rows: signed } = await pool.query<LastCheckpoint>(
    `select l.name as log, l.origin, c.size::float8 as size, c.root, c.note, orgtrail_is_evidence_here(e.timeline) as "isHere"
     from evidence_logs l join evidence_logs e on e.generation = l.generation and e.name = 'events'
       left join lateral (select size, root, note from evidence_checkpoints c where c.log = l.name and c.generation = l.generation
         order by c.size desc limit 1) as c on true
     where l.generation = $1`,
    [generation],
  );
  return {
    sizes: { events: events.size, journal: journal.size },
    tiles: { events: eventTiles, journal: await readTiles(pool, 'journal', generation, edgeOf(journal.size)) },
    tileSources,
    sources,
    monthKeys: await readMonthKeys(pool),
    isHere: signed.every(({ isHere }) => isHere),
    checkpoints: signed.flatMap(({ log, origin, size, root, note }) =>
      size === null || root === null || note === null ? [] : [{ log, origin, size, root, note }],
    ),
  };
};

interface LastCheckpoint {
  readonly log: LogName;
  readonly origin: string;
  readonly size: number | null;
  readonly root: Buffer | null;
  readonly note: string | null;
  readonly isHere: boolean;
}

export const readMonthKeys = async (pool: Pick<Pool, 'query'>): Promise<ReadonlyMap<string, Buffer>> => {
  const { rows } = await pool.query<{ month: string; key: Buffer }>('select month, key from evidence_month_keys');
  return new Map(rows.map(({ month, key }) => [month, key]));
};

/** Texts of statements [from, to). */
export const readStatements = async (pool: Pool, generation: number, from: number, to: number): Promise<string[]> => {
  const sql = 'select text from evidence_journal where generation = $1 and index >= $2 and index < $3 order by index';
  return (await pool.query<{ text: string }>(sql, [generation, from, to])).rows.map(({ text }) => text);
};

/** In order, perhaps longer than asked for. Throws an EvidenceFault if one is missing. */
export const readTiles = async (
  pool: Pick<Pool, 'query'>,
  log: LogName,
  generation: number,
  tiles: readonly TileId[],
): Promise<readonly Tile[]> => {
  const { rows } = await pool.query<{ level: number; n: number; hashes: Buffer | null }>(
    `select u.level, u.n::float8 as n, t.hashes from unnest($3::integer[], $4::bigint[]) with ordinality as u (level, n, place)
     left join evidence_tiles t on t.log = $1 and t.generation = $2 and t.level = u.level and t.n = u.n order by u.place`,
    [log, generation, tiles.map(({ level }) => level), tiles.map(({ n }) => n)],
  );
  return rows.map(({ level, n, hashes }, index) => {
    if (hashes === null) throw new EvidenceFault(`tile ${n} of level ${level} of ${log} is missing`);
    return { level, n, width: tiles[index]?.width ?? 0, hashes };
  });
};

const readTileSources = async (pool: Pool, generation: number, { n, width }: TileId): Promise<Buffer> => {
  const { rows } = await pool.query<{ sources: Buffer | null }>(
    `select sources from evidence_tiles where log = 'events' and generation = $1 and level = 0 and n = $2`,
    [generation, n],
  );
  return (rows[0]?.sources ?? Buffer.alloc(0)).subarray(0, 2 * width);
};
