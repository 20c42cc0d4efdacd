import { execFile as execFileWithCallback } from 'node:child_process';
import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import { setRetentionPolicy } from '../../../src/archive/retention.sql.ts';
import type { Login } from '../../support/accounts/login.ts';
import { openSigningWorld, type SigningWorld } from '../../support/evidence/signing-world.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

const execFile = promisify(execFileWithCallback);
const opened = ofEachTest(() => openSigningWorld({ organizations: 2, entries: 50 }));
let { world, login, folder, env } = {} as SigningWorld;

/** Three events of January 2024 are old enough to be dropped. */
beforeEach(async () => {
  ({ world, login, folder, env } = opened);
  await mkdir(join(folder, 'worm'));
  const { pool } = world.database;
  await setRetentionPolicy(pool, RETENTION_MS);
  await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
  await commit(
    pool,
    await newSource(pool, 'o'),
    [0, 1, 2].map((minute) => entryText(`old-${minute}`, january + minute * 60_000)),
  );
  env = { ...opened.env, ORGTRAIL_EVIDENCE_ANCHORS: `file:${join(folder, 'worm')}` };
  await runOrgtrail(['evidence', 'init'], env);
});

describe.each(['pg_restore', 'copy'] as const)(
  'behind a restore by %s of a backup that is older than a hold',
  (how) => {
    test('nothing is dropped before the holds are confirmed, and the evidence is compared and goes on', async () => {
      await signAll();
      await using restored = { ...(await restore(how)), [Symbol.asyncDispose]: () => restored.close() };
      await holdInOriginal();
      const owner = { ...env, DATABASE_URL: restored.url };
      const bare = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('ORGTRAIL_EVIDENCE')));

      const withoutKey = await look(restored, bare, 'kept');
      expect(withoutKey.reason).toMatch(
        /^nothing is dropped before \S+: the database .*`orgtrail hold confirm` ends that/,
      );
      expect(withoutKey.health.retention_wait).toMatchObject({
        command: 'orgtrail hold confirm',
        until: expect.any(String),
      });
      expect((await runOrgtrail(['status'], owner)).stdout).toMatch(
        /^note: retention drops nothing before \S+: the database/m,
      );
      const mine = await runOrgtrail(['hold', 'confirm'], { ...env, DATABASE_URL: at(restored, login) });
      expect(mine.code).not.toBe(0);
      expect(await runOrgtrail(['hold', 'confirm', '--by', 'J. Doe'], owner)).toMatchObject({ code: 0 });
      expect((await runOrgtrail(['hold', 'confirm'], owner)).stderr).toContain('there is nothing to confirm');
      const { rows: trail } = await restored.pool.query(`select who, route from access_log where kind = 'hold'`);
      expect(trail).toEqual([{ who: 'J. Doe', route: 'hold confirm' }]);
      expect((await look(restored, bare, 'kept')).reason).toMatch(
        /^nothing is dropped: the evidence has not been compared/,
      );

      {
        await using daemon = await startDaemonProcess({ ...env, DATABASE_URL: at(restored, login) });
        await daemon.process.waitFor('nothing is signed');
      }
      expect((await look(restored, env, 'kept')).reason).toMatch(/^the evidence is behind/);
      const next = ['evidence', 'next', '--reason', 'restored', '--by', 'J. Doe', '--json'];
      const refused = await runOrgtrail(next, owner);
      expect(refused).toMatchObject({ code: 2, stdout: '' });
      expect(refused.stderr).toMatch(
        /holds of the old log are not here:\n {2}hold 1 of \S+, of everything, .*: case 17/,
      );
      const begun = await runOrgtrail([...next, '--without-holds'], owner);
      expect(JSON.parse(begun.stdout)).toMatchObject({ number: 2, lost_holds: [{ id: 1, reason: 'case 17' }] });
      expect((await look(restored, bare, 'kept')).reason).toMatch(/^nothing is dropped: the evidence/);
      expect(await januaryIn(restored)).toBe(3);
      {
        await using _ = await startDaemonProcess({ ...env, DATABASE_URL: at(restored, login) });
        await until('log 2 is signed', () => isTrue(restored, SIGNED));
      }
      const [kept = '', bundle] = [await newestKept(), join(folder, 'bundle')];
      expect(await runOrgtrail(['evidence', 'export', bundle], owner)).toMatchObject({ code: 0 });
      const judged = await runOrgtrail(['evidence', 'verify', bundle, '--anchor', kept], owner);
      expect(judged.code).toBe(5);
      expect(judged.stdout).toMatch(
        /^log 2 since \S+: \d+ leaves of log 1 are lost, as stated, and with them the holds 1\n[\s\S]*^the evidence does not hold/m,
      );
      const python = await execFile('python3', [join(bundle, 'verify.py'), '--anchor', kept]).catch((error) => error);
      expect(python.code).toBe(5);
      expect(python.stdout).toMatch(/^The evidence does not hold/);
      await look(restored, env, 'dropped');
      expect(await januaryIn(restored)).toBe(0);
    });
  },
);

test('a lost database that came back from its archive begins a log that states what is lost; a checkpoint that was kept is a fault', async () => {
  const archived = { ...env, ORGTRAIL_ARCHIVE: `file:${join(folder, 'bucket')}` };
  await mkdir(join(folder, 'bucket'));
  await signAll();
  {
    await using _ = await startDaemonProcess(env);
    await until('it is at the anchor', async () => (await newestKept().catch(() => undefined)) !== undefined);
  }
  const run = ['archive', 'run', '--month', '2024-01'];
  expect(await runOrgtrail(run, { ...archived, DATABASE_URL: world.database.url })).toMatchObject({ code: 0 });
  const made = await createTestDatabase();
  await using lost = { ...made, [Symbol.asyncDispose]: made.close };
  const [owner, daemon] = [lost.url, at(lost, login)].map((url) => ({ ...archived, DATABASE_URL: url }));
  if (owner === undefined || daemon === undefined) throw new Error('no database');
  const said = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await runOrgtrail(args, owner);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    return stdout;
  };
  await said('archive', 'restore', '--into');
  await said('evidence', 'init');
  {
    await using behind = await startDaemonProcess(daemon);
    await behind.process.waitFor('nothing is signed');
  }
  const next = JSON.parse(
    await said('evidence', 'next', '--reason', 'the database was lost', '--by', 'J. Doe', '--json'),
  );
  expect(next).toMatchObject({ number: 2, carried: 0, lost_leaves: next.known_size });
  {
    await using _ = await startDaemonProcess(daemon);
    await until('log 2 is signed', () => isTrue(lost, SIGNED));
  }
  expect(await januaryIn(lost)).toBe(3);
  const [kept = '', bundle] = [await newestKept(), join(folder, 'bundle')];
  await said('evidence', 'export', bundle);
  expect(await said('evidence', 'verify', bundle)).toMatch(/^log 2 since \S+: \d+ leaves of log 1 are lost, as stated/);
  const python = (...args: readonly string[]) =>
    execFile('python3', [join(bundle, 'verify.py'), ...args]).then(
      ({ stdout }) => ({ code: 0, stdout }),
      (error) => error,
    );
  expect(await python()).toMatchObject({ code: 0, stdout: expect.stringMatching(/leaves of log 1 are lost/) });
  const judged = await runOrgtrail(['evidence', 'verify', bundle, '--anchor', kept], owner);
  expect(judged).toMatchObject({ code: 5, stdout: expect.stringContaining('the evidence does not hold') });
  expect(await python('--anchor', kept)).toMatchObject({
    code: 5,
    stdout: expect.stringMatching(/^The evidence does not/),
  });
});

test('a first start, and the next one, wait for nothing', async () => {
  await signAll();
  await look(world.database, env, 'dropped');
  expect(await januaryIn(world.database)).toBe(0);
});

test('an anchor that has this log under another feed stops a log that was begun a second time', async () => {
  const { pool } = world.database;
  await signAll();
  {
    await using _ = await startDaemonProcess(env);
    await until('it is at the anchor', async () => {
      const kept = await readdir(join(folder, 'worm/log-1/checkpoints')).catch(() => []);
      return kept.length > 0;
    });
  }
  await pool.query('update feed_head set feed_id = gen_random_uuid()');
  await pool.query(
    `truncate evidence_log, evidence_tiles, evidence_checkpoints, evidence_statements, evidence_sources, evidence_month_keys,
     evidence_anchors, evidence_coverage, evidence_reads`,
  );
  await pool.query(`update audit_events set actor_email = 'mallory@example.com' where position = 1`);
  {
    await using daemon = await startDaemonProcess(env);
    const signed = async () => (await pool.query('select from evidence_checkpoints')).rowCount ?? 0;
    const isStopped = () => daemon.process.stdout().includes('nothing is signed');
    await until('it stops, or signs', async () => isStopped() || (await signed()) > 0);
    expect(await signed()).toBe(0);
    expect(daemon.process.stdout()).toMatch(
      /worm has a checkpoint of \d+ that this key signed as \S+, of another feed/,
    );
    expect((await runOrgtrail(['evidence', 'status'], env)).code).toBe(5);
  }
  await mkdir(join(folder, 'other'));
  await using _ = await startDaemonProcess({ ...env, ORGTRAIL_EVIDENCE_ANCHORS: `file:${join(folder, 'other')}` });
  await until('with an anchor of its own it is signed', () => isTrue(world.database, SIGNED));
});

test('restored to before a rotation of the key, the state is not ok, and what it says leads to the next log', async () => {
  const newKey = join(folder, 'key-2.pem');
  await signAll();
  await using restored = { ...(await restore('pg_restore')), [Symbol.asyncDispose]: () => restored.close() };
  const rotate = ['evidence', 'key', '--rotate', '--by', 'J. Doe', '--new-key', newKey, '--no-wait'];
  const original = { ...env, DATABASE_URL: world.database.url };
  expect(await runOrgtrail([...rotate, '--reason', 'rotation'], original)).toMatchObject({ code: 0 });
  {
    await using _ = await startDaemonProcess({ ...env, ORGTRAIL_EVIDENCE_NEXT_KEY_FILE: newKey });
    const stated = `exists (select from evidence_statements j, evidence_log l where j.type = 'key' and j.index < l.signed_size)`;
    await until('the rotation is stated', () => isTrue(world.database, stated));
  }
  const withNew = { ...env, ORGTRAIL_EVIDENCE_KEY_FILE: newKey, DATABASE_URL: at(restored, login) };
  const owner = { ...withNew, DATABASE_URL: restored.url };
  {
    await using daemon = await startDaemonProcess(withNew);
    await daemon.process.waitFor('the key is not the one that the log names');
    expect((await runOrgtrail(['evidence', 'status'], withNew)).stdout).toMatch(
      /^state +halted: the database failed over or/m,
    );
    // As a minute after the last signature.
    await restored.pool.query(`update evidence_log set signed_at = signed_at - interval '1 hour', lease_until = null`);
    await until('the state says what to do', async () => {
      const { code, stdout } = await runOrgtrail(['evidence', 'status'], withNew);
      return code === 5 && stdout.includes('orgtrail evidence key --rotate --reason lost');
    });
    expect(await runOrgtrail([...rotate, '--reason', 'lost'], owner)).toMatchObject({ code: 0 });
    await daemon.process.waitFor('nothing is signed');
  }
  const next = ['evidence', 'next', '--reason', 'restored', '--by', 'J. Doe'];
  expect(await runOrgtrail(next, owner)).toMatchObject({ code: 0 });
  await using _ = await startDaemonProcess(withNew);
  await until('log 2 is signed', () => isTrue(restored, SIGNED));
});

test('a key file that is not there stops signing and no collection, and is looked for again', async () => {
  const key = join(folder, 'key.pem');
  await rename(key, `${key}.away`);
  await using daemon = await startDaemonProcess(env);
  await daemon.process.waitFor('the evidence cannot be signed here');
  await until('all is collected', async () => (await world.compare()).missing === 0);
  await rename(`${key}.away`, key);
  await until('all is signed', () => isTrue(world.database, SIGNED));
});

const RETENTION_MS = 365 * 86_400_000;
const january = Date.UTC(2024, 0, 15);

/** As docs/operations/backup.md restores it. What pg_dump of this machine is too old for is a copy with other tables, as that makes it. */
const restore = async (how: 'pg_restore' | 'copy'): Promise<TestDatabase> => {
  if (how === 'copy') return await createTestDatabase({ copyOf: world.database });
  const dump = join(folder, 'orgtrail.dump');
  const dumped = await execFile('pg_dump', ['-Fc', '-f', dump, '-d', world.database.url]).catch(() => undefined);
  if (dumped === undefined) {
    const copy = await createTestDatabase({ copyOf: world.database });
    await copy.pool.query(`update feed_head set timeline = 'of the lost tables'`);
    await copy.pool.query(`update evidence_log set timeline = 'of the lost tables'`);
    return copy;
  }
  const restored = await createTestDatabase({ empty: true });
  await execFile('pg_restore', ['-d', restored.url, '--exit-on-error', dump]);
  return restored;
};

const at = (database: TestDatabase, account?: Login): string => {
  const url = new URL(database.url);
  if (account !== undefined) {
    const { username, password } = new URL(account.url);
    Object.assign(url, { username, password });
  }
  return url.href;
};

const isTrue = async ({ pool }: TestDatabase, condition: string): Promise<boolean> =>
  (await pool.query<{ met: boolean }>(`select (${condition}) as met`)).rows[0]?.met === true;

/** By a daemon that ends then. */
const signAll = async () => {
  await using _ = await startDaemonProcess(env);
  await until('all is signed', () => isTrue(world.database, SIGNED));
};

const SIGNED = `select l.signed_size = l.size and l.position = h.position from evidence_log l, feed_head h`;

const januaryIn = async ({ pool }: TestDatabase): Promise<number> =>
  (await pool.query(`select from audit_events where action_time < '2024-02-01' and action_time > '2024-01-01'`))
    .rowCount ?? 0;

/** One start of the daemon with a retention: what it says of January, which it keeps or drops. */
const look = async (database: TestDatabase, of: Readonly<Record<string, string>>, word: 'kept' | 'dropped') => {
  await using daemon = await startDaemonProcess({
    ...of,
    DATABASE_URL: at(database, login),
    ORGTRAIL_RETENTION: '365d',
  });
  const lines = () =>
    daemon.process
      .stdout()
      .split('\n')
      // The last one may be half of a line.
      .slice(0, -1)
      .filter((each) => /(kept|dropped) a month/.test(each));
  await until('retention has looked', async () => lines().length > 0);
  expect(lines()[0]).toContain(`${word} a month`);
  return { reason: JSON.parse(lines()[0] ?? '{}').reason, health: await daemon.health() };
};

/** The hold is stated, signed and at the anchor, which gets what is signed as a daemon starts. */
const holdInOriginal = async (): Promise<void> => {
  const owner = { ...env, DATABASE_URL: world.database.url };
  const hold = ['hold', 'add', '--all-organizations', '--before', '2024-02-01', '--reason', 'case 17'];
  expect(await runOrgtrail(hold, owner)).toMatchObject({ code: 0 });
  {
    await using _ = await startDaemonProcess(env);
    await until('the hold is signed', () =>
      isTrue(
        world.database,
        `exists (select from evidence_statements j, evidence_log l where j.type = 'hold' and j.index < l.signed_size)`,
      ),
    );
  }
  await using _ = await startDaemonProcess(env);
  // Statements come after the checkpoint that they belong to.
  await until('the hold is at the anchor', async () => {
    // What is being written has another name by the time that it is read.
    const statements = join(folder, 'worm/log-1/statements');
    const kept = await readdir(statements, { recursive: true, withFileTypes: true }).catch(() => []);
    const files = kept
      .filter((one) => one.isFile() && !one.name.endsWith('.tmp'))
      .map((one) => join(one.parentPath, one.name));
    return (await Promise.all(files.map((file) => readFile(file)))).some((bytes) => bytes.includes('case 17'));
  });
};

/** The newest checkpoint of the first log. */
const newestKept = async (): Promise<string | undefined> => {
  const kept = await readdir(join(folder, 'worm/log-1/checkpoints'), { withFileTypes: true });
  const files = kept.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return files.toSorted().at(-1);
};
