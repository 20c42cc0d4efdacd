import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Time } from '../../../src/base/time.ts';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { deliverForever } from '../../../src/sinks/deliver-forever.ts';
import type { DeliveryOutcome, Sink } from '../../../src/sinks/delivery.ts';
import type { DeliveryResult, DeliveryStore, SinkTurn } from '../../../src/sinks/ports.ts';
import { forAllAsync } from '../for-all.ts';

const blocked: DeliveryOutcome = { kind: 'failed', reason: 'HTTP 403: check headers and token: blocked' };
const invalid: DeliveryOutcome = { kind: 'refused', reason: 'HTTP 400: invalid' };
const everySecond: IsBad = (position) => position % 2 === 0;
const nineOfTen: IsBad = (position) => position % 10 !== 0;
const adjacent: IsBad = (position) => position > 300 && position <= 330;
const oneOfHundred: IsBad = (position) => position % 100 === 50;

test.each<[string, IsBad, DeliveryOutcome, number, { requests: number; seconds: number }]>([
  ['every second', everySecond, blocked, 4_001, { requests: 7.5, seconds: 60 }],
  ['9 of 10, and nothing else behind them', nineOfTen, blocked, 4_007, { requests: 16, seconds: 600 }],
  ['30 adjacent', adjacent, blocked, 4_000, { requests: 7, seconds: 120 }],
  ['30 adjacent, refused', adjacent, invalid, 4_000, { requests: 8, seconds: 0 }],
  ['1,000 adjacent', (position) => position > 300 && position <= 1_300, blocked, 4_000, { requests: 5, seconds: 300 }],
  ['one of 100', oneOfHundred, blocked, 4_000, { requests: 30, seconds: 60 }],
  ['the first 30 of a new sink', (position) => position <= 30, blocked, 400, { requests: 5, seconds: 120 }],
  ['all but the last', (position) => position < 40, blocked, 40, { requests: 30, seconds: 300 }],
])('not taken: %s: they alone are dead letters, after few requests each', async (_, isBad, no, events, most) => {
  const result = await run({
    events,
    answer: (positions) => (positions.some(isBad) ? no : taken),
    untilMs: most.seconds * 1_000 + 1,
  });
  const lastTaken = all(events).findLast((position) => !isBad(position)) ?? 0;
  const bad = all(lastTaken).filter(isBad);
  // What nothing stands behind waits.
  expect(result.deadLetters.map(({ position }) => position)).toEqual(bad);
  expect(inLastOrder(result.stored)).toEqual(all(events).filter((position) => !isBad(position)));
  expect(result.requests.length / bad.length).toBeLessThan(most.requests);
});

test('not taken: the reason says that others are taken', async () => {
  const { deadLetters, reasons } = await run({
    events: 1_000,
    answer: (positions) => (positions.some(adjacent) ? blocked : taken),
  });
  const said = 'HTTP 403: check headers and token: blocked';
  expect(new Set(deadLetters.map(({ reason }) => reason))).toEqual(
    new Set([`it alone is not taken, others are, so look at what is in it: ${said}`]),
  );
  expect(reasons.at(-1)).toBe(
    `one event is not taken, others are: position 301 (a dead letter after attempt 4, this is 3): ${said}`,
  );
});

describe('a receiver that takes nothing', () => {
  const outage = fc.record({
    isBad: fc.constantFrom(everySecond, adjacent, oneOfHundred),
    from: fc.integer({ min: 0, max: 200 }),
    requests: fc.integer({ min: 1, max: 300 }),
    /** A receiver that drops repeats may take them even then. */
    dropsRepeats: fc.boolean(),
  });

  test('after so many requests, for so many: nothing but what is not taken otherwise is given up', async () => {
    await forAllAsync([outage], { seed: 7, numRuns: 40 }, async ({ isBad, from, requests, dropsRepeats }) => {
      const known = new Set<number>();
      const { deadLetters, stored } = await run({
        events: 1_001,
        answer: (positions, before) => {
          const isRepeat = dropsRepeats && positions.every((position) => known.has(position));
          const isOut = before >= from && before < from + requests;
          if (positions.some(isBad) || (isOut && !isRepeat)) return blocked;
          for (const position of positions) known.add(position);
          return taken;
        },
      });
      expect(deadLetters.map(({ position }) => position)).toEqual(all(1_001).filter(isBad));
      expect(inLastOrder(stored)).toEqual(all(1_001).filter((position) => !isBad(position)));
    });
  });

  test.each([
    ['hardly any', blocked, 50],
    ['with a pause asked for: none', { kind: 'failed', reason: 'HTTP 429', retryAfterMs: 0 } as const, 1],
    [
      'said to be its own fault: none',
      { kind: 'failed', reason: 'NOT_ENOUGH_REPLICAS', because: 'receiver' } as const,
      1,
    ],
  ])('for half of all requests, at random, %s that are taken otherwise are given up', async (_, out, fewerThan) => {
    const { deadLetters } = await run({
      events: 5_000,
      answer: (positions, requests) => {
        const isOut = createHash('sha256').update(String(requests)).digest()[0] ?? 0;
        if (isOut < 128) return out;
        return positions.some(oneOfHundred) ? blocked : taken;
      },
    });
    const good = deadLetters.filter(({ position }) => !oneOfHundred(position));
    expect(good.length).toBeLessThan(fewerThan);
  });

  test.each([
    ['at once', 0],
    ['from the first dead letter on, such as by a token that expires', 1],
    ['from the twentieth on', 20],
  ])('%s: no more is given up within a day, and few requests are made', async (_, letters) => {
    const events = 2_000;
    const { deadLetters, requests, reasons } = await run({
      events,
      answer: (positions, _requests, before) => (before >= letters || positions.some(adjacent) ? blocked : taken),
    });
    expect(deadLetters.map(({ position }) => position)).toEqual(all(events).filter(adjacent).slice(0, letters));
    expect(reasons.at(-1)).toBe('HTTP 403: check headers and token: blocked');
    // A day has 1,440 minutes.
    expect(requests.length).toBeLessThan(5.5 * 1_440);
  });
});

const LEASE_MS = 1e12;
const HOUR_MS = 3_600_000;

const eventAt = (position: number): FeedEvent => ({
  position,
  feedId: 'feed',
  sourceKind: 'organization',
  sourceId: 'org',
  organizationId: 'org',
  organizationName: null,
  accountId: null,
  accountName: null,
  zoneId: null,
  zoneName: null,
  id: `entry-${position}`,
  actionTime: null,
  receivedAt: '2026-10-01T00:00:00.000Z',
  rawText: '{}',
  defects: null,
});

interface Run {
  readonly events: number;
  readonly batchEvents?: number;
  /** To one request, after so many requests and dead letters. */
  readonly answer: (positions: readonly number[], requests: number, letters: number) => DeliveryOutcome;
  readonly untilMs?: number;
}

/** The loop of one sink on a feed and a clock of the test, until all is dealt with or the time is over. */
const run = async ({ events, batchEvents = 500, answer, untilMs = 24 * HOUR_MS }: Run) => {
  const stop = new AbortController();
  const requests: (readonly number[])[] = [];
  const stored: number[] = [];
  const deadLetters: DeliveryResult['deadLetters'][number][] = [];
  const reasons: string[] = [];
  let nowMs = 0;
  let nextAttemptMs = 0;
  let row = { epoch: 0, position: 0, batchUntil: undefined as number | undefined, failures: 0, refusedInRow: 0 };
  const time: Time = {
    nowMs: () => nowMs,
    sleep: (ms, signal) => {
      // Renewals of the lease: it lasts.
      if (ms >= LEASE_MS / 3) {
        return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      }
      nowMs += ms;
      if (nowMs >= untilMs) stop.abort();
      return Promise.resolve();
    },
  };
  const isHeld = (turn: SinkTurn) => turn.epoch === row.epoch;
  const store: DeliveryStore = {
    claim: async (name) => {
      if (nowMs < nextAttemptMs) return { waitMs: nextAttemptMs - nowMs };
      row = { ...row, epoch: row.epoch + 1 };
      return { name, ...row };
    },
    renew: async (turn) => isHeld(turn),
    read: async ({ after, until = events, maxEvents }) => {
      const last = Math.min(until, after + maxEvents);
      const found = Array.from({ length: Math.max(0, last - after) }, (_, n) => eventAt(after + n + 1));
      return { events: found, scannedTo: Math.max(after, last), isFull: last < events, waitedMs: 0, tooOld: 0 };
    },
    begin: async (turn, until) => {
      row.batchUntil = until;
      return isHeld(turn);
    },
    finish: async (turn, { until, deadLetters: letters, refusedInRow }) => {
      deadLetters.push(...letters);
      row = { ...row, position: until, batchUntil: undefined, failures: 0, refusedInRow };
      return isHeld(turn);
    },
    skip: async (turn) => isHeld(turn),
    fail: async (_, { reason, afterMs }) => {
      reasons.push(reason);
      row.failures += 1;
      nextAttemptMs = nowMs + afterMs;
      return true;
    },
    note: async () => {},
    release: async () => {},
    isRefusal: () => false,
  };
  const sink: Sink = {
    target: 'test',
    deliver: async (delivery) => {
      const positions = delivery.events.map(({ event }) => event.position);
      const outcome = answer(positions, requests.length, deadLetters.length);
      requests.push(positions);
      if (outcome.kind === 'delivered') stored.push(...positions);
      return outcome;
    },
    close: async () => {},
  };
  await deliverForever(
    {
      store,
      time,
      leaseMs: LEASE_MS,
      observer: { caughtUp: () => stop.abort() },
      random: () => 0,
      redact: (text) => text,
      waitForNews: async () => {},
    },
    { name: 'test', sink, format: 'native', batchEvents, organizationIds: undefined },
    { asked: stop.signal, hard: new AbortController().signal },
  );
  return { requests, stored, deadLetters, reasons, position: row.position, seconds: nowMs / 1_000 };
};

const taken: DeliveryOutcome = { kind: 'delivered', refused: [] };
const all = (events: number): number[] => Array.from({ length: events }, (_, n) => n + 1);

const inLastOrder = (stored: readonly number[]): number[] => {
  const last = new Map(stored.map((position, index) => [position, index]));
  return [...last].sort(([, a], [, b]) => a - b).map(([position]) => position);
};

type IsBad = (position: number) => boolean;
