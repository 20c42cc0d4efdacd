import type { Pool } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type ApiBudget,
  createApiBudget,
  createScrubBudget,
  gcraOf,
  readBudgetsLeft,
  type ScrubBudget,
  UNNAMED_USERS,
} from '../../../src/ingest/cloudflare/api-budget.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { openStillClock } from '../../support/postgres/database-clock.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { openRun, openWorld } from '../../support/sync/sync-world.ts';

const database = databaseOfTests();
const pool = poolOfTests(database);

/** Of connections whose clock stands still, until the test lets time pass. */
let stillPool: Pool;

const clock = forAllTests(() => openStillClock(database));
beforeAll(async () => {
  [stillPool] = clock.pools;
});

describe('invariant 11: the budget is that of a principal', () => {
  test('two tokens and the key of one user, in processes of their own, get no more than one budget in any 5 minutes', async () => {
    const processes = ['token a', 'token b', 'key'].map((name) => processOf(name, 'user:one'));
    const atOnce = await takeAll(...processes);
    expect(atOnce, 'the question of each has been counted, too').toBe(6 - 3);
    const admitted = atOnce + (await clock.inAWindow(() => takeAll(...processes)));
    expect(admitted).toBeLessThanOrEqual(REQUESTS - 3);
    expect(admitted, 'and the budget is used').toBeGreaterThanOrEqual(Math.floor(REQUESTS * 0.9) - 3);
  });

  test('two users have a budget each, and so has the token of an account', async () => {
    const [a, b, account] = [processOf('a', 'user:a'), processOf('b', 'user:b'), processOf('cfat')];
    expect(await takeAll(a)).toBe(5);
    expect(await takeAll(b)).toBe(5);
    expect(await takeAll(account)).toBe(6);
  });

  test('during an upgrade, replicas that know no principal and those that do share what their token has', async () => {
    const [old, current] = [processOf('shared token'), processOf('shared token', 'user:upgraded')];
    const admitted = (await takeAll(old, current)) + (await clock.inAWindow(() => takeAll(old, current)));
    expect(admitted).toBeLessThanOrEqual(REQUESTS);
    expect(admitted).toBeGreaterThanOrEqual(Math.floor(REQUESTS * 0.9));
  });

  test('a request that has to wait for one row takes nothing from the other', async () => {
    const [first, second] = [processOf('greedy token', 'user:careful'), processOf('modest token', 'user:careful')];
    expect(await takeAll(processOf('greedy token'))).toBe(6);
    expect(await takeAll(first)).toBe(0);
    expect(await takeAll(first)).toBe(0);
    expect(await takeAll(second), 'only the two questions have been counted').toBe(4);
  });

  test('a block of one credential stops those of the same user, also in old replicas, and no other', async () => {
    const [a, b, old, other] = [
      processOf('blocked a', 'user:blocked'),
      processOf('blocked b', 'user:blocked'),
      processOf('blocked a'),
      processOf('not blocked', 'user:not blocked'),
    ];
    await a(() => {}).pause(60_000, 'retry_after');
    expect(await b(() => {}).blockedSeconds()).toBe(60);
    for (const each of [a, b, old]) expect(await takeAll(each)).toBe(0);
    expect(await takeAll(other)).toBe(5);
    await pass(60_000);
    expect(await takeAll(b), 'the questions are long ago').toBe(6);
  });

  test('what is left is read for all principals together, each once', async () => {
    const [user, blocked] = [processOf('of left', 'user:left'), processOf('blocked alone')];
    await takeAll(user);
    await blocked(() => {}).pause(60_000, 'retry_after');
    const counted = (key: string, countedFor = key) => ({ key, countedFor, budget: REQUESTS });
    const ofUser = [counted('of left', 'user:left'), counted('also of left', 'user:left')];
    const all = [...ofUser, counted('blocked alone'), counted('idle'), counted('idle too', 'idle')];
    expect(await readBudgetsLeft(stillPool, all)).toEqual({ available: 6, blockedSeconds: 60 });
  });

  test('what may be of any user counts for each that is known, and takes nothing from the token of an account', async () => {
    await pass(WINDOW_MS);
    const [alice, account] = [processOf('of alice', 'user:alice'), processOf('cfat beside')];
    const unnamed = processOf('quiet', UNNAMED_USERS, 'user:alice');
    const admitted = (await takeAll(alice, unnamed)) + (await clock.inAWindow(() => takeAll(alice, unnamed)));
    expect(admitted).toBeLessThanOrEqual(REQUESTS);
    expect(admitted).toBeGreaterThanOrEqual(Math.floor(REQUESTS * 0.9) - 3);
    expect(await takeAll(account)).toBe(6);
  });

  test('a user that becomes known has used what unnamed users have, and they what any user has', async () => {
    await pass(WINDOW_MS);
    const [quiet, silent] = [processOf('a quiet one', UNNAMED_USERS), processOf('a silent one', UNNAMED_USERS)];
    expect(await takeAll(quiet, silent), 'together, and the questions').toBe(6 - 2);
    expect(await takeAll(processOf('a quiet one', 'user:quiet'))).toBe(0);
    await pass(WINDOW_MS);
    expect(await takeAll(processOf('a loud one', 'user:loud'))).toBe(5);
    await processOf('a loud one', 'user:loud')(() => {}).pause(60_000, 'retry_after');
    expect(await takeAll(processOf('just restarted', UNNAMED_USERS))).toBe(0);
    expect(await processOf('just restarted', UNNAMED_USERS)(() => {}).blockedSeconds()).toBe(60);
    await pass(WINDOW_MS);
  });

  test('in real time, six callers of three credentials are admitted as often as one budget allows, and no caller is left waiting', async () => {
    const [burst, perSecond] = [300, 2_700 / 305];
    const enough = new AbortController();
    const startMs = performance.now();
    let admitted = 0;
    const call = async (fingerprint: string) => {
      const budget = createApiBudget({
        pool: pool,
        fingerprint,
        principals: () => ['user:crowd'],
        requestsPerWindow: 3_000,
      });
      for (;;) {
        await budget.acquire(enough.signal);
        admitted += 1;
        if (admitted >= burst + 5) enough.abort();
      }
    };
    const endings = await Promise.allSettled(['x', 'y', 'z', 'x', 'y', 'z'].map(call));
    const seconds = (performance.now() - startMs) / 1_000;
    expect(endings.map(({ status }) => status)).toEqual(Array(6).fill('rejected'));
    expect(admitted).toBeLessThanOrEqual(burst + perSecond * seconds + 1);
  });
});

test('two tokens and the key of one user read as one principal; another user has a budget of its own', async () => {
  const alice = 'alice@example.com';
  await using world = await openWorld({
    entries: 60,
    credentials: [
      { token: 'token-of-alice', user: alice },
      { token: 'other-token-of-alice', user: alice },
      { email: alice, key: 'key-of-alice' },
      { token: 'token-of-bob', user: 'bob@example.com' },
    ],
  });
  const { CLOUDFLARE_API_TOKEN: _, ...env } = world.env;
  const environments: Record<string, string>[] = [
    { CLOUDFLARE_API_TOKEN: 'token-of-alice' },
    { CLOUDFLARE_API_TOKEN: 'other-token-of-alice' },
    { CLOUDFLARE_EMAIL: alice, CLOUDFLARE_API_KEY: 'key-of-alice' },
    { CLOUDFLARE_API_TOKEN: 'token-of-bob' },
  ];
  for (const own of environments) {
    await using run = await openRun({ ...env, ...own }, {});
    expect(await run.sync()).toMatchObject({ failed: [] });
  }
  await world.expectExactTruth();
  const { rows } = await world.database.pool.query<{ credential: string }>(
    "select credential from api_budget where credential not like '% scrub' order by credential",
  );
  const names = rows.map(({ credential }) => credential);
  expect(names.filter((name) => name.startsWith('user:'))).toHaveLength(2);
  expect(names.filter((name) => /^[0-9a-f]{16}$/.test(name))).toHaveLength(4);
  const questions = world.simulator.requests().filter(({ path }) => path.endsWith('/user'));
  expect(questions.map(({ owner }) => owner)).toEqual([...Array(3).fill(`user:${alice}`), 'user:bob@example.com']);
});

describe('leave to read history again', () => {
  test('is a share of the budget: in two hours, all replicas together get no more, and hardly less', async () => {
    const replicas = [scrubOf('a day'), scrubOf('a day', 1)];
    let granted = 0;
    for (let ms = 0; ms < 2 * HOUR_MS; ms += TICK_MS) {
      for (const replica of replicas) granted += await replica.take(100);
      await pass(TICK_MS);
    }
    const most = (SHARE * DEFAULT_REQUESTS * 2 * HOUR_MS) / 300_000;
    expect(granted).toBeLessThanOrEqual(most + 10);
    expect(granted).toBeGreaterThan(0.85 * most);
  });

  test('is never more than what is asked for, and what was not used saves up for two ticks', async () => {
    const budget = scrubOf('saved up');
    await pass(DAY_MS);
    expect(await budget.take(2)).toBe(2);
    await pass(DAY_MS);
    const most = await budget.take(1_000);
    expect(most).toBeGreaterThanOrEqual(8);
    expect(most).toBeLessThanOrEqual(10);
    expect(await budget.take(1_000)).toBe(0);
  });

  test('is refused while the whole budget is needed, and while it is blocked', async () => {
    const budget = scrubOf('needed');
    await useBudget('needed', 1);
    expect(await budget.take(5)).toBe(0);
    await useBudget('needed', 0.6);
    expect(await budget.take(5)).toBe(0);
    await useBudget('needed', 0.4);
    expect(await budget.take(2)).toBe(2);
    await createApiBudget({ pool: clock.pools[0], fingerprint: 'needed', requestsPerWindow: DEFAULT_REQUESTS }).pause(
      60_000,
      'retry_after',
    );
    expect(await budget.take(2)).toBe(0);
    await pass(61_000);
    expect(await budget.take(2)).toBe(2);
  });

  test('what a turn sends beyond it is missing from the next', async () => {
    const budget = scrubOf('beyond');
    expect(await budget.take(1)).toBe(1);
    await budget.spend(44);
    for (let tick = 0; tick < 8; tick += 1) {
      await pass(TICK_MS);
      expect(await budget.take(5), `tick ${tick}`).toBe(0);
    }
    await pass(3 * TICK_MS);
    expect(await budget.take(5)).toBeGreaterThan(0);
  });

  test('a share so small that a tick earns none of it still has its turn', async () => {
    const budget = scrubOf('small', 0, 0.001);
    expect(await budget.take(5)).toBe(1);
    expect(await budget.take(5)).toBe(0);
    await pass((300_000 / (0.001 * DEFAULT_REQUESTS)) * 1.2);
    expect(await budget.take(5)).toBe(1);
  });
});

const WINDOW_MS = 300_000;

/** 6 at once. */
const REQUESTS = 60;

const pass = (ms: number) => clock.pass(ms);

/** Takes all that there is now, by each of these budgets in turn. */
const takeAll = async (...budgets: readonly ((onWait: () => void) => ApiBudget)[]): Promise<number> => {
  let admitted = 0;
  const waiting = new Set<number>();
  for (let turn = 0; waiting.size < budgets.length; turn = (turn + 1) % budgets.length) {
    const stopped = new AbortController();
    const budget = budgets[turn]?.(() => stopped.abort(new Error('would wait')));
    const [got] = await Promise.allSettled([budget?.acquire(stopped.signal)]);
    if (got.status === 'fulfilled') admitted += 1;
    else waiting.add(turn);
  }
  return admitted;
};

/** One process with a credential; of an old version if it knows no principal. */
const processOf = (fingerprint: string, ...principals: readonly string[]) => {
  let warn = () => {};
  const budget = createApiBudget({
    pool: stillPool,
    fingerprint,
    principals: () => principals,
    requestsPerWindow: REQUESTS,
    onWait: () => warn(),
  });
  return (onWait: () => void): ApiBudget => {
    warn = onWait;
    return budget;
  };
};

const TICK_MS = 30_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The default budget, and the default share of it. */
const DEFAULT_REQUESTS = 900;
const SHARE = 0.05;

const scrubOf = (fingerprint: string, replica: 0 | 1 = 0, share = SHARE): ScrubBudget =>
  createScrubBudget({
    pool: clock.pools[replica],
    fingerprint,
    requestsPerWindow: DEFAULT_REQUESTS,
    share,
    tickMs: TICK_MS,
  });

/** As if the whole budget had been used up to so much of its burst. */
const useBudget = (fingerprint: string, share: number) =>
  database.pool.query(
    `insert into api_budget as b (credential, next_free_at)
     values ($1, (select at from still.clock) + $2 * interval '1 millisecond')
     on conflict (credential) do update set next_free_at = excluded.next_free_at`,
    [fingerprint, share * gcraOf(DEFAULT_REQUESTS).toleranceMs],
  );
