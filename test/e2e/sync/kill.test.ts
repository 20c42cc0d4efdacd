import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { compareWithTruth } from '../../../src/cli/demo/verdict.sql.ts';
import type { Simulator } from '../../../src/simulator/interface.ts';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

/** Side by side, since half of a life is waiting: thirty kills together. */
const SEEDS = [50, 51];
const KILLS_EACH = 15;

test.concurrent.each(SEEDS)(
  `killed at ${KILLS_EACH} random moments (seed %i) and started again, the store has exactly what was served (invariant 1)`,
  async (seed) => {
    await using world = await openWorld(seed);
    const storedByKilled = await killAgainAndAgain(world, seededRandom(seed));
    expect(storedByKilled, 'kills fell into the writing').toBeGreaterThan(3);
    // Entries of the last moments lie inside the second that a walk leaves for the next.
    await sleep(1_500);
    const last = await runOrgtrail(['sync'], world.env);
    expect(last, last.stderr).toMatchObject({ code: 0 });
    const comparison = await compareWithTruth(world.database.pool, world.simulator);
    expect(comparison).toMatchObject({
      missing: 0,
      extra: 0,
      duplicates: 0,
      positionsMissing: 0,
      organizationsStored: 12,
    });
    expect(comparison.stored).toBe(comparison.expected);
  },
);

/** How many of the killed had stored something. */
const killAgainAndAgain = async (world: World, random: () => number): Promise<number> => {
  const { simulator, database, env } = world;
  const organizations = simulator.summary().organizations;
  let longestLifeMs = MAX_LIFE_MS;
  let storedByKilled = 0;
  for (let killed = 0; killed < KILLS_EACH; ) {
    const before = await count(database);
    const startedAt = performance.now();
    const running = startOrgtrail(['sync'], env);
    const moment = killed % 2 === 0 ? sleep(random() * longestLifeMs) : afterRequests(simulator, random);
    await Promise.race([moment, running.ended]);
    running.child.kill('SIGKILL');
    if ((await running.ended) === 'SIGKILL') {
      killed += 1;
      if ((await count(database)) > before) storedByKilled += 1;
    } else {
      // It was done before: on this machine the moments that count lie earlier.
      longestLifeMs = Math.min(longestLifeMs, performance.now() - startedAt);
    }
    // New entries keep the later ones at work, too.
    for (const { id } of organizations) simulator.generate(id, Math.ceil(random() * 200));
  }
  return storedByKilled;
};

/** Resolves a moment after some more requests. */
const afterRequests = async (simulator: Simulator, random: () => number): Promise<void> => {
  let left = Math.ceil(random() * MAX_REQUESTS);
  const momentMs = random() * MAX_MOMENT_MS;
  await new Promise<void>((resolve) => {
    const stop = simulator.onRequest(() => {
      left -= 1;
      if (left > 0) return;
      stop();
      resolve();
    });
  });
  await sleep(momentMs);
};

const count = ({ pool }: TestDatabase): Promise<number> =>
  firstValue<number>(pool, 'select count(*)::integer as count from audit_events');

/** Every second life ends by the clock: before the process has read its configuration, or well into its work; shorter where it is done sooner. */
const MAX_LIFE_MS = 2_500;
/** The others end while pages are read and stored, however slow the machine is: after so many requests at most, and a moment more. */
const MAX_REQUESTS = 50;
const MAX_MOMENT_MS = 60;

interface World extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly database: TestDatabase;
  readonly env: Readonly<Record<string, string>>;
}

const openWorld = async (seed: number): Promise<World> => {
  const simulator = await startSimulator({
    seed,
    organizations: 12,
    entries: 30_000,
    // Small pages, so that a kill falls between and into many commits.
    pageCap: 60,
    budget: null,
    faults: {
      expired_cursor: 0.02,
      cut_body: 0.01,
      last_page_cursor: 0.2,
      equal_timestamps: 0.3,
      defectRate: 0.01,
      slow_body: 0.05,
    },
  });
  const database = await createTestDatabase();
  return {
    simulator,
    database,
    env: {
      CLOUDFLARE_API_TOKEN: 'token-of-the-test',
      CLOUDFLARE_BASE_URL: simulator.baseUrl,
      DATABASE_URL: database.daemonUrl,
      ORGTRAIL_API_BUDGET: '1000000',
    },
    [Symbol.asyncDispose]: async () => {
      await database.close();
      await simulator.close();
    },
  };
};
