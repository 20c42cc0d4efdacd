import type { SourceState } from '../../../src/ingest/planning/source.ts';
import type { ScrubLeave, SyncStore } from '../../../src/ingest/sync/ports.ts';
import { surveyOf } from '../../support/sync/surveyed-sources.ts';
import type { Process } from '../process.ts';
import type { Simulation } from '../simulation.ts';
import type { SimulatedDatabase } from './database.ts';

/** A statement failed, or its answer was lost. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
}

/** What a process asks of the database. */
export interface SimulatedStore extends SyncStore {
  readonly scrub: ScrubLeave | undefined;
}

/** The most windows of the scrub lane that one plan has leave for. */
const MAX_LEAVE = 3;
const LEAST_CUT_MS = 3_600_000;

/** The port of src/ingest/sync over the simulated database, for one process: every statement takes time, and may fail before
 * its moment, or after it. */
export const createSimulatedStore = (simulation: Simulation, process: Process): SimulatedStore => {
  const { database, checker, world, scheduler, organizationIds } = simulation;
  const { organizations } = database;
  const { owner } = process;
  const { leaseMs } = world;
  const statement = <T>(what: string, run: () => T) => execute(simulation, process, what, run);
  const load = () => database.loadSources(owner, process.filterHash, organizationIds);
  return {
    loadSources: async () => {
      await statement('release dead', () => simulation.releaseDead(process));
      return await statement('load', load);
    },
    surveySources: async (take) => {
      await statement('release dead', () => simulation.releaseDead(process));
      const all = await statement('survey', () => load().map((state) => surveyOf(state, versionOf(database, state))));
      for (const survey of all) take(survey);
    },
    loadSourcesOf: (keys) => {
      const ids = new Set(keys.map(({ id }) => id));
      return statement('load some', () => load().filter(({ id }) => ids.has(id)));
    },
    readTime: () =>
      statement('time', () => {
        const trimmed = database.trimFuture([0, ...world.settleDelaysMs]);
        return { ...database.readTime(), trimmed };
      }),
    resourceTypes: () => statement('types', () => []),
    // Windows need not be as wide as the planner thinks.
    newestPart: (_source, { fromMs, toMs }) =>
      statement('newest part', () => {
        const middleMs = Math.floor((fromMs + toMs) / 2_000) * 1_000;
        return middleMs > fromMs && toMs - fromMs > LEAST_CUT_MS && scheduler.dice.chance(0.3) ? middleMs : fromMs;
      }),
    nearestStored: (source, range, direction) =>
      statement('nearest', () => {
        const within = simulation.storedIn(source.id, range, process.filterHash);
        const found = direction === 'asc' ? within[0] : within.at(-1);
        return found && { id: found.id, timeMs: found.timeMs };
      }),
    scrub: world.scrub && {
      everyMs: world.scrub.everyMs,
      take: (requests) =>
        statement('take', () =>
          scheduler.dice.chance(0.2) ? 0 : Math.min(requests, scheduler.dice.between(1, MAX_LEAVE)),
        ),
      spend: () => statement('spend', () => {}),
    },
    claim: async (source) => {
      const claimed = await statement('claim', () => simulation.claim(process, source));
      if (claimed === undefined) return undefined;
      const state = await statement('read', () => database.readSource(source, process.filterHash));
      if (state === undefined) return undefined;
      const { kind, id, organizationId } = state;
      return { source: state, lease: { kind, id, organizationId, owner, ...claimed } };
    },
    renew: (lease) => statement('renew', () => database.renewSource(lease, leaseMs)),
    commit: (commit) => statement('commit', () => simulation.commit(commit)),
    release: (lease) => statement('release', () => database.releaseSource(lease)),
    // The results of rounds are no part of what is simulated.
    noteScrub: async () => {},
    recordFailure: (lease, failure) => statement('failure', () => database.recordFailure(lease, failure)),
    recordAccess: ({ id }, access) =>
      statement('access', () => {
        const news = organizations.recordAccess(id, access);
        if (news && access === 'restored') checker.reached('refused organization restored');
        return news;
      }),
    recordListing: (found, listing) =>
      statement('listing', () => {
        const changes = organizations.recordListing(found, { ...listing, within: organizationIds });
        for (const { change } of changes) {
          if (change === 'restored') checker.reached('organization gone and restored');
          if (change === 'appeared' && listing.under !== undefined) checker.reached('organization found below another');
        }
        return changes;
      }),
    takeMissed: (limit) => statement('missed', () => organizations.takeMissed(limit)),
    recordLogAnswer: (id, answer) =>
      statement('log answer', () => {
        const news = organizations.recordLogAnswer(id, answer);
        if (news === 'open') checker.reached('missed organization whose log answers');
        return news;
      }),
    withoutChildrenListed: (limit) => statement('without children', () => organizations.withoutChildrenListed(limit)),
    recordChildrenListed: (id) => statement('children', () => organizations.recordChildrenListed(id)),
    nameAccounts: async () => [],
    dueAccountListings: async () => [],
    claimAccountListing: async () => undefined,
    renewAccountListing: async () => true,
    pauseAccountListing: async () => {},
    countWalkedAccounts: async () => 0,
    recordAccounts: async () => [],
    endAccountListing: async () => true,
    countAccountListings: async () => 0,
    countAccounts: async () => 0,
    refusedAccountListings: async () => undefined,
    takeGoneAccounts: async () => [],
    claimDiscovery: async (restMs) => {
      const claimed = () => statement('claim discovery', () => simulation.claimDiscovery(process, restMs));
      const released = () => statement('release discovery', () => simulation.releaseDeadDiscovery(process));
      const mine = (await claimed()) || ((await released()) && (await claimed()));
      if (mine) return { mine, serverTimeMs: undefined };
      const serverTimeMs = await statement('read discovery', () => organizations.discovery.serverTimeMs);
      return { mine, serverTimeMs };
    },
    renewDiscovery: () => statement('renew discovery', () => organizations.renewDiscovery(owner, leaseMs)),
    recordDiscovery: (result) => statement('discovery', () => database.recordDiscovery(owner, result)),
    syncSources: () => statement('sync sources', () => database.syncSources()),
    withoutProfile: (limit) => statement('without profile', () => organizations.withoutProfile(limit)),
    recordProfile: (id) => statement('profile', () => organizations.recordProfile(id)),
    recordProfileRefused: (id) =>
      statement('profile', () => {
        organizations.recordProfile(id);
        return 'one' as const;
      }),
  };

  function execute<T>(of: Simulation, by: Process, what: string, run: () => T): Promise<T> {
    const { scheduler } = of;
    const { dice } = scheduler;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    checker.called();
    const answer = (delayMs: number, use: () => void) => {
      scheduler.after(
        delayMs,
        `${what}: answer`,
        () => {
          if (!by.mayCrash('an answer of the database')) use();
        },
        by,
      );
    };
    const faults = of.faulty ? world.database : undefined;
    if (of.databaseIsAway || dice.chance(faults?.failBeforeRate ?? 0)) {
      if (of.databaseIsAway) checker.reached('database away');
      answer(dice.between(1, 2_000), () => reject(new DatabaseError(`${what}: not connected`)));
      return promise;
    }
    const slow = dice.chance(faults?.slowRate ?? 0);
    const delayMs = slow ? dice.between(200, 2 * leaseMs) : dice.between(1, 8);
    scheduler.after(delayMs, what, () => {
      // A statement that a dead process has sent may have arrived, or not.
      if (by.dead) {
        if (dice.chance(0.5)) return;
        checker.reached('statement of a dead process applied');
      }
      if (of.databaseIsAway) return answer(1, () => reject(new DatabaseError(`${what}: connection lost`)));
      const result = run();
      const lost = dice.chance(faults?.ambiguousRate ?? 0);
      if (lost && what === 'commit') checker.reached('ambiguous commit');
      answer(dice.between(1, 8), () => (lost ? reject(new DatabaseError(`${what}: answer lost`)) : resolve(result)));
    });
    return promise;
  }
};

/** Changes with all that a plan depends on. */
const versionOf = ({ sources }: Pick<SimulatedDatabase, 'sources'>, { id, holes }: SourceState): string => {
  const row = sources.get(id);
  const due = holes.filter((hole) => hole.due).length;
  return [row?.leaseEpoch, row?.commitSeq, row?.lastAttemptAtMs, holes.length, due].join('/');
};
