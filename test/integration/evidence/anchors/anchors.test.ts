import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isUnanchored, readEvidenceStatus } from '../../../../src/evidence/stored/evidence-status.sql.ts';
import { readEntryBundle } from '../../../../src/evidence/tree/entry-bundle.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../../support/evidence/anchors/anchoring-builder.ts';
import { newSigner } from '../../../support/evidence/builder-world.ts';
import { verifyDatabase } from '../../../support/evidence/bundles/verify-database.ts';
import { rememberForRewind } from '../../../support/evidence/rewind.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres/database.ts';
import { commit, entryText, newSource, T0, takeLease } from '../../../support/postgres/store-fixture.ts';

let database: TestDatabase;
let directory: string;
const signer = newSigner();
beforeEach(async () => {
  database = await createTestDatabase();
  directory = await mkdtemp(join(tmpdir(), 'orgtrail-anchor-'));
});
afterEach(async () => {
  await database?.close();
  await rm(directory, { recursive: true, force: true });
});

const addEvents = async (count: number, name: string) => {
  const { pool } = database;
  const lease = await newSource(pool, 'a').catch(() => takeLease(pool, 'a'));
  const texts = Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, T0 + index * 1_000));
  await commit(pool, lease, texts);
};

const open = (owner?: string) => openAnchoringBuilder(database.pool, signer, [directoryAnchor(directory)], owner);
const status = async () => {
  const found = await readEvidenceStatus(database.pool);
  if (found === undefined) throw new Error('no evidence');
  return found;
};
const names = async (folder: string) => (await readdir(join(directory, folder)).catch(() => [])).sort();

describe('a directory as an anchor', () => {
  test('has checkpoints, full tiles of all levels and the statements; they are those of the database', async () => {
    const builder = open();
    await addEvents(700, 'first');
    await builder.build();
    expect(isUnanchored(await status())).toBe(true);
    await builder.anchor();
    expect(isUnanchored(await status())).toBe(false);
    expect((await status()).anchors).toEqual([
      {
        anchor: `file:${directory}`,
        isConfigured: true,
        size: 700,
        isOfEvents: true,
        secondsAgo: expect.any(Number),
        error: null,
      },
    ]);
    expect(await names('events/checkpoints')).toEqual(['00000000000000000700']);
    expect(await names('events/tile/0')).toEqual(['000', '001']);
    expect(await names('events/tile/1')).toEqual([]);
    const entries = readEntryBundle(await readFile(join(directory, 'journal/tile/entries/000.p/2')));
    const { rows } = await database.pool.query<{ text: string }>('select text from evidence_journal order by index');
    expect(entries.map(String)).toEqual(rows.map(({ text }) => `orgtrail/journal/v1\n${text}`));

    await addEvents(400, 'second');
    await builder.build();
    await builder.anchor();
    expect(await names('events/checkpoints')).toEqual(['00000000000000000700', '00000000000000001100']);
    expect(await names('events/tile/0')).toEqual(['000', '001', '002', '003']);
    const tile = await readFile(join(directory, 'events/tile/0/003'));
    const stored = await database.pool.query(`select hashes from evidence_tiles where level = 0 and n = 3`);
    expect(tile).toEqual(stored.rows[0]?.hashes);
    const note = await readFile(join(directory, 'events/checkpoints/00000000000000000700'));
    const report = await verifyDatabase(database.pool, signer, [{ name: 'kept', note }]);
    expect(report.faults).toEqual([]);
    expect(builder.failures).toEqual([]);
  });

  test('that has what is there already is seen to have it again, by another process too', async () => {
    const builder = open();
    await addEvents(10, 'first');
    await builder.build();
    await builder.anchor();
    const before = await names('events/checkpoints');
    await database.pool.query(`update evidence_anchors set at = at - interval '1 hour'`);
    await builder.store.release(await claimOf(builder));
    const other = open('other-host/2/y');
    await other.build();
    await other.anchor();
    expect(await names('events/checkpoints')).toEqual(before);
    expect((await status()).anchors[0]?.secondsAgo).toBeLessThan(1_800);
  });

  test('that is not there fails, says so, and holds nothing up; afterwards it gets what it lacks', async () => {
    await rm(directory, { recursive: true });
    const builder = open();
    await addEvents(10, 'first');
    expect(await builder.build()).toEqual({ kind: 'done', size: 10 });
    await builder.anchor();
    expect(builder.failures.join()).toContain('ENOENT');
    expect((await status()).anchors).toMatchObject([
      { size: null, secondsAgo: null, error: expect.stringContaining('ENOENT') },
    ]);
    expect(isUnanchored(await status())).toBe(true);
    directory = await mkdtemp(join(tmpdir(), 'orgtrail-anchor-'));
    const later = open('other-host/2/y');
    await later.anchor();
    expect((await status()).anchors.find(({ size }) => size === 10)).toMatchObject({ error: null });
  });

  test('checkpoints that are kept are not thinned out', async () => {
    const builder = open();
    await builder.build();
    for (const name of ['one', 'two', 'three', 'four']) {
      await addEvents(5, name);
      await builder.build();
      if (name === 'two') await builder.anchor();
    }
    await database.pool.query(`update evidence_checkpoints set made_at = '2026-01-01T10:10:00Z'`);
    await builder.store.thin();
    const { rows } = await database.pool.query(
      `select size::integer from evidence_checkpoints where log = 'events' order by size`,
    );
    expect(rows).toEqual([{ size: 10 }, { size: 20 }]);
  });
});

const claimOf = async (builder: ReturnType<typeof open>) => {
  const claim = await builder.claim();
  if (claim === undefined) throw new Error('another one has the lease');
  return claim;
};

describe('a database that went back', () => {
  test('is behind before anything is signed, by a process that has never seen it', async () => {
    const first = open();
    await addEvents(300, 'first');
    await first.build();
    const rewind = await rememberForRewind(database.pool);
    await addEvents(300, 'second');
    await first.build();
    await first.anchor();
    await rewind();
    await addEvents(20, 'other');
    const second = open('other-host/2/y');
    expect(await second.build()).toMatchObject({ kind: 'stopped' });
    expect(second.signed).toEqual([]);
    expect(second.stops).toEqual([`behind: a checkpoint of 600 events is kept at file:${directory}, and here are 300`]);
  });

  test('and grew past the anchor is forked before anything more is signed', async () => {
    const first = open();
    await addEvents(300, 'first');
    await first.build();
    const rewind = await rememberForRewind(database.pool);
    await addEvents(300, 'second');
    await first.build();
    await first.anchor();
    await rewind();
    await addEvents(400, 'other');
    // Without the anchor, which is what an anchor is for.
    const blind = openAnchoringBuilder(database.pool, signer, [], 'blind-host/1/x');
    expect(await blind.build()).toEqual({ kind: 'done', size: 700 });
    await blind.store.release({ generation: 1, epoch: 3 });
    await database.pool.query('update evidence_logs set lease_until = null');
    const second = open('other-host/2/y');
    expect(await second.build()).toMatchObject({ kind: 'stopped' });
    expect(second.stops).toEqual([
      `forked: the first 600 events are not those of the checkpoint that is kept at file:${directory}`,
    ]);
  });

  test('while a process holds the lease: what it hears from the anchor stops it at the next step', async () => {
    const first = open();
    await addEvents(300, 'first');
    await first.build();
    const held = await claimOf(first);
    await first.build(held);
    const note = (size: number) => join(directory, `events/checkpoints/${String(size).padStart(20, '0')}`);
    const elsewhere = await createTestDatabase();
    try {
      // Another one, with the same key and name: a copy that went on by itself.
      await elsewhere.pool.query('update feed_head set feed_id = $1', [
        (await database.pool.query('select feed_id from feed_head')).rows[0]?.feed_id,
      ]);
      const lease = await newSource(elsewhere.pool, 'a');
      await commit(elsewhere.pool, lease, [entryText('else', T0)]);
      const copy = openAnchoringBuilder(elsewhere.pool, signer, []);
      await copy.build();
      await first.anchor();
      await writeFile(note(1), copy.signed.find(({ log }) => log === 'events')?.note ?? '');
      await rm(note(300));
    } finally {
      await elsewhere.close();
    }
    await first.anchor();
    expect(await first.builder.step(held)).toMatchObject({ kind: 'stopped' });
    expect(first.stops[0]).toContain('forked: the first 1 events are not those');
  });

  test('is not found by what is written to the anchor without the key', async () => {
    const first = open();
    await addEvents(300, 'first');
    await first.build();
    await first.anchor();
    const { rows } = await database.pool.query<{ origin: string }>(
      `select origin from evidence_logs where name = 'events'`,
    );
    const signature = Buffer.concat([Buffer.alloc(4), Buffer.alloc(64)]).toString('base64');
    const text = `${rows[0]?.origin}\n900\n${Buffer.alloc(32).toString('base64')}\n\n— ${rows[0]?.origin} ${signature}\n`;
    await writeFile(join(directory, 'events/checkpoints/00000000000000000900'), text);
    await writeFile(join(directory, 'events/checkpoints/00000000000000000901'), 'no note');
    await database.pool.query('update evidence_logs set lease_until = null');
    const second = open('other-host/2/y');
    await addEvents(1, 'more');
    expect(await second.build()).toEqual({ kind: 'done', size: 301 });
    expect(second.stops).toEqual([]);
  });
});
