import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  contains,
  dropParts,
  isInPositions,
  type PassRanges,
  rangesOf,
  statedRanges,
  type TimeRange,
  united,
  unitedPositions,
} from '../../../../src/evidence/journal/ranges.ts';
import { statement } from '../../../../src/evidence/journal/statement.ts';
import {
  MAX_STATEMENT_BYTES,
  readLines,
  readStatement,
  writeJournal,
  writeStatement,
} from '../../../../src/evidence/journal/statement-text.ts';
import { journalLeaf } from '../../../../src/evidence/leaf.ts';
import { leafHash } from '../../../../src/evidence/tree/tiles.ts';
import { coverageStatement, dropStatement, statementTexts } from '../../../support/evidence/statements.ts';
import { forAll } from '../../for-all.ts';

test.each(statementTexts.map(([one, text]) => [one.type, one, text] as const))('statement %s', (_type, one, text) => {
  expect(writeStatement(one)).toBe(text);
  expect(readStatement(text)).toEqual({ known: true, statement: one });
  expect(text).not.toContain('\n');
});

test('statement every type has one here', () => {
  const types = statement.options.map(({ shape }) => shape.type.value);
  expect(statementTexts.map(([one]) => one.type).sort()).toEqual([...types].sort());
});

test('statement is the same whatever the order in which fields are given, and without fields that it has not', () => {
  const reversed = Object.fromEntries(Object.entries({ ...dropStatement, more: 1 }).reverse());
  expect(writeStatement(reversed as typeof dropStatement)).toBe(writeStatement(dropStatement));
});

test('statement is refused if it is too long for a leaf, or no statement', () => {
  const long = { ...coverageStatement, filter: { text: '\u00e9'.repeat(MAX_STATEMENT_BYTES / 2), hash: '' } };
  expect(() => writeStatement(long)).toThrow(RangeError);
  expect(() => writeStatement({ ...dropStatement, positions: [[7, 7]] })).toThrow('is no range of positions');
  const longest = 'x'.repeat(MAX_STATEMENT_BYTES);
  expect(leafHash(journalLeaf(longest))).toHaveLength(32);
});

test('a statement is read with more fields than are known, and of a type that is not known', () => {
  const more = `${writeStatement(dropStatement).slice(0, -1)},"more":1}`;
  expect(readStatement(more)).toEqual({ known: true, statement: dropStatement });
  const { at, tree } = dropStatement;
  const later = { type: 'later', at, tree };
  expect(readStatement(JSON.stringify({ ...later, positions: 'x' }))).toEqual({ known: false, statement: later });
});

test.each([
  ['no JSON', '{', 'statement is not JSON'],
  ['no object', '[]', 'statement: '],
  ['no type', '{}', 'statement: type'],
  ['a time that is none', { at: 'yesterday' }, 'statement: at'],
  ['no tree', { tree: null }, 'statement: tree'],
  ['a root in hexadecimal digits', { tree: { ...dropStatement.tree, root: 'ab'.repeat(32) } }, 'statement: tree.root'],
  ['a size that is none', { tree: { ...dropStatement.tree, size: -1 } }, 'statement: tree.size'],
  ['a number that parsers round', { tree: { ...dropStatement.tree, size: 2 ** 53 } }, 'not whole, or too large'],
  ['a fraction', { more: 1.5 }, 'not whole, or too large'],
  ['an integer as a fraction', '{"type":"later","more":1.0}', 'not whole, or too large'],
  ['a field twice', '{"type":"later","type":"drop"}', 'has the field "type" twice'],
  ['a field twice, in other letters', '{"type":"later","\\u0074ype":"drop"}', 'has the field "type" twice'],
  ['a field twice within a field', '{"type":"later","more":[{"a":{},"b":",","a":1}]}', 'has the field "a" twice'],
  ['half of a character', '{"type":"later","more":"\\ud800"}', 'half of a surrogate pair'],
  ['more levels than there are', `{"more":${'['.repeat(32)}${']'.repeat(32)}}`, 'is nested too deeply'],
  ['more bytes than a leaf', `{"more":"${'x'.repeat(66_000)}"}`, 'longer than a leaf can be'],
  ['a day that there is not', { at: '2026-02-29T00:00:00Z' }, 'statement: at'],
  ['a month that there is not', { month: '2026-13' }, 'statement: month'],
  ['another month', { month: 'January' }, 'statement: month'],
  ['position 0', { positions: [[0, 1]] }, 'statement: positions.0'],
  ['an empty range', { positions: [[5, 5]] }, 'statement: positions.0'],
  ['a hash in capitals', { ids_sha256: 'AB'.repeat(32) }, 'statement: ids_sha256'],
  ['a field too few', { retention: undefined }, 'statement: retention'],
])('a statement is read not with %s', (_what, other, fault) => {
  const text = typeof other === 'string' ? other : JSON.stringify({ ...dropStatement, ...other });
  expect(() => readStatement(text)).toThrow(fault);
});

test('journal/entries.ndjson has a line for each statement, read byte for byte', () => {
  const texts = ['{"type":"a"}', '{ "type" : "\u2028\u00e9" }', ''];
  expect(writeJournal(texts)).toBe('{"type":"a"}\n{ "type" : "\u2028\u00e9" }\n\n');
  expect(readLines(Buffer.from(writeJournal(texts)))).toEqual(texts);
  expect(readLines(Buffer.alloc(0))).toEqual([]);
});

test('journal/entries.ndjson that is cut or no text is a fault', () => {
  expect(() => readLines(Buffer.from('{"type":"a"}'))).toThrow('journal ends within a line');
  expect(() => readLines(Buffer.from([0xff, 0x0a]))).toThrow('journal is not UTF-8');
});

test('the positions of a drop go together as ranges', () => {
  expect(rangesOf([])).toEqual([]);
  expect(rangesOf([1, 2, 3, 7, 9, 10])).toEqual([
    [1, 4],
    [7, 8],
    [9, 11],
  ]);
  expect(() => rangesOf([2, 1])).toThrow(RangeError);
  expect(() => rangesOf([1, 1])).toThrow(RangeError);
});

test('the positions of a drop take as many statements as they need, each of them fits, and no position is lost', () => {
  const { positions: _positions, part: _part, parts: _parts, ...drop } = dropStatement;
  const gaps = fc.array(fc.integer({ min: 2, max: 1_000_000_000 }), { maxLength: 5_000 });
  forAll([gaps, fc.nat(2 ** 52)], { seed: 20_261_126, numRuns: 20 }, (steps, start) => {
    let position = start;
    const positions = steps.map((step) => {
      position += step;
      return position;
    });
    const statements = dropParts(drop, rangesOf(positions));
    expect(statements.flatMap((one) => one.positions)).toEqual(rangesOf(positions));
    for (const [index, one] of statements.entries()) {
      expect(one).toMatchObject({ part: index + 1, parts: statements.length, events: drop.events });
      writeStatement(one);
    }
  });
  expect(dropParts(drop, [])).toHaveLength(1);
  const largest = Array.from({ length: 20_000 }, (_, n): [number, number] => [
    2 ** 53 - 3 - 2 * n,
    2 ** 53 - 2 - 2 * n,
  ]);
  for (const one of dropParts(drop, largest)) writeStatement(one);
  expect(() => dropParts({ ...drop, holds: Array.from({ length: 10_000 }, () => 1_000_000) }, [])).toThrow(RangeError);
  const empty = writeStatement({ ...dropStatement, positions: [] }).length;
  const account = drop.account + 'x'.repeat(MAX_STATEMENT_BYTES - empty - 60);
  expect(() => dropParts({ ...drop, account }, [[1, 2]])).toThrow('leaves no room');
});

const range = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 9 })).map(([from, length]) => {
  return [from, from + length] as const;
});

test('ranges of positions become ones that do not touch, with the same positions, each once', () =>
  forAll([fc.array(range)], {}, (ranges) => {
    const united = unitedPositions(ranges);
    expect(positionsOf(united)).toEqual([...new Set(positionsOf(ranges))].sort((a, b) => a - b));
    for (const [index, [from]] of united.entries()) expect(from).toBeGreaterThan(united[index - 1]?.[1] ?? 0);
  }));

test('a position is in one of them exactly if one of them has it', () =>
  forAll([fc.array(range), fc.integer({ min: 0, max: 80 })], {}, (ranges, position) =>
    expect(isInPositions(unitedPositions(ranges), position)).toBe(positionsOf(ranges).includes(position)),
  ));

const pairs = fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 9 })), { maxLength: 30 });

test('while what is proven grows, a statement claims less than that, never less than the one before, and no more ranges than the limit', () =>
  forAll(
    [fc.array(fc.tuple(pairs, pairs), { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 12 })],
    {},
    (rounds, limit) => {
      let proven: PassRanges[] = [
        { pass: 0, ranges: [] },
        { pass: 1, ranges: [] },
      ];
      let before: readonly PassRanges[] = [];
      for (const round of rounds) {
        proven = proven.map(({ pass, ranges: some }, index) => ({
          pass,
          ranges: united([...some, ...ranges(round[index] ?? [])]),
        }));
        const { passes, leftOut } = statedRanges(proven, before, limit);
        const count = passes.reduce((sum, one) => sum + one.ranges.length, 0);
        expect(count).toBeLessThanOrEqual(limit);
        expect(count + leftOut).toBe(proven.reduce((sum, one) => sum + one.ranges.length, 0));
        expect([isWithin(passes, proven), isWithin(before, passes)]).toEqual([true, true]);
        before = passes;
      }
    },
  ));

test('of those that are new, the longest are stated, in order of time', () => {
  const proven = [
    {
      pass: 0,
      ranges: ranges([
        [0, 1],
        [10, 5],
        [20, 3],
        [30, 9],
      ]),
    },
  ];
  const { passes, leftOut } = statedRanges(proven, [], 2);
  // biome-ignore format: a table
  expect(passes).toEqual([
    { pass: 0, ranges: ranges([[10, 5], [30, 9]]) },
  ]);
  expect(leftOut).toBe(2);
});

const positionsOf = (ranges: readonly (readonly [number, number])[]): number[] =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => from + index));

const at = (second: number): string =>
  `${new Date(Date.UTC(2026, 0, 1) + second * 1_000).toISOString().slice(0, 19)}.000000Z`;

const ranges = (pairs: readonly (readonly [number, number])[]): TimeRange[] =>
  united(pairs.map(([from, length]): TimeRange => [at(from), at(from + length)]));

const isWithin = (inner: readonly PassRanges[], outer: readonly PassRanges[]): boolean =>
  inner.every(({ pass, ranges: some }) =>
    some.every((one) => outer.some((other) => other.pass === pass && other.ranges.some((all) => contains(all, one)))),
  );
