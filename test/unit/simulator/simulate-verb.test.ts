import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { OrgtrailError } from '../../../src/base/errors.ts';
import { simulateCommand } from '../../../src/cli/commands/simulate.ts';
import { faultNames } from '../../../src/simulator/faults/fault-catalogue.ts';

test('says where it listens and how to point orgtrail at it, and runs until it is stopped', async () => {
  const argv = '--port 0 --organizations 3 --entries 50 --faults cf_rayid=1'.split(' ');
  const { stdout, output, stop, done } = command(...argv);
  await once(stdout, 'data');
  const said = output();
  expect(said).toContain('3 organizations, 9 accounts and 100 audit entries');
  const baseUrl = /^CLOUDFLARE_BASE_URL=(.+)$/m.exec(said)?.[1] ?? '';
  const token = /^CLOUDFLARE_API_TOKEN=(.+)$/m.exec(said)?.[1] ?? '';
  const headers = { authorization: `Bearer ${token}` };
  const listing = await fetch(`${baseUrl}/organizations`, { headers });
  expect(await listing.json()).toMatchObject({ success: true, result_info: { total_size: 3 } });
  stop();
  await done;
  expect(output()).toContain('Stopped after 1 requests.');
  await expect(fetch(`${baseUrl}/organizations`, { headers })).rejects.toThrow();
});

test.each([
  '--port x',
  '--entries -5',
  '--history 90',
  '--live-rate fast',
  '--budget 0',
  '--page-cap 2000',
  '--accounts many',
  '--standalone-accounts -1',
  '--zones 1.5',
  '--account-entries x',
  '--key secret',
])('a bad option is a usage error with a hint: %s', async (argv) => {
  const [name = ''] = argv.split(' ');
  await expectUsageError(argv, name);
});

test('so is a value that names no fault, which is answered with all names, and an address of others', async () => {
  for (const named of ['sever_error', ...faultNames, 'long_id'])
    await expectUsageError('--faults all,sever_error', named);
  await expectUsageError('--faults server_error=2', 'server_error=2');
  await expectUsageError('--host 203.0.113.1 --port 0', '203.0.113.1');
});

test('tokens, the token of an account and a key are taken as they are given, and nothing else', async () => {
  const { stdout, output, stop, done } = command(
    ...['--port', '0', '--organizations', '2', '--entries', '0', '--standalone-accounts', '1', '--zones', '1'],
    ...['--token', 'a@example.com:of-a', '--account-token', 'cfat_a=6', 'cfat_b=1', '--key', 'a@example.com:secret'],
    '--keys-only',
  );
  await once(stdout, 'data');
  const [, baseUrl = ''] = /^CLOUDFLARE_BASE_URL=(.+)$/m.exec(output()) ?? [];
  expect(output()).toContain('CLOUDFLARE_API_TOKEN=of-a\n');
  const ask = async (path: string, headers: Record<string, string>) => {
    const answer = await fetch(baseUrl + path, { headers });
    // biome-ignore lint/suspicious/noExplicitAny: what a client reads has no type
    return { status: answer.status, body: (await answer.json()) as any };
  };
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const key = { 'x-auth-email': 'a@example.com', 'x-auth-key': 'secret' };
  expect((await ask('/user', bearer('of-a'))).body.result.email).toBe('a@example.com');
  const all = (await ask('/accounts', bearer('of-a'))).body.result;
  expect(all).toHaveLength(7);
  for (const [token, place] of Object.entries({ cfat_a: 6, cfat_b: 1 })) {
    const own = (await ask('/accounts', bearer(token))).body.result;
    expect(own.map(({ id }: { id: string }) => id)).toEqual([all[place].id]);
  }
  const id = (await ask('/organizations', bearer('of-a'))).body.result[0].id;
  expect((await ask(`/organizations/${id}`, bearer('of-a'))).status).toBe(403);
  expect((await ask(`/organizations/${id}`, key)).status).toBe(200);
  expect((await ask('/accounts', bearer('other'))).status).toBe(403);
  stop();
  await done;
});

async function expectUsageError(argv: string, named: string): Promise<void> {
  const error: unknown = await command(...argv.split(' ')).done.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(OrgtrailError);
  expect(error).toMatchObject({ code: 'usage', message: expect.stringContaining(named), hint: expect.any(String) });
}

function command(...argv: string[]) {
  const controller = new AbortController();
  const stdout = new PassThrough({ encoding: 'utf8' });
  let written = '';
  stdout.on('data', (chunk: string) => {
    written += chunk;
  });
  const context = { env: {}, stdout, stderr: new PassThrough(), interactive: false, signal: controller.signal };
  const command = simulateCommand(context)
    .exitOverride()
    .configureOutput({ writeOut: (out) => stdout.write(out), writeErr: () => undefined });
  return {
    stdout,
    output: () => written,
    stop: () => controller.abort(),
    done: command.parseAsync(argv, { from: 'user' }),
  };
}
