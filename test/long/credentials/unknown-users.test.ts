import { expect, test } from 'vitest';
import { openCredentialsWorld } from '../../support/sync/credentials-world.ts';

// Cloudflare fails to say whose credentials these are, from the start on.

const alice = 'alice@example.com';
const BUDGET = 3_000;
const BURST = BUDGET / 10;
const WINDOW_MS = 10_000;
const CONCURRENCY = 16;
/**
 * A tenth at once, and the rest evenly over five minutes and a little more. A permit may be used a moment after it was given; and if a busy
 * machine stands still, those of all workers are used after it.
 */
const MOST = BURST + Math.ceil(((BUDGET - BURST) / 305_000) * WINDOW_MS) + 10 + CONCURRENCY;

test('two credentials of one user stay within the budget of one, while it is not known that they are', async () => {
  await using world = await openCredentialsWorld(
    {
      organizations: 0,
      entries: 0,
      standaloneAccounts: 40,
      accountEntries: 4_000,
      pageCap: 10,
      budget: { requests: MOST, windowMs: WINDOW_MS, blockMs: 2_000 },
      credentials: [
        { token: 'token-of-alice', user: alice, accounts: Array.from({ length: 20 }, (_, n) => n) },
        { token: 'other-token-of-alice', user: alice, accounts: Array.from({ length: 20 }, (_, n) => 20 + n) },
      ],
      faults: { server_error: { probability: 1, operation: 'user' } },
    },
    { a: { token: 'token-of-alice' }, second: { token: 'other-token-of-alice' } },
    { ORGTRAIL_API_BUDGET: String(BUDGET), ORGTRAIL_CONCURRENCY: String(CONCURRENCY), ORGTRAIL_SOURCES: 'accounts' },
  );
  await using run = await world.start();
  expect(await run.sync()).toMatchObject({ failed: [] });
  await world.expectExactTruth();
  const requests = world.simulator.requests();
  expect(requests.filter(({ status }) => status === 429)).toEqual([]);
  expect(requests.length, 'the budget has limited it').toBeGreaterThan(MOST);
});
