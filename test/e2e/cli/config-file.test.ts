import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Document } from 'yaml';
import { keyOf } from '../../../src/app/config/settings-list.ts';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const { folder: directory } = temporaryFolder();

test('a daemon that is given ORGTRAIL_CONFIG alone collects and delivers, and takes a new token of the file', async () => {
  const [oldToken, newToken] = ['the-old-token-of-the-test', 'the-new-token-of-the-test'];
  const accepted = [{ token: oldToken }];
  await using world = await openWorld({ credentials: accepted });
  const events = join(directory, 'events.ndjson');
  const text = (token: string) =>
    fileOf(
      { ...world.env, CLOUDFLARE_API_TOKEN: token },
      { schedule: '* * * * * *', http_port: 0, sinks: { log: { type: 'file', path: events } } },
    );
  const path = await write('orgtrail.yaml', text(oldToken));
  const daemon = startOrgtrail(['run'], { ORGTRAIL_CONFIG: path }, { cwd: directory });
  await daemon.waitFor('orgtrail started');
  expect(daemon.stdout()).toContain(`"file":"${path}","msg":"settings loaded from a file"`);
  await until('all of it is stored', async () => (await world.compare()).missing === 0);
  const { stored } = await world.expectExactTruth();
  // The daemon makes the file with its first delivery.
  const delivered = () => readFile(events, 'utf8').catch(() => '');
  await until('all of it is delivered', async () => (await delivered()).split('\n').length > stored);
  await write('orgtrail.yaml', text(newToken));
  accepted.splice(0, 1, { token: newToken });
  for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 50);
  await until('what came later is stored', async () => (await world.compare()).missing === 0);
  await world.expectExactTruth();
  daemon.child.kill('SIGTERM');
  expect(await daemon.ended).toBe(143);
  for (const token of [oldToken, newToken]) expect(daemon.stdout() + daemon.stderr()).not.toContain(token);
});

test.each([['run'], ['status']])('a wrong file ends %s with exit code 2, the faults and no stack', async (command) => {
  const path = await write(
    'wrong.yaml',
    'cloudflare: {api_token: the-secret-of-the-test}\nleese: 30s\nconcurrency: 0\n',
  );
  const { code, stdout, stderr } = await runOrgtrail([command], { ORGTRAIL_CONFIG: path }, directory);
  expect(stdout).toBe('');
  expect(stderr.split('\n')).toEqual([
    'orgtrail: 2 configuration errors:',
    `  - ${path}:2:1: "leese" is not a setting; did you mean lease?`,
    `  - ${path}:3:14: concurrency must be an integer between 1 and 64, not "0"`,
    expect.stringMatching(/^Try: /),
    '',
  ]);
  expect(code).toBe(2);
});

test('config check and print say which setting is from .env', async () => {
  await writeFile(join(directory, '.env'), 'ORGTRAIL_LEASE=20s\nORGTRAIL_CONCURRENCY=4\n', { mode: 0o600 });
  const env = { CLOUDFLARE_API_TOKEN: 'the-secret-of-the-test', ORGTRAIL_CONCURRENCY: '5' };
  const check = await runOrgtrail(['config', 'check'], env, directory);
  expect(check.stdout).toMatch(/ORGTRAIL_CONCURRENCY +from environment\n.*ORGTRAIL_LEASE +from \.env\n/);
  const print = await runOrgtrail(['config', 'print'], env, directory);
  expect(print.stdout).toContain('\nlease: 20s # .env\n');
  expect([check.code, print.code]).toEqual([0, 0]);
  await rm(join(directory, '.env'));
});

const write = async (name: string, text: string): Promise<string> => {
  const path = join(directory, name);
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return path;
};

/** These variables as a file, and further keys. */
const fileOf = (env: Readonly<Record<string, string | undefined>>, more: Readonly<Record<string, unknown>>): string => {
  const document = new Document({});
  for (const [name, value] of Object.entries(env)) document.setIn(keyOf(name).split('.'), value);
  for (const [key, value] of Object.entries(more)) document.set(key, value);
  return document.toString();
};
