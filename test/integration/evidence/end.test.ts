import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { endLog } from '../../../src/evidence/generations/end-log.ts';
import { createGenerationStore } from '../../../src/evidence/generations/generation-store.sql.ts';
import { fork } from '../../support/evidence/builder-world.ts';
import { judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';

const world = worldOfEachTest();

describe('a log that was ended', () => {
  beforeEach(() => world.allowDrops());

  test('has a last statement that is signed, no leaf follows, and retention does not wait for it', async () => {
    const { build, signed } = world.open();
    await world.addEvents(10, 'before', { fromMs: EARLY });
    await build();
    await world.addEvents(5, 'beyond', { fromMs: EARLY + 3_600_000 });
    expect(await world.drop('2025-01')).toBe('the evidence is at position 10, and still needs events up to 15');
    await end();
    expect((await world.journal()).at(-1)).toMatchObject({
      kind: 'end',
      reason: 'the engagement is over',
      by: 'J. Doe',
      tree: { size: 10 },
    });
    expect(await build()).toEqual({ kind: 'stopped', size: 10 });
    expect(await build()).toEqual({ kind: 'stopped', size: 10 });
    expect(signed.map(({ log, size }) => [log, size]).slice(2)).toEqual([['journal', 3]]);
    await world.verified();
    expect(await world.status()).toMatchObject({ state: 'ended', stateReason: 'the engagement is over' });
    expect(await world.drop('2025-01')).toBeNull();
    await expect(end()).rejects.toThrow('the log has been ended already');
  });

  test('cannot grow, whatever a process knows of it: one of an earlier version is refused', async () => {
    const { build, claim, store } = world.open();
    await world.addEvents(3, 'before');
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
    await expect(end()).rejects.toThrow('there is no log to end');
    const { build, signed } = world.open();
    await world.addEvents(10, 'before', { fromMs: EARLY });
    await build();
    await world.stop();
    await expect(end()).rejects.toThrow('the log is forked, so that no last statement can be signed');
    const before = signed.length;
    await end({ isStated: false });
    expect((await world.journal()).at(-1)).toMatchObject({ kind: 'source' });
    expect(await build()).toMatchObject({ kind: 'stopped' });
    expect(signed).toHaveLength(before);
    expect(await world.drop('2025-01')).toBeNull();
  });

  test('is ended while a process builds, and is ended once, killed between any two statements', async () => {
    const { pool } = world;
    const { build } = world.open();
    await world.addEvents(300, 'before');
    await build();
    let isDone = false;
    let crashes = 0;
    for (let at = 0; !isDone; at += 1) {
      await world.addEvents(1, `more-${at}`);
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
    await world.verified();
  });

  test('may be followed by another generation, which has leaves for what came meanwhile', async () => {
    const { build } = world.open();
    await world.addEvents(10, 'before');
    await build();
    await end();
    await build();
    await world.addEvents(20, 'meanwhile');
    const made = await fork(world.pool, world.signer);
    expect(made).toMatchObject({ generation: 2, size: 10, common: { size: 10 } });
    expect(await build()).toMatchObject({ kind: 'done', size: 30 });
    await world.verified();
  });

  test('states no drop any more: export and both verifiers say so, and the next generation states it', async () => {
    const { build } = world.open();
    await world.addEvents(10, 'early', { fromMs: EARLY });
    await world.addEvents(5, 'late');
    await build();
    await end();
    await build();
    expect((await world.export()).logs).toMatchObject({ state: 'ended' });
    expect(await world.drop('2025-01')).toBeNull();
    await expect(world.export()).rejects.toMatchObject({
      code: 'evidence_fails',
      message: 'a month was dropped, and no signed statement says so',
      hint: expect.stringContaining('the log has ended, and no statement follows; `orgtrail evidence fork`'),
    });
    const { folder, report } = await world.export({ despiteFaults: true });
    expect(report.notClaimed.join()).toContain('dropped by retention after the end of the log');
    const { node, python } = await judge(folder);
    expect([node.faults.length, python.faults.length]).toEqual([10, 10]);
    expect(readFileSync(join(folder, 'README.txt'), 'utf8')).toContain('Nothing is signed any more');
    await fork(world.pool, world.signer);
    await build();
    const { folder: next } = await world.export();
    const { node: sound } = await judgedSound(next);
    expect(sound.claims).toContain('of 15 events 5 are as they were hashed, 10 were dropped as stated');
  });
});

const EARLY = Date.UTC(2025, 0, 5);

const end = (more: Partial<Parameters<typeof endLog>[0]> = {}) => {
  return endLog({
    store: createEvidenceStore(world.pool, 'end', 0),
    generations: createGenerationStore(world.pool),
    reason: 'the engagement is over',
    by: 'J. Doe',
    isStated: true,
    ...more,
  });
};
