import { beforeAll, expect, test } from 'vitest';
import { readTiles } from '../../../src/evidence/builder/load-logs.sql.ts';
import type { TileId } from '../../../src/evidence/tree/tiles.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';

const database = databaseOfTests();
beforeAll(async () => {
  await database.pool.query(
    `insert into evidence_tiles (log, generation, level, n, hashes, sources)
     select 'events', 1, level, n, decode(repeat(lpad(to_hex(level * 100000 + n), 64, '0'), 4), 'hex'), null
     from generate_series(0, 1) level, generate_series(0, $1::integer - 1) n`,
    [TILES],
  );
  await database.pool.query('analyze evidence_tiles');
});

/** What PostgreSQL joins by depends on statistics, memory and what else it knows: a plan that is rare here is usual elsewhere. */
const plans = [
  '',
  '-c enable_nestloop=off',
  '-c enable_nestloop=off -c enable_hashjoin=off',
  '-c enable_nestloop=off -c enable_mergejoin=off',
  '-c enable_indexscan=off -c enable_bitmapscan=off -c enable_indexonlyscan=off',
];

test.each(plans)('tiles come in the order in which they were asked for, whatever the plan (%j)', async (options) => {
  const url = new URL(database.url);
  if (options !== '') url.searchParams.set('options', options);
  const pool = createPool(url.href, 1, () => {});
  try {
    const asked: TileId[] = Array.from({ length: 300 }, (_, index) => ({
      level: index % 2,
      // Up and down.
      n: (index * 1_237) % TILES,
      width: 1 + (index % 4),
    }));
    const tiles = await readTiles(pool, 'events', 1, asked);
    expect(tiles.map(({ level, n, width }) => ({ level, n, width }))).toEqual(asked);
    expect(tiles.map(({ hashes }) => hashes.readUInt32BE(28))).toEqual(
      asked.map(({ level, n }) => level * 100_000 + n),
    );
  } finally {
    await pool.end();
  }
});

const TILES = 2_000;
