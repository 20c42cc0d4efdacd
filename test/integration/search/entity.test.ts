import { beforeAll, describe, expect, test } from 'vitest';
import { readEntity } from '../../../src/search/entity/entity.sql.ts';
import { entitySearch } from '../../../src/search/entity/entity.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** A Monday, 12:00 UTC. */
const startMs =
  Math.ceil(T0 / DAY_MS) * DAY_MS +
  ((8 - new Date(Math.ceil(T0 / DAY_MS) * DAY_MS).getUTCDay()) % 7) * DAY_MS +
  12 * HOUR_MS;

const database = databaseOfTests();
beforeAll(async () => {
  const by = (id: string, atMs: number, address: string, more: object = {}) =>
    entryText(id, atMs, {
      action: { type: 'update', result: 'success', time: new Date(atMs).toISOString() },
      actor: { id: 'u-1', email: 'Mira@Example.com', ip_address: address },
      resource: { id: 'zone-1', type: 'zone' },
      ...more,
    });
  await commit(database.pool, await newSource(database.pool, 'one'), [
    by('a-1', startMs, '192.0.2.1'),
    by('a-2', startMs + 29 * MINUTE_MS, '192.0.2.1'),
    by('a-3', startMs + 58 * MINUTE_MS, '192.0.2.2'),
    // A pause of 31 minutes.
    by('b-1', startMs + 89 * MINUTE_MS, '192.0.2.1', {
      action: { type: 'delete', result: 'failure', time: new Date(startMs + 89 * MINUTE_MS).toISOString() },
    }),
    by('timeless', 0, '192.0.2.1', { action: { type: 'update' } }),
    entryText('other', startMs, { actor: { email: 'tom@example.com' } }),
  ]);
  await commit(database.pool, await newSource(database.pool, 'two'), [
    by('c-1', startMs + 14 * DAY_MS, '198.51.100.9'),
  ]);
});

describe('the report of an entity', () => {
  test('has sessions, which end with a pause of more than half an hour, the newest first', async () => {
    const { sessions, looked, isSample } = await read('actors', 'mira@example.com');
    expect([looked, isSample]).toEqual([5, false]);
    expect(sessions.map(({ events, failures, addresses }) => [events, failures, addresses])).toEqual([
      [1, 0, ['198.51.100.9']],
      [1, 1, ['192.0.2.1']],
      [3, 0, ['192.0.2.1', '192.0.2.2']],
    ]);
  });

  test('says when it was seen, of all time, and when in the week', async () => {
    const report = await read('actors', 'mira@example.com', startMs + DAY_MS);
    expect([report.firstSeen, report.lastSeen, report.looked]).toEqual([
      new Date(startMs).toISOString().replace('.000', ''),
      new Date(startMs + 14 * DAY_MS).toISOString().replace('.000', ''),
      1,
    ]);
    const { hours } = await read('actors', 'mira@example.com');
    expect(hours[0]?.[12]).toBe(4);
    expect(hours.flat().reduce((sum, events) => sum + events, 0)).toBe(5);
  });

  test('names what is new in the last week, and nothing if there is nothing older to compare with', async () => {
    const { news, canTellNews } = await read('actors', 'mira@example.com');
    expect(canTellNews).toBe(true);
    expect(news.map(({ field, value, events }) => [field, value, events])).toEqual([
      ['ip', '198.51.100.9', 1],
      ['organization', 'two', 1],
    ]);
    expect(await read('actors', 'mira@example.com', nowMs - 7 * DAY_MS)).toMatchObject({
      news: [],
      canTellNews: false,
    });
  });

  test('is of an address, of a resource, and empty for what is not stored', async () => {
    expect((await read('addresses', '192.0.2.1')).looked).toBe(3);
    expect((await read('resources', 'zone-1')).looked).toBe(5);
    expect(await read('tokens', 'none')).toMatchObject({ looked: 0, sessions: [], firstSeen: null, lookedSince: null });
  });
});

const nowMs = startMs + 15 * DAY_MS;

const read = (kind: Parameters<typeof entitySearch>[0], value: string, since?: number) => {
  const { since: _since, before: _before, ...search } = entitySearch(kind, value);
  const query = {
    ...search,
    since: since === undefined ? undefined : new Date(since).toISOString(),
    before: undefined,
  };
  return readEntity(database.pool, query, nowMs);
};
