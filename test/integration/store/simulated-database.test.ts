import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommitResult, Lease, SourceState } from '../../../src/domain/source.ts';
import { type Lane, lanes } from '../../../src/domain/walk.ts';
import { commitPage } from '../../../src/store/commit-page.ts';
import {
  claimDiscovery,
  recordDiscovery,
  releaseDeadDiscovery,
  renewDiscovery,
} from '../../../src/store/discovery-lease.ts';
import {
  recordAccess,
  recordListing,
  recordLogAnswer,
  takeMissed,
  withoutChildrenListed,
} from '../../../src/store/organizations.ts';
import {
  claimSource,
  loadSources,
  recordFailure,
  releaseDead,
  releaseSource,
  renewSource,
  syncSources,
} from '../../../src/store/sources.ts';
import { SimulatedDatabase } from '../../simulation/database.ts';
import { Dice } from '../../simulation/dice.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  anyWalk,
  commitOf,
  entryText,
  FILTERS,
  HORIZON,
  pageOf,
  seconds,
  sourceOf,
  T0,
} from '../../support/store-fixture.ts';

const SEED = 1;
const STEPS = 800;
const HOUR_MS = 3_600_000;
const ids = ['a', 'b', 'c'];
const owners = ['host/1/x', 'host/2/y', 'host/3/z'];

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database?.close();
});

/** One step, done to both; what they answer must be the same. */
type Step = () => Promise<readonly [what: string, real: unknown, simulated: unknown]>;

/** The statements of the store and their model, side by side. Leases and rests last an hour, or no time at all: so the two
 * clocks need not agree. */
const drawSteps = (dice: Dice, simulated: SimulatedDatabase): readonly Step[] => {
  const { pool } = database;
  const { organizations } = simulated;
  const leases: Lease[] = [];
  const id = () => dice.pick(ids);
  const owner = () => dice.pick(owners);
  const leaseMs = () => dice.pick([0, HOUR_MS, HOUR_MS]);
  const lease = (): Lease => {
    // Mostly the newest, now and then one that is long gone, or that never was.
    const from = dice.chance(0.75) ? leases.slice(-3) : leases;
    const picked = dice.pick(from) ?? {
      ...sourceOf('a'),
      organizationId: 'a',
      owner: 'nobody',
      epoch: 1,
      commitSeq: 0,
    };
    return dice.chance(0.1) ? { ...picked, owner: owner() } : picked;
  };
  const claim: Step = async () => {
    const [source, by, forMs] = [sourceOf(id()), owner(), leaseMs()];
    const real = await claimSource(pool, source, by, forMs);
    const claimed = simulated.claimSource(source, by, forMs);
    const state = claimed === undefined ? undefined : simulated.readSource(source);
    if (real !== undefined) leases.push(real.lease);
    const modelled =
      claimed === undefined || state === undefined
        ? undefined
        : { lease: { ...source, organizationId: source.id, owner: by, ...claimed }, source: comparable(state) };
    return ['claim', real && { ...real, source: comparable(real.source) }, modelled];
  };
  const commit: Step = async () => {
    const of = lease();
    const from = dice.between(0, 40);
    const texts = Array.from({ length: dice.between(0, 4) }, () => {
      const number = dice.between(0, 30);
      return entryText(`e${number}`, T0 + number * 1_000);
    });
    const lane: Lane = dice.pick(lanes);
    const claims = [0, 1, 2].map(() => (dice.chance(0.4) ? seconds(from, from + dice.between(0, 9)) : []));
    const walk = dice.chance(0.5)
      ? anyWalk(`c${from}`, { lane, stalls: dice.between(0, 2), inOrder: dice.chance(0.5) })
      : undefined;
    const eventRate = dice.chance(0.4) ? { perHour: dice.next(), recentPerHour: dice.next() } : undefined;
    const page = commitOf(of, pageOf(texts), { lane, walk, claims, eventRate });
    const forMs = leaseMs();
    const real = await commitPage(pool, page, forMs);
    if (real.kind === 'committed') leases.push(real.lease);
    const result = withoutLateness(real);
    const modelled = withoutLateness(simulated.commitPage(page, forMs));
    return [`commit of ${of.id}`, result, modelled];
  };
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
    const [of, answer] = [dice.pick(missed) ?? id(), dice.pick(['open', 'refused'] as const)];
    const real = await recordLogAnswer(pool, of, answer);
    if (real && answer === 'refused') return ['gone', real, organizations.recordLogAnswer(of, answer)];
    return ['log answer', real, organizations.recordLogAnswer(of, answer)];
  };
  return [
    claim,
    claim,
    claim,
    commit,
    commit,
    commit,
    commit,
    async () => {
      const [of, forMs] = [lease(), leaseMs()];
      return ['renew', await renewSource(pool, of, forMs), simulated.renewSource(of, forMs)];
    },
    async () => {
      const of = lease();
      return ['release', await releaseSource(pool, of), simulated.releaseSource(of)];
    },
    async () => {
      const dead = owner();
      const isDead = (each: string) => each === dead;
      return ['release dead', await releaseDead(pool, isDead), simulated.releaseDead(isDead)];
    },
    async () => {
      const of = lease();
      const backoffMs = dice.pick([0, HOUR_MS]);
      const failure = {
        failure: dice.pick(['timeout', 'refused']),
        message: '',
        backoffMs,
        failures: dice.between(1, 9),
      };
      return ['failure', await recordFailure(pool, of, failure), simulated.recordFailure(of, failure)];
    },
    async () => {
      const [of, access] = [id(), dice.pick(['refused', 'restored'] as const)];
      return [access, await recordAccess(pool, of, access), organizations.recordAccess(of, access)];
    },
    listing,
    listing,
    listing,
    async () => {
      const nobody = { complete: true, within: undefined };
      return ['empty listing', await recordListing(pool, [], nobody), organizations.recordListing([], nobody)];
    },
    async () => {
      const limit = dice.between(1, 3);
      const real = [...(await takeMissed(pool, limit))].sort();
      if (real.length > 0) missed = real;
      return ['missed', real, [...organizations.takeMissed(limit)].sort()];
    },
    logAnswer,
    logAnswer,
    logAnswer,
    async () => ['children', await withoutChildrenListed(pool, 5), organizations.withoutChildrenListed(5)],
    async () => {
      await syncSources(pool, FILTERS, HORIZON);
      return ['sync sources', undefined, simulated.syncSources()];
    },
    async () => {
      const [by, forMs, restMs] = [owner(), leaseMs(), dice.pick([0, HOUR_MS])];
      const { mine } = await claimDiscovery(pool, by, forMs, restMs);
      return ['claim discovery', mine, organizations.claimDiscovery(by, forMs, restMs)];
    },
    async () => {
      const [by, forMs] = [owner(), leaseMs()];
      return ['renew discovery', await renewDiscovery(pool, by, forMs), organizations.renewDiscovery(by, forMs)];
    },
    async () => {
      const dead = owner();
      const isDead = (each: string) => each === dead;
      const released = await releaseDeadDiscovery(pool, isDead);
      return ['release dead discovery', released, organizations.releaseDeadDiscovery(isDead)];
    },
    async () => {
      const by = owner();
      const result = dice.chance(0.5) ? { error: 'simulated' } : { organizations: 1, serverTimeMs: T0 };
      await recordDiscovery(pool, by, result);
      return ['discovery', undefined, simulated.recordDiscovery(by, result)];
    },
  ];
};

const outcomeOf = (answer: unknown): string => {
  if (typeof answer !== 'object' || answer === null) return String(answer ?? 'none');
  return 'kind' in answer ? String(answer.kind) : 'given';
};

const sorted = (changes: readonly object[]): readonly string[] =>
  changes.map((change) => JSON.stringify(change)).sort();

/** How late entries were is for metrics; the simulation knows that better. */
const withoutLateness = (result: CommitResult): unknown =>
  result.kind === 'fenced' ? result : { ...result, latenessSeconds: [], covered: [] };

/** Of a rest, only whether there is one; walks in the order of their lanes. */
const comparable = (state: SourceState): unknown => ({
  ...state,
  restMs: state.restMs > 0,
  coverage: withoutEmptyEnd(state.coverage),
  openWalks: [...state.openWalks].sort((a, b) => (a.lane < b.lane ? -1 : 1)),
});

const withoutEmptyEnd = (coverage: SourceState['coverage']): SourceState['coverage'] =>
  coverage.slice(0, coverage.findLastIndex((ranges) => ranges.length > 0) + 1);

const storedEvents = async (): Promise<unknown> => {
  const { rows } = await database.pool.query(
    'select position::float8 as position, source_id as "sourceId", id from audit_events order by position',
  );
  return rows;
};

test('the model of the database, on which the simulation runs, does what the statements do', async () => {
  let clockMs = T0;
  const simulated = new SimulatedDatabase(() => clockMs);
  const dice = new Dice(SEED);
  const steps = drawSteps(dice, simulated);
  const met = new Map<string, number>();
  for (let step = 0; step < STEPS; step += 1) {
    clockMs += 1;
    const [what, real, modelled] = await dice.pick(steps)();
    const where = `seed ${SEED}, step ${step}: ${what}`;
    expect(modelled, where).toEqual(real);
    const outcome = `${what.split(' of ')[0]}: ${outcomeOf(real)}`;
    met.set(outcome, (met.get(outcome) ?? 0) + 1);
    for (const change of ['restored', 'moved']) {
      if (what === 'listing' && JSON.stringify(real).includes(change)) met.set(change, (met.get(change) ?? 0) + 1);
    }
    const by = dice.pick(owners);
    const [states, modelledStates] = [
      await loadSources(database.pool, by, undefined),
      simulated.loadSources(by, undefined),
    ];
    expect(modelledStates.map(comparable), where).toEqual(states.map(comparable));
    expect(simulated.events, where).toEqual(await storedEvents());
  }
  for (const outcome of [
    'commit: fenced',
    'commit: committed',
    'claim: none',
    'claim: given',
    'claim discovery: false',
    'gone: true',
    'log answer: true',
    'log answer: false',
    'missed: given',
    'restored',
    'moved',
    'renew: false',
    'renew: true',
  ]) {
    expect(met.get(outcome) ?? 0, outcome).toBeGreaterThan(2);
  }
});
