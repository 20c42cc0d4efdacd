import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { prettyJson } from '../../../../src/http/console/events/pretty-json.ts';
import { diffTexts } from '../../../../src/http/console/events/text-diff.ts';
import { strangeEntries, unholdableEntries, unnamedEntries } from '../../../support/sync/defective-entries.ts';

/** By another way than the printer's own: strings are matched, white space between them goes. */
const withoutSpace = (text: string): string =>
  text.replaceAll(/("(?:[^"\\]|\\[\s\S])*")|\s+/g, (_match, string: string | undefined) => string ?? '');

describe('pretty JSON', () => {
  it('changes nothing but white space outside of strings', () => {
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

  it('keeps large numbers, keys that come twice, their order, and escapes', () => {
    const text = '{"z":12345678901234567890,"a":1.0,"a":1e400,"\\u0041":"\\/\\u0000\\ud800 { } [ , ] :"}';
    expect(prettyJson(text)).toBe(
      '{\n  "z": 12345678901234567890,\n  "a": 1.0,\n  "a": 1e400,\n  "\\u0041": "\\/\\u0000\\ud800 { } [ , ] :"\n}',
    );
    expect(prettyJson('{ "a" : [ ] , "b":[1,{}]}')).toBe('{\n  "a": [],\n  "b": [\n    1,\n    {}\n  ]\n}');
  });

  it('every defective or strange entry, 100,000 levels included, in a moment', () => {
    for (const { text } of [...unnamedEntries, ...unholdableEntries, ...strangeEntries]) {
      const pretty = prettyJson(text);
      expect(withoutSpace(pretty)).toBe(withoutSpace(text));
      expect(pretty.length).toBeLessThan(text.length * 2 + 20_000);
    }
  });
});

describe('the difference of two texts', () => {
  it('line by line, and both texts can be made of it', () => {
    const before = prettyJson('{"id":1,"name":"a","list":[1,2,3]}');
    const after = prettyJson('{"id":1,"name":"b","list":[1,3],"more":true}');
    const parts = diffTexts(before, after, Number.POSITIVE_INFINITY) ?? [];
    const side = (kind: string) =>
      parts.flatMap((part) => (part.kind === 'same' || part.kind === kind ? [part.text] : [])).join('');
    expect(side('removed')).toBe(before);
    expect(side('added')).toBe(after);
    expect(parts.filter(({ kind }) => kind === 'added').map(({ text }) => text.trim())).toContain('"name": "b",');
  });

  it('gives up where everything differs, instead of taking minutes', () => {
    const lines = (word: string) => Array.from({ length: 50_000 }, (_, n) => `${word} ${n}`).join('\n');
    // Were it not for its limit of differences, it would come to an end, hours later.
    expect(diffTexts(lines('a'), lines('b'), Number.POSITIVE_INFINITY)).toBeUndefined();
  });

  it('gives up when its time is over', () => {
    const lines = (word: string) => Array.from({ length: 1_000 }, (_, n) => `${word} ${n}`).join('\n');
    expect(diffTexts(lines('a'), lines('b'), 0)).toBeUndefined();
    expect(diffTexts(lines('a'), lines('b'), Number.POSITIVE_INFINITY)).toHaveLength(2);
  });
});
