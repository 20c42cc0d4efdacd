import { expect, test } from 'vitest';
import { html } from '../../../../src/http/console/html.ts';
import { printView, readView, usualView, withView } from '../../../../src/http/console/result/result-view.ts';
import { keepView } from '../../../../src/http/console/result/view-links.ts';

test('a view is read from an address and printed in the order of the columns', () => {
  const { view, faults } = readView({ columns: 'ray, actor,ray', density: 'compact' });
  expect([view, faults]).toEqual([{ columns: ['actor', 'ray'], density: 'compact' }, []]);
  expect(printView(view).toString()).toBe('columns=actor%2Cray&density=compact');
  expect(readView({ columns: ['ray', 'actor'] }).view.columns).toEqual(['actor', 'ray']);
  expect(readView({ columns: '' }).view.columns).toEqual([]);
  expect(readView(Object.fromEntries(printView(readView({ columns: '' }).view))).view.columns).toEqual([]);
});

test('the usual view needs no parameter, and takes those of an address away', () => {
  expect(readView({}).view).toEqual(usualView);
  expect(printView(usualView).toString()).toBe('');
  expect(withView('/events?since=7d&columns=ray&density=compact', usualView)).toBe('/events?since=7d');
  expect(withView('/events?density=compact', usualView)).toBe('/events');
  expect(withView('/events?since=7d', readView({ columns: 'ray' }).view)).toBe('/events?since=7d&columns=ray');
});

test('what is no column is a fault that names the one that was meant', () => {
  expect(readView({ columns: 'actr,ray', density: 'tiny' }).faults).toEqual([
    'columns: “actr” is not a column; did you mean "actor"?',
    'density must be comfortable or compact',
  ]);
});

test('links to searches keep the view; text that looks like one stays text', () => {
  const { view } = readView({ columns: 'ray', density: 'compact' });
  const body = html`<a href="/events?since=7d">a</a><a href="/events">b</a><a href="/events/7">c</a>${'<a href="/events">'}<form class="search panel" method="get">`;
  expect(String(keepView(body, view))).toBe(
    '<a href="/events?since=7d&amp;columns=ray&amp;density=compact">a</a><a href="/events?columns=ray&amp;density=compact">b</a><a href="/events/7">c</a>&lt;a href=&quot;/events&quot;&gt;<form class="search panel" method="get"><input type="hidden" name="columns" value="ray"><input type="hidden" name="density" value="compact">',
  );
  expect(keepView(body, usualView)).toBe(body);
});
