import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lanes } from '../../../../src/ingest/planning/lanes.ts';
import { planLane, type SourceProgress } from '../../../../src/ingest/planning/planner.ts';
import { packed, unpacked, unpackedFirstRead } from '../../../../src/ingest/sync/planning-round/packed-progress.ts';
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
    expect(unpackedFirstRead(packed(progress))).toEqual(progress.coverage[0] ?? []);
  });
  fc.assert(property, { seed: 20_261_126, numRuns: 3_000 });
});
