import { createHash } from 'node:crypto';
import pino from 'pino';
import { expect, test } from 'vitest';
import { objectLimits } from '../../../src/archive/archive-month.ts';
import { readCatalogue, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { createArchivedEvents } from '../../../src/archive/history/archived-events.ts';
import { openFeed } from '../../../src/feed/open-feed.ts';
import { openArchiveWorld, storeWith } from '../../support/archive/archive-world.ts';

test('an object of several row groups is read group by group, by any number of readers at once', async () => {
  await using world = await openArchiveWorld(EVENTS, idOf);
  const { store } = world;
  await useArchive(world.daemon, store.name);
  let largestRead = 0;
  const measured = storeWith(store, {
    getRange: async (key, range) => {
      largestRead = Math.max(largestRead, range.to - range.from);
      return await store.getRange(key, range);
    },
    get: () => Promise.reject(new Error('an object is read whole')),
  });
  const feed = openFeed(world.database.daemonUrl, pino({ level: 'silent' }), {
    openArchive: (pool) => createArchivedEvents(pool, measured),
  });
  try {
    const head = await feed.source.head();
    const read = async (limit: number) => {
      const hash = createHash('sha256');
      for (let after = 0; after < head.position; ) {
        const range = { after, until: head.position, organizationIds: undefined };
        const until = await feed.source.endOf(range, limit);
        for await (const { lines } of feed.source.pieces(head, { ...range, until }, 'native')) hash.update(lines);
        after = until;
      }
      return hash.digest('hex');
    };
    const hot = await read(10_000);
    await world.drop(objectLimits);
    const cold = [await read(10_000), await read(3_001)];
    const both = await Promise.all([read(10_000), read(7_000)]);
    for (const sha256 of [...cold, ...both]) expect(sha256).toBe(hot);
    const [object] = await readCatalogue(world.owner, '2024-01');
    expect(object?.events).toBe(EVENTS + 1);
    expect(largestRead).toBeLessThan((object?.bytes ?? 0) / 2);
  } finally {
    await feed.close();
  }
});

const EVENTS = 25_000;

/** What does not get smaller: else all of the object is one block. */
const idOf = (index: number): string => createHash('sha512').update(String(index)).digest('hex');
