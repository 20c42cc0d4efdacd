import { execFile as execFileWithCallback } from 'node:child_process';
import { userInfo } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const execFile = promisify(execFileWithCallback);
const run = (command: string, ...args: string[]) => execFile(command, args);

/** Network namespaces, a pair of virtual interfaces and a shaped queue: not in every container. */
const canShape = async (): Promise<boolean> => {
  if (userInfo().uid !== 0) return false;
  const trial =
    'ip link add near type veth peer name far && tc qdisc add dev near root tbf rate 8mbit burst 10kb latency 1s';
  return await run('unshare', '--net', 'bash', '-c', trial).then(
    () => true,
    () => false,
  );
};

const possible = await canShape();
if (!possible) console.warn('skipped, needs root, unshare, ip and tc: a slow link');

test.skipIf(!possible)('a receiver that closes while the rest is still under way has nothing for certain', async () => {
  const scripts = [file('slow-link-receiver.ts'), file('slow-link-sink.ts')];
  const { stdout } = await run('unshare', '--net', 'bash', file('slow-link.sh'), process.execPath, ...scripts);
  expect(stdout.trim().split('\n')).toEqual(['failed', 'failed', 'failed', 'failed']);
});

const file = (name: string) => fileURLToPath(new URL(`../../../studies/measure/${name}`, import.meta.url));
