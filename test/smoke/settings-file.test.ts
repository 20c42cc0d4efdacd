import { chmod, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runOrgtrail, startOrgtrail } from '../support/process/orgtrail-process.ts';

const asked: string[] = [];
const foreign = createServer((request, response) => {
  asked.push(request.headers.authorization ?? '');
  response.end('{}');
});
let directory: string;

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), 'orgtrail-dotenv-')));
  await new Promise<void>((listening) => foreign.listen(0, '127.0.0.1', listening));
});
afterAll(async () => {
  foreign.close();
  await rm(directory, { recursive: true });
});

test("a directory's .env cannot have the credential of the environment sent elsewhere, exit 2", async () => {
  await write(`CLOUDFLARE_BASE_URL=http://127.0.0.1:${(foreign.address() as AddressInfo).port}/client/v4\n`);
  const { code, stdout, stderr } = await runOrgtrail(['check'], { CLOUDFLARE_API_TOKEN: TOKEN }, directory);
  expect(stderr).toMatch(
    /^orgtrail: CLOUDFLARE_BASE_URL of .*\.env would get the credential of the environment \(CLOUDFLARE_API_TOKEN\)\nTry: /,
  );
  expect(code).toBe(2);
  expect(stdout + stderr).not.toContain(TOKEN);
  expect(asked).toEqual([]);
});

test('one that others may write is refused, and the message says what to do, exit 2', async () => {
  await write('ORGTRAIL_HISTORY=1d\n', 0o666);
  const { code, stderr } = await runOrgtrail(['status'], {}, directory);
  expect(stderr).toContain(`${directory}/.env can be written by other accounts: it is not read\nTry: chmod go-w `);
  expect(code).toBe(2);
});

test('run says which file it has read', async () => {
  await write(`CLOUDFLARE_API_TOKEN=${TOKEN}\nDATABASE_URL=postgres://127.0.0.1:1/none\n`);
  const daemon = startOrgtrail(['run'], {}, { cwd: directory });
  await daemon.waitFor('settings loaded from a file');
  expect(daemon.stdout()).toContain(`"file":"${directory}/.env"`);
  expect(daemon.stdout()).not.toContain(TOKEN);
  daemon.child.kill('SIGKILL');
  await daemon.ended;
});

const TOKEN = 'real-cf-token-99';

const write = async (text: string, mode = 0o600): Promise<void> => {
  await writeFile(join(directory, '.env'), text);
  await chmod(join(directory, '.env'), mode);
};
