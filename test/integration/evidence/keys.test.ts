import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createEvidenceStore, readKeyHistory } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../../../src/evidence/builder/ports.ts';
import { keyOfLog, signCheckpoint } from '../../../src/evidence/builder/signing-keys.ts';
import { createServedStore } from '../../../src/evidence/served-store.sql.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../support/evidence/anchors/anchoring-builder.ts';
import { fork, newestNotes, newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { idsOf, orderNewKey, signersOfNewest } from '../../support/evidence/key-orders.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';
import { stateOnce } from '../../support/evidence/stated-coverage.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { seconds } from '../../support/postgres/store-fixture.ts';

const [old, fresh, newest] = [newSigner(), newSigner(), newSigner()];
const world = worldOfEachTest();
const pool = poolOfTests(world);

describe('a rotation', () => {
  test('has both keys sign, and a checkpoint that was kept by the old one can be compared', async () => {
    await world.addEvents(300, 'first');
    await open(old).build();
    const kept = await newestNotes(pool);
    await order(fresh, 'rotation');
    const both = open(old, fresh);
    await both.build();
    // No event has come: the checkpoint of the events is signed again.
    await expectSigned(old, fresh);
    expect(await judgeExport(kept)).toMatchObject({ keys: 4, readme: expect.stringContaining('Until 2') });
    await world.addEvents(20, 'second');
    await both.build();
    await expectSigned(old, fresh);
    await expect(open(old).build()).rejects.toThrow(/two keys sign the evidence until .* has not both/);
    await expect(open(fresh).build()).rejects.toThrow(/two keys sign the evidence until .* has not both/);
    await open(fresh, old).build();
    expect(await world.status()).toMatchObject({ keyOrdered: null, oldKeyUntil: expect.any(String) });
  });

  test('whose time is over leaves the new key alone, with and without new events', async () => {
    await world.addEvents(300, 'first');
    await open(old).build();
    const kept = (await newestNotes(pool)).slice(0, 1);
    await order(fresh, 'rotation', 1);
    await open(old, fresh).build();
    await expectSigned(fresh);
    expect(await judgeExport(kept)).toMatchObject({ keys: 2, readme: expect.stringContaining('THE KEY OF THE LOG') });
    await world.addEvents(20, 'second');
    await expect(open(old).build()).rejects.toThrow(
      'the key of the evidence was replaced, and this process has only the old one',
    );
    await open(fresh).build();
    await open(old, fresh).build();
    await expectSigned(fresh);
    expect(await judgeExport(kept)).toMatchObject({ keys: 2 });
    expect(await createServedStore(pool).vkeys()).toHaveLength(2);
    await order(newest, 'rotation', 1);
    await open(newest, fresh).build();
    expect(await judgeExport(kept)).toMatchObject({ keys: 2 });
  });

  test('that is ordered is left to a process that has the new key; the old one signs until it is stated', async () => {
    await world.addEvents(10, 'first');
    const { builder, build } = open(old);
    await build();
    expect(builder.isToYield).toBe(false);
    await order(fresh, 'rotation');
    await world.addEvents(10, 'second');
    await build();
    expect(builder.isToYield).toBe(true);
    await expectSigned(old);
    expect(await world.status()).toMatchObject({ keyOrdered: 'rotation', oldKeyUntil: null });
    await expect(open(fresh).build()).rejects.toThrow('is not the one that the journal of the evidence names');
    await open(old, fresh).build();
    await expectSigned(old, fresh);
    await expect(build()).rejects.toThrow('has not both');
  });

  test('is stated once and signed by both, killed between any two statements', async () => {
    await world.addEvents(300, 'first');
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
    expect((await world.journal()).filter(({ kind }) => kind === 'key')).toHaveLength(1);
    await judgeExport();
  });
});

describe('a key that is lost or stolen', () => {
  test.each(['lost', 'compromised'] as const)('signs nothing any more, and the new one alone: %s', async (reason) => {
    await world.addEvents(300, 'first');
    const before = open(old);
    await before.build();
    const kept = await newestNotes(pool);
    await order(fresh, reason);
    await world.addEvents(20, 'second');
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
    const statement = (await world.journal()).find(({ kind }) => kind === 'key');
    expect(statement).toMatchObject({ reason, first_size: 300, by: 'J. Doe' });
    expect(statement).not.toHaveProperty('old_signs_until');
  });

  test('while two keys sign ends that', async () => {
    await world.addEvents(10, 'first');
    await open(old).build();
    await order(fresh, 'rotation');
    await open(old, fresh).build();
    await order(fresh, 'lost');
    await open(fresh).build();
    await expectSigned(fresh);
    await judgeExport();
  });

  test.each(['lost', 'compromised'] as const)('goes on only from what an anchor has: %s', async (reason) => {
    const directory = mkdtempSync(join(world.room.folder, 'worm-'));
    await world.addEvents(300, 'first');
    const first = openAnchoringBuilder(pool, old, [directoryAnchor(directory)]);
    await first.build();
    const rewind = await rememberForRewind(pool);
    await world.addEvents(20, 'second');
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
    const directory = mkdtempSync(join(world.room.folder, 'worm-'));
    await world.addEvents(300, 'first');
    await openAnchoringBuilder(pool, old, [directoryAnchor(directory)]).build();
    await order(fresh, 'compromised');
    const anchors = [directoryAnchor(directory)];
    await openAnchoringBuilder(pool, old, anchors, undefined, fresh).build();
    const origin = (await createEvidenceStore(pool, 'key', 0).readLogs())?.events.origin ?? '';
    const forged = await signCheckpoint({ origin, size: 999, root: Buffer.alloc(32) }, [old]);
    mkdirSync(join(directory, 'events/checkpoints'), { recursive: true });
    writeFileSync(join(directory, 'events/checkpoints', '999'.padStart(20, '0')), forged);
    await world.addEvents(20, 'second');
    const after = openAnchoringBuilder(pool, old, anchors, undefined, fresh);
    expect(await after.build()).toMatchObject({ kind: 'done', size: 320 });
    await expectSigned(fresh);
  });
});

test.each(['rotation', 'compromised'] as const)(
  'a bundle of one source and a fork begin with the new key, name the old one, and are compared with what that one signed: %s',
  async (reason) => {
    const sources = ['a', 'b'].map((source) => ({ source, claims: [seconds(0, 1)] }));
    const coverage = stateOnce;
    for (const source of sources) await world.addEvents(300, source.source, source);
    await world.open({ coverage }, old).build();
    const kept = await newestNotes(pool);
    await order(fresh, reason, reason === 'rotation' ? 1 : 0);
    await world.open({ nextSigner: fresh, coverage }, old).build();
    await world.addEvents(40, 'later', sources[0]);
    await world.open({ coverage }, fresh).build();

    const publicKeys = [fresh.publicKey];
    const keysOf = (folder: string) => readFileSync(join(folder, 'policy.txt'), 'utf8').match(/^log /gm)?.length;
    const anchors = kept.map((note, index) => ({ name: `kept ${index}`, note: Buffer.from(note) }));
    const part = await world.export({ source: { kind: 'organization', id: 'a' }, anchors, publicKeys });
    expect(part).toMatchObject({ events: 340, part: { leaves: 340 } });
    expect(keysOf(part.folder)).toBe(2);
    if (reason === 'rotation')
      expect(readFileSync(join(part.folder, 'README.txt'), 'utf8')).toContain('THE KEY OF THE LOG HAS CHANGED');
    const judged = await judgedSound(part.folder, kept);
    expect(judged.node.claims).toMatch(/the first 600 leaves of \S+ are those of anchor/);
    expect(judged.python.claims).toMatch(/which you kept, is a part of this history \(its first 600 leaves\)/);

    await world.stop();
    const made = await fork(pool, fresh, { keys: await readKeyHistory(pool, 1) });
    expect(made).toMatchObject({ generation: 2, size: 640, common: { size: 640 } });
    await world.addEvents(20, 'last', sources[1]);
    await world.open({ coverage }, fresh).build();
    const whole = await world.export({ publicKeys });
    expect(keysOf(whole.folder)).toBe(2);
    const { node } = await judgedSound(whole.folder, kept);
    expect(node.claims).toMatch(/the first 600 leaves of \S+ are those of anchor/);
    const [{ old_vkeys: earlier, stolen_vkeys: stolen }] = await world.journal(2);
    expect([earlier?.length, stolen?.length]).toEqual([2, reason === 'rotation' ? undefined : 2]);
  },
);

test('a statement about a key that was not ordered is refused, whatever account makes it (invariant 15)', async () => {
  await world.addEvents(10, 'first');
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

const open = (signer: LogSigner, nextSigner?: LogSigner) => world.open({ nextSigner }, signer);
const order = (...of: [LogSigner, 'rotation' | 'lost' | 'compromised', number?]) => orderNewKey(pool, ...of);

const expectSigned = async (...signers: readonly LogSigner[]) =>
  expect(await signersOfNewest(pool)).toEqual(await idsOf(pool, ...signers));

/** Exports with what a process has that has no key, asks both verifiers, and gives the policy. */
const judgeExport = async (anchors: readonly string[] = []) => {
  const { folder } = await world.export({ publicKeys: [] });
  await judgedSound(folder, anchors);
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  return { keys: read('policy.txt').match(/^log /gm)?.length, readme: read('README.txt') };
};
