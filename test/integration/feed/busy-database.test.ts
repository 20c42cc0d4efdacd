import type { PoolClient } from 'pg';
import { expect, test } from 'vitest';
import { BusyError } from '../../../src/errors.ts';
import { FILTERED_SCAN_POSITIONS } from '../../../src/feed/feed.sql.ts';
import { readPieces } from '../../../src/feed/feed-pieces.ts';
import { FormatThreads } from '../../../src/feed/formatting/format-threads.ts';
import { ReaderMemory } from '../../../src/limits/reader-memory.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource } from '../../support/postgres/store-fixture.ts';

test('an answer that has begun waits for a connection, also behind a stretch in which its filter finds nothing', async () => {
  const database = await createTestDatabase();
  const threads = new FormatThreads({ onFailure: () => {} });
  try {
    const { pool } = database;
    await commit(pool, await newSource(pool, 'o'), [entryText('one'), entryText('far')]);
    const far = 2 * FILTERED_SCAN_POSITIONS;
    await pool.query('update audit_events set position = $1 where position = 2', [far]);
    for (const format of ['native', 'cef'] as const) {
      const own = busyPool(database.url);
      const range = { after: 0, until: far, organizationIds: ['unknown'] };
      const parts = { pool: own, threads, memory: new ReaderMemory(), archived: undefined, gone: undefined };
      const readNames = async () => new Map<string, string>();
      const ends: number[] = [];
      const pieces = readPieces({ ...parts, readNames, range, format }, { feedId: 'feed', lastDrop: 0 });
      for await (const { until } of pieces) ends.push(until);
      expect(ends).toEqual([far - 1, far]);
      await own.end();
    }
  } finally {
    await threads.close();
    await database.close();
  }
});

/** A pool that has no connection for the second COPY. */
const busyPool = (url: string) => {
  const pool = createPool(url, 4, () => {});
  const connect = pool.connect.bind(pool) as (...args: unknown[]) => Promise<PoolClient>;
  let copies = 0;
  const refuseSecond = async (...args: unknown[]) => {
    // Statements of the pool itself take a connection with a callback.
    if (args.length === 0) copies += 1;
    if (args.length === 0 && copies === 2) throw new BusyError('all connections are taken', 1);
    return await connect(...args);
  };
  return Object.assign(pool, { connect: refuseSecond }) as typeof pool;
};
