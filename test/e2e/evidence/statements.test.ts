import { expect, test } from 'vitest';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { coverageStatements } from '../../support/evidence/stated-coverage.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

const signing = ofEachTest(() => openSigningWorld({ organizations: 3, entries: 300 }, { ORGTRAIL_SCRUB_SHARE: '0' }));

test('a daemon states every source while entries come in; on demand, with other filters, and by a command without a daemon', async () => {
  const { world, env } = signing;
  expect((await runOrgtrail(['evidence', 'init'], env)).code).toBe(0);
  const { pool } = world.database;
  const organizations = world.simulator.summary().organizations.map(({ id }) => id);
  {
    await using daemon = await startDaemonProcess(env);
    await until('every source is stated', async () => {
      for (const id of organizations) world.simulator.generate(id, 5);
      return new Set((await coverageStatements(pool)).map((one) => one.sourceId)).size === organizations.length;
    });
    const { ['0']: first = '' } = organizations;
    const asked = await runOrgtrail(['evidence', 'statement', '--organization', first, '--json'], env);
    expect(asked).toMatchObject({ code: 0, stderr: '' });
    expect(lines(asked.stdout)).toMatchObject([{ type: 'coverage', adopted: [], filter: { text: '', hash: 'none' } }]);
    const health = await daemon.health();
    expect(health.evidence).toMatchObject({ unstated_sources: 0, statement_age_seconds: expect.any(Number) });
    expect((await daemon.get('/metrics')).text).toMatch(/^orgtrail_evidence_unstated_sources 0$/m);
    daemon.process.child.kill('SIGKILL');
    await daemon.process.ended;
  }
  const filtered = { ...env, ORGTRAIL_FILTERS: 'action_type=create' };
  const isStated = async (is: (one: Awaited<ReturnType<typeof coverageStatements>>[number]) => boolean) => {
    const statements = await coverageStatements(pool);
    return organizations.every((id) => statements.some((one) => one.sourceId === id && is(one)));
  };
  {
    await using daemon = await startDaemonProcess(filtered);
    await until('every source is stated with its filter', () =>
      isStated(({ filter }) => filter.text === 'action_type=create'),
    );
    await daemon.stop();
  }
  const shorter = { ...filtered, ORGTRAIL_HISTORY: '1h' };
  {
    await using daemon = await startDaemonProcess(shorter);
    const sinceMs = Date.now() - 2 * 3_600_000;
    await until('every source is stated with its horizon', () =>
      isStated(({ wanted_since: since }) => Date.parse(since ?? '') > sinceMs),
    );
    await daemon.stop();
  }
  // No daemon builds: the command does, and says what it cannot state.
  const before = (await coverageStatements(pool)).length;
  const all = await runOrgtrail(['evidence', 'statement', '--all'], shorter);
  expect(all).toMatchObject({ code: 0, stderr: '' });
  expect(all.stdout.trim().split('\n')).toHaveLength(1 + organizations.length);
  expect(await coverageStatements(pool)).toHaveLength(before + organizations.length);
  const others = await runOrgtrail(['evidence', 'statement', '--all'], env);
  expect(others).toMatchObject({ code: 1, stderr: expect.stringContaining('3 of 3 sources were not stated') });
  expect((await runOrgtrail(['evidence', 'statement'], env)).code).toBe(2);

  const checkpoint = await runOrgtrail(['evidence', 'checkpoint'], env);
  expect(checkpoint.stdout).toMatch(/^audit\.example\.com\/evidence\/\S+\.1\n\d+\n\S+\n\n\u2014 \S+ \S+\n$/);
  const { ORGTRAIL_EVIDENCE_KEY_FILE: _, ...keyless } = env;
  const keys = await runOrgtrail(['evidence', 'key'], env);
  expect(keys.stdout).toMatch(/^\S+\.1\+[0-9a-f]{8}\+\S+\n$/);
  expect(await runOrgtrail(['evidence', 'key'], keyless)).toEqual(keys);
  const verified = await runOrgtrail(['evidence', 'verify'], env);
  expect(verified).toMatchObject({ code: 0 });
  expect(verified.stdout).toContain('what is stored is what was signed');
  expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^coverage +last stated \d+ s ago$/m);
});

const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
