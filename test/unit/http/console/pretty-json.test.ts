import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { prettyJson } from '../../../../src/http/console/events/pretty-json.ts';
import { sideBySide } from '../../../../src/http/console/events/side-by-side.ts';
import { diffTexts } from '../../../../src/http/console/events/text-diff.ts';
import { strangeEntries, unholdableEntries, unnamedEntries } from '../../../support/sync/defective-entries.ts';

it('pretty JSON changes nothing but white space outside of strings', () => {
  const spaced = fc
    .tuple(fc.json(), fc.constantFrom('', ' ', '\n\t', '\r\n'))
    .map(([text, space]) =>
      text.replaceAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]/g, (token) =>
        token.startsWith('"') ? token : `${space}${token}${space}`,
      ),
    );
  fc.assert(
    fc.property(spaced, (text) => {
      const pretty = prettyJson(text);
      expect(withoutSpace(pretty)).toBe(withoutSpace(text));
      expect(JSON.parse(pretty)).toEqual(JSON.parse(text));
      expect(prettyJson(pretty)).toBe(pretty);
    }),
  );
});

it('pretty JSON keeps large numbers, keys that come twice, their order, and escapes', () => {
  const text = '{"z":12345678901234567890,"a":1.0,"a":1e400,"\\u0041":"\\/\\u0000\\ud800 { } [ , ] :"}';
  expect(prettyJson(text)).toBe(
    '{\n  "z": 12345678901234567890,\n  "a": 1.0,\n  "a": 1e400,\n  "\\u0041": "\\/\\u0000\\ud800 { } [ , ] :"\n}',
  );
  expect(prettyJson('{ "a" : [ ] , "b":[1,{}]}')).toBe('{\n  "a": [],\n  "b": [\n    1,\n    {}\n  ]\n}');
});

it('pretty JSON every defective or strange entry, 100,000 levels included, in a moment', () => {
  for (const { text } of [...unnamedEntries, ...unholdableEntries, ...strangeEntries]) {
    const pretty = prettyJson(text);
    expect(withoutSpace(pretty)).toBe(withoutSpace(text));
    expect(pretty.length).toBeLessThan(text.length * 2 + 20_000);
  }
});

it('the difference of two texts line by line, and both texts can be made of it', () => {
  const before = prettyJson('{"id":1,"name":"a","list":[1,2,3]}');
  const after = prettyJson('{"id":1,"name":"b","list":[1,3],"more":true}');
  const parts = diffTexts(before, after, Number.POSITIVE_INFINITY) ?? [];
  const side = (kind: string) =>
    parts.flatMap((part) => (part.kind === 'same' || part.kind === kind ? [part.text] : [])).join('');
  expect(side('removed')).toBe(before);
  expect(side('added')).toBe(after);
  expect(parts.filter(({ kind }) => kind === 'added').map(({ text }) => text.trim())).toContain('"name": "b",');
});

it('the difference of two texts gives up where everything differs, instead of taking minutes', () => {
  const lines = (word: string) => Array.from({ length: 5_000 }, (_, n) => `${word} ${n}`).join('\n');
  // More than its limit of differences.
  expect(diffTexts(lines('a'), lines('b'), Number.POSITIVE_INFINITY)).toBeUndefined();
});

it('the difference of two texts gives up when its time is over', () => {
  const lines = (word: string) => Array.from({ length: 1_000 }, (_, n) => `${word} ${n}`).join('\n');
  expect(diffTexts(lines('a'), lines('b'), 0)).toBeUndefined();
  expect(diffTexts(lines('a'), lines('b'), Number.POSITIVE_INFINITY)).toHaveLength(2);
});

const cells = (before: unknown, after: unknown) => {
  const options = { names: ['Before', 'After'], deadlineMs: performance.now() + 600_000 } as const;
  const text = sideBySide(JSON.stringify(before), JSON.stringify(after), options).toString();
  const rows = [...text.matchAll(/<tr[^>]*>(.*?)<\/tr>/gs)].map(([, row = '']) =>
    [...row.matchAll(/<td class="line-(\w+)">(?:<span[^>]*>\w*<\/span><code>(.*?)<\/code>)?<\/td>/gs)].map(
      ([, kind, line]) => [kind, line?.trim()],
    ),
  );
  return { text, rows: rows.filter((row) => row.length > 0) };
};

test('a line that replaces another stands beside it', () => {
  const { rows } = cells({ a: 1, content: '192.0.2.1', z: 1 }, { a: 1, content: '192.0.2.2', z: 1 });
  expect(rows).toContainEqual([
    ['removed', '&quot;content&quot;: &quot;192.0.2.1&quot;,'],
    ['added', '&quot;content&quot;: &quot;192.0.2.2&quot;,'],
  ]);
  expect(rows.filter(([left]) => left?.[0] === 'same')).toHaveLength(4);
});

test('what is only in one of them has nothing beside it', () => {
  expect(cells({ a: 1, b: 2, z: 1 }, { a: 1, z: 1 }).rows).toContainEqual([
    ['removed', '&quot;b&quot;: 2,'],
    ['none', undefined],
  ]);
  expect(cells({ a: 1, z: 1 }, { a: 1, b: 2, z: 1 }).rows).toContainEqual([
    ['none', undefined],
    ['added', '&quot;b&quot;: 2,'],
  ]);
});

test('the same state says so, and markup in a value stays text', () => {
  expect(cells({ a: 1 }, { a: 1 }).text).toContain('Nothing changed');
  expect(cells({ a: 1 }, { a: '<script>alert(1)</script>' }).text).not.toContain('<script>');
});

/** By another way than the printer's own: strings are matched, white space between them goes. */
const withoutSpace = (text: string): string =>
  text.replaceAll(/("(?:[^"\\]|\\[\s\S])*")|\s+/g, (_match, string: string | undefined) => string ?? '');
