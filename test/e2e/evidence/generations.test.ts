import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';

const signing = ofEachTest(() => openSigningWorld({ organizations: 3, entries: 300 }));
beforeEach(() => runOrgtrail(['evidence', 'init'], signing.env));

test('beside a daemon an operator begins the log after one that cannot go on; the daemon signs it; an operator ends that', async () => {
  const { world, folder, env, operator } = signing;
  const { pool } = world.database;
  await using daemon = await startDaemonProcess(env);
  await signing.untilSigned({ number: 1, events: 300 });
  const refused = await runOrgtrail(['evidence', 'next', ...orders], operator);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toContain('only one that is behind or was ended is followed by another');

  const { rows } = await pool.query<{ note: string; size: number }>(
    `select note, size::float8 as size from evidence_checkpoints order by size desc limit 1`,
  );
  const [last] = rows;
  if (last === undefined) throw new Error('nothing is signed');
  const anchor = join(folder, 'anchor');
  await writeFile(anchor, last.note);
  // Of another server: what this process knows is not asked, as after a restart.
  await pool.query(`update evidence_log set state = 'behind', state_reason = 'the database was restored'`);
  expect((await runOrgtrail(['evidence', 'status'], env)).code).toBe(5);

  const forbidden = await runOrgtrail(['evidence', 'next', ...orders], env);
  expect(forbidden.code).toBe(2);
  expect(forbidden.stderr).toContain('permission denied for function orgtrail_next_evidence');
  await writeFile(join(folder, 'other'), last.note.replace(/\n\d+\n/, '\n7\n'));
  const forged = await runOrgtrail(['evidence', 'next', ...orders, '--anchor', join(folder, 'other')], operator);
  expect(forged.code).toBe(2);
  expect(forged.stderr).toMatch(/--anchor \S+: the signature of \S+ \(\w+\) does not verify/);

  const begun = await runOrgtrail(['evidence', 'next', ...orders, '--anchor', anchor, '--json'], operator);
  expect(begun).toMatchObject({ code: 0, stderr: '' });
  const shown = JSON.parse(begun.stdout);
  expect(shown).toMatchObject({
    number: 2,
    carried: last.size,
    known_size: last.size,
    lost_leaves: 0,
    previous: last.note,
  });
  expect(shown.vkey).toMatch(/\.2\+[0-9a-f]{8}\+/);
  signing.grow(50);
  await signing.untilSigned({ number: 2, events: 450 });
  expect((await runOrgtrail(['evidence', 'verify'], env)).code).toBe(0);
  expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^state +ok$/m);

  const checkpoint = (await runOrgtrail(['evidence', 'checkpoint'], env)).stdout;
  const [, size, root] = checkpoint.split('\n');
  const feed = await daemon.get('/v1/events?limit=1');
  expect(feed.headers.get('orgtrail-evidence')).toBe(`${size} ${root}`);
  const lastOf = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1) ?? '');
  const withLastLine = await daemon.get('/v1/events?limit=1&last_line=true');
  expect(lastOf(withLastLine.text)).toMatchObject({ next_position: 1, evidence: { size: Number(size), root } });
  const printed = await runOrgtrail(['feed', '--limit', '1', '--last-line'], env);
  expect(lastOf(printed.stdout)).toEqual(lastOf(withLastLine.text));

  const ended = await runOrgtrail(['evidence', 'end', '--reason', 'it is over', '--by', 'J. Doe', '--json'], operator);
  expect(JSON.parse(ended.stdout)).toMatchObject({ number: 2, stated: true, signed: true });
  expect(ended.code).toBe(0);
  expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^state +ended: it is over$/m);
  expect((await daemon.get('/metrics')).text).toMatch(/^orgtrail_evidence_state\{state="ended"\} 1$/m);
  expect((await daemon.health()).evidence.state).toBe('ended');
  const { rows: trail } = await pool.query(
    `select route, who, what from access_log where kind = 'evidence' order by id`,
  );
  expect(trail).toEqual([
    {
      route: 'evidence next',
      who: 'J. Doe',
      what: { number: 2, reason: 'restored from a backup', carried: last.size, lost: 0 },
    },
    { route: 'evidence end', who: 'J. Doe', what: { number: 2, reason: 'it is over', stated: true } },
  ]);
});

test('a log whose settings are gone is ended without a key', async () => {
  const { env, operator } = signing;
  await using daemon = await startDaemonProcess(env);
  // Nothing more comes then: what is read afterwards stays as it is.
  await signing.untilSigned({ number: 1, events: 300 });
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
