import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { readArchiveStatus } from '../../../src/archive/archive-status.sql.ts';
import { readCatalogue } from '../../../src/archive/catalogue.sql.ts';
import { exportBundle } from '../../../src/evidence/export/export-bundle.ts';
import { verifyBlock } from '../../../src/evidence/stored/read-block.sql.ts';
import { verifyTree } from '../../../src/evidence/stored/verify-tree.sql.ts';
import { january, openFileArchive, storeWith } from '../../support/archive/archive-world.ts';
import { openSearch } from '../../support/archive/searched-archive.ts';
import { createSearchedMonths, searchesOf } from '../../support/archive/searched-months.ts';
import { askThaw, stateOfMonth, thawWork } from '../../support/archive/thawing.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { judgedSound } from '../../support/evidence/evidence-world.ts';
import { BundleRoom } from '../../support/evidence/judge.ts';
import { firstValue, rowsOf, valuesOf } from '../../support/postgres/rows.ts';
import { commit, entryText, newSource, RETENTION_MS, T0 } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const drops = (world: Parameters<typeof stateOfMonth>[0]) =>
  rowsOf(world.owner, `select to_char(month, 'YYYY-MM') as month, events::integer from retention_drops order by id`);
const leftOvers = (world: Parameters<typeof stateOfMonth>[0]) =>
  valuesOf(world.owner, `select relname from pg_class where relname like 'thawing%'`);

describe('a month that is thawed', () => {
  test('is what it was before it was dropped, row for row and index for index, and goes again at its end without a second drop', async () => {
    await using world = await openFileArchive();
    await world.change('january-3');
    await world.change('january-50');
    const before = await stateOfMonth(world);
    expect(before).toMatchObject({ events: { length: 61 }, changes: { length: 2 } });
    // Where addresses are from is looked up again when a month goes, and when it comes back.
    const lookedUp = () => world.owner.query("insert into place_head (position, files) values (1, 'a')");
    await lookedUp();
    expect((await world.drop()).dropped).toHaveLength(2);
    await lookedUp();
    const dropped = await drops(world);
    expect(await askThaw(world, { reason: 'case 7', by: 'J. Doe' })).toMatchObject({
      state: 'asked',
      month: '2024-01',
      events: 61,
      copied: 0,
      askedBy: 'J. Doe',
      reason: 'case 7',
    });
    expect(await thawWork(world)).toMatchObject({ state: 'thawed', copied: 61, error: null });
    expect(await stateOfMonth(world)).toEqual(before);
    expect(await valuesOf(world.owner, 'select position from place_head')).toEqual([]);
    expect(await drops(world)).toEqual(dropped);
    const objects = await readCatalogue(world.owner, '2024-01');
    expect(objects.map(({ droppedAt }) => droppedAt)).toEqual(objects.map(() => null));
    expect((await world.drop()).kept).toEqual([
      { month: '2024-01', reason: expect.stringMatching(/^it is thawed until 20\d\d-\d\d-\d\dT/) },
    ]);
    const waiting = async () => (await readArchiveStatus(world.daemon, RETENTION_MS)).waitingMonths;
    expect(await waiting()).toBe(0);
    expect(await askThaw(world, { for: '0s' })).toMatchObject({ state: 'thawed' });
    expect(await waiting()).toBe(1);
    expect(await thawWork(world)).toMatchObject({ state: 'ended', error: null });
    expect(await stateOfMonth(world)).toEqual({ events: [], changes: [], indexes: [] });
    expect(await drops(world)).toEqual(dropped);
    expect((await readCatalogue(world.owner, '2024-01')).map(({ id, sha256 }) => [id, sha256])).toEqual(
      objects.map(({ id, sha256 }) => [id, sha256]),
    );
    expect(await leftOvers(world)).toEqual([]);
  });

  test('answers every search, count and summary as before it was dropped', async () => {
    await using world = await openFileArchive(30);
    const random = seededRandom(7);
    await (await createSearchedMonths(world.owner, random))(25);
    await using search = openSearch(world);
    const answers = async () => {
      const all = [];
      for (const query of searchesOf(seededRandom(3))) {
        const pages = await search.walk(query, 100, false);
        all.push([query, pages.map(({ texts }) => texts), JSON.stringify(await search.summary(query))]);
      }
      return all;
    };
    const before = await answers();
    expect((await world.drop()).dropped).toHaveLength(2);
    for (const month of ['2024-01', '2024-02']) await askThaw(world, { month });
    await thawWork(world);
    expect(await answers()).toEqual(before);
    expect(await search.source.archivedMonths(search.reading({}))).toEqual([]);
  });

  test('is what the evidence has signed, thawed and gone again, with what came late: both verifiers agree', async () => {
    await using world = await openFileArchive();
    await world.change('january-3');
    const signer = newSigner();
    using room = new BundleRoom();
    const isSound = async () => {
      await openBuilder(world.owner, signer).build();
      expect([await verifyTree(world.owner), await verifyBlock(world.owner, 0)]).toEqual([[], []]);
      const folder = room.next();
      const publicKeys = [signer.publicKey];
      await exportBundle(world.owner, folder, { version: '0.0.0-test', publicKeys, waitMs: 0 });
      return (await judgedSound(folder)).node;
    };
    await isSound();
    expect((await world.drop()).dropped).toHaveLength(2);
    await isSound();
    await askThaw(world);
    expect(await thawWork(world)).toMatchObject({ state: 'thawed', copied: 61 });
    expect((await isSound()).said).toEqual(['61 events are here although a statement drops them']);
    await world.addLate(4, 'since');
    await isSound();
    await askThaw(world, { for: '0s' });
    expect(await thawWork(world)).toMatchObject({ state: 'ended' });
    expect((await isSound()).said).toEqual([]);
  });

  test('takes in what came late, before it came back and since, and only that is dropped and archived at its end', async () => {
    await using world = await openFileArchive();
    await world.drop();
    await world.addLate(3, 'before');
    const [, ...partitions] = await valuesOf(
      world.owner,
      `select 1 union all select orgtrail_create_partitions('2024-01-01', '2024-01-02')`,
    );
    expect(partitions).toEqual([1]);
    await world.addLate(2, 'in-a-new-partition');
    const late = (await stateOfMonth(world)).events;
    await askThaw(world);
    expect(await thawWork(world)).toMatchObject({ state: 'thawed', events: 61 });
    await world.addLate(4, 'since');
    const all = (await stateOfMonth(world)).events;
    expect(all).toHaveLength(61 + 9);
    expect(all).toEqual(expect.arrayContaining(late));
    const written: string[] = [];
    await askThaw(world, { for: '0s' });
    expect(
      await thawWork(world, {
        observer: { written: ({ key, events }) => void written.push(`${key.split('/')[1]} ${events}`) },
      }),
    ).toMatchObject({ state: 'ended' });
    expect(written).toEqual(['events 9']);
    expect(await drops(world)).toEqual([
      { month: '2024-01', events: 61 },
      { month: '2024-02', events: 1 },
      { month: '2024-01', events: 9 },
    ]);
    await askThaw(world);
    await thawWork(world);
    expect((await stateOfMonth(world)).events).toEqual(all);
  });

  test('stays while a hold or a sink needs it, and is told to no reader as gone', async () => {
    await using world = await openFileArchive();
    await world.drop();
    await world.owner.query(`insert into holds (organization_id, reason) values ('o', 'case 7')`);
    await askThaw(world);
    expect(await thawWork(world)).toMatchObject({ state: 'thawed' });
    await askThaw(world, { for: '0s' });
    expect(await thawWork(world)).toMatchObject({ state: 'thawed', error: 'hold 1 covers events in it: case 7' });
    await world.owner.query(`update holds set released_at = now(); update archive_thaws set lease_until = null;
      insert into sinks (name, kind, target, position) values ('siem', 'http', '', 5)`);
    expect(await thawWork(world)).toMatchObject({
      state: 'thawed',
      error: 'the sink siem is at position 5, and still needs events up to 63',
    });
    await world.owner.query('update sinks set position = 63; update archive_thaws set lease_until = null');
    expect(await thawWork(world)).toMatchObject({ state: 'ended', error: null });
  });

  test('has its findings again, and no sink is behind them', async () => {
    await using world = await openFileArchive();
    await world.owner.query('select orgtrail_want_detections(true)');
    const noted = () =>
      valuesOf<string>(
        world.owner,
        `select (f.detection, f.position, f.summary, f.actor)::text from findings f where action_time < '2025-01-01' order by 1`,
      );
    const staff = (id: string, time: number) =>
      entryText(id, time, { actor: { type: 'cloudflare_admin', email: `${id}@example.com` } });
    await commit(world.owner, await newSource(world.owner, 'staff'), [
      staff('first', january),
      staff('second', january + 9),
      staff('young', T0),
    ]);
    await world.owner.query('select orgtrail_note_detections(100000)');
    const before = await noted();
    expect(before.map((each) => each.split(',')[0])).toEqual(['(cloudflare_staff', '(cloudflare_staff']);
    await world.drop();
    expect(await noted()).toEqual([]);
    await askThaw(world);
    await thawWork(world);
    expect(await noted()).toEqual(before);
  });
});

describe('a thaw that is not done', () => {
  test('is done by another replica once the first is killed in the middle, and by one of two at once', async () => {
    await using world = await openFileArchive();
    const before = await stateOfMonth(world);
    await world.drop();
    await askThaw(world);
    let reads = 0;
    const killed = new AbortController();
    const store = storeWith(world.store, {
      get: async (key) => {
        reads += 1;
        if (reads === 2) killed.abort(new Error('killed'));
        return await world.store.get(key);
      },
    });
    expect(await thawWork(world, { store, signal: killed.signal })).toMatchObject({ state: 'asked', error: null });
    expect(await thawWork(world, { owner: 'b' })).toMatchObject({ state: 'asked' });
    expect((await stateOfMonth(world)).events).toEqual([]);
    await world.owner.query('update archive_thaws set lease_until = null');
    await Promise.all(['b', 'c', 'd'].map((owner) => thawWork(world, { owner })));
    expect(await thawWork(world)).toMatchObject({ state: 'thawed', copied: 61 });
    expect(await stateOfMonth(world)).toEqual(before);
    expect(await leftOvers(world)).toEqual([]);
  });

  test('changes nothing, and says why: an object that was altered, rows that were, a disk that would not do, a month that is not there', async () => {
    await using world = await openFileArchive();
    await expect(askThaw(world)).rejects.toThrow('nothing of 2024-01 is in the archive alone');
    await expect(askThaw(world, { for: '0s' })).rejects.toThrow('2024-01 is not thawed');
    await world.drop();
    await expect(askThaw(world, { for: '900d' })).rejects.toThrow('for must be a duration of at most 366d');
    await expect(askThaw(world, { month: '2024-13' })).rejects.toThrow('month must be a month such as 2024-01');
    await expect(askThaw(world, {}, 290_000)).rejects.toThrow(/^2024-01 would take about 0 GB .* ORGTRAIL_THAW_MAX_GB/);
    const [object = ''] = await world.objects('2024-01');
    const bytes = await readFile(object);
    await writeFile(object, Buffer.concat([bytes, Buffer.from('.')]));
    await askThaw(world);
    expect(await thawWork(world)).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('it has other bytes'),
    });
    expect(await leftOvers(world)).toEqual([]);
    await writeFile(object, bytes);
    // Also what has the bytes of the catalogue is not believed more than that.
    await world.owner.query(`update archive_objects set raw_sha256 = 'f' where first_position = 1`);
    await askThaw(world);
    expect(await thawWork(world)).toMatchObject({
      state: 'failed',
      error: expect.stringMatching(/^what was copied is not what the catalogue says of v1\/events/),
    });
    expect((await stateOfMonth(world)).events).toEqual([]);
    expect(await leftOvers(world)).toEqual([]);
    expect(
      await firstValue(world.owner, 'select count(*)::integer from archive_objects where dropped_at is null'),
    ).toBe(0);
  });
});
