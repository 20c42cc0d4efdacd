import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { useArchive } from '../../../src/archive/catalogue.sql.ts';
import { createArchivedEvents } from '../../../src/archive/history/archived-events.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import { readMergedEvents } from '../../../src/feed/archived/merged-events.ts';
import { type FeedEventsRange, readFeedEvents } from '../../../src/feed/feed-events.sql.ts';
import type { FeedEvent } from '../../../src/formats/feed-event.ts';
import { dropOldMonths, setRetentionPolicy } from '../../../src/retention/retention.sql.ts';
import { openArchiveWorld, smallObjects } from '../../support/archive/archive-world.ts';
import { createMixedMonths } from '../../support/archive/mixed-months.ts';
import {
  commit,
  entryText,
  newSource,
  RETENTION_DAYS,
  RETENTION_MS,
  T0,
} from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test.each([1, 2])('a sink reads from the archive what it would have read before the drop (seed %i)', async (seed) => {
  await using world = await openArchiveWorld();
  const random = seededRandom(seed);
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  const store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
  const add = await createMixedMonths(world.owner, random);
  await add(40);
  const archived = createArchivedEvents(world.daemon, store);
  const size = { maxEvents: 1 + Math.floor(random() * 30), maxBytes: 500 + Math.floor(random() * 5_000) };
  // Between the two months of 2024.
  const maxAgeMs = Date.now() - Date.UTC(2024, 1, 1);
  const filters: readonly Partial<FeedEventsRange>[] = [
    {},
    { organizationIds: ['r'], copies: 'first' },
    { accountIds: ['a', 'b'] },
    { maxAgeMs },
  ];
  const all = async (
    read: (range: FeedEventsRange) => ReturnType<typeof readFeedEvents>,
    filter: Partial<FeedEventsRange>,
  ) => {
    const events: FeedEvent[] = [];
    let [after, tooOld] = [0, 0];
    for (;;) {
      const part = await read({ organizationIds: undefined, until: undefined, ...size, ...filter, after });
      events.push(...part.events);
      expect(part.events.length).toBeLessThanOrEqual(size.maxEvents);
      tooOld += part.tooOld;
      if (part.scannedTo === after) return { events, after, tooOld };
      after = part.scannedTo;
    }
  };
  const hot = (range: FeedEventsRange) => readFeedEvents(world.daemon, range);
  const both = (range: FeedEventsRange) => readMergedEvents({ pool: world.daemon, archived }, range);
  const before = [];
  for (const filter of filters) before.push(await all(hot, filter));
  expect(before[3]?.tooOld).toBeGreaterThan(100);
  const archive = (month: string) => archiveMonth({ pool: world.daemon, store, limits: smallObjects }, month);
  expect((await dropOldMonths(world.daemon, RETENTION_MS, archive)).dropped).toHaveLength(2);
  for (const [index, filter] of filters.entries()) expect(await all(both, filter)).toEqual(before[index]);
});

test('a daemon replays a sink through dropped months, and says what holds it up', async () => {
  await using world = await openWorld({ organizations: 1, entries: 0 });
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-archive-'));
  const out = join(directory, 'out');
  try {
    const { pool } = world.database;
    await setRetentionPolicy(pool, RETENTION_MS);
    await pool.query('update discovery set server_time = clock_timestamp()');
    await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
    const text = (n: number) =>
      entryText(`e-${n}`, n % 3 === 0 ? T0 + n : Date.UTC(2024, 0, 15) + n, { request: `\n${n}` });
    await commit(
      pool,
      await newSource(pool, 'o'),
      Array.from({ length: 60 }, (_, n) => text(n)),
    );
    const env = {
      ...world.env,
      DATABASE_URL: world.database.daemonUrl,
      ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`,
      ORGTRAIL_ARCHIVE: `file://${directory}`,
      ORGTRAIL_SINKS: JSON.stringify({ disk: { type: 'file', path: out } }),
    };
    const replay = () =>
      runInProcess(['sink', 'replay', 'disk', '--after', '0'], { ...env, DATABASE_URL: world.database.url });
    const position = async () =>
      (await pool.query("select position::float8 as at from sinks where name = 'disk'")).rows[0]?.at;
    {
      await using _daemon = await startDaemonProcess({ ...env, ORGTRAIL_RETENTION: '' });
      await expect.poll(position).toBe(60);
    }
    const first = await readFile(out, 'utf8');
    {
      await using daemon = await startDaemonProcess(env);
      await daemon.process.waitFor('dropped a month of events older than ORGTRAIL_RETENTION');
      expect((await replay()).stdout).toBe('disk continues after 0: of 60 events to send, 60 will be sent again\n');
      await expect.poll(async () => (await readFile(out, 'utf8')).length).toBe(2 * first.length);
      expect(await readFile(out, 'utf8')).toBe(first + first);
    }
    const name = (await readdir(directory, { recursive: true })).find((file) => file.endsWith('.parquet')) ?? '';
    const bytes = await readFile(join(directory, name));
    await writeFile(join(directory, name), bytes.fill(7, 100, 200));
    await using daemon = await startDaemonProcess(env);
    await replay();
    await daemon.process.waitFor('an object of the archive cannot be believed');
    expect(await position()).toBe(0);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
