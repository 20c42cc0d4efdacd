import type { Pool } from 'pg';
import type { Simulator } from '../../../src/simulator/interface.ts';
import { asAuditRequest } from '../sync/sync-world.ts';

/** A window that ends so near to now is that of a live tail. */
const LIVE_ENDS_WITHIN_MS = 30_000;

/**
 * How many ticks passed between two answered requests for the live tail of each of these organizations, first to last. A tick is
 * a listing, which the daemon begins at every tick: on a busy machine ticks and requests are slow alike. A daemon that keeps up has 1.
 */
export const ticksUnasked = (
  simulator: Pick<Simulator, 'requests'>,
  ids: readonly string[],
): { readonly p99: number; readonly most: number } => {
  const since = new Map(ids.map((id) => [id, undefined as number | undefined]));
  const waits: number[] = [];
  let ticks = 0;
  for (const record of simulator.requests()) {
    if (/\/organizations(\?(?!.*parent)|$)/.test(record.path)) ticks += 1;
    const request = asAuditRequest(record);
    if (request === undefined || record.status !== 200 || !since.has(request.organizationId)) continue;
    if (request.beforeMs < record.timeMs - LIVE_ENDS_WITHIN_MS) continue;
    const before = since.get(request.organizationId);
    if (before !== undefined) waits.push(ticks - before);
    since.set(request.organizationId, ticks);
  }
  // Who has not been asked since then is waiting still.
  for (const before of since.values()) waits.push(ticks - (before ?? 0));
  waits.sort((a, b) => a - b);
  return { p99: quantile(waits, 0.99), most: waits.at(-1) ?? 0 };
};

/** From the time of an entry that came into being while the daemon ran until it was stored. To be shown, not to be judged by: a busy machine is late. */
export const latenessOf = async (
  pool: Pool,
  simulator: Pick<Simulator, 'requests'>,
): Promise<{ readonly entries: number; readonly p99Ms: number }> => {
  const startedMs = simulator.requests()[0]?.timeMs ?? 0;
  const { rows } = await pool.query<{ entries: number; p99: number | null }>(
    `select count(*)::integer as entries,
       percentile_disc(0.99) within group (order by extract(epoch from received_at - action_time) * 1000)::float8 as p99
     from audit_events where action_time > to_timestamp($1::float8 / 1000)`,
    [startedMs],
  );
  return { entries: rows[0]?.entries ?? 0, p99Ms: Math.round(rows[0]?.p99 ?? 0) };
};

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * q) - 1)] ?? 0;
