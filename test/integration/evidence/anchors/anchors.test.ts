import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { isUnanchored } from '../../../../src/evidence/stored/evidence-status.sql.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../../support/evidence/anchors/anchoring-builder.ts';
import { worldOfEachTest } from '../../../support/evidence/evidence-world.ts';
import { createTestDatabase } from '../../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../../support/postgres/store-fixture.ts';

const world = worldOfEachTest();
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(world.room.folder, 'anchor-'));
});

describe('a directory as an anchor', () => {
  test('that is not there fails, says so, and holds nothing up; afterwards it gets what it lacks', async () => {
    await rm(directory, { recursive: true });
    const builder = open();
    await world.addEvents(10, 'first');
    expect(await builder.build()).toMatchObject({ kind: 'done', size: 12 });
    await builder.anchor();
    expect(builder.failures.join()).toContain('ENOENT');
    expect((await world.status()).anchors).toMatchObject([
      { size: null, secondsAgo: null, error: expect.stringContaining('ENOENT') },
    ]);
    expect(isUnanchored(await world.status())).toBe(true);
    directory = await mkdtemp(join(world.room.folder, 'anchor-'));
    const later = open('other-host/2/y');
    await later.anchor();
    expect((await world.status()).anchors.find(({ size }) => size === 12)).toMatchObject({ error: null });
  });

  test('checkpoints that are kept are not thinned out', async () => {
    const builder = open();
    await builder.build();
    for (const name of ['one', 'two', 'three', 'four']) {
      await world.addEvents(5, name);
      await builder.build();
      if (name === 'two') await builder.anchor();
    }
    await world.pool.query(`update evidence_checkpoints set made_at = '2026-01-01T10:10:00Z'`);
    await builder.store.thin();
    const { rows } = await world.pool.query('select size::integer from evidence_checkpoints order by size');
    expect(rows).toEqual([{ size: 12 }, { size: 22 }]);
  });
});

const claimOf = async (builder: ReturnType<typeof open>) => {
  const claim = await builder.claim();
  if (claim === undefined) throw new Error('another one has the lease');
  return claim;
};

describe('a database that went back', () => {
  test('while a process holds the lease: what it hears from the anchor stops it at the next step', async () => {
    const first = open();
    await world.addEvents(300, 'first');
    await first.build();
    const held = await claimOf(first);
    await first.build(held);
    const note = (size: number) => join(directory, `log-1/checkpoints/${String(size).padStart(20, '0')}`);
    const elsewhere = await createTestDatabase();
    try {
      // Another one, with the same key and name: a copy that went on by itself.
      await elsewhere.pool.query('update feed_head set feed_id = $1', [
        (await world.pool.query('select feed_id from feed_head')).rows[0]?.feed_id,
      ]);
      const lease = await newSource(elsewhere.pool, 'a');
      await commit(elsewhere.pool, lease, [entryText('else', T0)]);
      const copy = openAnchoringBuilder(elsewhere.pool, world.signer, []);
      await copy.build();
      await first.anchor();
      await writeFile(note(3), copy.signed.at(-1)?.note ?? '');
      await rm(note(302));
    } finally {
      await elsewhere.close();
    }
    await first.anchor();
    expect(await first.builder.step(held)).toMatchObject({ kind: 'stopped' });
    expect(first.stops[0]).toContain('behind: the first 3 leaves are not those');
  });
});

const open = (owner?: string) => openAnchoringBuilder(world.pool, world.signer, [directoryAnchor(directory)], owner);
