import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../../../src/evidence/builder/ports.ts';
import { keyOfLog, signCheckpoint } from '../../../src/evidence/builder/sign-log.ts';
import { createServedStore } from '../../../src/evidence/served/served-store.sql.ts';
import { readEvidenceStatus } from '../../../src/evidence/stored/evidence-status.sql.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../support/evidence/anchors/anchoring-builder.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { BundleRoom, exportTo, judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { idsOf, orderNewKey, signersOfNewest } from '../../support/evidence/key-orders.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0, takeLease } from '../../support/postgres/store-fixture.ts';

let database: TestDatabase;
let room: BundleRoom;
beforeEach(async () => {
  database = await createTestDatabase();
  room = new BundleRoom();
});
afterEach(async () => {
  room?.[Symbol.dispose]();
  await database?.close();
});

const [old, fresh, newest] = [newSigner(), newSigner(), newSigner()];

const addEvents = async (count: number, name: string) => {
  const { pool } = database;
  const lease = await newSource(pool, 'a').catch(() => takeLease(pool, 'a'));
  const texts = Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, T0 + index * 1_000));
  await commit(pool, lease, texts);
};

const open = (signer: LogSigner, nextSigner?: LogSigner) => openBuilder(database.pool, signer, { nextSigner });
const order = (...of: [LogSigner, 'rotation' | 'lost' | 'compromised', number?]) => orderNewKey(database.pool, ...of);
const expectSigned = async (...signers: readonly LogSigner[]) =>
  expect(await signersOfNewest(database.pool)).toEqual(await idsOf(database.pool, ...signers));
const newestNote = async (log: 'events' | 'journal') => {
  const { rows } = await database.pool.query<{ note: string }>(
    'select note from evidence_checkpoints where log = $1 order by generation desc, size desc limit 1',
    [log],
  );
  return rows[0]?.note ?? '';
};

/** Exports with what a process has that has no key, asks both verifiers, and gives the policy. */
const judgeExport = async (anchors: readonly string[] = []) => {
  const folder = room.next();
  await exportTo(database.pool, old, folder, { publicKeys: [] });
  const { node, python } = await judge(folder, anchors);
  expect([node.faults, python.faults]).toEqual([[], []]);
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  return { folder, keys: read('policy.txt').match(/^log /gm)?.length, readme: read('README.txt') };
};

describe('a rotation', () => {
  test('has both keys sign, and a checkpoint that was kept by the old one can be compared', async () => {
    await addEvents(300, 'first');
    await open(old).build();
    const kept = [await newestNote('events'), await newestNote('journal')];
    await order(fresh, 'rotation');
    const both = open(old, fresh);
    await both.build();
    // No event has come: the checkpoint of the events is signed again.
    await expectSigned(old, fresh);
    expect(await judgeExport(kept)).toMatchObject({ keys: 4, readme: expect.stringContaining('Until 2') });
    await addEvents(20, 'second');
    await both.build();
    await expectSigned(old, fresh);
    await expect(open(old).build()).rejects.toThrow(/two keys sign the evidence until .* has not both/);
    await expect(open(fresh).build()).rejects.toThrow(/two keys sign the evidence until .* has not both/);
    await open(fresh, old).build();
    expect(await readEvidenceStatus(database.pool)).toMatchObject({
      keyOrdered: null,
      oldKeyUntil: expect.any(String),
    });
  });

  test('whose time is over leaves the new key alone, with and without new events', async () => {
    await addEvents(300, 'first');
    await open(old).build();
    const kept = [await newestNote('events')];
    await order(fresh, 'rotation', 1);
    await open(old, fresh).build();
    await expectSigned(fresh);
    expect(await judgeExport(kept)).toMatchObject({ keys: 2, readme: expect.stringContaining('THE KEY OF THE LOG') });
    await addEvents(20, 'second');
    await expect(open(old).build()).rejects.toThrow(
      'the key of the evidence was replaced, and this process has only the old one',
    );
    await open(fresh).build();
    await open(old, fresh).build();
    await expectSigned(fresh);
    expect(await judgeExport(kept)).toMatchObject({ keys: 2 });
    expect(await createServedStore(database.pool).vkeys()).toHaveLength(2);
    await order(newest, 'rotation', 1);
    await open(newest, fresh).build();
    expect(await judgeExport(kept)).toMatchObject({ keys: 2 });
  });

  test('that is ordered is left to a process that has the new key; the old one signs until it is stated', async () => {
    await addEvents(10, 'first');
    const { builder, build } = open(old);
    await build();
    expect(builder.isToYield).toBe(false);
    await order(fresh, 'rotation');
    await addEvents(10, 'second');
    await build();
    expect(builder.isToYield).toBe(true);
    await expectSigned(old);
    expect(await readEvidenceStatus(database.pool)).toMatchObject({ keyOrdered: 'rotation', oldKeyUntil: null });
    await expect(open(fresh).build()).rejects.toThrow('is not the one that the journal of the evidence names');
    await open(old, fresh).build();
    await expectSigned(old, fresh);
    await expect(build()).rejects.toThrow('has not both');
  });

  test('is stated once and signed by both, killed between any two statements', async () => {
    const { pool } = database;
    await addEvents(300, 'first');
    await open(old).build();
    await order(fresh, 'rotation');
    let crashes = 0;
    for (let at = 1, isDone = false; !isDone; at += 1) {
      let calls = 0;
      const store = crashingStore(createEvidenceStore(pool, 'host/1/x', 30_000), () => {
        calls += 1;
        return calls === Math.ceil(at / 2) ? (at % 2 === 0 ? 'after' : 'before') : undefined;
      });
      try {
        await openBuilder(pool, old, { nextSigner: fresh, store }).build();
        isDone = true;
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
        crashes += 1;
      }
    }
    expect(crashes).toBeGreaterThan(10);
    await expectSigned(old, fresh);
    const { rows } = await pool.query(
      `select count(*)::integer as statements from evidence_journal where kind = 'key'`,
    );
    expect(rows).toEqual([{ statements: 1 }]);
    await judgeExport();
  });
});

describe('a key that is lost or stolen', () => {
  test.each(['lost', 'compromised'] as const)('signs nothing any more, and the new one alone: %s', async (reason) => {
    await addEvents(300, 'first');
    const before = open(old);
    await before.build();
    const kept = [await newestNote('events'), await newestNote('journal')];
    await order(fresh, reason);
    await addEvents(20, 'second');
    await expect(before.build()).rejects.toThrow(
      `the key of the evidence was ${reason}, and this process has not the new one`,
    );
    await expectSigned(old);
    await open(fresh).build();
    await expectSigned(fresh);
    await open(old, fresh).build();
    const { keys, readme } = await judgeExport(kept);
    expect(keys).toBe(2);
    expect(readme.includes('A key was stolen')).toBe(reason === 'compromised');
    const text = (await database.pool.query(`select text from evidence_journal where kind = 'key'`)).rows[0].text;
    expect(JSON.parse(text)).toMatchObject({ reason, first_size: 300, by: 'J. Doe' });
    expect(JSON.parse(text)).not.toHaveProperty('old_signs_until');
  });

  test('while two keys sign ends that', async () => {
    await addEvents(10, 'first');
    await open(old).build();
    await order(fresh, 'rotation');
    await open(old, fresh).build();
    await order(fresh, 'lost');
    await open(fresh).build();
    await expectSigned(fresh);
    await judgeExport();
  });

  test.each(['lost', 'compromised'] as const)('goes on only from what an anchor has: %s', async (reason) => {
    const { pool } = database;
    const directory = join(room.folder, 'worm');
    mkdirSync(directory);
    await addEvents(300, 'first');
    const first = openAnchoringBuilder(pool, old, [directoryAnchor(directory)]);
    await first.build();
    const rewind = await rememberForRewind(pool);
    await addEvents(20, 'second');
    await first.build();
    await first.anchor();
    await rewind();
    await order(fresh, reason);
    const after = openAnchoringBuilder(pool, fresh, [directoryAnchor(directory)]);
    expect(await after.build()).toMatchObject({ kind: 'stopped' });
    expect(after.stops).toEqual([expect.stringMatching(/^behind: a checkpoint of 320 events is kept at file:/)]);
    await expectSigned(old);
  });

  test('that is stolen cannot stop the log by what the thief writes to an anchor', async () => {
    const { pool } = database;
    const directory = join(room.folder, 'worm');
    mkdirSync(directory);
    await addEvents(300, 'first');
    await openAnchoringBuilder(pool, old, [directoryAnchor(directory)]).build();
    await order(fresh, 'compromised');
    const anchors = [directoryAnchor(directory)];
    await openAnchoringBuilder(pool, old, anchors, undefined, fresh).build();
    const origin = (await createEvidenceStore(pool, 'key', 0).readLogs())?.events.origin ?? '';
    const forged = await signCheckpoint({ origin, size: 999, root: Buffer.alloc(32) }, [old]);
    mkdirSync(join(directory, 'events/checkpoints'), { recursive: true });
    writeFileSync(join(directory, 'events/checkpoints', '999'.padStart(20, '0')), forged);
    await addEvents(20, 'second');
    const after = openAnchoringBuilder(pool, old, anchors, undefined, fresh);
    expect(await after.build()).toMatchObject({ kind: 'done', size: 320 });
    await expectSigned(fresh);
  });
});

test('a statement about a key that was not ordered is refused, whatever account makes it', async () => {
  await addEvents(10, 'first');
  const { build, store, claim } = open(old);
  await build();
  const [held, logs] = [await claim(), await store.readLogs()];
  if (held === undefined || logs === undefined) throw new Error('there is no log');
  const { events, journal } = logs;
  const vkeys = [keyOfLog(events.origin, fresh.publicKey)].map(String);
  const growing = (text: string) =>
    store.grow({
      ...held,
      from: { events: events.size, journal: journal.size },
      to: { events, journal: { size: journal.size + 1, root: journal.root } },
      tiles: [],
      monthKeys: [],
      sources: [],
      entries: [{ kind: 'key', ref: '1', text }],
    });
  expect(await growing(JSON.stringify({ reason: 'lost', new_vkeys: vkeys }))).toBe('stale');
  await order(fresh, 'rotation');
  expect(await growing(JSON.stringify({ reason: 'rotation', new_vkeys: vkeys }))).toBe('stale');
  expect((await store.readLogs())?.journal.size).toBe(journal.size);
});
