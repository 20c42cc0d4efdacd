import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { sideBySide } from '../../../../src/http/console/events/changes.ts';
import { html, visible } from '../../../../src/http/console/html.ts';
import { nextAddress } from '../../../../src/http/console/page.ts';
import { createSessionId, sessionKey, sessionKeys } from '../../../../src/http/console/sign-in.routes.ts';
import { offsetMs, offsetText, pageZone, zoneOf } from '../../../../src/http/console/words.ts';
import { diffTexts, prettyJson } from '../../../../src/search/json-difference.ts';
import { strangeEntries, unholdableEntries, unnamedEntries } from '../../../support/sync/defective-entries.ts';
import { forAll } from '../../for-all.ts';

test('every value is text: nothing of it becomes markup, in content or in an attribute', () => {
  const hostile = `<script>alert(1)</script>"'&`;
  expect(String(html`<p title="${hostile}">${hostile}</p>`)).toBe(
    '<p title="&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;">&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;</p>',
  );
});

test('what html made stays, lists of it are joined, and strings in lists are escaped, too', () => {
  const items = ['<a>', 'b'].map((name) => html`<li>${name}</li>`);
  expect(String(html`<ul>${items}${['<i>', ['<b>']]}</ul>`)).toBe(
    '<ul><li>&lt;a&gt;</li><li>b</li>&lt;i&gt;&lt;b&gt;</ul>',
  );
});

test('nothing is nothing; zero is a number', () => expect(String(html`[${null}${undefined}${false}${0}]`)).toBe('[0]'));

test('an object that only looks as if html had made it does not compile, and text that says so is text', () =>
  expect(String(html`${'{"isEscaped":true}'}`)).toBe('{&quot;isEscaped&quot;:true}'));

test.each([
  ['a right-to-left override', 'invoice\u202efdp.exe', 'invoice\\u202efdp.exe'],
  ['an isolate', '\u2067x\u2069', '\\u2067x\\u2069'],
  ['a character without width', 'ad\u200bmin', 'ad\\u200bmin'],
  ['an escape sequence', '\u001b[31m', '\\u001b[31m'],
  ['a NUL', 'a\u0000b', 'a\\u0000b'],
])('%s is made visible', (_what, text, shown) => {
  expect(visible(text)).toBe(shown);
  expect(String(html`${text}`)).toBe(shown);
});

test('text of other scripts stays as it is, with line ends and tabs', () => {
  const text = 'Zürich 東京 مرحبا\n\tשלום';
  expect(visible(text)).toBe(text);
});

it('zones are UTC outside a page', () => expect(pageZone()).toBe('UTC'));

it.each([
  ['Europe/Berlin', '2026-10-25T00:30:00Z', '+02:00'],
  ['Europe/Berlin', '2026-10-25T01:30:00Z', '+01:00'],
  ['Asia/Kathmandu', '2026-01-01T00:00:00Z', '+05:45'],
  ['America/St_Johns', '2026-07-01T00:00:00Z', '-02:30'],
  ['Pacific/Kiritimati', '2026-01-01T00:00:00Z', '+14:00'],
  ['UTC', '2026-01-01T00:00:00Z', 'Z'],
])('zones %s at %s is %s', (zone, instant, offset) => expect(offsetText(zone, Date.parse(instant))).toBe(offset));

it('zones have the offset of their time, to the second', () =>
  expect(offsetMs('Europe/Amsterdam', Date.parse('1900-01-01T00:00:00Z')) % 1_000).toBe(0));

it.each(['', 'x'.repeat(65), 'Europe/Nowhere', '+05:30', 'a b', '<b>', undefined, ['UTC'], 7])(
  'zones that are none: %s',
  (text) => expect(zoneOf(text)).toBeUndefined(),
);

test('a session has two possible keys, and neither holds it or the token; with another token the second is another', () => {
  const id = createSessionId();
  expect(id).not.toBe(createSessionId());
  const keys = sessionKeys(id, token);
  expect(keys).toEqual([sessionKey(id, undefined), sessionKey(id, token)]);
  expect(sessionKeys(id, undefined)).toEqual([sessionKey(id, undefined)]);
  expect(sessionKeys(id, 'another-token-of-the-test')[1]).not.toEqual(keys[1]);
  for (const key of keys) {
    expect(key.length).toBe(32);
    expect(key.toString('base64url')).not.toBe(id);
  }
});

test('what is no cookie of a session has no key', () => {
  const id = createSessionId();
  for (const wrong of [undefined, '', '.', `${id}x`, id.slice(1), ` ${id}`, `${id.slice(1)}=`, `9999999999.${id}`]) {
    expect(sessionKeys(wrong, token), String(wrong)).toEqual([]);
  }
});

test.each([
  ['/', '/'],
  ['/?state=failing', '/?state=failing'],
  ['/organizations/a%20b?x=1', '/organizations/a%20b?x=1'],
  ['/events#x', '/events'],
  ['//evil.example', '/'],
  ['/\\evil.example', '/'],
  ['/.//evil.example', '/'],
  ['/x/..//evil.example', '/'],
  ['/\t/evil.example', '/'],
  ['https://evil.example', '/'],
  ['javascript:alert(1)', '/'],
  ['evil', '/'],
  ['', '/'],
  ['/console/sign-in', '/'],
  [undefined, '/'],
  [['/a', '/b'], '/'],
])('next=%j leads to %s', (wanted, expected) => expect(nextAddress(wanted)).toBe(expected));

it('pretty JSON changes nothing but white space outside of strings', () => {
  const spaced = fc
    .tuple(fc.json(), fc.constantFrom('', ' ', '\n\t', '\r\n'))
    .map(([text, space]) =>
      text.replaceAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]/g, (token) =>
        token.startsWith('"') ? token : `${space}${token}${space}`,
      ),
    );
  forAll([spaced], {}, (text) => {
    const pretty = prettyJson(text);
    expect(withoutSpace(pretty)).toBe(withoutSpace(text));
    expect(JSON.parse(pretty)).toEqual(JSON.parse(text));
    expect(prettyJson(pretty)).toBe(pretty);
  });
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

const token = 'feed-token-of-the-test';

/** By another way than the printer's own: strings are matched, white space between them goes. */
const withoutSpace = (text: string): string =>
  text.replaceAll(/("(?:[^"\\]|\\[\s\S])*")|\s+/g, (_match, string: string | undefined) => string ?? '');
