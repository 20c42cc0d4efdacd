import type { Pool } from 'pg';
import { expect } from 'vitest';
import type { TrueEntry } from '../../../src/simulator/world/audit-log.ts';
import type { LeastPrivilegedWorld } from '../accounts/least-privileged.ts';

interface ClaimRow {
  readonly source_kind: string;
  readonly source_id: string;
  readonly filter_hash: string;
  readonly from_ms: number;
  readonly to_ms: number;
}

type ServedEntry = Pick<TrueEntry, 'sourceKind' | 'sourceId' | 'id' | 'logTimeMs' | 'actionTime'>;

/** What an API has in truth, as far as claims are judged by it. */
interface ServedTruth<Entry extends ServedEntry = ServedEntry> {
  truth(): Iterable<Entry>;
  summary(): { readonly nowMs: number };
}

/** An account and an organization may have one id. */
const ofSource = (row: Pick<ClaimRow, 'source_kind' | 'source_id'>): string => `${row.source_kind} ${row.source_id}`;
const sourceOf = (entry: ServedEntry): string => `${entry.sourceKind} ${entry.sourceId}`;

/** Whether an entry passes the filters that this hash stands for. */
type Passes<Entry> = (filterHash: string, entry: Entry) => boolean;

/**
 * Claimed implies stored (invariant 8): every entry that the simulator serves with a time inside the coverage of pass 0 is in
 * audit_events, under each filter set, and nothing after the simulator's now is claimed. Returns how many entries lie within.
 */
export const expectClaimedImpliesStored = async <Entry extends ServedEntry>(
  pool: Pool,
  simulator: ServedTruth<Entry>,
  passes: Passes<Entry> = () => true,
): Promise<number> => {
  const { rows: claims } = await pool.query<ClaimRow>(
    `select source_kind, source_id, filter_hash, (extract(epoch from lower(r)) * 1000)::float8 as from_ms,
       (extract(epoch from upper(r)) * 1000)::float8 as to_ms
     from coverage, unnest(ranges) r where pass = 0`,
  );
  const { nowMs } = simulator.summary();
  const stored = await storedIds(pool);
  const bySource = Map.groupBy(claims, ofSource);
  const lost: string[] = [];
  let within = 0;
  for (const entry of simulator.truth()) {
    const claim = bySource
      .get(sourceOf(entry))
      ?.find(
        (each) => each.from_ms <= entry.logTimeMs && entry.logTimeMs < each.to_ms && passes(each.filter_hash, entry),
      );
    if (claim === undefined) continue;
    within += 1;
    if (!stored.has(`${sourceOf(entry)} ${entry.id}`))
      lost.push(`${entry.actionTime} ${entry.id} by ${claim.filter_hash}`);
  }
  expect(lost.slice(0, 5), `${lost.length} entries are claimed and not stored`).toEqual([]);
  expect(
    claims.filter(({ to_ms }) => to_ms > nowMs),
    'claims of the future',
  ).toEqual([]);
  return within;
};

/** Each entry that the simulator serves is stored, or lies in a visible gap: the view coverage_gaps has its time. Returns how many are missing. */
export const expectStoredOrVisible = async (pool: Pool, simulator: ServedTruth): Promise<number> => {
  const { rows: gaps } = await pool.query<Omit<ClaimRow, 'filter_hash'>>(
    `select source_kind, source_id, (extract(epoch from since) * 1000)::float8 as from_ms,
       (extract(epoch from before) * 1000)::float8 as to_ms from coverage_gaps`,
  );
  const stored = await storedIds(pool);
  const bySource = Map.groupBy(gaps, ofSource);
  const missing = [...simulator.truth()].filter((entry) => !stored.has(`${sourceOf(entry)} ${entry.id}`));
  const unseen = missing.filter(
    (entry) =>
      !bySource.get(sourceOf(entry))?.some((gap) => gap.from_ms <= entry.logTimeMs && entry.logTimeMs < gap.to_ms),
  );
  expect(
    unseen.map(({ actionTime }) => actionTime),
    'missing, and in no gap',
  ).toEqual([]);
  return missing.length;
};

const storedIds = async (pool: Pool): Promise<ReadonlySet<string>> => {
  const { rows } = await pool.query<{ key: string }>(
    "select source_kind || ' ' || source_id || ' ' || id as key from audit_events",
  );
  return new Set(rows.map(({ key }) => key));
};

/** Everything is stored, nothing is a hole, what comes into being meanwhile too; and what is claimed is stored. */
export const expectComplete = async (world: LeastPrivilegedWorld): Promise<void> => {
  await using daemon = await world.run();
  await world.untilAllStored();
  world.generate(5);
  await world.untilAllStored();
  expect(await daemon.stop()).toBe(143);
  expect(await world.number('select count(*) from coverage_holes')).toBe(0);
  expect(await expectClaimedImpliesStored(world.database.pool, world.simulator)).toBeGreaterThan(0);
  await world.expectExactTruth();
};
