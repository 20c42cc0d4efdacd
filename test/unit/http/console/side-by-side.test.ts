import { expect, test } from 'vitest';
import { sideBySide } from '../../../../src/http/console/events/side-by-side.ts';

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
