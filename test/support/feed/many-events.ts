import type { Pool } from 'pg';
import { syncOnce } from '../../../src/ingest/sync/sync-once.ts';
import { openWorld, type SyncWorld } from '../sync/sync-world.ts';

/** Simulated entries that are stored the usual way. */
const SYNCED = 5_000;

/**
 * Fills the feed of a world's database with `events` events: entries of the simulator, synced, then copied inside the
 * database under further ids and positions. Their texts are those of the simulator, 1.1 kB on average.
 */
export const multiplyEvents = async (pool: Pool, events: number): Promise<void> => {
  const { rows } = await pool.query<{ position: number }>('select position::float8 as position from feed_head');
  const synced = rows[0]?.position ?? 0;
  const columns = await copiedColumns(pool);
  for (let from = synced; from < events; from += synced) {
    await pool.query(
      `insert into audit_events (id, position, ${columns})
       select id || '-' || ($1::bigint / ${synced}), position + $1, ${columns} from audit_events
       where position <= ${synced} and position + $1 <= $2 order by position`,
      [from, events],
    );
  }
  await pool.query('update feed_head set position = $1', [events]);
  await pool.query('vacuum (analyze) audit_events');
};

const copiedColumns = async (pool: Pool): Promise<string> => {
  const { rows } = await pool.query<{ columns: string }>(
    `select string_agg(quote_ident(attname), ', ' order by attnum) as columns from pg_attribute
     where attrelid = 'audit_events'::regclass and attnum > 0 and not attisdropped and attname not in ('id', 'position')`,
  );
  return rows[0]?.columns ?? '';
};

/** A world whose database has so many events, and no simulator that anything would still be asked of. */
export const openFullWorld = async (events: number): Promise<SyncWorld> => {
  const world = await openWorld({ organizations: 20, entries: SYNCED, pageCap: 1_000 });
  const run = await world.open();
  const signal = new AbortController().signal;
  await syncOnce(run.app.sync, { signal, stopping: () => false, retries: 3 });
  await run.close();
  await multiplyEvents(world.database.pool, events);
  return world;
};
