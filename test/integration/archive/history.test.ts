import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { endArchive, readCatalogue, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { createArchivedEvents } from '../../../src/archive/history/archived-events.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import type { ObjectStore } from '../../../src/archive/store/ports.ts';
import type { FeedRange } from '../../../src/feed/feed.ts';
import { type Feed, openFeed } from '../../../src/feed/feed-source.ts';
import { type FormatName, formatNames } from '../../../src/formats/formats.ts';
import { ReaderMemory } from '../../../src/limits/reader-memory.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { type ArchiveWorld, openArchiveWorld, smallObjects, storeWith } from '../../support/archive/archive-world.ts';
import { createMixedMonths } from '../../support/archive/mixed-months.ts';
import { commit, entryText, newSource, RETENTION_DAYS, RETENTION_MS } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

let world: ArchiveWorld;
let store: ObjectStore;
let feed: Feed;
const opened: Feed[] = [];

const openFeedWith = (from = store, memory = new ReaderMemory()): Feed => {
  const made = openFeed(world.database.daemonUrl, pino({ level: 'silent' }), {
    memory,
    openArchive: (pool) => createArchivedEvents(pool, from),
  });
  opened.push(made);
  return made;
};

beforeEach(async () => {
  world = await openArchiveWorld();
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
  feed = openFeedWith();
});
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  await world[Symbol.asyncDispose]();
});

const archive = (month: string, maxRows = smallObjects.maxRows) =>
  archiveMonth({ pool: world.daemon, store, limits: { ...smallObjects, maxRows } }, month);
const drop = (maxRows?: number) => dropOldMonths(world.daemon, RETENTION_MS, (month) => archive(month, maxRows));

type Filter = Pick<FeedRange, 'organizationIds' | 'accountIds' | 'copies'>;
const everything: Filter = { organizationIds: undefined };

interface Asked {
  readonly format?: FormatName;
  readonly limit?: number;
  readonly filter?: Filter;
  readonly from?: Feed;
  readonly after?: number;
}

/** All pages of the feed from the beginning on, with what a reader is told at the end of each. */
const pagesOf = async (asked: Asked = {}) => {
  const { format = 'native', limit = 17, filter = everything, from = feed } = asked;
  const pages: { readonly lines: string; readonly next: number; readonly check: string | undefined }[] = [];
  const head = await from.source.head();
  for (let after = asked.after ?? 0; after < head.position; ) {
    expect(await from.source.missedBehind(after, 0)).toBeUndefined();
    const range = { after, until: head.position, ...filter };
    const until = await from.source.endOf(range, limit);
    let lines = '';
    for await (const piece of from.source.pieces(head, { ...range, until }, format)) lines += piece.lines;
    pages.push({ lines, next: until, check: await from.source.checkOf(until) });
    after = until;
  }
  return pages;
};

const allOf = async (asked: Asked = {}) =>
  (await pagesOf({ limit: 1_000_000, ...asked })).map(({ lines }) => lines).join('');

const files = async (): Promise<readonly string[]> =>
  (await readdir(world.directory, { recursive: true }))
    .filter((name) => name.endsWith('.parquet') && name.includes('events/'))
    .sort()
    .map((name) => join(world.directory, name));

describe('the feed of dropped months that are in the archive', () => {
  test.each(formatNames)('is to the byte what it was before the drop: %s', async (format) => {
    await world.addLate(30, 'late');
    const before = await pagesOf({ format });
    expect((await drop()).dropped).toHaveLength(2);
    expect(await pagesOf({ format })).toEqual(before);
    expect(await allOf({ format })).toBe(before.map(({ lines }) => lines).join(''));
  });

  test('is so for large events between small ones, and in pieces in which they just have room, while the month is dropped', async () => {
    const sizes = [80_000, 10, 200_000, 10, 10, 500_000, 70_000, 10];
    const texts = sizes.map((size, n) =>
      entryText(`large-${n}`, Date.UTC(2024, n % 2, 15), { blob: '\x7f'.repeat(size) }),
    );
    await commit(world.owner, await newSource(world.owner, 'large'), texts);
    const before = await allOf({ format: 'ocsf' });
    const memory = new ReaderMemory({ totalBytes: 2_097_152, streams: 2 });
    const from = openFeedWith(store, memory);
    const head = await from.source.head();
    let lines = '';
    for await (const piece of from.source.pieces(head, { after: 0, until: head.position, ...everything }, 'ocsf')) {
      if (lines === '') expect((await drop()).dropped).toHaveLength(2);
      lines += piece.lines;
    }
    expect(lines === before).toBe(true);
    expect((await allOf({ format: 'ocsf', from })) === before).toBe(true);
    expect(memory.lentBytes).toBe(0);
  });

  test.each([1, 2, 3])('is so however months, deltas and pages lie, with every filter (seed %i)', async (seed) => {
    const random = seededRandom(seed);
    const add = await createMixedMonths(world.owner, random);
    await add(30);
    const maxRows = 1 + Math.floor(random() * 60);
    await archive('2024-01', maxRows);
    await add(20);
    const filters: readonly Filter[] = [
      everything,
      { organizationIds: ['r'] },
      { organizationIds: undefined, accountIds: ['a', 'c'] },
      { organizationIds: ['q', 'r'], copies: 'first' },
      { organizationIds: undefined, accountIds: ['b', 'c'], copies: 'first' },
      { organizationIds: ['none'] },
    ];
    const read = async (limit: number) => {
      const pages = [];
      for (const filter of filters) pages.push(await pagesOf({ filter, limit }));
      return pages;
    };
    const limit = 1 + Math.floor(random() * 40);
    const before = await read(limit);
    expect((await drop(maxRows)).dropped).toHaveLength(2);
    expect(await read(limit)).toEqual(before);
    const after = Math.floor(random() * 100);
    const behind = (pages: Awaited<ReturnType<typeof pagesOf>>) =>
      pages.flatMap(({ lines }) => lines.split('\n').slice(0, -1)).filter((line) => JSON.parse(line).position > after);
    expect(behind(await pagesOf({ after }))).toEqual(behind(before[0] ?? []));
  });

  test('goes on without a gap or a repeat if the month is dropped while it is read', async () => {
    const before = await allOf();
    const head = await feed.source.head();
    let lines = '';
    for await (const piece of feed.source.pieces(head, { after: 0, until: 50, ...everything }, 'native'))
      lines += piece.lines;
    const rest = feed.source.pieces(head, { after: 50, until: head.position, ...everything }, 'native');
    expect((await drop()).dropped).toHaveLength(2);
    for await (const piece of rest) lines += piece.lines;
    expect(lines).toBe(before);
  });

  test('says what is gone of a month that was dropped without an archive, and gives the others', async () => {
    await archive('2024-01');
    await world.daemon.query(`select orgtrail_drop_month('2024-01-01', '${RETENTION_DAYS} days')`);
    await endArchive(world.owner);
    await world.daemon.query(`select orgtrail_drop_month('2024-02-01', '${RETENTION_DAYS} days')`);
    expect(await feed.source.missedBehind(0, 0)).toMatchObject({ months: ['2024-02'], events: 1, firstPosition: 1 });
    expect(await feed.source.missedBehind(101, 0)).toBeUndefined();
    const head = await feed.source.head();
    const range = { after: 0, until: head.position, ...everything };
    expect(await feed.source.endOf(range, 101)).toBe(102);
    let events = 0;
    for await (const piece of feed.source.pieces(head, range, 'native')) events += piece.events;
    expect(events).toBe(102);
  });

  test('without an archive says that all is gone', async () => {
    await drop();
    const plain = openFeed(world.database.daemonUrl, pino({ level: 'silent' }));
    opened.push(plain);
    expect(await plain.source.missedBehind(0, 0)).toMatchObject({ months: ['2024-01', '2024-02'], events: 102 });
  });
});

describe('an object that is not what was written', () => {
  const faults: Readonly<Record<string, (file: string, other: string) => Promise<void>>> = {
    'is missing': (file) => rm(file),
    'was cut': (file) => truncate(file, 2_000),
    'is empty': (file) => truncate(file, 0),
    'was altered': async (file) => {
      const bytes = await readFile(file);
      bytes.writeUInt8(bytes.readUInt8(300) ^ 1, 300);
      await writeFile(file, bytes);
    },
    'is another one': async (file, other) => writeFile(file, await readFile(other)),
  };

  test.each(Object.keys(faults))('and %s: an error that names it, and nothing behind it', async (name) => {
    const before = await allOf();
    await drop();
    const [first = '', second = ''] = await files();
    await faults[name]?.(second, first);
    await expect(allOf()).rejects.toMatchObject({
      code: 'archive_unreadable',
      message: expect.stringContaining(second.slice(world.directory.length + 1)),
    });
    const noted = (await readCatalogue(world.owner)).filter(({ fault }) => fault !== null);
    expect(noted.map(({ key }) => join(world.directory, key))).toEqual([second]);
    const head = await feed.source.head();
    let lines = '';
    for await (const piece of feed.source.pieces(head, { after: 0, until: 40, ...everything }, 'native'))
      lines += piece.lines;
    expect(before.startsWith(lines)).toBe(true);
    expect(lines.split('\n')).toHaveLength(41);
  });

  test('in a directory that is not mounted: an error, and no fault is noted', async () => {
    await drop();
    await rm(world.directory, { recursive: true });
    await expect(allOf()).rejects.toMatchObject({ code: 'archive_unreadable' });
    expect((await readCatalogue(world.owner)).filter(({ fault }) => fault !== null)).toEqual([]);
  });

  test('in an archive at another address: an error that names both', async () => {
    await drop();
    const elsewhere = openFeedWith(storeWith(store, { name: 'file:///elsewhere' }));
    await expect(allOf({ from: elsewhere })).rejects.toThrow(
      new RegExp(`is in the archive file://${world.directory}, and ORGTRAIL_ARCHIVE is file:///elsewhere`),
    );
  });
});

describe('a storage', () => {
  test('that gives other bytes for a range is read in whole objects', async () => {
    const before = await allOf();
    await drop();
    let wholes = 0;
    const from = storeWith(store, {
      getRange: async (_, { from: begin, to }) => Buffer.alloc(to - begin),
      get: async (key) => {
        wholes += 1;
        return await store.get(key);
      },
    });
    expect(await allOf({ from: openFeedWith(from) })).toBe(before);
    expect(wholes).toBe(4);
  });

  test('is asked for ranges alone, and for a whole object only if the catalogue does not have the hashes of its blocks', async () => {
    const before = await allOf();
    await drop();
    let wholes = 0;
    const get: ObjectStore['get'] = async (key) => {
      wholes += 1;
      return await store.get(key);
    };
    expect(await allOf({ from: openFeedWith(storeWith(store, { get })) })).toBe(before);
    expect(wholes).toBe(0);
    await world.owner.query('update archive_objects set blocks_sha256 = null');
    expect(await allOf({ from: openFeedWith(storeWith(store, { get })) })).toBe(before);
    expect(wholes).toBe(4);
    expect(await allOf({ from: openFeedWith(storeWith(store, { get })) })).toBe(before);
    expect(wholes).toBe(4);
  });
});
