import { expect, test } from 'vitest';
import { comparePolicies } from '../../lab/freshness/policies.ts';
import { percentile } from '../../lab/freshness/virtual-time.ts';

const uneven = {
  organizations: 400,
  days: 1.25,
  eventsPerDay: 20,
  zipfExponent: 1.1,
  rhythm: 0.9,
  burstsPerDay: 0.05,
  sleepers: 0.1,
  newcomers: 0.02,
};
const flat = { ...uneven, zipfExponent: 0, rhythm: 0, burstsPerDay: 0, sleepers: 0, newcomers: 0 };
const SEED = 7;

test('in virtual time: fresher than in turn for the same requests, the slowest no slower, none beyond the bound', () => {
  const { outcomes, boundMs } = comparePolicies(uneven, SEED);
  const { orgtrail, 'round-robin': inTurn, oracle } = outcomes;
  expect(percentile(orgtrail.lagsMs, 0.5)).toBeLessThan(percentile(inTurn.lagsMs, 0.5) / 2);
  expect(percentile(orgtrail.lagsMs, 0.99)).toBeLessThanOrEqual(percentile(inTurn.lagsMs, 0.99));
  expect(orgtrail.longestUnaskedMs).toBeLessThanOrEqual(boundMs);
  expect(orgtrail.requests).toBeLessThanOrEqual(inTurn.requests * 1.01);
  expect(percentile(oracle.lagsMs, 0.99)).toBeLessThan(percentile(orgtrail.lagsMs, 0.5));
});

test('in virtual time: where all are alike there is nothing to gain, and nothing is lost', () => {
  const { outcomes, boundMs } = comparePolicies(flat, SEED);
  const { orgtrail, 'round-robin': inTurn } = outcomes;
  for (const share of [0.5, 0.99]) {
    const ratio = percentile(orgtrail.lagsMs, share) / percentile(inTurn.lagsMs, share);
    expect(ratio).toBeLessThan(1.1);
  }
  expect(orgtrail.longestUnaskedMs).toBeLessThanOrEqual(boundMs);
});
