import { readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import pino from 'pino';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { endArchive, readCatalogue } from '../../../src/archive/catalogue.sql.ts';
import { createArchivedEvents } from '../../../src/archive/history/archived-events.ts';
import type { ObjectStore } from '../../../src/archive/store.ts';
import { ReaderMemory } from '../../../src/base/memory.ts';
import type { FeedRange } from '../../../src/feed/feed.ts';
import { type FeedEventsRange, readFeedEvents, readMergedEvents } from '../../../src/feed/feed-events.sql.ts';
import { type Feed, openFeed } from '../../../src/feed/open-feed.ts';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { type FormatName, formatNames } from '../../../src/formats/registry.ts';
import { type ArchiveWorld, openFileArchive, storeWith } from '../../support/archive/archive-world.ts';
import { createMixedMonths } from '../../support/archive/mixed-months.ts';
import { commit, entryText, newSource, RETENTION_DAYS } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe('the feed of dropped months that are in the archive', () => {
  test('is to the byte what it was before the drop, in every format, and goes on without a gap or a repeat if the month is dropped while it is read', async () => {
    await using world = await openFileArchive();
    await world.addLate(10, 'late');
    const feed = feedOf(world);
    const before = new Map<FormatName, Awaited<ReturnType<typeof pagesOf>>>();
    for (const format of formatNames) before.set(format, await pagesOf(feed, { format }));
    const head = await feed.source.head();
    const first = await linesOf(feed.source.pieces(head, { after: 0, until: 30, ...everything }, 'native'));
    const rest = feed.source.pieces(head, { after: 30, until: head.position, ...everything }, 'native');
    expect((await world.drop()).dropped).toHaveLength(2);
    expect(first + (await linesOf(rest))).toBe(
      before
        .get('native')
        ?.map(({ lines }) => lines)
        .join(''),
    );
    for (const [format, pages] of before) {
      expect(await pagesOf(feed, { format }), format).toEqual(pages);
      expect(await allOf(feed, format), format).toBe(pages.map(({ lines }) => lines).join(''));
    }
  });

  test('is so for large events between small ones, and in pieces in which they just have room, while the month is dropped', async () => {
    await using world = await openFileArchive(3);
    const sizes = [80_000, 10, 200_000, 10, 10, 500_000, 70_000, 10];
    const texts = sizes.map((size, n) =>
      entryText(`large-${n}`, Date.UTC(2024, n % 2, 15), { blob: '\x7f'.repeat(size) }),
    );
    await commit(world.owner, await newSource(world.owner, 'large'), texts);
    const before = await allOf(feedOf(world), 'ocsf');
    const memory = new ReaderMemory({ totalBytes: 2_097_152, streams: 2 });
    const from = feedOf(world, world.store, memory);
    const head = await from.source.head();
    let lines = '';
    for await (const piece of from.source.pieces(head, { after: 0, until: head.position, ...everything }, 'ocsf')) {
      if (lines === '') expect((await world.drop()).dropped).toHaveLength(2);
      lines += piece.lines;
    }
    expect(lines === before).toBe(true);
    expect((await allOf(from, 'ocsf')) === before).toBe(true);
    expect(memory.lentBytes).toBe(0);
  });

  test.each([1, 2])(
    'is so however months, deltas and pages lie, with every filter, and for sinks (seed %i)',
    async (seed) => {
      await using world = await openFileArchive(30);
      const random = seededRandom(seed);
      const add = await createMixedMonths(world.owner, random);
      const feed = feedOf(world);
      await add(20);
      const maxRows = 10 + Math.floor(random() * 60);
      await world.archive('2024-01', { maxRows });
      await add(15);
      const filters: readonly Filter[] = [
        everything,
        { organizationIds: ['r'] },
        { organizationIds: undefined, accountIds: ['a', 'c'] },
        { organizationIds: ['q', 'r'], copies: 'first' },
        { organizationIds: undefined, accountIds: ['b', 'c'], copies: 'first' },
        { organizationIds: ['none'] },
      ];
      const [, , , copies = everything] = filters;
      // The age is between the two months of 2024.
      const sinkFilters = [everything, copies, { ...everything, maxAgeMs: Date.now() - Date.UTC(2024, 1, 1) }];
      const limit = 5 + Math.floor(random() * 40);
      const size = { maxEvents: 1 + Math.floor(random() * 30), maxBytes: 1_500 + Math.floor(random() * 5_000) };
      const read = async (events: typeof readFeedEvents | typeof merged) => {
        const pages = [];
        for (const filter of filters) pages.push(await pagesOf(feed, { filter, limit }));
        pages.push(await pagesOf(feed, { filter: copies, limit: 1, after: 60 }));
        const delivered = [];
        for (const filter of sinkFilters)
          delivered.push(await deliveredBy((range) => events(world.daemon, range), { ...size, ...filter }));
        return { pages, delivered };
      };
      const archived = createArchivedEvents(world.daemon, world.store);
      const merged = (pool: typeof world.daemon, range: FeedEventsRange) => readMergedEvents({ pool, archived }, range);
      const before = await read(readFeedEvents);
      expect(before.delivered.at(-1)?.tooOld).toBeGreaterThan(40);
      expect((await world.drop({ maxRows })).dropped).toHaveLength(2);
      expect(await read(merged)).toEqual(before);
      const after = Math.floor(random() * 100);
      const behind = (pages: Awaited<ReturnType<typeof pagesOf>>) =>
        pages
          .flatMap(({ lines }) => lines.split('\n').slice(0, -1))
          .filter((line) => JSON.parse(line).position > after);
      expect(behind(await pagesOf(feed, { after }))).toEqual(behind(before.pages[0] ?? []));
    },
  );

  test('says what is gone of a month that was dropped without an archive, and gives the others', async () => {
    await using world = await openFileArchive();
    const { source } = feedOf(world);
    await world.archive('2024-01');
    await world.daemon.query(`select orgtrail_drop_month('2024-01-01', '${RETENTION_DAYS} days')`);
    await endArchive(world.owner);
    await world.daemon.query(`select orgtrail_drop_month('2024-02-01', '${RETENTION_DAYS} days')`);
    expect(await source.missedBehind(0, 0)).toMatchObject({ months: ['2024-02'], events: 1, firstPosition: 1 });
    expect(await source.missedBehind(61, 0)).toBeUndefined();
    const head = await source.head();
    const range = { after: 0, until: head.position, ...everything };
    expect(await source.endOf(range, 61)).toBe(62);
    expect((await linesOf(source.pieces(head, range, 'native'))).split('\n').slice(0, -1)).toHaveLength(62);
    const plain = openFeed(world.database.daemonUrl, pino({ level: 'silent' }));
    opened.push(plain);
    expect(await plain.source.missedBehind(0, 0)).toMatchObject({ months: ['2024-01', '2024-02'], events: 62 });
  });
});

/** All that a sink would get. */
const deliveredBy = async (
  read: (range: FeedEventsRange) => ReturnType<typeof readFeedEvents>,
  range: Filter & Pick<FeedEventsRange, 'maxEvents' | 'maxBytes'>,
) => {
  const events: FeedEvent[] = [];
  let [after, tooOld] = [0, 0];
  for (;;) {
    const part = await read({ until: undefined, ...range, after });
    events.push(...part.events);
    expect(part.events.length).toBeLessThanOrEqual(range.maxEvents);
    tooOld += part.tooOld;
    if (part.scannedTo === after) return { events, after, tooOld };
    after = part.scannedTo;
  }
};

describe('of an archive', () => {
  let before: string;
  const world = forAllTests(() => openFileArchive());
  beforeAll(async () => {
    before = await allOf(feedOf(world));
    await world.drop();
  });

  test('ranges alone are read, and whole objects if they are other bytes, or once if the catalogue does not have the hashes of their blocks', async () => {
    let wholes = 0;
    const get: ObjectStore['get'] = async (key) => {
      wholes += 1;
      return await world.store.get(key);
    };
    const objects = (await readCatalogue(world.owner)).length;
    const read = async (change: Partial<ObjectStore> = {}) => {
      wholes = 0;
      expect(await allOf(feedOf(world, storeWith(world.store, { get, ...change })))).toBe(before);
      return wholes;
    };
    expect(await read()).toBe(0);
    expect(await read({ getRange: async (_, { from, to }) => Buffer.alloc(to - from) })).toBe(objects);
    await world.owner.query('update archive_objects set blocks_sha256 = null');
    expect(await read()).toBe(objects);
    expect(await read()).toBe(0);
  });

  test('an object that is missing, cut, empty, altered or another one: an error that names it, and nothing behind it', async () => {
    const [first = '', second = ''] = await world.objects();
    const [other, bytes] = [await readFile(first), await readFile(second)];
    const damages: Readonly<Record<string, () => Promise<void>>> = {
      'is missing': () => rm(second),
      'was cut': () => truncate(second, 2_000),
      'is empty': () => truncate(second, 0),
      'was altered': () => writeFile(second, Buffer.from(bytes).fill((bytes[300] ?? 0) ^ 1, 300, 301)),
      'is another one': () => writeFile(second, other),
    };
    const faulty = async () =>
      (await readCatalogue(world.owner)).filter(({ fault }) => fault !== null).map(({ key }) => key);
    const key = second.slice(world.directory.length + 1);
    for (const [name, damage] of Object.entries(damages)) {
      await damage();
      const fault = { code: 'archive_unreadable', message: expect.stringContaining(key) };
      await expect(allOf(feedOf(world)), name).rejects.toMatchObject(fault);
      expect(await faulty(), name).toEqual([key]);
      const { source } = feedOf(world);
      const range = { after: 0, until: 40, ...everything };
      const lines = await linesOf(source.pieces(await source.head(), range, 'native'));
      expect(before.startsWith(lines), name).toBe(true);
      expect(lines.split('\n'), name).toHaveLength(41);
      await writeFile(second, bytes);
      await world.owner.query('update archive_objects set fault = null');
    }
    expect(await allOf(feedOf(world))).toBe(before);
  });

  test('that is not mounted: an error, and no fault is noted; at another address: an error that names both', async () => {
    await rename(world.directory, `${world.directory}-away`);
    await expect(allOf(feedOf(world))).rejects.toMatchObject({ code: 'archive_unreadable' });
    await rename(`${world.directory}-away`, world.directory);
    expect((await readCatalogue(world.owner)).filter(({ fault }) => fault !== null)).toEqual([]);
    const elsewhere = feedOf(world, storeWith(world.store, { name: 'file:///elsewhere' }));
    await expect(allOf(elsewhere)).rejects.toThrow(
      new RegExp(`is in the archive ${world.store.name}, and ORGTRAIL_ARCHIVE is file:///elsewhere`),
    );
  });
});

const opened: Feed[] = [];

const feedOf = ({ database, store }: ArchiveWorld, from: ObjectStore = store, memory = new ReaderMemory()): Feed => {
  const made = openFeed(database.daemonUrl, pino({ level: 'silent' }), {
    memory,
    openArchive: (pool) => createArchivedEvents(pool, from),
  });
  opened.push(made);
  return made;
};

type Filter = Pick<FeedRange, 'organizationIds' | 'accountIds' | 'copies'>;

const everything: Filter = { organizationIds: undefined };

const linesOf = async (pieces: ReturnType<Feed['source']['pieces']>) => {
  let lines = '';
  for await (const piece of pieces) lines += piece.lines;
  return lines;
};

interface Asked {
  readonly format?: FormatName;
  readonly limit?: number;
  readonly filter?: Filter;
  readonly after?: number;
}

/** All pages of the feed from the beginning on, with what a reader is told at the end of each. */
const pagesOf = async ({ source }: Feed, asked: Asked = {}) => {
  const { format = 'native', limit = 17, filter = everything } = asked;
  const pages: { readonly lines: string; readonly next: number; readonly check: string | undefined }[] = [];
  const head = await source.head();
  for (let after = asked.after ?? 0; after < head.position; ) {
    expect(await source.missedBehind(after, 0)).toBeUndefined();
    const range = { after, until: head.position, ...filter };
    const until = await source.endOf(range, limit);
    const lines = await linesOf(source.pieces(head, { ...range, until }, format));
    pages.push({ lines, next: until, check: await source.checkOf(until) });
    after = until;
  }
  return pages;
};

const allOf = async (feed: Feed, format: FormatName = 'native') =>
  (await pagesOf(feed, { format, limit: 1_000_000 })).map(({ lines }) => lines).join('');
