import { expect, test } from 'vitest';
import { comparePolicies } from '../../../studies/freshness/policies.ts';
import { runRound, type ScrubWorld } from '../../../studies/freshness/scrub-round.ts';
import { percentile } from '../../../studies/freshness/virtual-time.ts';

test('in virtual time: fresher than in turn for the same requests, the slowest no slower, none beyond the bound', () => {
  const { outcomes, boundMs } = comparePolicies(uneven, SEED);
  const { orgtrail, 'round-robin': inTurn } = outcomes;
  expect(percentile(orgtrail.lagsMs, 0.5)).toBeLessThan(percentile(inTurn.lagsMs, 0.5) / 2);
  expect(percentile(orgtrail.lagsMs, 0.99)).toBeLessThanOrEqual(percentile(inTurn.lagsMs, 0.99));
  expect(orgtrail.longestUnaskedMs).toBeLessThanOrEqual(boundMs);
  expect(orgtrail.requests).toBeLessThanOrEqual(inTurn.requests * 1.01);
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

test('in virtual time: where asking all in turn takes seven hours, events wait for six tenths as long, on average', () => {
  // 1 : 1,000 in rate, as 55,000 accounts are at the default budget.
  const activity = { ...flat, organizations: 1_500, days: 5, historyDays: 7, eventsPerDay: 7, span: 1_000 };
  const { outcomes } = comparePolicies(activity, SEED, 24);
  const meanMs = ({ lagsMs }: typeof outcomes.orgtrail) => lagsMs.reduce((a, b) => a + b) / lagsMs.length;
  expect(meanMs(outcomes.orgtrail) / meanMs(outcomes['round-robin'])).toBeLessThan(0.6);
});

const world: ScrubWorld = { organizations: 5_000, entries: 1_000_000, zipfExponent: 1.1, apiBudget: 900, share: 0.05 };

// The figures are in docs/scrub.md.
test('in virtual time: a round over 1 M entries in 5,000 organizations fits the share of 5 %, and a week', () => {
  const { requests, days, allowed, windows } = runRound(world, 1);
  expect(requests).toBeLessThanOrEqual(allowed);
  expect(days).toBeLessThan(3.5);
  // Seven windows of 90 days each, and what the busy ones need beyond that.
  expect(windows).toBeGreaterThanOrEqual(7 * 5_000);
  expect(requests).toBeLessThan(7 * 5_000 + 1_000_000 / 800);
});

test('in virtual time: few organizations with as much take hardly more requests than they have pages', () => {
  const { requests, fill, days } = runRound({ ...world, organizations: 25 }, 1);
  expect(requests).toBeLessThan(1.05 * (1_000_000 / 800));
  expect(fill).toBeGreaterThan(760);
  expect(days).toBeLessThan(0.2);
});

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
