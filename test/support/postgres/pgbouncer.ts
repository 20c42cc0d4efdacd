import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { freePort } from '../../../src/postgres/embedded-server.ts';
import { until } from '../process/until.ts';
import { installDebianPeers } from '../sinks/debian-peers.ts';

const places = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'];
const ADMIN = 'pgbouncer_admin';

const findPgbouncer = (): string | undefined => places.find((place) => existsSync(place));

/** Sees to it that pgbouncer is here, from Debian if need be. The reason where it is not. */
export const installPgbouncer = (): Promise<string | undefined> =>
  installDebianPeers('pgbouncer', () => findPgbouncer() !== undefined);

/** A pgbouncer in transaction mode in front of a server that lets every client in. */
export interface Pgbouncer extends AsyncDisposable {
  readonly port: number;
  /** A command of its console: RECONNECT, KILL, RESUME. */
  command(command: string): Promise<void>;
  /** Ends the process, which drops its clients between two transactions, and starts it again on the same port. */
  restart(): Promise<void>;
}

export interface PgbouncerOptions {
  readonly server: { readonly host: string; readonly port: number };
  readonly users: readonly string[];
  /** Looks up in the server who is not among them. */
  readonly lookUpAs?: string;
  /** Server connections per database and user. */
  readonly poolSize: number;
  /** A server connection that is idle for so long is closed. Default 600, as pgbouncer's own. */
  readonly serverIdleTimeoutSeconds?: number;
}

/** Starts it on a free port of loopback. */
export const startPgbouncer = async ({
  server,
  users,
  lookUpAs,
  poolSize,
  serverIdleTimeoutSeconds = 600,
}: PgbouncerOptions): Promise<Pgbouncer> => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-pgbouncer-'));
  await chmod(directory, 0o755);
  const port = await freePort();
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    admin_users: ADMIN,
    auth_type: 'trust',
    auth_file: join(directory, 'users.txt'),
    pool_mode: 'transaction',
    default_pool_size: poolSize,
    max_client_conn: 200,
    server_idle_timeout: serverIdleTimeoutSeconds,
    ...(lookUpAs !== undefined && { auth_user: lookUpAs }),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  await writeFile(
    join(directory, 'pgbouncer.ini'),
    ['[databases]', `* = host=${server.host} port=${server.port}`, '[pgbouncer]', ...lines, ''].join('\n'),
  );
  await writeFile(settings.auth_file, [...users, ADMIN].map((user) => `"${user}" ""\n`).join(''));
  let child = await launch(directory, port);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  };
  return {
    port,
    command: (command) => onConsole(port, command),
    restart: async () => {
      await end('SIGINT');
      child = await launch(directory, port);
    },
    [Symbol.asyncDispose]: async () => {
      await end('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
};

const launch = async (directory: string, port: number): Promise<ChildProcess> => {
  // It refuses to run as root.
  const account = userInfo().uid === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(findPgbouncer() ?? 'pgbouncer', [...account, join(directory, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  await until('pgbouncer answers', () =>
    onConsole(port, 'show version').then(
      () => true,
      () => false,
    ),
  ).catch((error: unknown) => {
    throw new Error(`${error}\n${said.join('')}`);
  });
  return child;
};

const onConsole = async (port: number, command: string): Promise<void> => {
  const client = new Client({ host: '127.0.0.1', port, user: ADMIN, database: 'pgbouncer' });
  await client.connect();
  try {
    await client.query(command);
  } finally {
    await client.end();
  }
};
