import { expect, test } from 'vitest';
import { discoveryPace } from '../../../../src/ingest/sync/ports.ts';
import {
  type DiscoveryWorld,
  discoveryShare,
  discoveryWorstHour,
} from '../../../../studies/freshness/discovery-share.ts';

test.each<DiscoveryWorld>([
  { organizations: 1, accounts: 20, budget: 900 },
  { organizations: 60, accounts: 600, budget: 900 },
  { organizations: 500, accounts: 5_000, budget: 900 },
  { organizations: 1_700, accounts: 5_000, budget: 900 },
  { organizations: 5_000, accounts: 5_000, budget: 900 },
  { organizations: 5_000, accounts: 50_000, budget: 900 },
  { organizations: 1_000, accounts: 5_000, budget: 300 },
  { organizations: 20, accounts: 200, budget: 100 },
])('listings and details take at most 5 % of the budget: %o', (world) =>
  expect(discoveryShare(world)).toBeLessThanOrEqual(0.05),
);

test.each<DiscoveryWorld>([
  { organizations: 2_000, accounts: 2_000, budget: 900 },
  { organizations: 2_000, accounts: 5_000, budget: 900 },
  { organizations: 5_000, accounts: 5_000, budget: 900 },
])('no hour of a new installation takes more than that, once everything has been listed: %o', (world) =>
  expect(discoveryWorstHour(world)).toBeLessThanOrEqual(0.05),
);

test('of few organizations all are listed at once, of many each still once a day', () => {
  const pace = discoveryPace(900);
  expect(pace.accountsOfAtOnce(30_000, 1_000)).toBe(Number.POSITIVE_INFINITY);
  expect(pace.accountsOfAtOnce(150_000, 5_000) * (86_400_000 / 150_000)).toBeGreaterThanOrEqual(5_000);
});

test('a listing costs what its requests cost, whichever it is', () => {
  const pace = discoveryPace(900);
  expect(pace.organizationsMs(1)).toBeLessThan(TICK_MS);
  expect(pace.organizationsMs(5) / pace.organizationsMs(1)).toBeCloseTo(5);
  expect(pace.accountsMs(100) / pace.accountsMs(1)).toBeCloseTo(100);
  expect(pace.accountsOfMs(2, 500) / pace.accountsOfMs(1, 1)).toBeCloseTo(1_000);
});

test('no listing of accounts rests for longer than the database lets it', () => {
  const pace = discoveryPace(10);
  for (const ms of [pace.accountsMs(10_000), pace.accountsOfMs(10, 50_000)]) expect(ms).toBeLessThan(25 * 3_600_000);
});

test('organizations are listed before health and alerts take them for forgotten, however small the budget is', () =>
  expect(discoveryPace(10).organizationsMs(40)).toBeLessThan(300_000));

const TICK_MS = 30_000;
