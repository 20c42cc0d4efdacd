import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isUnanchored, readEvidenceStatus } from '../../../../src/evidence/stored/evidence-status.sql.ts';
import { readEntryBundle } from '../../../../src/evidence/tree/entry-bundle.ts';
import { openAnchoringBuilder } from '../../../support/evidence/anchors/anchoring-builder.ts';
import { type Place, placeKinds } from '../../../support/evidence/anchors/places.ts';
import { newSigner } from '../../../support/evidence/builder-world.ts';
import { verifyDatabase } from '../../../support/evidence/bundles/verify-database.ts';
import { rememberForRewind } from '../../../support/evidence/rewind.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres/database.ts';
import { commit, entryText, newSource, T0, takeLease } from '../../../support/postgres/store-fixture.ts';

// What an anchor promises that keeps files, wherever these are. What one of them promises beside that is in its own file.

const signer = newSigner();
const sized = (size: number) => String(size).padStart(20, '0');

describe.each(placeKinds)('an anchor that is $name', ({ missing, open: openKind }) => {
  describe.skipIf(missing !== undefined)('and is there', () => {
    let kind: Awaited<ReturnType<typeof openKind>>;
    let database: TestDatabase;
    let place: Place;
    beforeAll(async () => {
      kind = await openKind();
    });
    afterAll(async () => kind?.close());
    beforeEach(async () => {
      database = await createTestDatabase();
      place = await kind.place();
    });
    afterEach(async () => {
      await place?.[Symbol.asyncDispose]();
      await database?.close();
    });

    const addEvents = async (count: number, name: string) => {
      const { pool } = database;
      const lease = await newSource(pool, 'a').catch(() => takeLease(pool, 'a'));
      const texts = Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, T0 + index * 1_000));
      await commit(pool, lease, texts);
    };
    const open = (owner?: string) => openAnchoringBuilder(database.pool, signer, [place.anchor], owner);
    const status = async () => {
      const found = await readEvidenceStatus(database.pool);
      if (found === undefined) throw new Error('no evidence');
      return found;
    };
    /** 300 events and 300 more are signed and anchored; then the database goes back to the first. */
    const goneBack = async () => {
      const first = open();
      await addEvents(300, 'first');
      await first.build();
      const rewind = await rememberForRewind(database.pool);
      await addEvents(300, 'second');
      await first.build();
      await first.anchor();
      await rewind();
    };

    test('has checkpoints, full tiles of all levels and the statements; they are those of the database', async () => {
      const builder = open();
      await addEvents(700, 'first');
      await builder.build();
      expect(isUnanchored(await status())).toBe(true);
      await builder.anchor();
      expect(isUnanchored(await status())).toBe(false);
      expect((await status()).anchors).toMatchObject([
        { anchor: place.anchor.name, isConfigured: true, size: 700, isOfEvents: true, error: null },
      ]);
      expect(await place.names('events/tile/0')).toEqual(['000', '001']);
      const entries = readEntryBundle(await place.read('journal/tile/entries/000.p/2'));
      const { rows } = await database.pool.query<{ text: string }>('select text from evidence_journal order by index');
      expect(entries.map(String)).toEqual(rows.map(({ text }) => `orgtrail/journal/v1\n${text}`));

      await addEvents(400, 'second');
      await builder.build();
      await builder.anchor();
      expect(await place.names('events/checkpoints')).toEqual([700, 1_100].map(sized));
      expect(await place.names('events/tile/0')).toEqual(['000', '001', '002', '003']);
      const stored = await database.pool.query('select hashes from evidence_tiles where level = 0 and n = 3');
      expect(await place.read('events/tile/0/003')).toEqual(stored.rows[0]?.hashes);
      const note = await place.read(`events/checkpoints/${sized(700)}`);
      expect((await verifyDatabase(database.pool, signer, [{ name: 'kept', note }])).faults).toEqual([]);
      expect(builder.failures).toEqual([]);
    });

    test('and has what is there already, is seen to have it again, by another process too', async () => {
      const builder = open();
      await addEvents(10, 'first');
      await builder.build();
      await builder.anchor();
      const before = await place.names('events/checkpoints');
      await database.pool.query(`update evidence_anchors set at = at - interval '1 hour'`);
      await database.pool.query('update evidence_logs set lease_until = null');
      const other = open('other-host/2/y');
      await other.build();
      await other.anchor();
      expect(await place.names('events/checkpoints')).toEqual(before);
      expect((await status()).anchors[0]?.secondsAgo).toBeLessThan(1_800);
    });

    test('never overwrites: another checkpoint of this size is a failure that is shown', async () => {
      const path = `events/checkpoints/${sized(10)}`;
      await place.write(path, Buffer.from('something else'));
      const builder = open();
      await addEvents(10, 'first');
      await builder.build();
      await builder.anchor();
      expect(builder.failures).toEqual([`${path} is another checkpoint of 10 events`]);
      expect((await place.read(path)).toString()).toBe('something else');
      expect((await status()).anchors).toMatchObject([
        { anchor: place.anchor.name, size: null, error: `${path} is another checkpoint of 10 events` },
      ]);
    });

    test('tells a database that went back that it is behind, before a process that has never seen it signs', async () => {
      await goneBack();
      await addEvents(20, 'other');
      const second = open('other-host/2/y');
      expect(await second.build()).toMatchObject({ kind: 'stopped' });
      expect(second.signed).toEqual([]);
      const at = place.anchor.name;
      expect(second.stops).toEqual([`behind: a checkpoint of 600 events is kept at ${at}, and here are 300`]);
    });

    test('tells one that went back and grew past it that it is forked, before anything more is signed', async () => {
      await goneBack();
      await addEvents(400, 'other');
      // Without the anchor, which is what an anchor is for.
      const blind = openAnchoringBuilder(database.pool, signer, [], 'blind-host/1/x');
      expect(await blind.build()).toMatchObject({ kind: 'done', size: 700 });
      await database.pool.query('update evidence_logs set lease_until = null');
      const second = open('other-host/2/y');
      expect(await second.build()).toMatchObject({ kind: 'stopped' });
      expect(second.stops).toEqual([
        `forked: the first 600 events are not those of the checkpoint that is kept at ${place.anchor.name}`,
      ]);
    });

    test('stops nothing by what is written to it without the key', async () => {
      const first = open();
      await addEvents(300, 'first');
      await first.build();
      await first.anchor();
      const { rows } = await database.pool.query<{ origin: string }>(
        `select origin from evidence_logs where name = 'events'`,
      );
      const signature = Buffer.concat([Buffer.alloc(4), Buffer.alloc(64)]).toString('base64');
      const text = `${rows[0]?.origin}\n900\n${Buffer.alloc(32).toString('base64')}\n\n— ${rows[0]?.origin} ${signature}\n`;
      await place.write(`events/checkpoints/${sized(900)}`, Buffer.from(text));
      await place.write(`events/checkpoints/${sized(901)}`, Buffer.from('no note'));
      await database.pool.query('update evidence_logs set lease_until = null');
      const second = open('other-host/2/y');
      await addEvents(1, 'more');
      expect(await second.build()).toMatchObject({ kind: 'done', size: 301 });
      expect(second.stops).toEqual([]);
    });
  });
});
