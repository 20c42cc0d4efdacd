import { expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { readCatalogue } from '../../../src/archive/catalogue.sql.ts';
import { readSettledMonths } from '../../../src/archive/settled-months.sql.ts';
import { type ArchiveWorld, openFileArchive, storeWith } from '../../support/archive/archive-world.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

const WEEK_MS = 7 * 86_400_000;

test('a closed month is archived a week after the last row of it was stored, late ones as further objects; none is read back for it, and none is dropped', async () => {
  await using world = await openFileArchive(30);
  expect(await settled(world)).toEqual([]);
  await age(world);
  expect(await settled(world, WEEK_MS, new Map([['2024-01', 'organization o']]))).toEqual(['2024-02']);
  expect(await settled(world, Number.POSITIVE_INFINITY)).toEqual([]);
  expect(await settled(world)).toEqual(['2024-01', '2024-02']);
  for (const month of await settled(world)) await archive(world, month);
  expect(await settled(world)).toEqual([]);

  await world.addLate(3, 'late');
  expect(await settled(world)).toEqual([]);
  await age(world);
  expect(await settled(world)).toEqual(['2024-01']);
  expect(await archive(world, '2024-01')).toEqual({ written: 1, read: 1 });
  await world.change('january-1');
  await world.change('january-7');
  await world.owner.query("update audit_event_changes set seen_at = seen_at - interval '8 days'");
  expect(await settled(world)).toEqual(['2024-01']);
  expect(await archive(world, '2024-01')).toEqual({ written: 1, read: 1 });
  // Between those of an object that is there.
  await world.change('january-3');
  await world.owner.query(
    "update audit_event_changes set seen_at = least(seen_at, clock_timestamp() - interval '8 days')",
  );
  await archive(world, '2024-01');
  expect(await settled(world)).toEqual([]);
  const catalogue = await readCatalogue(world.owner, '2024-01');
  expect(catalogue.map(({ kind, events }) => [kind, events])).toEqual([
    ['events', 31],
    ['events', 3],
    ['changes', 3],
  ]);
  expect(await world.rowsOf('2024-01')).toEqual(await world.archivedRows('2024-01'));

  await world.owner.query("update archive_objects set fault = 'it is not there' where events = 3");
  expect(await settled(world)).toEqual(['2024-01']);
  const run = (after: string) =>
    runInProcess(['archive', 'run'], { ...world.env, ORGTRAIL_RETENTION: '', ORGTRAIL_ARCHIVE_AFTER: after });
  expect(await run('never')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('ORGTRAIL_ARCHIVE_AFTER is never'),
  });
  expect(await run('7d')).toMatchObject({ code: 0, stdout: expect.stringContaining('2024-01 is in the archive') });
  expect(await settled(world)).toEqual([]);
});

/** Those of 2024: whether others are closed depends on the date. */
const settled = async (world: ArchiveWorld, afterMs = WEEK_MS, unread: ReadonlyMap<string, string> = new Map()) => {
  const { daemon: pool, store } = world;
  const months = await readSettledMonths({ pool, archive: store.name, afterMs, readUnread: async () => unread });
  return months.filter((month) => month.startsWith('2024'));
};

const age = ({ owner }: ArchiveWorld) =>
  owner.query(
    "update audit_events set received_at = received_at - interval '8 days' where received_at > clock_timestamp() - interval '7 days'",
  );

/** `read`: objects that the storage gave, the new one included. */
const archive = async ({ daemon: pool, store }: ArchiveWorld, month: string) => {
  let read = 0;
  const counting = storeWith(store, {
    get: async (key, signal) => {
      read += 1;
      return await store.get(key, signal);
    },
  });
  const { written } = await archiveMonth({ pool, store: counting, trustsCatalogue: true }, month);
  return { written, read };
};
