import { expect, test } from 'vitest';
import { type CoverageSnapshot, coverageEntries } from '../../../../src/evidence/growth/coverage-entries.ts';
import { MAX_STATEMENT_BYTES, readStatement } from '../../../../src/evidence/journal/statement-text.ts';
import { chainStart } from '../../../../src/evidence/leaves/source-chain.ts';
import { coverageStatement } from '../../../support/evidence/statements.ts';

const at = (second: number): string => `${new Date(second * 1_000).toISOString().slice(0, 19)}.123456Z`;
const stretches = (count: number): [string, string][] =>
  Array.from({ length: count }, (_, index) => [at(10 * index), at(10 * index + 5)]);

const source: CoverageSnapshot['sources'][number] = {
  kind: 'organization',
  id: 'o'.repeat(32),
  filterHash: 'f1',
  wantedSince: at(0),
  commits: 7,
  passes: [{ pass: 0, ranges: stretches(100_000) }],
  holes: stretches(40).map((range) => ({ pass: 0, range, reason: 'r'.repeat(60), attempts: 9, found_at: at(1) })),
  holeCount: 1_000,
  readings: stretches(60).map((range) => ({
    range,
    method: 'first reading',
    number: 0,
    direction: 'asc',
    found: 0,
    read_from: at(1),
    read_to: at(2),
  })),
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
