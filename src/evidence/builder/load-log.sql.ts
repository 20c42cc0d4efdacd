import type { Pool } from 'pg';
import { longStatement } from '../../postgres/pool.ts';
import { statementOf } from '../append/keys-in-force.ts';
import type { StoredNumber } from '../append/log.ts';
import { EvidenceFault } from '../bytes.ts';
import type { StatementOf, StatementType } from '../journal/statement.ts';
import type { Tile } from '../tree/growing-tree.ts';
import { edgeOf, type TileId } from '../tree/tiles.ts';
import type { LoadedLog, NewestCheckpoint, StoredLog } from './ports.ts';

/** Another process may commit meanwhile: the next commit, which compares the sizes, shows it. */
export const loadLog = async (pool: Pool, log: StoredLog): Promise<LoadedLog> => {
  const { size } = log;
  const tiles = await readTiles(pool, edgeOf(size));
  const last = tiles.find(({ level }) => level === 0);
  const { rows: besides } = await pool.query<{ positions: Buffer; sources: Buffer }>(
    'select positions, sources from evidence_tiles where level = 0 and n = $1',
    [last?.n ?? -1],
  );
  const { rows: numbers } = await pool.query<StoredNumber>(
    'select number::float8 as number, kind, id, leaves::float8 as leaves, events::float8 as events, chain from evidence_sources order by number',
  );
  const { rows: here } = await pool.query<{ isHere: boolean }>(
    'select orgtrail_is_evidence_here(timeline) as "isHere" from evidence_log',
  );
  return {
    size,
    tiles,
    positions: besides[0]?.positions ?? Buffer.alloc(0),
    sources: besides[0]?.sources ?? Buffer.alloc(0),
    numbers,
    monthKeys: await readMonthKeys(pool),
    isHere: here[0]?.isHere === true,
    checkpoint: await readNewestCheckpoint(pool),
  };
};

/** Undefined: nothing is signed yet. */
export const readNewestCheckpoint = async (pool: Pick<Pool, 'query'>): Promise<NewestCheckpoint | undefined> => {
  const { rows } = await pool.query<NewestCheckpoint>(
    `select l.base || '/' || l.feed_id || '.' || l.number as origin, c.number, c.size::float8 as size, c.root, c.note, c.made_at as "madeAt"
     from evidence_log l join evidence_checkpoints c on c.number = l.number order by c.size desc limit 1`,
  );
  return rows[0];
};

export const readMonthKeys = async (pool: Pick<Pool, 'query'>): Promise<ReadonlyMap<string, Buffer>> => {
  const { rows } = await pool.query<{ month: string; key: Buffer }>('select month, key from evidence_month_keys');
  return new Map(rows.map(({ month, key }) => [month, key]));
};

/** Of one type, in order. */
export const readStatementsOf = async <T extends StatementType>(
  pool: Pick<Pool, 'query'>,
  type: T,
): Promise<StatementOf<T>[]> => {
  const { rows } = await pool.query<{ text: string }>(
    'select text from evidence_statements where type = $1 order by index',
    [type],
  );
  return rows.flatMap(({ text }) => {
    const statement = statementOf(text);
    return statement?.type === type ? [statement as StatementOf<T>] : [];
  });
};

/** Beside the hashes of level 0: positions (0: a statement) and numbers of their leaves. */
export interface LeafTile {
  readonly n: number;
  readonly hashes: Buffer;
  readonly positions: Buffer;
  readonly sources: Buffer;
  /** Of its first event. */
  readonly firstPosition: number | null;
}

export const readLeafTiles = async (
  pool: Pick<Pool, 'query'>,
  condition: string,
  values: unknown[],
): Promise<LeafTile[]> => {
  const sql = `select n::float8 as n, hashes, positions, sources, first_position::float8 as "firstPosition"
    from evidence_tiles where level = 0 and ${condition}`;
  return (await pool.query<LeafTile>(longStatement(sql, values))).rows;
};

/** In order, perhaps longer than asked for. Throws an EvidenceFault if one is missing. */
export const readTiles = async (pool: Pick<Pool, 'query'>, tiles: readonly TileId[]): Promise<readonly Tile[]> => {
  const { rows } = await pool.query<{ level: number; n: number; hashes: Buffer | null }>(
    `select u.level, u.n::float8 as n, t.hashes from unnest($1::integer[], $2::bigint[]) with ordinality as u (level, n, place)
     left join evidence_tiles t on t.level = u.level and t.n = u.n order by u.place`,
    [tiles.map(({ level }) => level), tiles.map(({ n }) => n)],
  );
  return rows.map(({ level, n, hashes }, index) => {
    if (hashes === null) throw new EvidenceFault(`tile ${n} of level ${level} is missing`);
    return { level, n, width: tiles[index]?.width ?? 0, hashes };
  });
};
