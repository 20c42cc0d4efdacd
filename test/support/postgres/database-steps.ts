import type { Pool } from 'pg';
import type { Coverage } from '../../../src/ingest/planning/coverage.ts';
import { type Hole, idleLane, type LaneState } from '../../../src/ingest/planning/lane.ts';
import type { CommitResult, Lease } from '../../../src/ingest/planning/source.ts';
import { type Lane, lanes } from '../../../src/ingest/planning/walk.ts';
import { commitPage } from '../../../src/ingest/sync/commit/commit-page.sql.ts';
import {
  claimDiscovery,
  recordDiscovery,
  releaseDeadDiscovery,
  renewDiscovery,
} from '../../../src/ingest/sync/discovery/lease.sql.ts';
import {
  recordAccess,
  recordListing,
  recordLogAnswer,
  takeMissed,
  withoutChildrenListed,
} from '../../../src/ingest/sync/discovery/organizations.sql.ts';
import {
  claimSource,
  recordFailure,
  releaseDead,
  releaseSource,
  renewSource,
} from '../../../src/ingest/sync/store/leases.sql.ts';
import { readTime, type StoredTime, syncSources, trimFuture } from '../../../src/ingest/sync/store/sources.sql.ts';
import type { SimulatedDatabase } from '../../simulation/database/database.ts';
import type { Dice } from '../../simulation/dice.ts';
import {
  anyWalk,
  commitOf,
  entryText,
  FILTERS,
  HISTORY_MS,
  organizationKind,
  pageOf,
  seconds,
  sourceOf,
  T0,
} from './store-fixture.ts';

export const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Of pass 0, 1 and 2. The test takes far less than lies between them. */
export const PASS_DELAYS_MS = [0, HOUR_MS, DAY_MS] as const;
export const owners = ['host/1/x', 'host/2/y', 'host/3/z'] as const;
export const filterHashes = [FILTERS, 'other filters'] as const;
const ids = ['a', 'b', 'c'];

/** The database and its model, on one clock. */
export interface BothDatabases {
  readonly pool: Pool;
  readonly model: SimulatedDatabase;
  readonly dice: Dice;
  readonly startMs: number;
}

/** One step, done to both; what they answer must be the same. */
export type Step = () => Promise<readonly [what: string, real: unknown, modelled: unknown]>;

/** The statements of the store and their model, side by side. Leases and rests last an hour, or no time at all: so what time a step takes
 * does not matter. A step is listed as often as it is likely. */
export const drawSteps = (both: BothDatabases): readonly Step[] => [
  ...sourceSteps(both),
  ...organizationSteps(both),
  ...discoverySteps(both),
];

const sourceSteps = ({ pool, model, dice, startMs }: BothDatabases): readonly Step[] => {
  const leases: Lease[] = [];
  const leaseMs = () => dice.pick([0, HOUR_MS, HOUR_MS]);
  const hash = () => dice.pick([FILTERS, ...filterHashes]);
  const lease = (): Lease => {
    // Mostly the newest, now and then one that is long gone, or that never was.
    const from = dice.chance(0.75) ? leases.slice(-3) : leases;
    const unknown = { ...sourceOf('a'), organizationId: 'a', owner: 'unknown', epoch: 1, commitSeq: 0 };
    const picked = dice.pick(from) ?? unknown;
    return dice.chance(0.1) ? { ...picked, owner: dice.pick(owners) } : picked;
  };
  const claim: Step = async () => {
    const [source, by, forMs, under] = [sourceOf(dice.pick(ids)), dice.pick(owners), leaseMs(), hash()];
    const real = await claimSource(pool, source, by, forMs, under);
    const claimed = model.claimSource(source, by, forMs);
    if (real !== undefined) leases.push(real.lease);
    const modelled = claimed && { ...source, organizationId: source.id, owner: by, ...claimed };
    return ['claim', real && { lease: real.lease }, modelled && { lease: modelled }];
  };
  const commit: Step = async () => {
    const [of, lane, forMs] = [lease(), dice.pick(lanes), leaseMs()];
    const from = dice.between(0, 40);
    const texts = Array.from({ length: dice.between(0, 4) }, () => {
      const number = dice.between(0, 30);
      return entryText(`e${number}`, T0 + number * 1_000);
    });
    const state = dice.chance(0.8) ? drawState(dice, lane) : undefined;
    const filterHash = hash();
    const known = model.sources.get(of.id)?.filtered.get(filterHash)?.holes ?? [];
    const holes = dice.chance(0.25) ? drawHoles(dice, known) : [];
    // What is claimed has been read: no hole is both.
    const claims = holes.length > 0 ? [] : [0, 1, 2].map(() => drawClaim(dice, from, startMs));
    const eventRate = dice.chance(0.4) ? { perHour: dice.next(), recentPerHour: dice.next() } : undefined;
    const page = commitOf(of, pageOf(texts), {
      lane,
      state,
      claims,
      holes,
      eventRate,
      filterHash,
      endsTurn: dice.chance(0.3),
    });
    const real = await commitPage(pool, page, forMs);
    if (real.kind === 'committed') leases.push(real.lease);
    return [`commit of ${of.id}`, withoutLateness(real), withoutLateness(model.commitPage(page, forMs))];
  };
  const fail: Step = async () => {
    const [of, lane] = [lease(), dice.pick(lanes)];
    const failure = {
      failure: dice.pick(['timeout', 'refused']),
      message: '',
      backoffMs: dice.pick([0, HOUR_MS]),
      filterHash: hash(),
      lane,
      state: { ...drawState(dice, lane), failures: dice.between(1, 9) },
    };
    return ['failure', await recordFailure(pool, of, failure), model.recordFailure(of, failure)];
  };
  return [
    claim,
    claim,
    claim,
    commit,
    commit,
    commit,
    commit,
    commit,
    commit,
    fail,
    fail,
    async () => {
      const [of, forMs] = [lease(), leaseMs()];
      return ['renew', await renewSource(pool, of, forMs), model.renewSource(of, forMs)];
    },
    async () => {
      const of = lease();
      return ['release', await releaseSource(pool, of), model.releaseSource(of)];
    },
    async () => {
      const dead = dice.pick(owners);
      const isDead = (each: string) => each === dead;
      return ['release dead', await releaseDead(pool, isDead), model.releaseDead(isDead)];
    },
    async () => {
      await syncSources(pool, organizationKind(), 0, HISTORY_MS);
      return ['sync sources', undefined, model.syncSources()];
    },
    async () => ['trim', await trimFuture(pool, PASS_DELAYS_MS), model.trimFuture(PASS_DELAYS_MS)],
    async () => holesAreDue(pool, model),
  ];
};

/** Now and then with a walk, with failures, with windows that have been halved. */
const drawState = (dice: Dice, lane: Lane): LaneState => ({
  ...idleLane,
  walk: dice.chance(0.5) ? anyWalk(`c${dice.between(0, 9)}`, { lane, pages: dice.between(0, 9) }) : undefined,
  widthMs: dice.pick([undefined, HOUR_MS]),
  trouble: dice.pick([undefined, seconds(1, 2)[0]]),
  entriesPerDay: dice.pick([undefined, dice.next()]),
  failures: dice.between(0, 2),
});

/** Single seconds, few enough that the same one comes again, with those of the same pass that they touch. */
const drawHoles = (dice: Dice, known: readonly Pick<Hole, 'range' | 'pass'>[]): readonly Hole[] =>
  [0, 1, 2]
    .filter(() => dice.chance(0.5))
    .map((pass) => {
      const from = dice.between(0, 4);
      const second = { fromMs: T0 + from * 1_000, toMs: T0 + (from + 1) * 1_000 };
      const touched = known.filter(
        (each) => each.pass === pass && each.range.fromMs <= second.toMs && each.range.toMs >= second.fromMs,
      );
      const all = [second, ...touched.map((each) => each.range)];
      const fromMs = Math.min(...all.map((each) => each.fromMs));
      const toMs = Math.max(...all.map((each) => each.toMs));
      return { range: { fromMs, toMs }, pass, reason: dice.pick(['cut', 'server']), message: '' };
    });

/** Mostly a few seconds; now and then up to a time that has yet to come, or all of such a time. */
const drawClaim = (dice: Dice, from: number, startMs: number): Coverage => {
  if (dice.chance(0.6)) return [];
  if (dice.chance(0.85)) return seconds(from, from + dice.between(0, 9));
  return [{ fromMs: startMs + dice.pick([-2, 1]) * DAY_MS, toMs: startMs + 2 * DAY_MS }];
};

/** Time cannot be made to pass; so the attempts that are due after it are made due. */
const holesAreDue = async (pool: Pool, model: SimulatedDatabase) => {
  await pool.query("update coverage_holes set next_attempt_at = clock_timestamp() - interval '1 second'");
  for (const { filtered } of model.sources.values()) {
    for (const row of filtered.values()) row.holes = row.holes.map((hole) => ({ ...hole, nextAttemptAtMs: 0 }));
  }
  return ['holes are due', undefined, undefined] as const;
};

/** How late entries were is for metrics; the simulation knows that better. */
const withoutLateness = (result: CommitResult): unknown =>
  result.kind === 'fenced' ? result : { ...result, latenessSeconds: [], covered: [] };

const organizationSteps = ({ pool, model: { organizations }, dice }: BothDatabases): readonly Step[] => {
  const listing: Step = async () => {
    const under = dice.chance(0.2) ? 'a' : undefined;
    const found = ids
      .filter(() => dice.chance(0.6))
      .map((each) => ({ id: each, name: each, parentId: under ?? (dice.chance(0.1) ? 'b' : undefined) }));
    const listing = {
      complete: under === undefined && dice.chance(0.7),
      within: dice.pick([undefined, ['a', 'b']]),
      under,
    };
    const real = await recordListing(pool, found, listing);
    return ['listing', sorted(real), sorted(organizations.recordListing(found, listing))];
  };
  let missed: readonly string[] = [];
  const logAnswer: Step = async () => {
    if (dice.chance(0.5)) {
      await pool.query("update organization_changes set changed_at = changed_at - interval '1 hour'");
      for (const row of organizations.rows.values()) row.refusedSinceMs = 0;
    }
    const [of, answer] = [dice.pick(missed) ?? dice.pick(ids), dice.pick(['open', 'refused'] as const)];
    const real = await recordLogAnswer(pool, of, answer);
    return ['log answer', real, organizations.recordLogAnswer(of, answer)];
  };
  return [
    listing,
    listing,
    listing,
    logAnswer,
    logAnswer,
    logAnswer,
    async () => {
      const [of, access] = [dice.pick(ids), dice.pick(['refused', 'restored'] as const)];
      return [access, await recordAccess(pool, of, access), organizations.recordAccess(of, access)];
    },
    async () => {
      const unlisted = { complete: true, within: undefined };
      return ['empty listing', await recordListing(pool, [], unlisted), organizations.recordListing([], unlisted)];
    },
    async () => {
      const limit = dice.between(1, 3);
      const real = [...(await takeMissed(pool, limit))].sort();
      if (real.length > 0) missed = real;
      return ['missed', real, [...organizations.takeMissed(limit)].sort()];
    },
    async () => ['children', await withoutChildrenListed(pool, 5), organizations.withoutChildrenListed(5)],
  ];
};

const sorted = (changes: readonly object[]): readonly string[] =>
  changes.map((change) => JSON.stringify(change)).sort();

/** Of times that pass between the two answers, what does not. */
const inDays = ({ databaseMs, serverMs }: StoredTime, startMs: number) => ({
  database: Math.round((databaseMs - startMs) / DAY_MS),
  server: serverMs && Math.round((serverMs - databaseMs + startMs - T0) / DAY_MS),
});

const discoverySteps = ({ pool, model, dice, startMs }: BothDatabases): readonly Step[] => {
  const { organizations } = model;
  const leaseMs = () => dice.pick([0, HOUR_MS, HOUR_MS]);
  const record: Step = async () => {
    const by = dice.pick(owners);
    const listed = { organizations: 1, serverTimeMs: T0 + dice.between(0, 9) * DAY_MS };
    const result = dice.chance(0.5) ? { error: 'simulated' } : listed;
    await recordDiscovery(pool, by, result);
    return ['discovery', undefined, model.recordDiscovery(by, result)];
  };
  return [
    record,
    record,
    async () => ['time', inDays(await readTime(pool), startMs), inDays(model.readTime(), startMs)],
    async () => {
      const [by, forMs, restMs] = [dice.pick(owners), leaseMs(), dice.pick([0, HOUR_MS])];
      const { mine } = await claimDiscovery(pool, by, forMs, restMs);
      return ['claim discovery', mine, organizations.claimDiscovery(by, forMs, restMs)];
    },
    async () => {
      const [by, forMs] = [dice.pick(owners), leaseMs()];
      return ['renew discovery', await renewDiscovery(pool, by, forMs), organizations.renewDiscovery(by, forMs)];
    },
    async () => {
      const dead = dice.pick(owners);
      const isDead = (each: string) => each === dead;
      const released = await releaseDeadDiscovery(pool, isDead);
      return ['release dead discovery', released, organizations.releaseDeadDiscovery(isDead)];
    },
  ];
};
