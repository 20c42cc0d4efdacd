import { expect, test } from 'vitest';
import { runRound, type ScrubWorld } from '../../lab/freshness/scrub-round.ts';

const world: ScrubWorld = {
  organizations: 5_000,
  entries: 1_000_000,
  zipfExponent: 1.1,
  apiBudget: 900,
  share: 0.05,
};

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
