import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { useArchive } from '../../../src/archive/catalogue.sql.ts';
import { createArchivedMonths } from '../../../src/archive/search/archived-months.ts';
import { createMatchMemory } from '../../../src/archive/search/match-memory.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import type { ObjectStore } from '../../../src/archive/store/ports.ts';
import { answerSearch } from '../../../src/http/search/answer.ts';
import { cursorsOf } from '../../../src/http/search/routes.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { readSearch } from '../../../src/search/search.ts';
import { readCursor } from '../../../src/search/search-cursor.ts';
import { type Explorer, openExplorer } from '../../../src/search/search-source.ts';
import { type ArchiveWorld, openArchiveWorld, smallObjects } from '../../support/archive/archive-world.ts';
import { createSearchedMonths } from '../../support/archive/searched-months.ts';
import { commit, entryText, RETENTION_MS, takeLease } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

let world: ArchiveWorld;
let store: ObjectStore;
let explorer: Explorer;
const opened: Explorer[] = [];

const openSearch = (): Explorer => {
  const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };
  const made = openExplorer(world.database.daemonUrl, pino({ level: 'silent' }), Date.now, rules, (pool) => ({
    months: createArchivedMonths(pool, store),
    memory: createMatchMemory(),
  }));
  opened.push(made);
  return made;
};

beforeEach(async () => {
  world = await openArchiveWorld();
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
  explorer = openSearch();
});
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  await world[Symbol.asyncDispose]();
});

const archive = (month: string, maxRows = smallObjects.maxRows) =>
  archiveMonth({ pool: world.daemon, store, limits: { ...smallObjects, maxRows } }, month);
const drop = (maxRows?: number) => dropOldMonths(world.daemon, RETENTION_MS, (month) => archive(month, maxRows));

type Query = Readonly<Record<string, string>>;

/** One page, with all that a reader gets of it. */
const pageOf = async (query: Query, cursorText: string | null | undefined, limit: number) => {
  const cursor = typeof cursorText === 'string' ? readCursor(cursorText) : undefined;
  const { page } = await answerSearch(explorer.source, readSearch(query, Date.now()), { cursor, limit });
  const texts: string[] = [];
  for await (const some of explorer.source.native(page.events)) texts.push(...some);
  return { events: page.events, texts, ...cursorsOf(page, cursor) };
};

describe('a search of archived months with those of the database', () => {
  test('finds what was dropped between its two parts, and says which months it read', async () => {
    const add = await createSearchedMonths(world.owner, seededRandom(7));
    await add(6);
    const { events: before } = await pageOf({}, undefined, 500);
    const { source } = explorer;
    const { search } = readSearch({ archive: 'true' }, Date.now());
    const first = await source.search(search, { cursor: undefined, limit: 500 });
    expect(first).toMatchObject({ archivedMonths: [], events: before });
    await drop();
    const page = await source.search(search, { cursor: undefined, limit: 500 });
    expect(page.archivedMonths).toEqual(['2024-01', '2024-02']);
    expect(page.events).toEqual(before);
    const young = await source.search(readSearch({ archive: 'true', since: '2024-02-01' }, Date.now()).search, {
      cursor: undefined,
      limit: 500,
    });
    expect(young.archivedMonths).toEqual(['2024-02']);
  });

  test('exports them, and opens an event with its later contents', async () => {
    await world.change('january-3');
    const all = async (query: Query) => {
      let text = '';
      for await (const { lines } of explorer.source.export(readSearch(query, Date.now()).search, 'ndjson'))
        text += lines;
      return text;
    };
    const before = await all({});
    const detail = await explorer.source.event({ position: 4 });
    expect(detail).toMatchObject({ event: { id: 'january-3', changed: true }, changesInAll: 1 });
    await drop();
    expect(await all({ archive: 'true' })).toBe(before);
    expect(await explorer.source.event({ position: 4 })).toEqual({
      ...detail,
      changes: detail?.changes.map(({ seenAt, rawText }) => ({ seenAt, rawText })),
      previousPosition: null,
      nextPosition: expect.any(Number),
    });
    expect(await explorer.source.event({ position: 4_000 })).toBeUndefined();
  });

  test('knows the later contents of a month that is dropped a second time', async () => {
    await world.change('january-3');
    await drop();
    const changed = async () =>
      (await pageOf({ archive: 'true', changed: 'true' }, undefined, 500)).events.map(({ id }) => id);
    expect(await changed()).toEqual(['january-3']);
    await world.owner.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
    await world.addLate(2, 'late');
    const again = entryText('late-1', Date.UTC(2024, 0, 15), { other: true });
    await commit(world.owner, await takeLease(world.owner, 'late'), [again]);
    expect((await drop()).dropped).toHaveLength(1);
    expect(await changed()).toEqual(['january-3', 'late-1']);
  });

  test.each(['is missing', 'was altered'])('ends with a reason if an object %s', async (fault) => {
    await drop();
    const name = (await readdir(world.directory, { recursive: true })).find(
      (file) => file.endsWith('.parquet') && file.includes('month=2024-01'),
    );
    const file = join(world.directory, name ?? '');
    if (fault === 'is missing') await rm(file);
    else await writeFile(file, (await readFile(file)).fill(7, 100, 400));
    await expect(pageOf({ archive: 'true' }, undefined, 500)).rejects.toMatchObject({ code: 'archive_unreadable' });
    expect((await pageOf({ archive: 'true', since: '2024-02-01' }, undefined, 500)).events).toHaveLength(2);
  });

  test('is refused without an archive', async () => {
    const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };
    const plain = openExplorer(world.database.daemonUrl, pino({ level: 'silent' }), Date.now, rules);
    opened.push(plain);
    const { search } = readSearch({ archive: 'true' }, Date.now());
    await expect(plain.source.search(search, { cursor: undefined, limit: 5 })).rejects.toMatchObject({
      reason: 'refused',
    });
  });
});
