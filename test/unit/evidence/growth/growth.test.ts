import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type HoleRange, nextChunk, unexplainedHole } from '../../../../src/evidence/append/logs.ts';
import { type CoverageSnapshot, coverageEntries } from '../../../../src/evidence/append/new-statements.ts';
import { Pace } from '../../../../src/evidence/builder/build-forever.ts';
import { MAX_STATEMENT_BYTES, readStatement } from '../../../../src/evidence/journal/statement-text.ts';
import { chainStart } from '../../../../src/evidence/leaf.ts';
import { coverageStatement } from '../../../support/evidence/statements.ts';
import { forAll } from '../../for-all.ts';

test('events that come in as fast as leaves are made of them get twice the time of each step', () =>
  expect(pauses(5_000, 40_000)).toEqual([0, 200, 200, 200]));

test('history that nothing is added to is built without a pause', () => expect(pauses(5_000, 0)).toEqual([0, 0, 0, 0]));

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

const ranges = fc.array(
  fc
    .tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 20 }))
    .map(([from, length]): HoleRange => [from, from + length]),
  { maxLength: 6 },
);

test('a hole is explained if every position of it is: the first that is not is named', () =>
  forAll([ranges, ranges], {}, (holes, explanations) => {
    const isExplained = (position: number) => explanations.some(([from, to]) => from <= position && position < to);
    const expected = holes.flatMap(([from, to]) =>
      Array.from({ length: to - from }, (_, index) => from + index).filter((position) => !isExplained(position)),
    )[0];
    expect(unexplainedHole(holes, explanations)).toBe(expected);
  }));

test('the next chunk goes on by events and by holes to the head, and never reaches from one into the other', () =>
  forAll(
    [
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 })), { maxLength: 4 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 15 }),
    ],
    {},
    (rest, steps, events, holes) => {
      let at = 1;
      const jumps = steps.map(([gap, length]): HoleRange => {
        const from = at + gap;
        at = from + length;
        return [from, at];
      });
      const head = at - 1 + rest;
      for (let size = 0; size < head; ) {
        const { until, isHole } = nextChunk({ size, head, events, holes }, jumps);
        expect(until).toBeGreaterThan(size);
        expect(until - size).toBeLessThanOrEqual(isHole ? holes : events);
        for (let position = size + 1; position <= until; position += 1) {
          expect(jumps.some(([from, to]) => from <= position && position < to)).toBe(isHole);
        }
        size = until;
      }
    },
  ));

const at = (second: number): string => `${new Date(second * 1_000).toISOString().slice(0, 19)}.123456Z`;
const stretches = (count: number): [string, string][] =>
  Array.from({ length: count }, (_, index) => [at(10 * index), at(10 * index + 5)]);

const reading = { method: 'first reading', number: 0, direction: 'asc', found: 0 } as const;
const source: CoverageSnapshot['sources'][number] = {
  kind: 'organization',
  id: 'o'.repeat(32),
  filterHash: 'f1',
  wantedSince: at(0),
  commits: 7,
  passes: [{ pass: 0, ranges: stretches(100_000) }],
  holes: stretches(40).map((range) => ({ pass: 0, range, reason: 'r'.repeat(60), attempts: 9, found_at: at(1) })),
  holeCount: 1_000,
  readings: stretches(60).map((range) => ({ range, ...reading, read_from: at(1), read_to: at(2) })),
  readingCount: 100,
  readAgain: stretches(40),
  reads: { count: 3, sha256: '11'.repeat(32), after: { count: 1, sha256: '22'.repeat(32) } },
  before: null,
};

test('what has no room is left out, and counted', () => {
  const [statement] = entriesOf({});
  expect(statement?.passes[0]?.ranges).toHaveLength(500);
  expect(statement?.left_out).toEqual({
    ranges: 99_500,
    holes: 1_000 - (statement?.holes?.length ?? 0),
    readings: 100 - (statement?.readings?.length ?? 0),
  });
  // The newest readings stay, and the newest time that was read again.
  expect(statement?.read_again?.at(-1)).toEqual(source.readAgain.at(-1));
  expect(statement?.readings?.at(-1)).toEqual(source.readings.at(-1));
});

test('also beside long filters, the ranges are stated', () => {
  const [statement] = entriesOf({}, 'x'.repeat(20_000));
  expect(statement?.passes[0]?.ranges).toHaveLength(500);
});

test('ranges that the statement before had stay, though there are longer ones', () => {
  const [before] = entriesOf({ passes: [{ pass: 0, ranges: stretches(500) }] });
  const longer = stretches(1_000).map(([from, to], index): [string, string] =>
    index < 500 ? [from, to] : [from, at(10 * index + 9)],
  );
  const [after] = entriesOf({ passes: [{ pass: 0, ranges: longer }], before: JSON.stringify(before) });
  expect(after?.passes).toEqual(before?.passes);
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

const entriesOf = (more: Partial<typeof source>, filter = '') =>
  coverageEntries(
    { head: 43, asOf: at(1_000_000), serverTime: null, sources: [{ ...source, ...more }] },
    { at: at(1_000_001), tree: coverageStatement.tree },
    () => chainStart,
    new Map([['f1', filter]]),
  ).map(({ text }) => {
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_STATEMENT_BYTES);
    const read = readStatement(text);
    if (!read.known || read.statement.type !== 'coverage') throw new Error('is another statement');
    return read.statement;
  });
