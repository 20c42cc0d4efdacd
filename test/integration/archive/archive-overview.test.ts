import { afterAll, beforeAll, expect, test } from 'vitest';
import { readArchiveOverview } from '../../../src/archive/archive-overview.sql.ts';
import { readCatalogue, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { addHold, releaseHold } from '../../../src/retention/holds.sql.ts';
import { type ArchiveWorld, openArchiveWorld } from '../../support/archive/archive-world.ts';
import { RETENTION_MS } from '../../support/postgres/store-fixture.ts';

let world: ArchiveWorld;

beforeAll(async () => {
  world = await openArchiveWorld(50);
});
afterAll(() => world?.[Symbol.asyncDispose]());

test('holds in force stand at the months that they touch; faults are listed whole', async () => {
  const hold = { organizationId: undefined, beforeMs: undefined, by: undefined };
  const { id } = await addHold(world.owner, { ...hold, sinceMs: Date.UTC(2024, 1, 3), reason: 'case 7' });
  const holds = async () => (await overview()).months.map(({ month, holds: those }) => [month, those]);
  expect(await holds()).toEqual([
    ['2024-02', [{ id, reason: 'case 7' }]],
    ['2024-01', []],
  ]);
  await releaseHold(world.owner, id, undefined);
  expect((await holds())[0]?.[1]).toEqual([]);

  await world.owner.query(
    `insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256, raw_sha256,
       columns_sha256, organizations, fault, verified_at)
     select 'file:///gone', 'v1/x.parquet', 'events', '2023-12-01', gen_random_uuid(), 1, 2, 2, 100, repeat('a', 64), repeat('a', 64),
       repeat('a', 64), repeat('a', 64), '[]', repeat('why ', 200), '-infinity'`,
  );
  const { faults, months } = await overview();
  expect(faults).toEqual([
    { month: '2023-12', archive: 'file:///gone', key: 'v1/x.parquet', fault: 'why '.repeat(200), isDropped: false },
  ]);
  expect(months.at(-1)).toMatchObject({ month: '2023-12', faulty: 1, isStored: false, provenAt: null });
  await world.owner.query('delete from archive_objects');
});

test('says which month is due next and when, and that none is if everything is kept', async () => {
  // January 2024 ended on 1 February; a day is left for late entries.
  const ageMs = Date.now() - Date.UTC(2024, 1, 2);
  const { nextDueAt, nextDueMonth, months } = await readArchiveOverview(world.daemon, ageMs + 3_600_000);
  expect(months).toEqual([]);
  expect(nextDueMonth).toBe('2024-01');
  expect(Math.abs((nextDueAt?.getTime() ?? 0) - Date.now() - 3_600_000)).toBeLessThan(60_000);
  expect(await readArchiveOverview(world.daemon, Number.POSITIVE_INFINITY)).toMatchObject({
    months: [],
    nextDueAt: null,
    nextDueMonth: null,
  });
});

test('a month goes from old enough over the archive to the archive alone, as its objects and the drop say', async () => {
  const [february, january, ...earlier] = (await overview()).months;
  expect(earlier).toEqual([]);
  expect(january).toMatchObject({ month: '2024-01', isStored: true, isOld: true, objects: 0, provenAt: null });
  expect(february).toMatchObject({ month: '2024-02', isStored: true, isOld: true, droppedAt: null });
  expect((await overview()).inUse).toBeUndefined();

  await world.change('january-7');
  await useArchive(world.daemon, world.store.name);
  await world.archive('2024-01');
  const catalogue = await readCatalogue(world.owner, '2024-01');
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const archived = (await overview()).months[1];
  expect(archived).toMatchObject({
    isStored: true,
    objects: catalogue.length,
    events: sum(catalogue.filter(({ kind }) => kind === 'events').map(({ events }) => events)),
    changes: 1,
    bytes: sum(catalogue.map(({ bytes }) => bytes)),
    droppedAt: null,
  });
  const read = catalogue.map(({ verifiedAt }) => Date.parse(verifiedAt ?? ''));
  expect(Math.floor((archived?.provenAt?.getTime() ?? 0) / 1_000) * 1_000).toBe(Math.min(...read));

  const { dropped } = await world.drop();
  expect(dropped.map(({ month }) => month)).toEqual(['2024-01', '2024-02']);
  const after = await overview();
  expect(after.inUse).toBe(world.store.name);
  expect(after.months[1]).toMatchObject({ isStored: false, isOld: false, droppedEvents: dropped[0]?.events });
  expect(after.months[1]?.droppedAt).toBeInstanceOf(Date);
});

const overview = () => readArchiveOverview(world.daemon, RETENTION_MS);
