import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Document } from 'yaml';
import { keyOf } from '../../../src/app/config/settings-list.ts';
import { startOrgtrail } from '../../support/process/orgtrail-process.ts';
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
