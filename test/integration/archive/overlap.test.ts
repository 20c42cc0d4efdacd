import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { readCatalogue, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import type { ObjectStore } from '../../../src/archive/store/ports.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { type ArchiveWorld, openArchiveWorld, smallObjects, storeWith } from '../../support/archive/archive-world.ts';
import { RETENTION_MS } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';

const usualTmpdir = process.env['TMPDIR'];
let world: ArchiveWorld;
let store: ObjectStore;
let temporary: string;

beforeEach(async () => {
  world = await openArchiveWorld();
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
  temporary = await mkdtemp(join(tmpdir(), 'orgtrail-test-overlap-'));
  process.env['TMPDIR'] = temporary;
});
afterEach(async () => {
  if (usualTmpdir === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = usualTmpdir;
  await rm(temporary, { recursive: true, force: true });
  await world[Symbol.asyncDispose]();
});

/** January has 101 events, so three objects. */
const archive = (into: ObjectStore, signal?: AbortSignal) =>
  archiveMonth({ pool: world.daemon, store: into, limits: smallObjects }, '2024-01', signal);

const temporaryFiles = async () =>
  (await readdir(temporary, { recursive: true })).map((name) => name.split('/').at(-1));
const catalogued = async () => (await readCatalogue(world.owner)).map(({ events }) => events);

/** Whose objects are read back once `before` has resolved for the how-manieth it is. */
const readBackAfter = (before: (nth: number) => Promise<void>): ObjectStore => {
  let gets = 0;
  return storeWith(store, {
    get: async (key, signal) => {
      gets += 1;
      await before(gets);
      return await store.get(key, signal);
    },
  });
};

test('the rows of the next object are copied while one is read back, which is not in the catalogue before that', async () => {
  const seen: (readonly number[])[] = [];
  const slow = readBackAfter(async (nth) => {
    // Behind the last object there are no rows.
    await until('rows are copied', async () => (await temporaryFiles()).includes('rows.ndjson'));
    seen[nth - 1] = await catalogued();
  });
  expect(await archive(slow)).toMatchObject({ written: 3 });
  expect(seen).toEqual([[], [40], [40, 40]]);
  expect(await catalogued()).toEqual([40, 40, 21]);
  expect(await temporaryFiles()).toEqual([]);
});

test('an object that is altered before it is read back is not in the catalogue, and none behind it', async () => {
  const before = await world.rowsOf('2024-01');
  let gets = 0;
  const altering = storeWith(store, {
    get: async (key, signal) => {
      gets += 1;
      const bytes = await store.get(key, signal);
      return gets === 2 ? bytes?.subarray(1) : bytes;
    },
  });
  await expect(archive(altering)).rejects.toThrow('but it has other bytes');
  expect(await catalogued()).toEqual([40]);
  expect(await temporaryFiles()).toEqual([]);
  expect(await archive(store)).toEqual({ month: '2024-01', written: 2, proven: 1 });
  const { dropped } = await dropOldMonths(world.daemon, RETENTION_MS);
  expect(dropped).toMatchObject([{ month: '2024-01', events: before.length }]);
});

test('an object that cannot be catalogued stays without one behind it, and without files', async () => {
  const wrong = readBackAfter(async (nth) => {
    if (nth === 2) await world.owner.query(`update audit_events set raw = '{"id":"other"}' where id = 'january-60'`);
  });
  await expect(archive(wrong)).rejects.toThrow('does not hold what the database holds');
  expect(await catalogued()).toEqual([40]);
  expect(await temporaryFiles()).toEqual([]);
  expect(await archive(store)).toEqual({ month: '2024-01', written: 2, proven: 1 });
});

test('one that is stopped leaves what was catalogued, and no files', async () => {
  const stop = new AbortController();
  const stopping = readBackAfter(async (nth) => {
    if (nth === 2) stop.abort(new Error('stopped'));
  });
  await expect(archive(stopping, stop.signal)).rejects.toThrow();
  expect((await catalogued()).length).toBeLessThan(3);
  expect(await temporaryFiles()).toEqual([]);
  expect((await archive(store)).written).toBeGreaterThan(0);
  expect(await catalogued()).toEqual([40, 40, 21]);
});
