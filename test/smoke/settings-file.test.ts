import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runOrgtrail, startOrgtrail } from '../support/process/orgtrail-process.ts';
import { temporaryFolder } from '../support/process/temporary-folder.ts';

const asked: string[] = [];
const foreign = createServer((request, response) => {
  asked.push(request.headers.authorization ?? '');
  response.end('{}');
});
const { folder: directory, file } = temporaryFolder();
beforeAll(() => new Promise<void>((listening) => foreign.listen(0, '127.0.0.1', listening)));
afterAll(() => void foreign.close());

test("a directory's .env cannot have the credential of the environment sent elsewhere, exit 2", async () => {
  write(`CLOUDFLARE_BASE_URL=http://127.0.0.1:${(foreign.address() as AddressInfo).port}/client/v4\n`);
  const { code, stdout, stderr } = await runOrgtrail(['check'], { CLOUDFLARE_API_TOKEN: TOKEN }, directory);
  expect(stderr).toMatch(
    /^orgtrail: CLOUDFLARE_BASE_URL of .*\.env would get the credential of the environment \(CLOUDFLARE_API_TOKEN\)\nTry: /,
  );
  expect(code).toBe(2);
  expect(stdout + stderr).not.toContain(TOKEN);
  expect(asked).toEqual([]);
});

test('one that others may write is refused, and the message says what to do, exit 2', async () => {
  write('ORGTRAIL_HISTORY=1d\n', 0o666);
  const { code, stderr } = await runOrgtrail(['status'], {}, directory);
  expect(stderr).toContain(`${directory}/.env can be written by other accounts: it is not read\nTry: chmod go-w `);
  expect(code).toBe(2);
});

test('run says which file it has read', async () => {
  write(`CLOUDFLARE_API_TOKEN=${TOKEN}\nDATABASE_URL=postgres://127.0.0.1:1/none\n`);
  const daemon = startOrgtrail(['run'], {}, { cwd: directory });
  await daemon.waitFor('settings loaded from a file');
  expect(daemon.stdout()).toContain(`"file":"${directory}/.env"`);
  expect(daemon.stdout()).not.toContain(TOKEN);
  daemon.child.kill('SIGKILL');
  await daemon.ended;
});

const TOKEN = 'real-cf-token-99';
const write = (text: string, mode = 0o600) => file('.env', text, mode);
