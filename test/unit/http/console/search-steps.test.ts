import { expect, test } from 'vitest';
import { BusyError, SearchError } from '../../../../src/base/errors.ts';
import { keepView, printView, readView, usualView, withView } from '../../../../src/http/console/events/result-view.ts';
import {
  eventHref,
  readSteps,
  resultLink,
  searchStepsOf,
  stepsFault,
} from '../../../../src/http/console/events/search-steps.ts';
import { html } from '../../../../src/http/console/html.ts';
import type { FoundEvent, SearchPage } from '../../../../src/search/answer.ts';
import { readSearch } from '../../../../src/search/query/search.ts';
import type { SearchSource } from '../../../../src/search/search-source.ts';

test('where a slow search did not come to a neighbour, the list goes on from there', async () => {
  const steps = await stepsIn('text=needle', () => ({ events: [], more: true, reached }));
  const links = String(searchStepsOf(steps));
  expect(links).toContain(
    'href="/events?text=needle&amp;cursor=PDAgMjAyNi0xMS0wMSAwMDowMDowMCswMA">Older: keep searching →',
  );
  expect(String(resultLink(steps))).toContain('href="/events?text=needle"');
});

test.each([
  [new SearchError('timeout', 'the search takes too long'), 'the search takes too long.'],
  [new SearchError('refused', 'the archive cannot be searched here'), 'the archive cannot be searched here.'],
  [new BusyError('all connections are in use', 1), 'other searches are using the database.'],
])('a search that fails is said, and is no error of the page: %s', async (error, words) => {
  const steps = await stepsIn('text=needle', () => {
    throw error;
  });
  expect(searchStepsOf(steps)).toBeUndefined();
  expect(String(stepsFault(steps))).toContain(words);
});

test('a name that cannot be looked up is said, and is no error of the page', async () => {
  const source = {
    organization: async () => {
      throw new BusyError('all connections are in use', 1);
    },
  } as unknown as SearchSource;
  const steps = await readSteps(source, event, 'organization=one', new AbortController().signal);
  expect(String(stepsFault(steps))).toContain('other searches are using the database.');
});

test('any other error is one', async () => {
  const fails = stepsIn('text=needle', () => {
    throw new Error('a bug');
  });
  await expect(fails).rejects.toThrow('a bug');
});

test('a link to an event carries a search that says something, and nothing for all events', () => {
  const { search } = readSearch({ text: 'a&b=c', since: '7d' }, Date.now());
  expect(eventHref(7, search)).toBe('/events/7?search=since%3D7d%26text%3Da%2526b%253Dc');
  expect(eventHref(7, readSearch({}, 0).search)).toBe('/events/7');
  expect(eventHref(7, undefined, { whole: 'true' })).toBe('/events/7?whole=true');
});

test('a view is read from an address and printed in the order of the columns', () => {
  const { view, faults } = readView({ columns: 'ray, actor,ray', density: 'comfortable' });
  expect([view, faults]).toEqual([{ columns: ['actor', 'ray'], density: 'comfortable' }, []]);
  expect(printView(view).toString()).toBe('columns=actor%2Cray&density=comfortable');
  expect(readView({ columns: ['ray', 'actor'] }).view.columns).toEqual(['actor', 'ray']);
  expect(readView({ columns: '' }).view.columns).toEqual([]);
  expect(readView(Object.fromEntries(printView(readView({ columns: '' }).view))).view.columns).toEqual([]);
});

test('the usual view needs no parameter, and takes those of an address away', () => {
  expect(readView({}).view).toEqual(usualView);
  expect(printView(usualView).toString()).toBe('');
  expect(withView('/events?since=7d&columns=ray&density=comfortable', usualView)).toBe('/events?since=7d');
  expect(withView('/events?density=comfortable', usualView)).toBe('/events');
  expect(withView('/events?since=7d', readView({ columns: 'ray' }).view)).toBe('/events?since=7d&columns=ray');
});

test('what is no column is a fault that names the one that was meant', () =>
  expect(readView({ columns: 'actr,ray', density: 'tiny' }).faults).toEqual([
    'columns: “actr” is not a column; did you mean "actor"?',
    'density must be comfortable or compact',
  ]));

test('links to searches keep the view; text that looks like one stays text', () => {
  const { view } = readView({ columns: 'ray', density: 'comfortable' });
  const body = html`<a href="/events?since=7d">a</a><a href="/events">b</a><a href="/events/7">c</a>${'<a href="/events">'}<form class="search" method="get">`;
  expect(String(keepView(body, view))).toBe(
    '<a href="/events?since=7d&amp;columns=ray&amp;density=comfortable">a</a><a href="/events?columns=ray&amp;density=comfortable">b</a><a href="/events/7">c</a>&lt;a href=&quot;/events&quot;&gt;<form class="search" method="get"><input type="hidden" name="columns" value="ray"><input type="hidden" name="density" value="comfortable">',
  );
  expect(keepView(body, usualView)).toBe(body);
});

const event = { sortTime: '2026-11-25 10:00:00+00', position: 7 } as FoundEvent;
const reached = { direction: 'older', time: '2026-11-01 00:00:00+00', position: 0 } as const;

/** A source whose every search ends with this. */
const stepsIn = async (carried: unknown, search: () => SearchPage) => {
  const source = { search: async () => search() } as unknown as SearchSource;
  return await readSteps(source, event, carried, new AbortController().signal);
};
