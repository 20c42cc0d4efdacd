import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endOfReadFrom, gapsIn } from '../../../../src/ingest/planning/coverage.ts';
import { planLane, type SourceProgress } from '../../../../src/ingest/planning/planner.ts';
import { lanes } from '../../../../src/ingest/planning/walk.ts';
import { packed, readUpTo, unpacked } from '../../../../src/ingest/sync/source-cache.ts';
import { anyPolicy, anyProgress, DAY_MS, NOW_MS, policyAt } from '../../../support/sync/any-progress.ts';

test('what is remembered in numbers has work in the same lanes at all times', () => {
  const later = fc.nat(40 * DAY_MS);
  const property = fc.property(anyProgress, anyPolicy, later, (progress, any, laterMs) => {
    const nowMs = NOW_MS + laterMs;
    const policy = policyAt(any, nowMs);
    const withWork = (of: SourceProgress) => lanes.filter((lane) => planLane(lane, of, nowMs, policy) !== undefined);
    const again = unpacked(packed(progress));
    expect(withWork(again)).toEqual(withWork(progress));
    expect(again.coverage).toEqual(progress.coverage);
    expect(again.lanes.scrub?.round).toEqual(progress.lanes.scrub?.round);
  });
  fc.assert(property, { seed: 20_261_126, numRuns: 300 });
});

test('what is remembered in numbers has been read up to the same time, from any time on', () => {
  const property = fc.property(anyProgress, fc.nat(600 * DAY_MS), (progress, agoMs) => {
    const covered = progress.coverage[0] ?? [];
    // At random, and at each end of what has been read.
    for (const fromMs of [NOW_MS - agoMs, ...covered.flatMap(({ fromMs, toMs }) => [fromMs, toMs])]) {
      const [gap] = gapsIn({ fromMs, toMs: Number.POSITIVE_INFINITY }, covered);
      expect(readUpTo(packed(progress), fromMs)).toBe(gap?.fromMs);
      expect(endOfReadFrom(fromMs, covered)).toBe(gap?.fromMs);
    }
  });
  fc.assert(property, { seed: 20_261_128, numRuns: 300 });
});
