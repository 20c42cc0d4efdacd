import { describe, expect, test } from 'vitest';
import type { Coverage, Range } from '../../../../src/ingest/planning/coverage.ts';
import { gapsIn } from '../../../../src/ingest/planning/coverage.ts';
import { afterDone, afterHole, idleLane, type LaneState, narrowed } from '../../../../src/ingest/planning/lane.ts';
import { type PlanPolicy, planLane, planLanes, type SourceProgress } from '../../../../src/ingest/planning/planner.ts';
import { SCRUB_PASS, scrubUrgency } from '../../../../src/ingest/planning/scrub.ts';
import { foundByScrub, sortLateEntries } from '../../../../src/ingest/planning/source.ts';
import type { Walk } from '../../../../src/ingest/planning/walk.ts';
import { holeOf } from './planning.ts';

describe('a round of the scrub lane', () => {
  test('reads everything that has been read from the horizon to an hour ago once, newest first, 90 days at most', () => {
    const { windows, state } = readRound(progressOf(undefined));
    const untilMs = NOW_MS - HOUR_MS;
    expect([gapsIn({ fromMs: HORIZON_MS, toMs: untilMs }, coverageOf(windows)), windows.length]).toEqual([[], 7]);
    for (const [index, { fromMs, toMs }] of windows.entries()) {
      expect(toMs).toBe(windows[index - 1]?.fromMs ?? untilMs);
      expect(toMs - fromMs).toBeLessThanOrEqual(90 * DAY_MS);
    }
    // biome-ignore format: a table
    expect(state?.round).toEqual({
      number: 1, beganMs: NOW_MS, untilMs, read: [{ fromMs: HORIZON_MS, toMs: untilMs }],
    });
  });

  test('asks from the other side and with another limit than the first reading', () => {
    const walk = plan(progressOf(undefined));
    expect(walk).toMatchObject({ lane: 'scrub', direction: 'desc', pageLimit: 997, lookbackMs: 1_000 });
    expect(plan(progressOf({ ...idleLane, pageLimit: 125 }))?.pageLimit).toBe(125);
  });

  test('is followed by the next one after its interval, counted from its beginning, and no sooner', () => {
    const { state } = readRound(progressOf(undefined));
    const later = { fromMs: HORIZON_MS, toMs: NOW_MS + 8 * DAY_MS };
    const after = progressOf(state, { readBefore: [later] });
    expect(plan(after, NOW_MS + WEEK_MS - 1)).toBeUndefined();
    const next = plan(after, NOW_MS + WEEK_MS);
    expect(next).toMatchObject({ round: { number: 2, beganMs: NOW_MS + WEEK_MS } });
    expect(next?.claim.toMs).toBe(NOW_MS + WEEK_MS - HOUR_MS);
    // What the first round has read counts for nothing in the second.
    expect(readRound(after, NOW_MS + WEEK_MS).windows).toHaveLength(7);
  });

  test('takes as long as it takes: the next one does not begin before it is through', () => {
    const first = plan(progressOf(undefined));
    if (first === undefined) throw new Error('nothing to read');
    const state = afterDone(idleLane, first);
    const walk = plan(progressOf(state), NOW_MS + 100 * DAY_MS);
    expect(walk).toMatchObject({ round: { number: 1, beganMs: NOW_MS } });
    expect(walk?.claim.toMs).toBe(first.claim.fromMs);
  });

  test('reads nothing that was first read less than a day ago, and ends where that begins', () => {
    expect(plan(progressOf(undefined, { readBefore: [] }))).toBeUndefined();
    const readBefore = [{ fromMs: HORIZON_MS, toMs: NOW_MS - 30 * HOUR_MS }];
    const { windows, state } = readRound(progressOf(undefined, { readBefore }));
    expect(windows[0]?.toMs).toBe(NOW_MS - 30 * HOUR_MS);
    expect(state?.round?.untilMs).toBe(NOW_MS - 30 * HOUR_MS);
  });

  test('of a source without a stored entry, in windows of a month, whatever the API has shown of others', () => {
    const silent = progressOf(undefined, { largestPage: 0 });
    const claim = planLane('scrub', silent, NOW_MS, { ...policy, shownMs: 500 * DAY_MS })?.claim;
    expect(claim && (claim.toMs - claim.fromMs) / DAY_MS).toBe(31);
  });

  test('leaves out what was never read, and holes', () => {
    const hole = { fromMs: NOW_MS - 10 * DAY_MS, toMs: NOW_MS - 10 * DAY_MS + 1_000 };
    const unread = { fromMs: NOW_MS - 300 * DAY_MS, toMs: NOW_MS - 200 * DAY_MS };
    const progress = progressOf(undefined, {
      readBefore: [
        { fromMs: HORIZON_MS, toMs: unread.fromMs },
        { fromMs: unread.toMs, toMs: READ_UNTIL_MS },
      ],
      holes: [holeOf(hole, { pass: SCRUB_PASS })],
    });
    const { windows } = readRound(progress);
    expect(gapsIn({ fromMs: HORIZON_MS, toMs: NOW_MS - HOUR_MS }, coverageOf(windows))).toEqual([unread, hole]);
  });

  test('proves first what was claimed without proof, the newest part of it first, whatever the round has read', () => {
    const { state } = readRound(progressOf(undefined));
    const unproven = [
      { fromMs: NOW_MS - 500 * DAY_MS, toMs: NOW_MS - 490 * DAY_MS },
      { fromMs: NOW_MS - 200 * DAY_MS, toMs: NOW_MS - 30 * DAY_MS },
    ];
    expect(plan(progressOf(undefined, { unproven }))?.claim).toEqual({
      fromMs: NOW_MS - 120 * DAY_MS,
      toMs: NOW_MS - 30 * DAY_MS,
    });
    expect(plan(progressOf(state, { unproven }))).toMatchObject({ round: { number: 1 } });
    expect(plan(progressOf(state))).toBeUndefined();
  });

  test('halves a window that cannot be read, and keeps its round over that and over a hole', () => {
    const first = plan(progressOf(undefined));
    if (first === undefined) throw new Error('nothing to read');
    const begun = afterDone(idleLane, first);
    const second = plan(progressOf(begun));
    if (second === undefined) throw new Error('nothing to read');
    const half = narrowed({ ...begun, walk: second }, second);
    expect(half?.round).toEqual(begun.round);
    expect(plan(progressOf(half))?.claim).toEqual({
      fromMs: second.claim.toMs - 45 * DAY_MS,
      toMs: second.claim.toMs,
    });
    expect(afterHole(begun, holeOf(second.claim)).round).toEqual(begun.round);
  });

  test('goes on with an open walk, and neither that nor anything else where the lane is off', () => {
    const walk = { ...(plan(progressOf(undefined)) as Walk), cursor: 'c', pages: 1 };
    const progress = progressOf({ ...idleLane, walk });
    expect(plan(progress, NOW_MS + 30_000)).toBe(walk);
    expect(planLanes(progress, NOW_MS, { ...policy, scrub: undefined })).not.toContain(walk);
    expect(planLane('scrub', progressOf(undefined), NOW_MS, { ...policy, scrub: undefined })).toBeUndefined();
    expect(planLane('scrub', progressOf(undefined), NOW_MS, { ...policy, untilMs: NOW_MS })).toBeUndefined();
  });
});

test('first what is unproven, then open walks, then what was read once, then who has waited longest', () => {
  const round = (beganMs: number, number = 2) => ({ number, beganMs, untilMs: beganMs, read: [] });
  const ordered = [
    { name: 'unproven', unproven: [{ fromMs: 0, toMs: 1 }], walking: false, round: round(9) },
    { name: 'walking', unproven: [], walking: true, round: round(9) },
    { name: 'read once', unproven: [], walking: false, round: round(9, 1) },
    { name: 'long ago', unproven: [], walking: false, round: round(5) },
    { name: 'lately', unproven: [], walking: false, round: round(7) },
  ];
  const names = (of: readonly (typeof ordered)[number][]) => of.map(({ name }) => name);
  expect(names([...ordered].reverse().sort((a, b) => (scrubUrgency(a) < scrubUrgency(b) ? -1 : 1)))).toEqual(
    names(ordered),
  );
});

test('what it finds is counted by itself, with the last pass that had read the time, and not as late', () => {
  const covered = [
    { pass: 0, entries: 2 },
    { pass: 4, entries: 3 },
  ];
  expect(foundByScrub(covered, 'scrub')).toEqual({ entries: 5, pass: 4 });
  expect(sortLateEntries(covered, 'scrub', 4)).toEqual({ foundBy: {}, byLastPass: 0, beyondLastPass: 0 });
  expect([foundByScrub([], 'scrub'), foundByScrub(covered, 'backfill')]).toEqual([undefined, undefined]);
});

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = Date.UTC(2026, 5, 1);
const HORIZON_MS = NOW_MS - 548 * DAY_MS;
const WEEK_MS = 7 * DAY_MS;
const READ_UNTIL_MS = NOW_MS - 2_000;

const policy: PlanPolicy = {
  horizonMs: HORIZON_MS,
  settleDelaysMs: [],
  intervals: { liveMs: 0, settleMs: 0 },
  scrub: { everyMs: WEEK_MS },
};

const progressOf = (scrub: LaneState | undefined, more: Partial<SourceProgress> = {}): SourceProgress => ({
  readBefore: [{ fromMs: HORIZON_MS, toMs: READ_UNTIL_MS }],
  coverage: [[{ fromMs: HORIZON_MS, toMs: READ_UNTIL_MS }]],
  lanes: scrub === undefined ? {} : { scrub },
  holes: [],
  largestPage: 1_000,
  ...more,
});

const plan = (progress: SourceProgress, nowMs = NOW_MS): Walk | undefined => planLane('scrub', progress, nowMs, policy);

/** Reads windows until nothing is left, each to its end. */
const readRound = (progress: SourceProgress, nowMs = NOW_MS): { windows: Range[]; state: LaneState | undefined } => {
  const windows: Range[] = [];
  let state = progress.lanes.scrub;
  for (;;) {
    const walk = plan({ ...progress, lanes: state === undefined ? {} : { scrub: state } }, nowMs);
    if (walk === undefined) return { windows, state };
    windows.push(walk.claim);
    state = afterDone({ ...(state ?? idleLane), walk }, walk);
    if (windows.length > 1_000) throw new Error('a round without end');
  }
};

const coverageOf = (windows: readonly Range[]): Coverage => [...windows].sort((a, b) => a.fromMs - b.fromMs);
