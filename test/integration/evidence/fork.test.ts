import { describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { SignedCheckpoint } from '../../../src/evidence/builder/ports.ts';
import { createGenerationStore } from '../../../src/evidence/generations/end-log.sql.ts';
import type { Fork, ForkOptions } from '../../../src/evidence/generations/fork-log.ts';
import { openKnownNote } from '../../../src/evidence/generations/known-checkpoints.ts';
import { BASE, fork as forkOf, newSigner } from '../../support/evidence/builder-world.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest();
const pool = poolOfTests(world);

describe('a fork', () => {
  test('goes on with the tree of a log that is behind, under the next name, and says what is common and what is lost', async () => {
    const before = await behind();
    const made = await fork(eventsOf(before.signed));
    expect(made).toMatchObject({ generation: 2, size: 300, knownSize: 500, common: { size: 300 } });
    const id = (await knownOf()).feedId;
    expect([made.oldOrigin, made.origin]).toEqual([`${BASE}/${id}.1/events`, `${BASE}/${id}.2/events`]);
    await world.addEvents(50, 'c', { source: 'c' });
    const after = world.open();
    expect(await after.build()).toMatchObject({ kind: 'done', size: 350 });
    const { rows } = await pool.query(
      `select origin, size::integer as size, encode(root, 'base64') as root from evidence_logs where name = 'journal' and generation = 1`,
    );
    const journal = await world.journal(2);
    expect(journal.map(({ kind, ref }) => `${kind} ${ref}`)).toEqual([
      'fork 1',
      'source organization/a',
      'source organization/b',
      'source organization/c',
    ]);
    expect(journal[0]).toMatchObject({
      last_note: eventsOf(before.signed).at(-1)?.note,
      common_size: 300,
      cause: 'restored',
      by: 'J. Doe',
      vkeys: made.vkeys,
      tree: { origin: made.origin, size: 300 },
      old_journal: rows[0],
    });
    expect(new Set(after.signed.map(({ origin }) => origin))).toEqual(
      new Set([made.origin, made.origin.replace('events', 'journal')]),
    );
    const report = await world.verified(anchorsOf(after.signed));
    expect(report.claims.join('\n')).toContain('of 350 events 350 are as they were hashed');
    // The leaves of both generations are one tree up to the common size.
    const old = eventsOf(before.signed).find(({ size }) => size === 300);
    expect(made.common.root).toEqual(old?.root);
  });

  test('of a log that another history has taken has in common what an anchor proves, and no more', async () => {
    const before = await behind();
    // Another process did not know, and signed other leaves after the same 300.
    await pool.query(`update evidence_logs set state = 'ok', state_reason = null`);
    await world.addEvents(250, 'c', { source: 'c' });
    const other = world.open();
    await other.build();
    expect(await before.build()).toMatchObject({ kind: 'stopped' });
    const kept = eventsOf(before.signed);
    expect(await fork(kept)).toMatchObject({ size: 550, common: { size: 300 }, knownSize: 550 });
    expect((await world.journal(2))[0]).toMatchObject({
      common_size: 300,
      last_note: eventsOf(other.signed).at(-1)?.note,
    });
  });

  test('without any checkpoint that it holds has nothing in common', async () => {
    const before = await behind();
    await pool.query('truncate evidence_checkpoints');
    const made = await fork(eventsOf(before.signed).slice(-1));
    expect(made).toMatchObject({ common: { size: 0 }, knownSize: 500, size: 300 });
    await world.build();
    await world.verified();
  });

  test('is counted on from the latest generation that a known checkpoint has', async () => {
    const before = await behind();
    const rewind = await rememberForRewind(pool);
    await fork(eventsOf(before.signed));
    const lost = world.open();
    await lost.build();
    // The fork itself is lost.
    await rewind();
    const made = await fork(eventsOf(lost.signed));
    expect(made).toMatchObject({ generation: 3, common: { size: 300 } });
    expect(await world.build()).toMatchObject({ kind: 'done' });
    await world.verified();
  });

  test('states drops, holds, jumps and changed content once more, and signs only once all of it is stated', async () => {
    await world.allowDrops('2024-01-01', '2025-02-28');
    const before = world.open();
    const months = Array.from({ length: 14 }, (_, month) => new Date(Date.UTC(2024, month, 5)));
    for (const month of months) await world.addEvents(3, month.toISOString(), { fromMs: month.getTime() });
    await world.addEvents(2, 'late');
    await commit(pool, await takeLease(pool, 'a'), [entryText('late-1', T0 + 1_000, { other: 'content' })]);
    await before.build();
    for (const month of months) {
      expect(await world.drop(month.toISOString().slice(0, 7))).toBeNull();
    }
    await before.build();
    // A hold of everything: of what was dropped before, it says nothing.
    await pool.query(`insert into holds (reason, created_by) values ('case 17', 'J. Doe')`);
    await before.build();
    await world.stop();
    await fork();
    const after = world.open({ chunk: 5 });
    await after.build();
    expect(after.signed.map(({ log, size }) => [log, size])).toEqual([
      ['events', 44],
      ['journal', 2 + 14 + 1 + 1],
    ]);
    const kinds = (await world.journal(2)).map(({ kind }) => kind);
    expect(kinds.slice(0, 2)).toEqual(['fork', 'source']);
    expect(kinds.toSorted()).toEqual(['change', ...Array(14).fill('drop'), 'fork', 'hold', 'source']);
    const report = await world.verified();
    expect(report.claims.join('\n')).toContain('of 44 events 2 are as they were hashed, 42 were dropped as stated');
  });

  test('is refused while the log can go on, is halted, or is not there', async () => {
    await expect(fork()).rejects.toThrow('there is no log yet');
    await world.addEvents(3, 'a');
    await world.build();
    await expect(fork()).rejects.toThrow(
      'the log is ok: only one that is behind, forked or ended is followed by another',
    );
    await pool.query(`update evidence_logs set state = 'halted'`);
    await expect(fork()).rejects.toThrow('the log is halted');
    const copy = pool.query('select * from orgtrail_copy_evidence(1, 2, -1, -1, 100)');
    await expect(copy).rejects.toThrow('generation 1 goes on');
  });

  test('believes no note of another key, of another log, or of an earlier generation', async () => {
    const before = await behind();
    const of = await knownOf();
    const [note] = eventsOf(before.signed).map((one) => Buffer.from(one.note));
    const journal = Buffer.from(before.signed.find(({ log }) => log === 'journal')?.note ?? '');
    if (note === undefined) throw new Error('nothing is signed');
    expect(() => openKnownNote(note, of, newSigner().publicKey)).toThrow('is not signed by a known key');
    expect(() => openKnownNote(journal, of, world.signer.publicKey)).toThrow(
      'which is not the log of the events of this feed',
    );
    expect(() => openKnownNote(note, { ...of, base: 'other.example.com' }, world.signer.publicKey)).toThrow(
      'which is not',
    );
    expect(() => openKnownNote(note, { ...of, generation: 2 }, world.signer.publicKey)).toThrow(
      'is of generation 1, before',
    );
    // What another key signed in the table of the database counts as little.
    await pool.query(`update evidence_checkpoints set note = replace(note, '—', '— x')`);
    expect(await fork()).toMatchObject({ common: { size: 0 }, lastNote: '' });
  });
});

describe('who knows the old generation only', () => {
  test('signs it no more: a process that held its lease, one that waited, and one that has it in memory (invariant 15)', async () => {
    const before = await behind();
    const waiting = world.open({ owner: 'other-host/1/y' });
    const claim = await before.claim();
    const { store } = waiting;
    await fork(eventsOf(before.signed));
    await world.addEvents(10, 'c', { source: 'c' });
    const signed = before.signed.length;
    if (claim === undefined) throw new Error('it has the lease');
    await expect(before.builder.step(claim)).rejects.toThrow('another generation of the evidence has begun');
    // As a process of an earlier version would, with the epoch that it has.
    const { rows } = await pool.query<{ size: number; root: Buffer; epoch: number }>(
      `select size::float8 as size, root, lease_epoch::float8 as epoch from evidence_logs where name = 'events' and generation = 1`,
    );
    const [row] = rows;
    if (row === undefined) throw new Error('there is no log');
    const checkpoint = { origin: `${BASE}/${(await knownOf()).feedId}.1/events`, size: row.size, root: row.root };
    expect(await store.noteCheckpoint({ generation: 1, epoch: row.epoch }, 'events', checkpoint, 'x')).toBe(false);
    await store.noteState({ generation: 1, epoch: row.epoch }, 'ok', undefined);
    expect(await store.noteCheckpoint({ generation: 1, epoch: row.epoch }, 'events', checkpoint, 'x')).toBe(false);
    const grown = store.grow({
      generation: 1,
      epoch: row.epoch,
      from: { events: row.size, journal: 3 },
      to: { events: { size: row.size, root: row.root }, journal: { size: 3, root: row.root } },
      tiles: [],
      monthKeys: [],
      sources: [],
      entries: [],
    });
    expect(await grown).toBe('stale');
    // The process goes on with the new one.
    expect(await before.build()).toMatchObject({ kind: 'done', size: 310 });
    expect(new Set(before.signed.slice(signed).map(({ origin }) => origin.includes('.2/')))).toEqual(new Set([true]));
    await world.verified();
  });
});

describe('a fork that is killed between any two statements', () => {
  test('is repeated, and makes one next generation (invariant 15)', async () => {
    const before = await behind();
    const kept = eventsOf(before.signed);
    let isDone = false;
    let crashes = 0;
    for (let at = 0; !isDone; at += 1) {
      let calls = 0;
      const crashing = () => {
        calls += 1;
        return calls === Math.floor(at / 2) + 1 ? (at % 2 === 0 ? 'before' : 'after') : undefined;
      };
      const store = crashingStore(createEvidenceStore(pool, 'fork', 0), crashing);
      const generations = crashingStore(createGenerationStore(pool), crashing);
      try {
        await fork(kept, { store, generations, tilesAtOnce: 1 });
        isDone = true;
      } catch (error) {
        crashes += error instanceof Crash ? 1 : 0;
        // The last one had been done.
        isDone = error instanceof Error && error.message.startsWith('the log is building');
        if (!(error instanceof Crash) && !isDone) throw error;
      }
      const { rows } = await pool.query('select generation, state from evidence_logs order by generation');
      expect([2, 4]).toContain(rows.length);
    }
    expect(crashes).toBeGreaterThan(12);
    const after = world.open();
    await after.build();
    expect((await world.journal(2)).filter(({ kind }) => kind === 'fork')).toHaveLength(1);
    await world.verified(anchorsOf(after.signed));
  });

  test('two at once make one: the other is told', async () => {
    const before = await behind();
    const kept = eventsOf(before.signed);
    const both = await Promise.allSettled([fork(kept, { tilesAtOnce: 1 }), fork(kept, { tilesAtOnce: 2 })]);
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await world.build();
    await world.verified();
  });
});

const knownOf = async () => {
  const { rows } = await pool.query<{ id: string }>('select feed_id::text as id from feed_head');
  return { base: BASE, feedId: rows[0]?.id ?? '', generation: 1 };
};

const fork = async (kept: readonly SignedCheckpoint[] = [], more: Partial<ForkOptions> = {}): Promise<Fork> => {
  const of = await knownOf();
  const notes = kept.map(({ note }) => openKnownNote(Buffer.from(note), of, world.signer.publicKey));
  return await forkOf(pool, world.signer, { kept: notes, ...more });
};

const eventsOf = (signed: readonly SignedCheckpoint[]) => signed.filter(({ log }) => log === 'events');

const anchorsOf = (signed: readonly SignedCheckpoint[]) =>
  signed.map(({ note }, index) => ({ name: `anchor ${index}`, note: Buffer.from(note) }));

/** 300 events signed, 200 more signed and lost; a builder that knows that, and has found out. */
const behind = async () => {
  const before = world.open();
  await world.addEvents(200, 'a');
  await world.addEvents(100, 'b', { source: 'b' });
  await before.build();
  const rewind = await rememberForRewind(pool);
  await world.addEvents(200, 'lost');
  await before.build();
  await rewind();
  expect(await before.build()).toMatchObject({ kind: 'stopped' });
  return before;
};
