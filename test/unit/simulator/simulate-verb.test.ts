import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { simulateCommand } from '../../../src/cli/commands/simulate.ts';
import { OrgtrailError } from '../../../src/errors.ts';
import { faultNames } from '../../../src/simulator/faults/fault-catalogue.ts';

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

test('says where it listens and how to point orgtrail at it, and runs until it is stopped', async () => {
  const { stdout, output, stop, done } = command(
    '--port',
    '0',
    '--organizations',
    '3',
    '--entries',
    '50',
    '--faults',
    'cf_rayid=1',
  );
  await once(stdout, 'data');
  const said = output();
  expect(said).toContain('3 organizations and 50 audit entries');
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
  [['--port', 'x'], '--port'],
  [['--entries', '-5'], '--entries'],
  [['--history', '90'], '--history'],
  [['--live-rate', 'fast'], '--live-rate'],
  [['--budget', '0'], '--budget'],
  [['--page-cap', '2000'], '--page-cap'],
  [['--faults', 'server_error=2'], 'server_error=2'],
  [['--host', '203.0.113.1', '--port', '0'], '203.0.113.1'],
])('a bad option is a usage error with a hint: %j', async (argv, named) => {
  const error: unknown = await command(...argv).done.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(OrgtrailError);
  expect(error).toMatchObject({ code: 'usage', message: expect.stringContaining(named), hint: expect.any(String) });
});

test('an unknown fault is answered with all names', async () => {
  const error: unknown = await command('--faults', 'all,sever_error').done.catch((reason: unknown) => reason);
  for (const name of ['sever_error', ...faultNames, 'long_id']) expect((error as Error).message).toContain(name);
});

test('the help has examples and every fault', async () => {
  const { output, done } = command('--help');
  await expect(done).rejects.toMatchObject({ code: 'commander.helpDisplayed' });
  const help = output();
  expect(help).toContain('orgtrail simulate --faults all --live-rate 5');
  for (const name of faultNames) expect(help).toContain(name);
});
