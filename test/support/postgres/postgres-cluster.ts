import { execFile as execFileWithCallback } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFile, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { createRunner, findBinaries, freePort, type Runner } from '../../../src/postgres/embedded-server.ts';
import { until } from '../process/until.ts';

const execFile = promisify(execFileWithCallback);

/** A PostgreSQL server of its own on loopback, to be stopped, crashed, copied and promoted. Lets every client in. */
export interface PostgresCluster extends AsyncDisposable {
  readonly port: number;
  readonly host: string;
  /** Where its data is. */
  readonly directory: string;
  url(database?: string, user?: string): string;
  start(): Promise<void>;
  /** `fast` says goodbye to every client; `immediate` is a crash: the next start recovers from the WAL. */
  stop(mode: 'fast' | 'immediate'): Promise<void>;
  /** One statement, on a connection of its own, as superuser. */
  sql(statement: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  /** A new role, not a superuser, and an empty database of that name which it owns. */
  createDatabase(): Promise<{ readonly name: string; readonly url: string }>;
}

/** A copy that follows a primary, and can take over from it. */
export interface Standby extends PostgresCluster {
  /** Restarts it without its primary: nothing arrives any more. Resolves when it has applied what had arrived. */
  fallBehind(): Promise<void>;
  promote(): Promise<void>;
}

export interface ClusterOptions {
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Where its data is to be (made by initdb, below an existing directory). Default: a temporary directory. */
  readonly directory?: string;
  /** The write-ahead log is to be in a temporary directory, wherever the data is. */
  readonly walElsewhere?: boolean;
  /** Variables of the server's own processes. */
  readonly environment?: Readonly<Record<string, string>>;
}

const SUPERUSER = 'admin';

/** Makes a server and starts it, on a free port that it keeps. */
export const startCluster = async (options: ClusterOptions = {}): Promise<PostgresCluster> => {
  const base = await mkdtemp(join(tmpdir(), 'orgtrail-cluster-'));
  const directory = options.directory ?? join(base, 'data');
  // initdb gives what it makes to the account that it runs as; that one must be let in.
  const binaries = await findBinaries();
  const { run, account } = await createRunner(binaries, directory);
  if (account !== undefined) await chown(base, account.uid, account.gid);
  const wal = options.walElsewhere === true ? ['-X', join(base, 'wal')] : [];
  await run('initdb', ['-D', directory, '-U', SUPERUSER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N', ...wal]);
  const settings = { fsync: 'off', ...options.settings };
  await appendFile(
    join(directory, 'postgresql.conf'),
    Object.entries(settings)
      .map(([name, value]) => `${name} = '${value}'\n`)
      .join(''),
  );
  const { environment } = options;
  const program = environment === undefined ? [] : ['-p', await programWith(environment, binaries.postgres, base)];
  const cluster = clusterIn(run, directory, await freePort(), base, program);
  await cluster.start();
  return cluster;
};

/** A script that starts the server with these variables: pg_ctl gets none of them. */
const programWith = async (environment: Readonly<Record<string, string>>, postgres: string, folder: string) => {
  const script = join(folder, 'postgres');
  const variables = Object.entries(environment).map(([name, value]) => `export ${name}='${value}'\n`);
  await writeFile(script, `#!/bin/sh\n${variables.join('')}exec '${postgres}' "$@"\n`, { mode: 0o755 });
  return script;
};

/**
 * Stops the primary, copies it, starts both; resolves when the copy streams and, unless it is `asynchronous`, the primary waits
 * for it at every commit.
 */
export const startStandby = async (
  primary: PostgresCluster,
  { asynchronous = false }: { readonly asynchronous?: boolean } = {},
): Promise<Standby> => {
  const base = await mkdtemp(join(tmpdir(), 'orgtrail-standby-'));
  const directory = join(base, 'data');
  const { run, account } = await createRunner(await findBinaries(), directory);
  if (account !== undefined) await chown(base, account.uid, account.gid);
  await primary.stop('fast');
  await execFile('cp', ['-a', `${primary.directory}/.`, directory]);
  await primary.start();
  const from = `host=${primary.host} port=${primary.port} user=${SUPERUSER} application_name=standby`;
  await appendFile(join(directory, 'postgresql.conf'), `primary_conninfo = '${from}'\n`);
  await writeFile(join(directory, 'standby.signal'), '');
  const standby = clusterIn(run, directory, await freePort(), base);
  await standby.start();
  if (!asynchronous) await primary.sql("alter system set synchronous_standby_names = 'standby'");
  await primary.sql('select pg_reload_conf()');
  const state = asynchronous ? 'async' : 'sync';
  await until('the standby streams', async () => {
    const rows = await primary.sql('select state, sync_state from pg_stat_replication');
    return rows.some((row) => row['state'] === 'streaming' && row['sync_state'] === state);
  });
  const fallBehind = async () => {
    await standby.sql("alter system set primary_conninfo = ''");
    // A receiver that is told to end may leave a part of a record behind, so that both positions never meet. A server that starts
    // reads all that it has before it first waits for more.
    await standby.stop('fast');
    await standby.start();
    await until('all that arrived is applied', async () => {
      const rows = await standby.sql(`select wait_event from pg_stat_activity where backend_type = 'startup'`);
      return rows[0]?.['wait_event'] === 'RecoveryRetrieveRetryInterval';
    });
  };
  return {
    ...standby,
    fallBehind,
    promote: async () => void (await run('pg_ctl', ['promote', '-D', directory, '-w'])),
  };
};

/** Starts a server on a copy of another one's data, in `data` below `base`, which is removed with it. Resolves when it takes statements. */
export const startCopy = async (base: string): Promise<PostgresCluster> => {
  const directory = join(base, 'data');
  const { run } = await createRunner(await findBinaries(), directory);
  const cluster = clusterIn(run, directory, await freePort(), base);
  await cluster.start();
  await until('the copy has come to its end', async () => {
    const [row] = await cluster.sql('select not pg_is_in_recovery() as is_open');
    return row?.['is_open'] === true;
  });
  return cluster;
};

const clusterIn = (
  run: Runner,
  directory: string,
  port: number,
  base: string,
  program: readonly string[] = [],
): PostgresCluster => {
  const host = '127.0.0.1';
  const logFile = join(directory, 'server.log');
  const url = (database = 'postgres', user = SUPERUSER) => `postgres://${user}@${host}:${port}/${database}`;
  const options = `-p ${port} -c listen_addresses=${host} -c unix_socket_directories=`;
  const stop = async (mode: 'fast' | 'immediate') => {
    await run('pg_ctl', ['stop', '-D', directory, '-m', mode, '-w', '-t', '60']);
  };
  const sql = async (statement: string, database?: string) => {
    const client = new Client({ connectionString: url(database) });
    await client.connect();
    try {
      return (await client.query(statement)).rows;
    } finally {
      await client.end();
    }
  };
  return {
    port,
    host,
    directory,
    url,
    stop,
    sql,
    start: async () => {
      await run('pg_ctl', ['start', '-D', directory, '-l', logFile, '-w', '-t', '60', '-o', options, ...program]);
    },
    createDatabase: async () => {
      const name = `trouble_${randomBytes(5).toString('hex')}`;
      await sql(`create role ${name} login`);
      await sql(`create database ${name} owner ${name}`);
      return { name, url: url(name, name) };
    },
    [Symbol.asyncDispose]: async () => {
      // It may be stopped already.
      await stop('immediate').catch(() => {});
      await rm(base, { recursive: true, force: true });
    },
  };
};
