import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { beforeEach, describe, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { useArchive } from '../../../src/archive/catalogue.sql.ts';
import { dropOldMonths } from '../../../src/archive/retention.sql.ts';
import { openObjectStore } from '../../../src/archive/store.ts';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { createGenerationStore, endLog } from '../../../src/evidence/generations/end-log.sql.ts';
import { fork } from '../../support/evidence/builder-world.ts';
import { judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, newSource, RETENTION_MS } from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest();
const pool = poolOfTests(world);

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

  test('cannot grow, whatever a process knows of it: one of an earlier version is refused (invariant 15)', async () => {
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
    const made = await fork(pool, world.signer);
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
    await fork(pool, world.signer);
    await build();
    const { folder: next } = await world.export();
    const { node: sound } = await judgedSound(next);
    expect(sound.claims).toContain('of 15 events 5 are as they were hashed, 10 were dropped as stated');
  });
});

test('objects of an archive are stated, and the key that salts the leaves of a month stays with its payload', async () => {
  const { pool } = world;
  const { build } = world.open();
  await build();
  await world.allowDrops('2024-01-01', '2024-01-31');
  const texts = Array.from({ length: 20 }, (_, index) => entryText(`old-${index}`, Date.UTC(2024, 0, 5) + index));
  await commit(pool, await newSource(pool, 'a'), [...texts, entryText('young')]);
  const directory = mkdtempSync(join(world.room.folder, 'archive-'));
  const target = { kind: 'file', name: `file://${directory}`, directory } as const;
  const store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(pool, store.name);
  const archive = (month: string) => archiveMonth({ pool, store }, month);
  const waiting = await dropOldMonths(pool, RETENTION_MS, archive);
  expect(waiting.kept[0]?.reason).toBe('the evidence is at position 0, and still needs events up to 20');
  await build();
  expect((await dropOldMonths(pool, RETENTION_MS, archive)).dropped).toMatchObject([{ month: '2024-01', events: 20 }]);
  await build();
  const { rows } = await pool.query<{ kind: string; text: string }>(
    `select kind, text from evidence_journal where kind in ('archive', 'drop') order by index`,
  );
  const [object, drop] = rows.map(({ text }) => JSON.parse(text));
  const { rows: catalogue } = await pool.query(
    'select sha256, ids_sha256, raw_sha256, bytes::integer as bytes from archive_objects',
  );
  expect(rows.map(({ kind }) => kind)).toEqual(['archive', 'drop']);
  expect(object).toMatchObject({ id: 1, kind: 'events', month: '2024-01', events: 20, ...catalogue[0] });
  expect(object).toMatchObject({ first_position: 1, last_position: 20, ids_sha256: drop.ids_sha256 });
  const { rows: keys } = await pool.query('select month from evidence_month_keys order by 1');
  expect(keys).toEqual([{ month: '2024-01' }, { month: '2026-01' }]);
  await world.verified();
  await build();
  const { folder } = await world.export();
  await judgedSound(folder);
});

test('after a month is dropped, neither database nor bundle has a byte by which a guess of an event could be tested', async () => {
  const { pool } = world;
  await world.allowDrops();
  const early = Array.from({ length: 300 }, (_, index) => entry(index, Date.UTC(2025, 0, 5), SECRET));
  const late = Array.from({ length: 30 }, (_, index) =>
    entry(1_000 + index, Date.UTC(2025, 1, 5), 'j.doe@example.com'),
  );
  await commit(pool, await newSource(pool, 'a'), [...early, ...late]);
  await world.build();
  const { rows } = await pool.query<{ raw: string; key: Buffer }>(
    `select e.raw::text as raw, k.key from audit_events e, evidence_month_keys k where e.position = 7 and k.month = '2025-01'`,
  );
  const [raw = '', key] = [rows[0]?.raw, rows[0]?.key.toString('hex') ?? ''];
  // Before it is dropped, the search finds what it looks for.
  const needles = [...traces(raw), key];
  expect(await tablesWith(pool, traces(raw))).toEqual(['audit_events_2025_01']);
  expect(await tablesWith(pool, [key])).toEqual(['evidence_month_keys']);
  const { folder: whole } = await world.export();
  expect(filesWith(whole, needles)).toEqual([join(whole, 'events/payload/000000.oev')]);

  expect(await world.drop('2025-01')).toBeNull();
  await world.build();
  expect(await tablesWith(pool, needles)).toEqual([]);
  const { folder: bundle } = await world.export();
  expect(filesWith(bundle, needles)).toEqual([]);
  const { node } = await judgedSound(bundle);
  expect(node.claims).toContain('of 330 events 30 are as they were hashed, 300 were dropped as stated');
});

const EARLY = Date.UTC(2025, 0, 5);

const end = (more: Partial<Parameters<typeof endLog>[0]> = {}) => {
  return endLog({
    store: createEvidenceStore(pool, 'end', 0),
    generations: createGenerationStore(pool),
    reason: 'the engagement is over',
    by: 'J. Doe',
    isStated: true,
    ...more,
  });
};

/** What an attacker guesses. Nothing that is left may say whether the guess is right. */
const SECRET = 'the-guess-of-an-attacker@example.com';

const entry = (number: number, atMs: number, email: string): string =>
  JSON.stringify({ id: `id-${number}`, action: { time: new Date(atMs).toISOString() }, actor: { email } });

/** The ways in which an event could be recognized, as text. */
const traces = (raw: string): readonly string[] => {
  const digest = createHash('sha256').update(raw).digest();
  return [SECRET, digest.toString('hex'), digest.toString('base64'), digest.toString('latin1')];
};

/** Tables that have one of the traces in any column. */
const tablesWith = async (pool: Pool, needles: readonly string[]): Promise<readonly string[]> => {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace order by 1`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const { rows } = await pool.query<{ text: string }>(`select t::text as text from ${name} t`);
    if (rows.some(({ text }) => needles.some((needle) => text.includes(needle)))) found.push(name);
  }
  return found;
};

const filesWith = (folder: string, needles: readonly string[]): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && file.name !== 'verify.py')
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => {
      const text = readFileSync(path, 'latin1');
      return needles.some((needle) => text.includes(needle));
    });
