import { describe, expect, it, test } from 'vitest';
import { html, visible } from '../../../../src/http/console/html.ts';
import { offsetMs, offsetText, pageZone, zoneOf } from '../../../../src/http/console/times/zone.ts';

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

describe('zones', () => {
  it('are UTC outside a page', () => expect(pageZone()).toBe('UTC'));

  it.each([
    ['Europe/Berlin', '2026-10-25T00:30:00Z', '+02:00'],
    ['Europe/Berlin', '2026-10-25T01:30:00Z', '+01:00'],
    ['Asia/Kathmandu', '2026-01-01T00:00:00Z', '+05:45'],
    ['America/St_Johns', '2026-07-01T00:00:00Z', '-02:30'],
    ['Pacific/Kiritimati', '2026-01-01T00:00:00Z', '+14:00'],
    ['UTC', '2026-01-01T00:00:00Z', 'Z'],
  ])('%s at %s is %s', (zone, instant, offset) => expect(offsetText(zone, Date.parse(instant))).toBe(offset));

  it('have the offset of their time, to the second', () =>
    expect(offsetMs('Europe/Amsterdam', Date.parse('1900-01-01T00:00:00Z')) % 1_000).toBe(0));

  it.each(['', 'x'.repeat(65), 'Europe/Nowhere', '+05:30', 'a b', '<b>', undefined, ['UTC'], 7])(
    'that are none: %s',
    (text) => expect(zoneOf(text)).toBeUndefined(),
  );
});
