import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

const signing = ofEachTest(() => openSigningWorld({ organizations: 3, entries: 300 }));

test('a daemon that is no more than a member of the two roles builds, is killed, goes on, and what it signed holds (invariant 15)', async () => {
  const { world, folder, env } = signing;
  const begun = await runOrgtrail(['evidence', 'init'], env);
  expect(begun).toMatchObject({ code: 0, stderr: '' });
  expect(begun.stdout).toContain('made a key');
  expect(begun.stdout).toMatch(/audit\.example\.com\/evidence\/[0-9a-f-]{36}\.1\+[0-9a-f]{8}\+/);
  expect((await runOrgtrail(['evidence', 'init'], env)).stdout).not.toContain('made a key');

  const checkpoints: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    const [first, second] = [await startDaemonProcess(env), await startDaemonProcess(env)];
    const before = (await logs())?.head ?? 0;
    signing.grow(50);
    if (round === 3) await signing.untilSigned({ atLeast: before + 1 });
    else await until('more is signed', async () => ((await logs())?.signed ?? 0) > before);
    if (round === 3) {
      const health = await first.health();
      expect(health.evidence).toMatchObject({ state: 'ok', unanchored: true, lag_events: expect.any(Number) });
      expect((await first.get('/metrics')).text).toMatch(/^orgtrail_evidence_state\{state="ok"\} 1$/m);
      expect(first.process.stdout()).toContain('evidence is unanchored');
    }
    for (const { process } of [first, second]) process.child.kill('SIGKILL');
    for (const { process } of [first, second]) await process.ended;
    const { rows } = await world.database.pool.query<{ note: string }>('select note from evidence_checkpoints');
    checkpoints.push(...rows.map(({ note }) => note));
  }
  const anchors = await Promise.all(
    [...new Set(checkpoints)].map(async (note, index) => {
      const file = join(folder, `checkpoint-${index}`);
      await writeFile(file, note);
      return ['--anchor', file];
    }),
  );
  const verified = await runOrgtrail(['evidence', 'verify', ...anchors.flat()], env);
  expect(verified.stdout).toContain('what is stored is what was signed');
  expect(verified.stdout).not.toContain('does not hold');
  expect(verified.code).toBe(0);
  expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^state +ok$/m);

  const { pool } = world.database;
  await pool.query(`update audit_events set raw = '{"changed": true}' where position = 5`);
  const changed = await runOrgtrail(['evidence', 'verify'], env);
  expect(changed.stdout).toMatch(/does not hold: event 5 of \S+ \S+ is not the one in the tree/);
  expect(changed.code).toBe(5);
});

test('with a directory as an anchor it keeps checkpoints there, says so, and a restored database is found out by it', async () => {
  const { world, folder, env } = signing;
  const worm = join(folder, 'worm');
  await mkdir(worm);
  const anchored = { ...env, ORGTRAIL_EVIDENCE_ANCHORS: `file:${worm}` };
  await runOrgtrail(['evidence', 'init'], anchored);
  expect((await runOrgtrail(['evidence', 'status'], anchored)).stdout).toContain('unanchored');
  {
    await using daemon = await startDaemonProcess(anchored);
    await signing.untilSigned();
    await daemon.process.waitFor('evidence checkpoint anchored');
    expect(daemon.process.stdout()).not.toContain('evidence is unanchored');
    const health = async () => (await daemon.health()).evidence;
    await until('health says so', async () => (await health()).unanchored === false);
    expect((await health()).anchors).toEqual([
      { anchor: `file:${worm}`, configured: true, size: expect.any(Number), age_seconds: expect.any(Number) },
    ]);
    expect((await daemon.get('/metrics')).text).toMatch(
      /^orgtrail_evidence_anchor_age_seconds\{anchor="file:[^"]+"\} [\d.]+$/m,
    );
  }
  {
    // A process without the anchor has the lease now: it is named on, and counts no more.
    await using daemon = await startDaemonProcess(env);
    await until('the anchor counts no more', async () => {
      return /^orgtrail_evidence_unanchored 1$/m.test((await daemon.get('/metrics')).text);
    });
    expect((await daemon.get('/metrics')).text).not.toContain('orgtrail_evidence_anchor_age_seconds{');
    const without = await runOrgtrail(['evidence', 'status'], env);
    expect(without.stdout).toMatch(/^anchor +file:\S+worm: \d+ leaves, \d+ s ago; not in the settings any more$/m);
  }
  {
    await using daemon = await startDaemonProcess(anchored);
    await until('the anchor counts again', async () => {
      return /^orgtrail_evidence_unanchored 0$/m.test((await daemon.get('/metrics')).text);
    });
  }
  const status = await runOrgtrail(['evidence', 'status'], anchored);
  expect(status.stdout).toMatch(/^anchor +file:\S+worm: \d+ leaves, \d+ s ago$/m);
  expect(status.stdout).not.toContain('unanchored');
  // The last checkpoint that is kept is not known any more, as after a restore of an older backup.
  const { pool } = world.database;
  const [kept = ''] = (await readdir(join(worm, 'log-1/checkpoints'))).sort().slice(-1);
  await pool.query(
    'truncate evidence_log, evidence_tiles, evidence_checkpoints, evidence_statements, evidence_sources, evidence_anchors, evidence_coverage',
  );
  await pool.query('delete from audit_events where position >= $1', [Math.floor(Number(kept) / 2)]);
  await pool.query('update feed_head set position = $1', [Math.floor(Number(kept) / 2) - 1]);
  await runOrgtrail(['evidence', 'init'], env);
  await using restored = await startDaemonProcess({ ...anchored, CLOUDFLARE_BASE_URL: 'http://127.0.0.1:1' });
  await restored.process.waitFor('evidence is behind');
  expect(restored.process.stdout()).toMatch(/evidence is behind: nothing is signed/);
});

test('without the role it says what is missing, and collects all the same', async () => {
  const { world, env } = signing;
  await runOrgtrail(['evidence', 'init'], { ...env, DATABASE_URL: world.database.url });
  await using collector = await createLogin(world.database, ['orgtrail_ingest']);
  await using daemon = await startDaemonProcess({ ...env, DATABASE_URL: collector.url });
  await daemon.process.waitFor('building the evidence failed');
  expect(daemon.process.stdout()).toContain('permission denied');
  await until('entries are stored', async () => ((await logs())?.head ?? 0) > 0);
});

const logs = async () => {
  const { rows } = await signing.world.database.pool.query<{ signed: number; head: number }>(
    `select l.signed_position::float8 as signed, h.position::float8 as head from evidence_log l, feed_head h`,
  );
  return rows[0];
};
