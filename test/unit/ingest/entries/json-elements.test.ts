import fc from 'fast-check';
import { expect, it } from 'vitest';
import { endOfNumber, endOfString, findArray, isOddNumber } from '../../../../src/ingest/entries/json-bytes.ts';
import { forAll } from '../../for-all.ts';

const space = fc.constantFrom('', '', ' ', '\n\t', '\r\n ');
const plainNumbers = ['0', '-0', '7', '-1.5e+3', '12345678901234567890', '1E-9999', '9'.repeat(1_000)];
const oddNumbers = ['1e200000', '-2E+10001', '1e-10001', '9'.repeat(1_001), `0.${'0'.repeat(1_000)}`];
const stringPieces = ['a', 'result', '\\"', '\\\\', '\\/', '\\u0000', '\\ud83d', '\\ude00', '\\n'];
const rawPieces = ['[', ']', '{', '}', ',', ':', '1e200000', 'é', '😀', '\u2028', '\u007f', '\ufeff'];

const stringText = fc
  .array(fc.constantFrom(...stringPieces, ...rawPieces), { maxLength: 5 })
  .map((pieces) => `"${pieces.join('')}"`);
const key = fc.oneof(stringText, fc.constantFrom('"result"', '"res\\u0075lt"', '"id"', '"__proto__"', '""'));

/** Texts of JSON values in unusual forms: every spelling that the grammar allows. */
const { value, members } = fc.letrec<{ value: string; members: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('true', 'false', 'null', '{}', '[]', '{ }', '[\n]', ...plainNumbers, ...oddNumbers),
    stringText,
    fc.json(),
    fc
      .array(fc.tuple(space, tie('value'), space), { maxLength: 4 })
      .map((items) => `[${items.map((item) => item.join('')).join(',')}]`),
    tie('members').map((inner) => `{${inner}}`),
  ),
  members: fc
    .array(fc.tuple(space, key, space, tie('value'), space), { maxLength: 4 })
    .map((all) => all.map(([a, name, b, inner, c]) => `${a}${name}${b}:${b}${inner}${c}`).join(',')),
}));

const elementTexts = fc.array(fc.tuple(space, value, space), { maxLength: 6 });

it('findArray finds exactly the texts that were put in, whatever stands in and around them', () => {
  const name = fc.constantFrom('"result"', '"res\\u0075lt"', '"\\u0072esult"');
  const otherKeys = members.map((text) => (/"r?(\\u0072)?es(u|\\u0075)lt"\s*:/.test(text) ? '"other":[1]' : text));
  forAll([otherKeys, name, elementTexts, otherKeys], 300, (lead, spelt, all, tail) => {
    const array = `[${all.map((parts) => parts.join('')).join(',')}]`;
    const text = ` {${between(lead, `${spelt} :\n${array}`, tail)}}\n`;
    const found = findArray(text, 'result');
    expect(found).toBeDefined();
    if (found === undefined) return;
    expect(text.slice(found.start, found.end)).toBe(array);
    expect(found.elements.map(({ start, end }) => text.slice(start, end))).toEqual(all.map(([, inner]) => inner));
    let rebuilt = '';
    let from = 0;
    for (const { start, end } of found.elements) {
      const gap = text.slice(from, start);
      if (from > 0) expect(gap).toMatch(/^\s*,\s*$/);
      rebuilt += gap + text.slice(start, end);
      from = end;
    }
    expect(rebuilt + text.slice(from)).toBe(text);
    for (const [index, element] of found.elements.entries()) {
      const inner = all[index]?.[1] ?? '';
      expect(element.oddNumber).toBe(numbersOutsideStrings(inner).some(isOddNumber));
    }
  });
});

it('findArray agrees with JSON.parse about which array it is, and how deep its elements go', () =>
  forAll([members], 300, (text) => {
    const parsed = (JSON.parse(`{${text}}`) as Record<string, unknown[]>)['result'];
    const found = findArray(`{${text}}`, 'result');
    const once = JSON.stringify(JSON.parse(`{${text}}`));
    expect(findArray(once, 'result') !== undefined).toBe(Array.isArray(parsed));
    if (found === undefined || parsed === undefined) return;
    const texts = found.elements.map(({ start, end }) => `{${text}}`.slice(start, end));
    expect(texts.map((inner): unknown => JSON.parse(inner))).toEqual(parsed);
    for (const [index, { depth }] of found.elements.entries()) {
      // Equal keys hide values from JSON.parse, but not from the text.
      expect(depth).toBeGreaterThanOrEqual(depthOf(parsed[index]));
    }
  }));

it.each([
  [0, '"[[[["'],
  [0, '1'],
  [1, '{}'],
  [2, '[1,{},2]'],
  [3, '{"a":[[1],"]"],"b":{}}'],
  [100_000, '['.repeat(100_000) + ']'.repeat(100_000)],
  [100_000, `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
])('findArray counts %i levels of nesting', (depth, element) => {
  const elements = findArray(`{"result":[${element}]}`, 'result')?.elements;
  expect(elements).toMatchObject([{ depth, start: 11, end: 11 + element.length }]);
});

it('findArray reads a long run of backslashes and quotes in linear time', () => {
  const hostile = `"${'\\\\'.repeat(200_000)}${'\\"'.repeat(200_000)}"`;
  expect(findArray(`{"result":[${hostile}]}`, 'result')?.elements).toHaveLength(1);
});

it('findArray throws for a text that breaks off, instead of running on indefinitely', () => {
  for (const text of ['{"result":[1', '{"result":["a', '{"result":[{"a":1', '{"result":[1,', '{"result":[[']) {
    expect(() => findArray(text, 'result')).toThrow(SyntaxError);
  }
});

it('isOddNumber is one whose text PostgreSQL may refuse', () => {
  expect(plainNumbers.filter(isOddNumber)).toEqual([]);
  expect(oddNumbers.filter(isOddNumber)).toEqual(oddNumbers);
});

it('endOfString and endOfNumber stop right behind the token', () => {
  expect([endOfString('x"a\\"b"y', 1), endOfNumber('[-1.5E+3]', 1), endOfNumber('12', 0)]).toEqual([7, 8, 2]);
  expect(() => endOfString('"a\\"', 0)).toThrow(SyntaxError);
});

const between = (...parts: readonly string[]): string => parts.filter((part) => part.trim() !== '').join(',');

const numbersOutsideStrings = (text: string): string[] =>
  text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d[\d.eE+-]*/g) ?? [];

const depthOf = (parsed: unknown): number =>
  typeof parsed === 'object' && parsed !== null
    ? 1 + Object.values(parsed).reduce((deepest: number, inner) => Math.max(deepest, depthOf(inner)), 0)
    : 0;
