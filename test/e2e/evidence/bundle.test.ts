import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { judge } from '../../support/evidence/judge.ts';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

/** On a slow machine it says how far it is. */
const onlyWork = expect.stringMatching(/^(?:(?:writing|verifying|comparing|reading)\b.*\n)*$/);

const signing = ofEachTest(() => openSigningWorld({ organizations: 3, entries: 300 }));

test('what a daemon has signed is exported beside it by the account of the daemon, and holds without a database', async () => {
  const { world, folder, env } = signing;
  await runOrgtrail(['evidence', 'init'], env);
  await using daemon = await startDaemonProcess(env);
  await until('all that is stored is signed', allIsSigned);
  const bundle = join(folder, 'bundle');
  const exported = await runOrgtrail(['evidence', 'export', bundle, '--gzip', '--json'], env);
  expect(exported).toMatchObject({ code: 0, stderr: onlyWork });
  expect(JSON.parse(exported.stdout)).toMatchObject({ holds: true, unanchored: true, state: 'ok', faults: [] });
  const event = join(folder, 'event');
  const proven = await runOrgtrail(['evidence', 'prove', '7', '300', '--out', event, '--json'], env);
  expect(proven).toMatchObject({ code: 0, stderr: onlyWork });
  expect(JSON.parse(proven.stdout)).toMatchObject({ holds: true, events: 2 });
  expect((await runOrgtrail(['evidence', 'prove', '7', '--out', event], env)).stderr).toContain('is not empty');
  const gone = await runOrgtrail(['evidence', 'prove', '100000', '--out', join(folder, 'x')], env);
  expect(gone).toMatchObject({ code: 2, stderr: expect.stringContaining('position 100000 has no event') });
  expect((await runOrgtrail(['evidence', 'prove', '--out', folder], env)).code).toBe(2);
  // With the documented role alone, for its owner alone, and with the name of the role that lacks.
  await using exporter = await createLogin(world.database, ['orgtrail_evidence']);
  const alone = join(folder, 'alone');
  const byExporter = await runOrgtrail(['evidence', 'export', alone], { DATABASE_URL: exporter.url });
  expect(byExporter).toMatchObject({ code: 0, stderr: onlyWork });
  const names = await readdir(alone, { recursive: true, withFileTypes: true });
  for (const each of names) {
    const { mode } = await stat(join(each.parentPath, each.name));
    expect([each.name, (mode & 0o777).toString(8)]).toEqual([each.name, each.isDirectory() ? '700' : '600']);
  }
  await using reader = await createLogin(world.database, ['orgtrail_reader']);
  const refused = await runOrgtrail(['evidence', 'export', join(folder, 'none')], { DATABASE_URL: reader.url });
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('then grant orgtrail_evidence to the account'),
  });
  daemon.process.child.kill('SIGKILL');
  await daemon.process.ended;
  // No setting, no database.
  for (const each of [bundle, event]) {
    const verified = await runOrgtrail(['evidence', 'verify', each], {});
    expect(verified).toMatchObject({ code: 0, stderr: onlyWork });
    expect(verified.stdout).toMatch(/\nResult: the evidence holds, as far as the operator is believed\.\n$/);
  }
  const kept = join(folder, 'kept-checkpoint');
  await copyFile(join(bundle, 'checkpoint'), kept);
  const anchored = await runOrgtrail(['evidence', 'verify', bundle, '--anchor', kept, '--json'], {});
  expect(JSON.parse(anchored.stdout)).toMatchObject({ holds: true, faults: [], verdict: 'the evidence holds' });
  const { node, python } = await judge(bundle, [await readFile(kept, 'utf8')]);
  expect([node.faults, python.faults]).toEqual([[], []]);

  const again = await runOrgtrail(['evidence', 'export', bundle], env);
  expect(again).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('is not empty') });
  expect((await runOrgtrail(['evidence', 'verify', join(folder, 'nothing')], {})).code).toBe(2);
  expect((await runOrgtrail(['evidence', 'verify', folder], {})).code).toBe(2);
  const own = await runOrgtrail(['evidence', 'verify', bundle, '--anchor', join(bundle, 'checkpoint')], {});
  expect(own).toMatchObject({ code: 2, stderr: expect.stringContaining('is a file of the bundle') });

  const statements = join(bundle, 'statements.ndjson');
  await writeFile(
    statements,
    (await readFile(statements, 'utf8')).replace('"adopted_position":', '"adopted_position":1'),
  );
  const changed = await runOrgtrail(['evidence', 'verify', bundle], {});
  expect(changed).toMatchObject({ code: 5, stdout: expect.stringContaining('statements.ndjson is not the file') });
});

test('a bundle of one organization is compared with what an auditor fetches, and lacks nothing', async () => {
  const { world, folder, env } = signing;
  await runOrgtrail(['evidence', 'init'], env);
  await using daemon = await startDaemonProcess(env);
  await until('all that is stored is signed', allIsSigned);
  expect((await runOrgtrail(['evidence', 'statement', '--all'], env)).code).toBe(0);
  daemon.process.child.kill('SIGTERM');
  await daemon.process.ended;
  const { rows } = await world.database.pool.query<{ id: string; name: string; day: string }>(
    `select o.id, o.name, to_char(max(e.action_time) at time zone 'UTC', 'YYYY-MM-DD') as day
     from organizations o join audit_events e on e.source_kind = 'organization' and e.source_id = o.id group by 1, 2`,
  );
  const [{ id = '', name = '', day = '' } = {}] = rows;
  const bundle = join(folder, 'of-one');
  const exported = await runOrgtrail(['evidence', 'export', bundle, '--organization', name], env);
  expect(exported).toMatchObject({
    code: 0,
    stderr: onlyWork,
    stdout: expect.stringContaining(`organization ${id} of`),
  });
  const verified = await runOrgtrail(['evidence', 'verify', bundle], {});
  expect(verified.stdout).toContain('none of this source and of the log below leaf');
  const judged = await judge(bundle);
  expect([judged.node.faults, judged.python.faults]).toEqual([[], []]);
  const drawn = await runOrgtrail(['evidence', 'sample', bundle, '--once', '--all', '--json'], {});
  expect(JSON.parse(drawn.stdout)).toMatchObject({ units: expect.any(Number), days: expect.any(Array) });
  const { CLOUDFLARE_API_TOKEN = '', CLOUDFLARE_BASE_URL = '' } = env as Readonly<Record<string, string>>;
  const credential = { CLOUDFLARE_API_TOKEN, CLOUDFLARE_BASE_URL };
  const fetched = await runOrgtrail(['fetch', '--organization', id, '--day', day], credential);
  expect(fetched).toMatchObject({ code: 0, stderr: '' });
  const file = join(folder, 'fetched');
  await writeFile(file, fetched.stdout);
  const compared = await runOrgtrail(['evidence', 'verify', bundle, '--compare', file], {});
  expect(compared.stdout).toMatch(/[1-9]\d* entries of 1 days compared, 0 differ/);
  expect(compared.code).toBe(0);
  await writeFile(file, fetched.stdout.replace(/"id":"/, '"id":"other-'));
  expect(await runOrgtrail(['evidence', 'verify', bundle, '--compare', file], {})).toMatchObject({
    code: 5,
    stdout: expect.stringContaining('missing here'),
  });
  expect((await runOrgtrail(['fetch', '--organization', id, '--day', '2026-02-30'], credential)).code).toBe(2);
  const both = ['evidence', 'export', join(folder, 'both'), '--organization', 'x', '--account', 'y'];
  expect(await runOrgtrail(both, env)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('a bundle is of one log'),
  });
});

const allIsSigned = async (): Promise<boolean> => {
  const { rows } = await signing.world.database.pool.query<{ done: boolean }>(
    'select coalesce(l.signed_size = l.size and l.position = h.position and h.position >= 300, false) as done from evidence_log l, feed_head h',
  );
  return rows[0]?.done === true;
};
