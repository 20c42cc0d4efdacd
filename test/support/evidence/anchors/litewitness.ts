import { type ChildProcess, execFile as execFileWithCallback, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseVerifierKey, printVerifierKey, type VerifierKey } from '../../../../src/evidence/notes/signed-note.ts';
import { freePorts } from '../../network/free-ports.ts';
import { until } from '../../process/until.ts';

const execFile = promisify(execFileWithCallback);

/** By scripts/install/litewitness.sh. */
const FOLDER = '/usr/local/lib/orgtrail-litewitness';

const AGENT = 'ssh-agent';

/** Why litewitness cannot be started; undefined: it can. */
export const missingLitewitness: string | undefined = existsSync(join(FOLDER, 'witnessctl'))
  ? undefined
  : 'there is no litewitness (scripts/install/litewitness.sh)';

/** A witness that was written by others, in a process of its own. */
export interface Litewitness extends AsyncDisposable {
  readonly url: string;
  readonly key: VerifierKey;
  /** The size of each log as the witness knows it, by origin. */
  sizes(): Promise<Readonly<Record<string, number>>>;
  /** Ends it at once, and starts it again with what it had stored. */
  restart(): Promise<void>;
}

/** Knows logs by these keys. Its own key is in an agent of OpenSSH, which is where it looks for one. */
export const startLitewitness = async (logs: readonly VerifierKey[]): Promise<Litewitness> => {
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-litewitness-'));
  const file = (name: string) => join(folder, name);
  const control = async (...args: string[]) =>
    (await execFile(join(FOLDER, 'witnessctl'), [...args, '-db', file('witness.db')])).stdout;
  const agent = spawn(AGENT, ['-D', '-a', file('agent')], { stdio: 'ignore' });
  await until('the agent listens', async () => existsSync(file('agent')));
  await execFile('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file('key')]);
  await execFile('ssh-add', ['-q', file('key')], { env: { ...process.env, SSH_AUTH_SOCK: file('agent') } });
  const { stdout } = await execFile('ssh-keygen', ['-l', '-f', file('key.pub')]);
  const fingerprint = stdout.split(' ')[1] ?? '';
  for (const key of logs) {
    await control('add-log', '-origin', key.name);
    await control('add-key', '-origin', key.name, '-key', printVerifierKey(key));
  }
  const [port = 0] = await freePorts(1);
  const listen = `127.0.0.1:${port}`;
  const own = ['-db', file('witness.db'), '-ssh-agent', file('agent'), '-key', fingerprint];
  const start = () => startDaemon([...own, '-name', 'witness.test/w', '-listen', listen]);
  let daemon = await start();
  return {
    url: `http://${listen}`,
    key: parseVerifierKey(/ vkey=(\S+)/.exec(daemon.log())?.[1] ?? ''),
    sizes: async () => {
      const lines = (await control('list-logs')).trim().split('\n');
      return Object.fromEntries(lines.map((line) => JSON.parse(line)).map(({ origin, size }) => [origin, size]));
    },
    restart: async () => {
      await end(daemon.child, 'SIGKILL');
      daemon = await start();
    },
    [Symbol.asyncDispose]: async () => {
      await end(daemon.child, 'SIGKILL');
      await end(agent, 'SIGTERM');
      await rm(folder, { recursive: true, force: true });
    },
  };
};

const startDaemon = async (args: readonly string[]) => {
  // As Debian builds it, without modules, its patterns such as `POST /add-checkpoint` would not be understood.
  const env = { ...process.env, GODEBUG: 'httpmuxgo121=0' };
  const child = spawn(join(FOLDER, 'litewitness'), [...args], { stdio: ['ignore', 'ignore', 'pipe'], env });
  let log = '';
  child.stderr.on('data', (text: Buffer) => {
    log += text.toString();
  });
  await until('litewitness listens', async () => {
    if (child.exitCode !== null) throw new Error(`litewitness has ended: ${log}`);
    return log.includes('msg=listening');
  });
  return { child, log: () => log };
};

const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
};
