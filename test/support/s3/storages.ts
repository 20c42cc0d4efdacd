import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseS3Address, type S3Address } from '../../../src/base/s3/address.ts';
import { type BucketOptions, createTransport, openBucket, type S3Bucket } from '../../../src/base/s3/bucket.ts';
import { freePorts } from '../network/free-ports.ts';

/** A storage that runs as a process of its own. */
export interface Storage {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Ends it, and starts it again after so long with all that it had. Undefined: it would forget everything. */
  readonly restart: ((signal: 'SIGTERM' | 'SIGKILL', pauseMs: number) => Promise<void>) | undefined;
  stop(): Promise<void>;
}

interface StorageKind {
  readonly name: 'moto' | 'radosgw';
  /** Why it cannot be started; undefined: it can. */
  readonly missing: string | undefined;
  /** On this port, or on a free one. `before` is Python that moto runs first. */
  start(at?: number, before?: string): Promise<Storage>;
}

const RADOSGW = '/usr/bin/radosgw';
const PYTHON = '/usr/bin/python3';
const radosgwKeys = { accessKey: 'test-access-key', secretKey: 'test-secret-key' };

/** Of Debian: scripts/install/deploy-tools.sh. */
const missingMoto = (): string | undefined => {
  try {
    execFileSync(PYTHON, ['-c', 'import moto.server, flask_cors, boto3'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'there is no moto (python3-moto, python3-flask and python3-flask-cors of Debian)';
  }
};

/** Has conditions, ranges, versions and locks, and accepts any secret. */
const moto: StorageKind = {
  name: 'moto',
  missing: missingMoto(),
  start: async (at, before = '') => {
    const port = at ?? (await freePorts(1))[0] ?? 0;
    const main = ['-c', `${before}from moto.server import main; main()`, '-H', '127.0.0.1', '-p', String(port)];
    const server = await running(() => spawn(PYTHON, main, { stdio: 'ignore' }), port);
    return { ...server, accessKey: 'key', secretKey: 'secret', restart: undefined };
  },
};

/** Verifies signatures and the clock, and ignores `If-None-Match`; without a lock. */
const radosgw: StorageKind = {
  name: 'radosgw',
  missing: existsSync(RADOSGW) ? undefined : 'there is no radosgw (radosgw of Debian)',
  start: async (at) => {
    const port = at ?? (await freePorts(1))[0] ?? 0;
    const folder = await mkdtemp(join(tmpdir(), 'orgtrail-radosgw-'));
    const settings = join(folder, 'ceph.conf');
    await writeFile(settings, radosgwSettings(folder, port));
    const common = ['-c', settings, '-n', 'client.rgw', '--no-mon-config'];
    const { accessKey, secretKey } = radosgwKeys;
    const user = ['--uid=test', '--display-name=test', `--access-key=${accessKey}`, `--secret-key=${secretKey}`];
    await untilPrinted(spawn(`${RADOSGW}-admin`, [...common, 'user', 'create', ...user]), '"mfa_ids"');
    const server = await running(() => spawn(RADOSGW, [...common, '-f'], { stdio: 'ignore' }), port);
    const stop = async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    };
    return { ...server, ...radosgwKeys, stop };
  },
};

/** radosgw-admin has done its work then, and sometimes does not end by itself. */
const untilPrinted = async (started: ChildProcess, last: string): Promise<void> => {
  let printed = '';
  await new Promise<void>((resolve) => {
    started.stdout?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      if (printed.includes(last)) resolve();
    });
    started.once('close', () => resolve());
  });
  started.kill('SIGKILL');
  if (!printed.includes(last)) throw new Error(`radosgw-admin printed ${JSON.stringify(printed)}`);
};

/** Without a cluster: all of it is in files of this folder. */
const radosgwSettings = (folder: string, port: number): string => `[global]
run_dir = ${folder}
log_file = ${folder}/log
rgw_data = ${folder}
rgw_backend_store = dbstore
dbstore_db_dir = ${folder}
rgw_config_store = dbstore
dbstore_config_uri = file:${folder}/config.db
rgw_frontends = beast endpoint=127.0.0.1:${port}
`;

export const storages: readonly StorageKind[] = [moto, radosgw];
for (const { name, missing } of storages) {
  if (missing !== undefined) console.warn(`Nothing is tested on ${name}: ${missing}.`);
}

const running = async (start: () => ChildProcess, port: number) => {
  const endpoint = `http://127.0.0.1:${port}`;
  const startAndWait = async () => {
    const child = start();
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    while (child.exitCode === null && !(await answers(endpoint))) await sleep(50);
    if (child.exitCode !== null) throw new Error(`the storage ended with ${child.exitCode}`);
    return { child, ended };
  };
  let current = await startAndWait();
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    current.child.kill(signal);
    await current.ended;
  };
  const restart = async (signal: 'SIGTERM' | 'SIGKILL', pauseMs: number) => {
    await end(signal);
    await sleep(pauseMs);
    current = await startAndWait();
  };
  return { endpoint, restart, stop: () => end('SIGKILL') };
};

const answers = (endpoint: string): Promise<boolean> =>
  fetch(endpoint).then(
    async (response) => (await response.text()) !== undefined,
    () => false,
  );

/** Throws what is wrong with it. */
export const addressOf = (text: string): S3Address => {
  const address = parseS3Address(text);
  if (typeof address === 'string') throw new Error(address);
  return address;
};

export interface TestBucketOptions extends Partial<BucketOptions> {
  readonly parameters?: string;
  /** The bucket can lock objects; moto alone. */
  readonly canLock?: boolean;
}

/** A new bucket of this name, or one that is there already, below `prefix`. */
export const testBucket = async (
  storage: Storage,
  bucket: string,
  { parameters = '', canLock = false, ...options }: TestBucketOptions = {},
): Promise<S3Bucket> => {
  const { endpoint, accessKey, secretKey } = storage;
  const address = addressOf(`s3://${bucket}/prefix?endpoint=${encodeURIComponent(endpoint)}${parameters}`);
  const transport = signedRequests(storage, address);
  const headers = canLock ? { headers: { 'x-amz-bucket-object-lock-enabled': 'true' } } : {};
  const answer = await transport.send({ method: 'PUT', key: '', ...headers }, new AbortController().signal);
  await transport.close();
  if (answer.status !== 200 && answer.status !== 409) throw new Error(`HTTP ${answer.status}: ${answer.body}`);
  return openBucket(address, { accessKey, secretKey, environment: {}, timeoutMs: 60_000, ...options });
};

const signedRequests = ({ accessKey, secretKey }: Storage, address: S3Address) =>
  createTransport({
    address,
    keys: { keys: async () => ({ accessKey, secretKey }), forget: () => {} },
    timeoutMs: 60_000,
    maxBytes: 1_000_000,
    nowMs: Date.now,
  });

/** What the storage says of an object, whose key is below `prefix`: all its headers, by their names in lower case. */
export const headersOf = async (storage: Storage, bucket: string, key: string) => {
  const address = addressOf(`s3://${bucket}?endpoint=${encodeURIComponent(storage.endpoint)}`);
  const transport = signedRequests(storage, address);
  const answer = await transport.send({ method: 'HEAD', key: `prefix/${key}` }, new AbortController().signal);
  await transport.close();
  return answer.header;
};
