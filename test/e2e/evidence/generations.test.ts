import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';

const signing = ofEachTest(() => openSigningWorld({ organizations: 3, entries: 300 }));
beforeEach(() => runOrgtrail(['evidence', 'init'], signing.env));

test('beside a daemon an operator forks a log that cannot go on; the daemon signs the next one; an operator ends that', async () => {
  const { world, folder, env, operator } = signing;
  const { pool } = world.database;
  await using daemon = await startDaemonProcess(env);
  await signing.untilSigned({ generation: 1, events: 300 });
  const refused = await runOrgtrail(['evidence', 'fork', ...orders], operator);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toContain('only one that is behind, forked or ended is followed by another');

  const { rows } = await pool.query<{ note: string; size: number }>(
    `select note, size::float8 as size from evidence_checkpoints where log = 'events' order by size desc limit 1`,
  );
  const [last] = rows;
  if (last === undefined) throw new Error('nothing is signed');
  const anchor = join(folder, 'anchor');
  await writeFile(anchor, last.note);
  // Of another server: what this process knows is not asked, as after a restart.
  await pool.query(`update evidence_logs set state = 'forked', state_reason = 'the database was restored'`);
  expect((await runOrgtrail(['evidence', 'status'], env)).code).toBe(5);

  const forbidden = await runOrgtrail(['evidence', 'fork', ...orders], env);
  expect(forbidden.code).toBe(2);
  expect(forbidden.stderr).toContain('permission denied for function orgtrail_copy_evidence');
  await writeFile(join(folder, 'other'), last.note.replace(/\n\d+\n/, '\n7\n'));
  const forged = await runOrgtrail(['evidence', 'fork', ...orders, '--anchor', join(folder, 'other')], operator);
  expect(forged.code).toBe(2);
  expect(forged.stderr).toMatch(/--anchor \S+: the signature of \S+ \(\w+\) does not verify/);

  const forked = await runOrgtrail(['evidence', 'fork', ...orders, '--anchor', anchor, '--json'], operator);
  expect(forked).toMatchObject({ code: 0, stderr: '' });
  const shown = JSON.parse(forked.stdout);
  expect(shown).toMatchObject({
    generation: 2,
    common_size: last.size,
    known_size: last.size,
    lost_leaves: 0,
    last_note: last.note,
  });
  expect(shown.vkeys[0]).toMatch(/\.2\/events\+[0-9a-f]{8}\+/);
  signing.grow(50);
  await signing.untilSigned({ generation: 2, events: 450 });
  expect((await runOrgtrail(['evidence', 'verify'], env)).code).toBe(0);
  expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^state +ok$/m);

  const checkpoint = (await daemon.get(`/${shown.origin.replace(/^[^/]+\//, '')}/checkpoint`)).text;
  const [, size, root] = checkpoint.split('\n');
  const feed = await daemon.get('/v1/events?limit=1');
  expect(feed.headers.get('orgtrail-evidence')).toBe(`${size} ${root}`);
  const lastOf = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1) ?? '');
  const withLastLine = await daemon.get('/v1/events?limit=1&last_line=true');
  expect(lastOf(withLastLine.text)).toMatchObject({ next_position: 1, evidence: { size: Number(size), root } });
  const printed = await runOrgtrail(['feed', '--limit', '1', '--last-line'], env);
  expect(lastOf(printed.stdout)).toEqual(lastOf(withLastLine.text));
  expect((await daemon.get('/evidence/policy')).text).toContain(`log ${shown.vkeys[0]}`);

  const ended = await runOrgtrail(['evidence', 'end', '--reason', 'it is over', '--by', 'J. Doe', '--json'], operator);
  expect(JSON.parse(ended.stdout)).toMatchObject({ generation: 2, stated: true, signed: true });
  expect(ended.code).toBe(0);
  expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^state +ended: it is over$/m);
  expect((await daemon.get('/metrics')).text).toMatch(/^orgtrail_evidence_state\{state="ended"\} 1$/m);
  expect((await daemon.health()).evidence.state).toBe('ended');
  const { rows: trail } = await pool.query(
    `select route, who, what from access_log where kind = 'evidence' order by id`,
  );
  expect(trail).toEqual([
    {
      route: 'evidence fork',
      who: 'J. Doe',
      what: { generation: 2, reason: 'restored from a backup', common_size: last.size },
    },
    { route: 'evidence end', who: 'J. Doe', what: { generation: 2, reason: 'it is over', stated: true } },
  ]);
});

test('a log whose settings are gone is ended without a key', async () => {
  const { env, operator } = signing;
  await using daemon = await startDaemonProcess(env);
  // Nothing more comes then: what is read afterwards stays as it is.
  await signing.untilSigned({ generation: 1, events: 300 });
  await daemon[Symbol.asyncDispose]();
  const bare = Object.fromEntries(Object.entries(operator).filter(([name]) => !name.startsWith('ORGTRAIL_EVIDENCE')));
  const said = ['--reason', 'the key is lost', '--by', 'J. Doe'];
  const refused = await runOrgtrail(['evidence', 'end', ...said], bare);
  expect(refused.stderr).toContain('ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE must be set');
  expect(refused.code).toBe(2);
  const ended = await runOrgtrail(['evidence', 'end', ...said, '--without-key'], bare);
  expect(ended.stdout).toMatch(/^audit\.example\.com\S+ was ended with \d+ leaves; no statement says so\n$/);
  expect(ended.code).toBe(0);
  expect((await runOrgtrail(['evidence', 'end', ...said, '--without-key'], bare)).stderr).toContain('ended already');
});

const orders = ['--reason', 'restored from a backup', '--by', 'J. Doe'];
