import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { endLog } from '../../../src/evidence/generations/end-log.ts';
import { forkLog } from '../../../src/evidence/generations/fork-log.ts';
import { createGenerationStore } from '../../../src/evidence/generations/generation-store.sql.ts';
import { readEvidenceStatus } from '../../../src/evidence/stored/evidence-status.sql.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { BundleRoom, exportTo, judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { verifyDatabase } from '../../support/evidence/bundles/verify-database.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const signer = newSigner();
const EARLY = Date.UTC(2025, 0, 5);

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await database?.close();
});

const addEvents = async (count: number, name: string, fromMs = T0) => {
  const { pool } = database;
  const lease = await newSource(pool, 'a').catch(() => takeLease(pool, 'a'));
  const texts = Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, fromMs + index * 1_000));
  await commit(pool, lease, texts);
};

const end = (more: Partial<Parameters<typeof endLog>[0]> = {}) => {
  const { pool } = database;
  const said = { reason: 'the engagement is over', by: 'J. Doe', isStated: true };
  return endLog({
    store: createEvidenceStore(pool, 'end', 0),
    generations: createGenerationStore(pool),
    ...said,
    ...more,
  });
};

const lastStatement = async () => {
  const { rows } = await database.pool.query<{ text: string }>(
    'select text from evidence_journal order by generation desc, index desc limit 1',
  );
  return JSON.parse(rows[0]?.text ?? '');
};

const drop = async () => {
  const { rows } = await database.pool.query<{ obstacle: string | null }>(
    `select orgtrail_drop_month('2025-01-01', '30 days') as obstacle`,
  );
  return rows[0]?.obstacle;
};

describe('a log that was ended', () => {
  beforeEach(async () => {
    await database.pool.query("select orgtrail_create_partitions('2025-01-01', '2026-02-01')");
    await database.pool.query('update discovery set server_time = clock_timestamp()');
  });

  test('has a last statement that is signed, no leaf follows, and retention does not wait for it', async () => {
    const { pool } = database;
    const { build, signed } = openBuilder(pool, signer);
    await addEvents(10, 'before', EARLY);
    await build();
    await addEvents(5, 'beyond', EARLY + 3_600_000);
    expect(await drop()).toBe('the evidence is at position 10, and still needs events up to 15');
    await end();
    expect(await lastStatement()).toMatchObject({
      type: 'end',
      reason: 'the engagement is over',
      by: 'J. Doe',
      tree: { size: 10 },
    });
    expect(await build()).toEqual({ kind: 'stopped', size: 10 });
    expect(await build()).toEqual({ kind: 'stopped', size: 10 });
    expect(signed.map(({ log, size }) => [log, size]).slice(2)).toEqual([['journal', 3]]);
    const report = await verifyDatabase(pool, signer);
    expect(report.faults).toEqual([]);
    expect(await readEvidenceStatus(pool)).toMatchObject({ state: 'ended', stateReason: 'the engagement is over' });
    expect(await drop()).toBeNull();
    await expect(end()).rejects.toThrow('the log has been ended already');
  });

  test('cannot grow, whatever a process knows of it: one of an earlier version is refused', async () => {
    const { pool } = database;
    const { build, claim, store } = openBuilder(pool, signer);
    await addEvents(3, 'before');
    await build();
    const held = await claim();
    await end();
    const logs = await store.readLogs();
    if (held === undefined || logs === undefined) throw new Error('there is no log');
    const { events, journal } = logs;
    const growing = store.grow({
      ...held,
      from: { events: events.size, journal: journal.size },
      to: { events, journal: { size: journal.size + 1, root: journal.root } },
      tiles: [],
      monthKeys: [],
      sources: [],
      entries: [{ kind: 'hold', ref: '1/added', text: '{}' }],
    });
    await expect(growing).rejects.toThrow('evidence: the log was ended');
  });

  test('without a key, or if nothing can be signed, is ended in the database alone', async () => {
    const { pool } = database;
    await expect(end()).rejects.toThrow('there is no log to end');
    const { build, signed } = openBuilder(pool, signer);
    await addEvents(10, 'before', EARLY);
    await build();
    await pool.query(`update evidence_logs set state = 'forked', state_reason = 'by this test'`);
    await expect(end()).rejects.toThrow('the log is forked, so that no last statement can be signed');
    const before = signed.length;
    await end({ isStated: false });
    expect(await lastStatement()).toMatchObject({ type: 'source' });
    expect(await build()).toMatchObject({ kind: 'stopped' });
    expect(signed).toHaveLength(before);
    expect(await drop()).toBeNull();
  });

  test('is ended while a process builds, and is ended once, killed between any two statements', async () => {
    const { pool } = database;
    const { build } = openBuilder(pool, signer);
    await addEvents(300, 'before');
    await build();
    let isDone = false;
    let crashes = 0;
    for (let at = 0; !isDone; at += 1) {
      await addEvents(1, `more-${at}`);
      let calls = 0;
      const crashing = () => {
        calls += 1;
        return calls === Math.floor(at / 2) + 1 ? (at % 2 === 0 ? 'before' : 'after') : undefined;
      };
      const store = crashingStore(createEvidenceStore(pool, 'end', 0), crashing);
      const generations = crashingStore(createGenerationStore(pool), crashing);
      try {
        const [built] = await Promise.allSettled([build(), end({ store, generations })]).then(([one, other]) => {
          if (other.status === 'rejected') throw other.reason;
          return [one];
        });
        expect(built?.status).toBe('fulfilled');
        isDone = true;
      } catch (error) {
        crashes += error instanceof Crash ? 1 : 0;
        isDone = error instanceof Error && error.message.includes('has been ended already');
        if (!(error instanceof Crash) && !isDone) throw error;
      }
    }
    expect(crashes).toBeGreaterThan(3);
    await build();
    const { rows } = await pool.query(`select count(*)::integer as ends from evidence_journal where kind = 'end'`);
    expect(rows).toEqual([{ ends: 1 }]);
    expect((await verifyDatabase(pool, signer)).faults).toEqual([]);
  });

  test('may be followed by another generation, which has leaves for what came meanwhile', async () => {
    const { pool } = database;
    const { build } = openBuilder(pool, signer);
    await addEvents(10, 'before');
    await build();
    await end();
    await build();
    await addEvents(20, 'meanwhile');
    const said = { reason: 'a new engagement', by: 'J. Doe', kept: [], version: '0.0.0-test' };
    const made = await forkLog({
      store: createEvidenceStore(pool, 'fork', 0),
      generations: createGenerationStore(pool),
      base: 'audit.example.com/evidence',
      publicKey: signer.publicKey,
      ...said,
    });
    expect(made).toMatchObject({ generation: 2, size: 10, common: { size: 10 } });
    expect(await build()).toMatchObject({ kind: 'done', size: 30 });
    expect((await verifyDatabase(pool, signer)).faults).toEqual([]);
  });

  test('states no drop any more: export and both verifiers say so, and the next generation states it', async () => {
    const { pool } = database;
    const { build } = openBuilder(pool, signer);
    await addEvents(10, 'early', EARLY);
    await addEvents(5, 'late');
    await build();
    await end();
    await build();
    using room = new BundleRoom();
    expect((await exportTo(pool, signer, room.next())).logs).toMatchObject({ state: 'ended' });
    expect(await drop()).toBeNull();
    await expect(exportTo(pool, signer, room.next())).rejects.toMatchObject({
      code: 'evidence_fails',
      message: 'a month was dropped, and no signed statement says so',
      hint: expect.stringContaining('the log has ended, and no statement follows; `orgtrail evidence fork`'),
    });
    const folder = room.next();
    const { report } = await exportTo(pool, signer, folder, { despiteFaults: true });
    expect(report.notClaimed.join()).toContain('dropped by retention after the end of the log');
    const { node, python } = await judge(folder);
    expect([node.faults.length, python.faults.length]).toEqual([10, 10]);
    expect(readFileSync(join(folder, 'README.txt'), 'utf8')).toContain('Nothing is signed any more');
    const said = { reason: 'to state a drop', by: 'J. Doe', kept: [], version: '0.0.0-test' };
    const generations = createGenerationStore(pool);
    const store = createEvidenceStore(pool, 'fork', 0);
    await forkLog({ store, generations, base: 'audit.example.com/evidence', publicKey: signer.publicKey, ...said });
    await build();
    const next = room.next();
    await exportTo(pool, signer, next);
    const judged = await judge(next);
    expect([judged.node.faults, judged.python.faults]).toEqual([[], []]);
    expect(judged.node.claims).toContain('of 15 events 5 are as they were hashed, 10 were dropped as stated');
  });
});
