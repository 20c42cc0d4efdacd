import type { Pool } from 'pg';
import { pause } from './pause.ts';

const CHECK_MS = 2_000;

/**
 * Waits until every source has been read up to `untilMs` (Cloudflare's time) by the first reading and by every settle pass.
 * False where that does not happen in time.
 */
export const caughtUp = async (
  pool: Pool,
  options: {
    readonly sources: number;
    readonly untilMs: number;
    readonly settlePasses: number;
    readonly timeoutMs: number;
    /** Hears from time to time how many sources are there. */
    readonly onProgress: (complete: number) => void;
    readonly signal: AbortSignal;
  },
): Promise<boolean> => {
  const giveUpAtMs = performance.now() + options.timeoutMs;
  while (!options.signal.aborted && performance.now() < giveUpAtMs) {
    const complete = await countComplete(pool, options.untilMs, options.settlePasses).catch(() => 0);
    if (complete === options.sources) return true;
    options.onProgress(complete);
    await pause(CHECK_MS, options.signal);
  }
  return false;
};

const countComplete = async (pool: Pool, untilMs: number, settlePasses: number): Promise<number> => {
  const { rows } = await pool.query<{ complete: number }>(
    // The horizon moves on while the run lasts, and is written down only now and then.
    `select count(*)::integer as complete from sources s
     where not exists (
       select from generate_series(0, $2::integer) as pass
       where not exists (
         select from coverage c
         where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass = pass.pass
           and c.ranges @> tstzrange(s.wanted_since + interval '2 hours', to_timestamp($1::float8 / 1000))))`,
    [untilMs, settlePasses],
  );
  return rows[0]?.complete ?? 0;
};
