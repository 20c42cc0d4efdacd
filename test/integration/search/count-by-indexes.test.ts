import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EventQuery } from '../../../src/search/conditions/event-query.ts';
import { type CountLimits, countEvents } from '../../../src/search/summary/count.sql.ts';
import { isInIndexes } from '../../../src/search/summary/count-statement.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';

const HOUR_MS = 3_600_000;
const nowMs = T0 + 40 * 24 * HOUR_MS;
const patient: CountLimits = { firstMs: 600_000, totalMs: 600_000 };
const inPieces: CountLimits = { firstMs: 0, totalMs: 600_000 };
const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
/** All of what Cloudflare may say, and nothing. */
const results = ['success', 'failure', 'SUCCESS', 'Failure', 'pending', '', undefined, 'success', 'success'] as const;
const at = (hours: number) => new Date(T0 + hours * HOUR_MS).toISOString();

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  for (const [name, events, hours] of [
    ['one', 180, 4],
    ['two', 70, 9],
  ] as const) {
    const texts = Array.from({ length: events }, (_, n) =>
      entryText(`${name}-${n}`, T0 + n * hours * HOUR_MS, {
        action: { type: 'create', result: results[n % results.length], time: at(n * hours) },
      }),
    );
    texts.push(`{"id":"${name}-timeless"}`, entryText(`${name}-ancient`, Date.UTC(1990, 0, 1)));
    texts.push(entryText(`${name}-future`, nowMs + 50 * 24 * HOUR_MS));
    await commit(database.pool, await newSource(database.pool, name), texts);
  }
});
afterAll(async () => await database?.close());

/** The same search in a way that no index counts. */
const byRows = (query: EventQuery): EventQuery => ({
  ...query,
  terms: [{ field: 'action', isNegated: true, values: ['no such action'] }],
});

test('a count of a time and of an organization is the same by indexes as by rows', async () => {
  const searches: readonly Partial<EventQuery>[] = [
    {},
    { organization: 'one' },
    { organization: 'two' },
    { organization: 'nobody' },
    { since: at(24), before: at(200) },
    { organization: 'one', since: at(100) },
    { organization: 'two', before: at(333) },
  ];
  for (const some of searches) {
    const query = { ...everything, ...some };
    expect([isInIndexes(query), isInIndexes(byRows(query))]).toEqual([true, false]);
    const counted = await countEvents(database.pool, byRows(query), patient, nowMs);
    expect(await countEvents(database.pool, query, patient, nowMs), JSON.stringify(some)).toEqual(counted);
    const pieces = await countEvents(database.pool, query, inPieces, nowMs);
    expect([pieces.events, pieces.untimed, pieces.isAtLeast]).toEqual([counted.events, counted.untimed, false]);
  }
  const one = await countEvents(database.pool, { ...everything, organization: 'one' }, patient, nowMs);
  const sum = { success: 0, failure: 0, other: 0 };
  for (const bucket of one.buckets)
    for (const name of ['success', 'failure', 'other'] as const) sum[name] += bucket[name];
  expect(sum).toEqual({ success: 80, failure: 40, other: 60 });
});

test('whatever else is searched for is counted by rows', () => {
  const others: readonly Partial<EventQuery>[] = [
    { account: 'a' },
    { zone: 'z' },
    { actor: { kind: 'any', value: 'mira' } },
    { action: 'create' },
    { result: 'failure' },
    { product: 'dns' },
    { resourceType: 'zone' },
    { resource: 'r' },
    { ray: 'r' },
    { text: 't' },
    { terms: [] },
    { untilPosition: 3 },
    { defects: true },
    { changed: true },
  ];
  for (const other of others) expect(isInIndexes({ ...everything, organization: 'one', ...other })).toBe(false);
});
