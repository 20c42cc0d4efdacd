import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Pool } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { SignedCheckpoint } from '../../../src/evidence/builder/ports.ts';
import { keyOfLog } from '../../../src/evidence/builder/sign-log.ts';
import { bundleFiles, payloadPath } from '../../../src/evidence/bundle/layout.ts';
import { writePayloadRecord } from '../../../src/evidence/bundle/payload.ts';
import { forkLog } from '../../../src/evidence/generations/fork-log.ts';
import { createGenerationStore } from '../../../src/evidence/generations/generation-store.sql.ts';
import { openKnownNote } from '../../../src/evidence/generations/known-notes.ts';
import { writePolicy } from '../../../src/evidence/notes/policy.ts';
import { createServedStore } from '../../../src/evidence/served/served-store.sql.ts';
import { readStored } from '../../../src/evidence/stored/read-stored.sql.ts';
import { Dice } from '../../simulation/dice.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { verifyDatabase } from '../../support/evidence/bundles/verify-database.ts';
import { Crash, crashingStore } from '../../support/evidence/crashing-store.ts';
import { goBack, keepLogs } from '../../support/evidence/going-back.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const BASE = 'audit.example.com/evidence';
const SEEDS = [1, 2, 3, 4];
const signer = newSigner();

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await database?.close();
});

const addEvents = async (source: string, count: number, name: string, fromMs = T0) => {
  const { pool } = database;
  const lease = await takeLease(pool, source).catch(() => newSource(pool, source));
  const texts = Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, fromMs + index * 1_000));
  await commit(pool, lease, texts);
};

const fork = async (
  signed: readonly SignedCheckpoint[],
  crashes: () => 'before' | 'after' | undefined = () => undefined,
) => {
  const { pool } = database;
  const logs = await createEvidenceStore(pool, 'fork', 0).readLogs();
  if (logs === undefined) throw new Error('there is no log');
  const { feedId, generation } = logs;
  const kept = signed
    .filter(({ log, origin }) => log === 'events' && Number(/\.(\d+)\/events$/.exec(origin)?.[1]) >= generation)
    .map(({ note }) => openKnownNote(Buffer.from(note), { base: BASE, feedId, generation }, signer.publicKey));
  return await forkLog({
    store: crashingStore(createEvidenceStore(pool, 'fork', 0), crashes),
    generations: crashingStore(createGenerationStore(pool), crashes),
    base: BASE,
    publicKey: signer.publicKey,
    version: '0.0.0-test',
    reason: 'restored',
    by: 'J. Doe',
    kept,
    tilesAtOnce: 2,
  });
};

describe('a database that goes back again and again, and is forked each time', () => {
  test.each(SEEDS)('never signs what contradicts what it has given out: seed %i', async (seed) => {
    const { pool } = database;
    const dice = new Dice(seed);
    const signed: SignedCheckpoint[] = [];
    let one = openBuilder(pool, signer, { chunk: 50 });
    await one.build();
    await keepLogs(pool);
    for (let round = 0; round < 12; round += 1) {
      await addEvents(dice.pick(['a', 'b', 'c']), dice.between(1, 200), `round-${seed}-${round}`);
      await one.build();
      if (dice.chance(0.3)) await keepLogs(pool);
      if (!dice.chance(0.6)) continue;
      await goBack(pool);
      await pool.query(`update evidence_logs set timeline = 'of a lost server'`);
      await one.build();
      signed.push(...one.signed);
      // A process that knows nothing of before, or one that does.
      one = openBuilder(pool, signer, { chunk: 50 });
      for (let isForked = false; !isForked; ) {
        try {
          await fork(signed, () => (dice.chance(0.1) ? dice.pick(['before', 'after'] as const) : undefined));
          isForked = true;
        } catch (error) {
          isForked = error instanceof Error && error.message.startsWith('the log is building');
          if (!(error instanceof Crash) && !isForked) throw error;
        }
      }
      await one.build();
    }
    signed.push(...one.signed);
    const rootsOf = (of: readonly SignedCheckpoint[]) =>
      new Set(of.map(({ origin, size, root }) => `${origin} ${size} ${Buffer.from(root).toString('hex')}`)).size;
    expect(rootsOf(signed)).toBe(new Set(signed.map(({ origin, size }) => `${origin} ${size}`)).size);
    const logs = await createEvidenceStore(pool, 'last', 0).readLogs();
    expect(logs?.generation).toBeGreaterThan(2);
    const newest = signed.filter(({ origin }) => [logs?.events.origin, logs?.journal.origin].includes(origin));
    const anchors = newest.map(({ log, size, note }) => ({ name: `${log} ${size}`, note: Buffer.from(note) }));
    const report = await verifyDatabase(pool, signer, anchors);
    expect(report.faults).toEqual([]);
    expect(report.claims.filter((claim) => claim.includes('leaves of')).length).toBeGreaterThanOrEqual(anchors.length);
  });
});

const hasPython = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']).status === 0;
if (!hasPython) console.warn('verify.py does not judge a fork: there is no python3 of 3.9 or later.');

/** What an export would write. */
const writeBundle = async (pool: Pool, folder: string): Promise<void> => {
  const stored = await readStored(pool);
  if (stored === undefined) throw new Error('nothing is signed');
  const { reader, origins } = stored;
  const files = new Map(reader.paths.map((path) => [path, reader.read(path) ?? Buffer.alloc(0)]));
  const keys = [origins.events, origins.journal].map((origin) => keyOfLog(origin, signer.publicKey));
  files.set(bundleFiles.policy, Buffer.from(writePolicy(keys, [], 0)));
  const { rows } = await pool.query<{ position: number; raw: string }>(
    'select position::float8 as position, raw::text as raw from audit_events order by position',
  );
  const leaves = await createServedStore(pool).leaves(0, 1_000_000);
  const records = rows.map(({ position, raw }) =>
    writePayloadRecord({ leaf: leaves.get(position) ?? Buffer.alloc(0), raw: Buffer.from(raw) }),
  );
  files.set(payloadPath(0), Buffer.concat(records));
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
};

describe.skipIf(!hasPython)('verify.py', () => {
  test('holds on the next generation, with drops and holds of before', async () => {
    const { pool } = database;
    await pool.query("select orgtrail_create_partitions('2025-01-01', '2026-02-01')");
    await pool.query('update discovery set server_time = clock_timestamp()');
    const { build, signed } = openBuilder(pool, signer);
    await addEvents('a', 300, 'early', Date.UTC(2025, 0, 5));
    await addEvents('b', 200, 'late');
    await build();
    await pool.query(`select orgtrail_drop_month('2025-01-01', '30 days')`);
    await build();
    await pool.query(`insert into holds (reason, created_by) values ('case 17', 'J. Doe')`);
    await build();
    await pool.query(`update evidence_logs set state = 'forked', state_reason = 'by this test'`);
    await fork(signed);
    await addEvents('c', 50, 'later');
    await build();
    const folder = await mkdtemp(join(tmpdir(), 'orgtrail-fork-'));
    try {
      await writeBundle(pool, folder);
      const args = ['-B', 'src/evidence/verify-bundle/verify.py', folder, '--json'];
      const { status, stdout, stderr } = spawnSync('python3', args, { encoding: 'utf8' });
      expect(status, `${stdout}${stderr}`).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ holds: true, faults: [] });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
