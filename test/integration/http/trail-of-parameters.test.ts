import { createHash } from 'node:crypto';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { watchAnswers } from '../../../src/http/access-trail.ts';
import type { AccessNote } from '../../../src/postgres/access/access.ts';
import { noteAccess } from '../../../src/postgres/access/access-log.sql.ts';
import { searchFields } from '../../../src/search/query/search.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';

const pool = poolOfTests();
const names = [...searchFields, 'search', 'format', 'detection', 'severity', 'who', 'kind'];
const often = (name: string, value: string, times = 100) => Array.from({ length: times }, () => [name, value]);

test.each([
  ['a search that is given often', often('search', 'x'.repeat(300), 30)],
  ['a filter that is given often', often('text', 'x'.repeat(300), 30)],
  ['control characters in all filters', names.map((name) => [name, '\u0001'.repeat(3_000)])],
  ['all filters, each without a value and often', names.flatMap((name) => often(name, ''))],
  ['all filters, each given often', names.flatMap((name) => often(name, '"'.repeat(300)))],
])('an event that was opened is named, whatever stands beside it: %s', async (_of, pairs) => {
  expect(await keptOf(new URLSearchParams(pairs as [string, string][]))).toMatchObject({ position: '1234567890123' });
});

test('the search that an event was opened from is kept with all of its values', async () => {
  const parts = { since: '2026-11-01T00:00:00Z', q: `-action:${'x'.repeat(300)}`, text: 'what is looked for' };
  const search = new URLSearchParams(parts).toString();
  expect(await keptOf(new URLSearchParams({ search }))).toEqual({ search, position: '1234567890123' });
});

test('of a text that is too long the beginning is kept, with its length and a hash of all of it', async () => {
  const text = `${'filler '.repeat(80)}what is looked for`;
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const { text: kept } = await keptOf(new URLSearchParams({ text }));
  expect(kept).toBe(`${text.slice(0, 300)}… (${text.length} characters, SHA-256 ${hash})`);
});

/** What the database keeps of a request for an event with these parameters. */
const keptOf = async (query: URLSearchParams): Promise<Record<string, unknown>> => {
  const notes: AccessNote[] = [];
  const server = Fastify();
  watchAnswers(server, { note: (note) => notes.push(note), answered: () => {}, signInFailed: () => {} });
  server.get('/events/:position', { config: { trail: 'event' } }, async () => 'an event');
  await server.inject(`/events/1234567890123?${query}`);
  await server.close();
  await noteAccess(pool, notes);
  const { rows } = await pool.query('select what from access_log order by id desc limit 1');
  return rows[0]?.what;
};
