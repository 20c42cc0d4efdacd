import { expect, test } from 'vitest';
import { Pace } from '../../../../src/evidence/growth/pace.ts';

test('events that come in as fast as leaves are made of them get twice the time of each step', () => {
  expect(pauses(5_000, 40_000)).toEqual([0, 200, 200, 200]);
});

test('history that nothing is added to is built without a pause', () => {
  expect(pauses(5_000, 0)).toEqual([0, 0, 0, 0]);
});

test('what the API gives is no reason for a pause, neither while it is built as it comes nor while there is more to build', () => {
  expect(pauses(1_000, 4_000)).toEqual([0, 0, 0, 0]);
  expect(pauses(5_000, 4_000)).toEqual([0, 0, 0, 0]);
});

test('a step that made no leaves, or that did not look at the feed, has no pause', () => {
  expect(pauses(0, 40_000)).toEqual([0, 0, 0, 0]);
  const pace = new Pace();
  expect(pace.pauseAfter({ size: 0, startedMs: 0, endedMs: 100 })).toBe(0);
  expect(pace.pauseAfter({ size: 5_000, head: 90_000, startedMs: 100, endedMs: 200 })).toBe(0);
});

/** Pauses after steps of 100 ms that make so many leaves each, while so many events come in a second. */
const pauses = (leaves: number, eventsPerSecond: number, steps = 4): number[] => {
  const pace = new Pace();
  let nowMs = 0;
  return Array.from({ length: steps }, (_, step) => {
    const startedMs = nowMs;
    const head = 1_000_000 + (startedMs * eventsPerSecond) / 1_000;
    const pauseMs = pace.pauseAfter({ size: (step + 1) * leaves, head, startedMs, endedMs: startedMs + 100 });
    nowMs += 100 + pauseMs;
    return pauseMs;
  });
};
