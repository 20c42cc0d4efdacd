import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiBudget, createApiBudget } from '../../../src/ingest/cloudflare/api-budget.sql.ts';
import { UNNAMED_USERS } from '../../../src/ingest/cloudflare/budget-rows.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { openStillClock, type StillClock } from '../../support/postgres/database-clock.ts';
import { openRun, openWorld } from '../../support/sync/sync-world.ts';

const database = databaseOfTests();
let clock: StillClock;
/** Of connections whose clock stands still, until the test lets time pass. */
let stillPool: Pool;
beforeAll(async () => {
  clock = await openStillClock(database);
  [stillPool] = clock.pools;
});
afterAll(async () => {
  await clock?.[Symbol.asyncDispose]();
});

describe('invariant 11: the budget is that of a principal', () => {
  test('two tokens and the key of one user, in processes of their own, get no more than one budget in any 5 minutes', async () => {
    const processes = ['token a', 'token b', 'key'].map((name) => processOf(name, 'user:one'));
    let admitted = await takeAll(...processes);
    expect(admitted, 'the question of each has been counted, too').toBe(6 - 3);
    const steps = 60;
    for (let step = 0; step < steps; step += 1) {
      await pass(WINDOW_MS / steps);
      admitted += await takeAll(...processes);
    }
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
    let admitted = await takeAll(old, current);
    for (let step = 0; step < 60; step += 1) {
      await pass(WINDOW_MS / 60);
      admitted += await takeAll(old, current);
    }
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

  test('what may be of any user counts for each that is known, and takes nothing from the token of an account', async () => {
    await pass(WINDOW_MS);
    const [alice, account] = [processOf('of alice', 'user:alice'), processOf('cfat beside')];
    const unnamed = processOf('quiet', UNNAMED_USERS, 'user:alice');
    let admitted = await takeAll(alice, unnamed);
    for (let step = 0; step < 60; step += 1) {
      await pass(WINDOW_MS / 60);
      admitted += await takeAll(alice, unnamed);
    }
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
        pool: database.pool,
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
    const got = await budget?.acquire(stopped.signal).then(
      () => true,
      () => false,
    );
    if (got === true) admitted += 1;
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
