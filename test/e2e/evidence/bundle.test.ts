import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

/** On a slow machine it says how far it is. */
const onlyWork = expect.stringMatching(/^(?:(?:writing|verifying|comparing)\b.*\n)*$/);

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
  const proven = await runOrgtrail(['evidence', 'prove', '7', '300', '--out', folder, '--json'], env);
  expect(proven).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(proven.stdout)).toMatchObject({
    unanchored: true,
    files: expect.arrayContaining([join(folder, '300.json')]),
  });
  expect((await runOrgtrail(['evidence', 'prove', '7', '--out', folder], env)).stderr).toContain('(EEXIST)');
  expect((await runOrgtrail(['evidence', 'prove', '100000', '--out', folder], env)).stderr).toContain(
    'is not signed yet',
  );
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
  expect(((await stat(alone)).mode & 0o777).toString(8)).toBe('700');
  await using reader = await createLogin(world.database, ['orgtrail_reader']);
  const refused = await runOrgtrail(['evidence', 'export', join(folder, 'none')], { DATABASE_URL: reader.url });
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('then grant orgtrail_evidence to the account'),
  });
  daemon.process.child.kill('SIGKILL');
  await daemon.process.ended;
  // No setting, no database.
  const verified = await runOrgtrail(['evidence', 'verify', bundle], {});
  expect(verified).toMatchObject({ code: 0, stderr: onlyWork });
  expect(verified.stdout).toMatch(
    /not claimed:[\s\S]*no checkpoint that was kept elsewhere[\s\S]*\nthe evidence holds\n$/,
  );
  const kept = join(folder, 'kept-checkpoint');
  await copyFile(join(bundle, 'events/checkpoint'), kept);
  const anchored = await runOrgtrail(['evidence', 'verify', bundle, '--anchor', kept, '--json'], {});
  expect(JSON.parse(anchored.stdout)).toMatchObject({ holds: true, faults: [] });
  const { node, python } = await judge(bundle, [await readFile(kept, 'utf8')]);
  expect([node.faults, python.faults]).toEqual([[], []]);

  const proof = join(folder, '7.tlog-proof');
  const policy = join(bundle, 'policy.txt');
  for (const more of [[], ['--policy', policy]]) {
    const held = await runOrgtrail(['evidence', 'verify', proof, ...more], {});
    expect(held.stdout).toMatch(
      /holds, as far as the signer is believed \(unanchored\):\n {2}event 7 is in audit\.example\.com\S+, as it was among \d+, with this payload/,
    );
    expect(held.code).toBe(0);
  }
  const event = join(folder, '7.json');
  await writeFile(event, (await readFile(event, 'utf8')).replace(/"source_id": "./, '"source_id": "_'));
  const forged = await runOrgtrail(['evidence', 'verify', proof], {});
  expect(forged.stdout).toContain('source_id is not what the leaf says');
  expect(forged.code).toBe(5);

  const again = await runOrgtrail(['evidence', 'export', bundle], env);
  expect(again).toMatchObject({ code: 2, stdout: '' });
  expect(again.stderr).toContain('is not empty');
  expect((await runOrgtrail(['evidence', 'verify', join(folder, 'nothing')], {})).code).toBe(2);
  const own = await runOrgtrail(['evidence', 'verify', bundle, '--anchor', join(bundle, 'events/checkpoint')], {});
  expect(own).toMatchObject({ code: 2, stderr: expect.stringContaining('is a file of the bundle') });

  const journal = join(bundle, 'journal/entries.ndjson');
  await writeFile(journal, (await readFile(journal, 'utf8')).replace('"adopted":', '"adopted":1'));
  const changed = await runOrgtrail(['evidence', 'verify', bundle], {});
  expect(changed.code).toBe(5);
  expect(changed.stdout).toMatch(/does not hold:[\s\S]*statement 1 is not the one that is signed/);
});

test('a bundle of one account or organization, by name, says at the top what it is', async () => {
  const { world, folder, env } = signing;
  await runOrgtrail(['evidence', 'init'], env);
  await using daemon = await startDaemonProcess(env);
  await until('all that is stored is signed', allIsSigned);
  expect((await runOrgtrail(['evidence', 'statement', '--all'], env)).code).toBe(0);
  daemon.process.child.kill('SIGTERM');
  await daemon.process.ended;
  const { rows } = await world.database.pool.query<{ kind: string; id: string; name: string }>(
    `select distinct on (s.source_kind) s.source_kind as kind, s.source_id as id, o.name
     from evidence_sources s left join organizations o on s.source_kind = 'organization' and o.id = s.source_id
     where s.events > 0 order by 1, 2`,
  );
  expect(rows.length).toBeGreaterThan(0);
  for (const { kind, id, name } of rows) {
    const bundle = join(folder, `of-${kind}`);
    const exported = await runOrgtrail(['evidence', 'export', bundle, `--${kind}`, name ?? id], env);
    expect(exported).toMatchObject({ code: 0, stderr: onlyWork });
    expect(exported.stdout).toContain(`a bundle of one source: ${kind} ${id}\n`);
    const verified = await runOrgtrail(['evidence', 'verify', bundle], {});
    expect(verified.stdout).toMatch(new RegExp(`^a bundle of one source: ${kind} ${id}\n[^]*these are all events of`));
    const python = await judge(bundle);
    expect([python.node.faults, python.python.faults]).toEqual([[], []]);
  }
  const both = ['evidence', 'export', join(folder, 'both'), '--organization', 'x', '--account', 'y'];
  expect(await runOrgtrail(both, env)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('a bundle is of one log'),
  });
});

const allIsSigned = async (): Promise<boolean> => {
  const { rows } = await signing.world.database.pool.query<{ done: boolean }>(
    `select coalesce(bool_and(l.signed_size = l.size), false) and bool_or(l.name = 'events' and l.size = h.position and h.position >= 300)
       as done from evidence_logs l, feed_head h`,
  );
  return rows[0]?.done === true;
};
