import { expect, test } from 'vitest';
import { html, visible } from '../../../../src/http/console/html.ts';

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

test('nothing is nothing; zero is a number', () => {
  expect(String(html`[${null}${undefined}${false}${0}]`)).toBe('[0]');
});

test('an object that only looks as if html had made it does not compile, and text that says so is text', () => {
  expect(String(html`${'{"isEscaped":true}'}`)).toBe('{&quot;isEscaped&quot;:true}');
});

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
