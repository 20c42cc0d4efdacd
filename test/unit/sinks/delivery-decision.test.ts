import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sinkBackoffMs } from '../../../src/base/time.ts';
import type { DeliveryOutcome } from '../../../src/sinks/delivery.ts';
import {
  type DeliveryFacts,
  type DeliverySizes,
  decideDelivery,
  firstSizes,
  MAX_DEAD_LETTERS_IN_ROW,
} from '../../../src/sinks/delivery-decision.ts';
import { forAll } from '../for-all.ts';

const refusedIndexes = (...indexes: number[]) => indexes.map((index) => ({ index, reason: `no ${index}` }));

describe('what follows from an attempt at a delivery', () => {
  test('all delivered: on it goes, and what was refused before is no longer in a row', () => {
    const decision = decideDelivery(facts({ kind: 'delivered', refused: [] }, { refusedInRow: 7 }), 0);
    expect(decision).toMatchObject({ kind: 'advance', accepted: 100, deadLetters: [], refusedInRow: 0 });
  });

  test('some refused beside others: dead letters, however many', () => {
    const refused = refusedIndexes(...Array.from({ length: 99 }, (_, index) => index));
    const decision = decideDelivery(facts({ kind: 'delivered', refused }), 0);
    expect(decision).toMatchObject({ kind: 'advance', accepted: 1, deadLetters: refused, refusedInRow: 0 });
  });

  test.each<[string, DeliveryOutcome]>([
    ['refused as a whole', { kind: 'refused', reason: 'too large' }],
    ['each of it refused', { kind: 'delivered', refused: refusedIndexes(...Array(100).keys()) }],
  ])('%s: its half', (_, outcome) =>
    expect(decideDelivery(facts(outcome), 0)).toMatchObject({ kind: 'split', sizes: { ceiling: 50 } }),
  );

  test('a single one refused: a dead letter; ten in a row: none any more, but a failure with growing pauses', () => {
    const single = (refusedInRow: number, failures = 0) =>
      decideDelivery(facts({ kind: 'refused', reason: 'no' }, { events: 1, refusedInRow, failures }), 0);
    for (let inRow = 0; inRow < MAX_DEAD_LETTERS_IN_ROW; inRow += 1) {
      const deadLetters = [{ index: 0, reason: 'no' }];
      expect(single(inRow)).toMatchObject({ kind: 'advance', accepted: 0, deadLetters, refusedInRow: inRow + 1 });
    }
    const paused = { kind: 'retry', misconfigured: true, reason: expect.stringContaining('10 events in a row') };
    expect(single(10)).toMatchObject({ ...paused, afterMs: 1_000 });
    expect(single(10, 4)).toMatchObject({ ...paused, afterMs: 16_000 });
  });

  test('failed: the same again, after what the receiver asks for, an hour at most', () => {
    const failed = (retryAfterMs?: number, failures = 0) =>
      decideDelivery(
        facts({ kind: 'failed', reason: 'away', ...(retryAfterMs !== undefined && { retryAfterMs }) }, { failures }),
        0,
      );
    const again = { kind: 'retry', reason: 'away', misconfigured: false };
    expect(failed()).toEqual({ ...again, afterMs: 1_000, sizes: firstSizes(500) });
    expect(failed(30_000)).toMatchObject({ afterMs: 30_000 });
    expect(failed(30_000, 20)).toMatchObject({ afterMs: 60_000 });
    expect(failed(86_400_000)).toMatchObject({ afterMs: 3_600_000 });
  });

  test('pauses grow from a second to a minute, and are spread', () => {
    expect([1, 2, 3, 6, 7, 100].map((failures) => sinkBackoffMs(failures, 0))).toEqual([
      1_000, 2_000, 4_000, 32_000, 60_000, 60_000,
    ]);
    expect(sinkBackoffMs(1, 0.999)).toBeGreaterThanOrEqual(750);
  });
});

/** A feed of events, delivered to a receiver until all is dealt with. What it got, what it refused, and in how many attempts. */
const deliverAll = (events: number, batchEvents: number, receive: (batch: readonly number[]) => DeliveryOutcome) => {
  let sizes: DeliverySizes = firstSizes(batchEvents);
  let refusedInRow = 0;
  const accepted: number[] = [];
  const deadLetters: number[] = [];
  let attempts = 0;
  for (let position = 0; position < events; ) {
    const batch = Array.from({ length: Math.min(sizes.ceiling, events - position) }, (_, index) => position + index);
    attempts += 1;
    if (attempts > 50 * events) throw new Error('it never ends');
    const outcome = receive(batch);
    const decision = decideDelivery(
      { outcome, events: batch.length, failures: 0, refusedInRow, sizes, batchEvents },
      0,
    );
    if (decision.kind === 'retry') return { accepted, deadLetters, attempts, stuckAt: position };
    sizes = decision.sizes;
    if (decision.kind === 'split') continue;
    refusedInRow = decision.refusedInRow;
    const refused = decision.deadLetters.map(({ index }) => position + index);
    deadLetters.push(...refused);
    accepted.push(...batch.filter((event) => !refused.includes(event)));
    position += batch.length;
  }
  return { accepted, deadLetters, attempts, stuckAt: undefined };
};

const all = (events: number): number[] => [...Array(events).keys()];

describe('a feed with some events that a receiver refuses as part of a whole', () => {
  test('they alone are dead letters, all others arrive once and in order, whatever they are and however many fit', () =>
    forAll(
      [
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 64 }),
        fc.uniqueArray(fc.integer({ min: 0, max: 299 }).filter((event) => event % 10 !== 0)),
      ],
      { seed: 4, numRuns: 300 },
      (events, batchEvents, fits, bad) => {
        const isBad = new Set(bad);
        const { accepted, deadLetters } = deliverAll(events, batchEvents, (batch) =>
          batch.length > fits || batch.some((event) => isBad.has(event))
            ? { kind: 'refused', reason: 'no' }
            : { kind: 'delivered', refused: [] },
        );
        expect(deadLetters).toEqual(all(events).filter((event) => isBad.has(event)));
        expect(accepted).toEqual(all(events).filter((event) => !isBad.has(event)));
      },
    ));

  test('one of 500 is found in less than 30 attempts', () => {
    for (const bad of [0, 1, 249, 250, 400, 499]) {
      const { attempts } = deliverAll(500, 500, (batch) =>
        batch.includes(bad) ? { kind: 'refused', reason: 'no' } : { kind: 'delivered', refused: [] },
      );
      expect(attempts, `event ${bad}`).toBeLessThan(30);
    }
  });

  test('if only the size is refused, few attempts are wasted', () => {
    const { attempts, deadLetters } = deliverAll(50_000, 500, (batch) =>
      batch.length > 250 ? { kind: 'refused', reason: 'too large' } : { kind: 'delivered', refused: [] },
    );
    expect(deadLetters).toEqual([]);
    expect(attempts).toBeLessThan(200 + 15);
  });

  test('a receiver that refuses everything has ten dead letters, and the rest waits for it', () => {
    const { accepted, deadLetters, stuckAt } = deliverAll(5_000, 500, () => ({ kind: 'refused', reason: 'no' }));
    expect({ accepted, deadLetters, stuckAt }).toEqual({ accepted: [], deadLetters: all(10), stuckAt: 10 });
  });
});

// biome-ignore format: a table
const facts = (outcome: DeliveryOutcome, more: Partial<DeliveryFacts> = {}): DeliveryFacts => ({
  outcome, events: 100, failures: 0, refusedInRow: 0, sizes: firstSizes(500), batchEvents: 500, ...more,
});
