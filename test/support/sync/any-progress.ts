import fc from 'fast-check';
import { addRange, type Coverage } from '../../../src/ingest/planning/coverage.ts';
import { idleLane, type LaneState } from '../../../src/ingest/planning/lane.ts';
import type { PlanPolicy, SourceProgress } from '../../../src/ingest/planning/planner.ts';
import { startWalk } from '../../../src/ingest/planning/walk.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
export const NOW_MS = Date.UTC(2026, 9, 1, 12, 0, 0, 321);
/** So long before now the history of these sources begins. */
const HISTORY_MS = 30 * DAY_MS;
const DELAYS_MS = [10 * MINUTE_MS, DAY_MS];

/** Times near now and near the beginning of the history are as probable as all in between. */
const time = fc.oneof(
  fc.integer({ min: NOW_MS - HISTORY_MS - DAY_MS, max: NOW_MS }),
  fc.integer({ min: NOW_MS - HISTORY_MS - MINUTE_MS, max: NOW_MS - HISTORY_MS + HOUR_MS }),
  fc.integer({ min: NOW_MS - 2 * HOUR_MS, max: NOW_MS + MINUTE_MS }),
);
const ranges = fc
  .array(fc.record({ fromMs: time, toMs: time }), { maxLength: 3 })
  .map((all) => all.reduce(addRange, [] as Coverage));
/** Most sources have been read from some time on without a break. */
const coverage = fc.oneof(
  { weight: 3, arbitrary: time.map((toMs): Coverage => addRange([], { fromMs: NOW_MS - HISTORY_MS - DAY_MS, toMs })) },
  { weight: 1, arbitrary: ranges },
);
const holes = fc.array(
  fc
    .record({ pass: fc.nat(2), due: fc.boolean(), fromMs: time, widthMs: fc.integer({ min: 1, max: 60_000 }) })
    .map(({ fromMs, widthMs, ...hole }) => ({
      ...hole,
      reason: 'server',
      range: { fromMs, toMs: fromMs + widthMs },
    })),
  { maxLength: 2 },
);
const round = fc
  .record({ number: fc.integer({ min: 1, max: 9 }), beganMs: time, untilMs: time, read: ranges })
  .map((one) => ({ ...one, untilMs: Math.min(one.untilMs, one.beganMs) }));
const older = fc.record({ due: fc.boolean(), beforeMs: time });
const sometimes = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 3, nil: undefined });
const open = (lane: 'live' | 'settle' | 'backfill' | 'scrub'): Partial<LaneState> => ({
  walk: startWalk(lane, { fromMs: NOW_MS - DAY_MS, toMs: NOW_MS - HOUR_MS }, { readAtMs: NOW_MS }),
});
const seldomOpen = (lane: 'live' | 'settle' | 'backfill' | 'scrub') =>
  fc.oneof({ weight: 9, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: fc.constant(open(lane)) });

/** Whatever may be known of a source. */
export const anyProgress: fc.Arbitrary<SourceProgress> = fc
  .record({
    coverage: fc.array(coverage, { maxLength: DELAYS_MS.length + 1 }),
    unproven: sometimes(ranges),
    readBefore: sometimes(coverage),
    holes,
    round: fc.option(round, { freq: 2, nil: undefined }),
    older: sometimes(older),
    walks: fc.tuple(seldomOpen('live'), seldomOpen('settle'), seldomOpen('backfill'), seldomOpen('scrub')),
  })
  .map(
    ({
      coverage: read,
      unproven,
      readBefore,
      holes: lacking,
      round: begun,
      older: before,
      walks: [live, settle, backfill, scrub],
    }) => ({
      coverage: read,
      unproven,
      readBefore,
      holes: lacking,
      largestPage: 100,
      lanes: {
        live: { ...idleLane, ...live },
        settle: { ...idleLane, ...settle },
        backfill: { ...idleLane, ...backfill, older: before },
        scrub: { ...idleLane, ...scrub, round: begun },
      },
    }),
  );

/** How the horizon moves, and what else a plan goes by. */
export interface AnyPolicy {
  /** It follows time; else it stays. */
  readonly moves: boolean;
  readonly settleMs: number;
  readonly liveMs: number;
  readonly everyMs: number;
}

export const anyPolicy: fc.Arbitrary<AnyPolicy> = fc.record({
  moves: fc.boolean(),
  settleMs: fc.constantFrom(0, 1, 5 * MINUTE_MS, 31 * HOUR_MS, 40 * DAY_MS),
  liveMs: fc.constantFrom(0, 5 * MINUTE_MS, 6 * HOUR_MS),
  everyMs: fc.constantFrom(1_000, DAY_MS, 7 * DAY_MS),
});

/** The policy as of a time. */
export const policyAt = ({ moves, settleMs, liveMs, everyMs }: AnyPolicy, nowMs: number): PlanPolicy => ({
  horizonMs: Math.floor(((moves ? nowMs : NOW_MS) - HISTORY_MS) / 1_000) * 1_000,
  settleDelaysMs: DELAYS_MS,
  intervals: { liveMs, settleMs },
  scrub: { everyMs },
});
