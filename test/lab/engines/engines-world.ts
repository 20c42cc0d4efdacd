import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readFeedHead } from '../../../src/feed/head/feed-head.sql.ts';
import type { FormatName } from '../../../src/formats/formats.ts';
import { createPool, type Pool } from '../../../src/postgres/pool.ts';
import { setRetentionPolicy } from '../../../src/retention/retention.sql.ts';
import { openBucket, type S3Bucket } from '../../../src/s3/s3-bucket.ts';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { registerSinks } from '../../../src/sinks/sinks.sql.ts';
import { prepareForDaemon } from '../../support/accounts/daemon-account.ts';
import { createSearchedMonths } from '../../support/archive/searched-months.ts';
import { startCluster } from '../../support/postgres/postgres-cluster.ts';
import { commitAll, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { until } from '../../support/process/until.ts';
import { addressOf, type Storage, storages, testBucket } from '../../support/s3/storages.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';
import { startSinkWorker } from '../../support/sinks/delivery-fixture.ts';
import { strangeEntries, unholdableEntries, unnamedEntries } from '../../support/sync/defective-entries.ts';

const YEAR_MS = 365 * 86_400_000;
/** The name that the pages have. */
export const BUCKET = 'audit-archive';
const SINK_BYTES = 8 * 1_048_576;
const SINK_EVENTS = 10_000;

/** Events in PostgreSQL, and the same in an archive in a directory, in one in a bucket, and in objects of the sink s3. */
export interface EnginesWorld extends AsyncDisposable {
  readonly pool: Pool;
  readonly storage: Storage;
  /** All of it: the archive is below `orgtrail`, what sinks wrote below `sink`. */
  readonly bucket: S3Bucket;
  /** Of the archive. */
  readonly directory: string;
  readonly feedId: string;
  /** Archived ones, the first one first. */
  readonly months: readonly string[];
  orgtrail(...args: readonly string[]): Promise<string>;
  /** Puts objects into the bucket that no manifest names: one that is there under another name, and one that is no Parquet. */
  addForeignObjects(): Promise<void>;
  /** Writes all events below `sink/NAME` of the bucket. */
  deliver(name: string, format: FormatName, compression: 'gzip' | 'zstd'): Promise<void>;
}

export interface WorldOptions {
  readonly events: number;
  readonly seed: number;
  readonly progress: (line: string) => void;
}

/** Throws if moto is not installed: radosgw answers requests for ranges, which engines send, with other bytes. */
export const openEnginesWorld = async ({ events, seed, progress }: WorldOptions): Promise<EnginesWorld> => {
  const moto = storages.find(({ name }) => name === 'moto');
  if (moto === undefined || moto.missing !== undefined) throw new Error(moto?.missing ?? 'there is no moto');
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startCluster());
  await cluster.sql('create database engines');
  const daemonUrl = await prepareForDaemon(cluster.url('engines'));
  const pool = createPool(cluster.url('engines'), 4, () => {});
  stack.defer(() => pool.end());
  progress(`${events} ordinary events of six months are made, and hostile ones`);
  await fill(pool, events, seed);
  const storage = await moto.start();
  stack.defer(storage.stop);
  await (await testBucket(storage, BUCKET)).close();
  const bucket = openWholeBucket(storage);
  stack.defer(bucket.close);
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-engines-archive-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const orgtrail = await archiveTwice({ daemonUrl, storage, directory, progress });
  const { rows } = await pool.query<{ month: string; feed: string }>(
    `select distinct to_char(month, 'YYYY-MM') as month, (select feed_id::text from feed_head) as feed from archive_objects order by 1`,
  );
  const owned = stack.move();
  return {
    pool,
    storage,
    bucket,
    directory,
    feedId: rows[0]?.feed ?? '',
    months: rows.map(({ month }) => month),
    orgtrail,
    addForeignObjects: () => addForeignObjects(bucket),
    deliver: (name, format, compression) => deliver(pool, storage, { name, format, compression }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
};

const openWholeBucket = ({ endpoint, accessKey, secretKey }: Storage): S3Bucket => {
  const root = addressOf(`s3://${BUCKET}?endpoint=${encodeURIComponent(endpoint)}`);
  return openBucket(root, { accessKey, secretKey, environment: {}, timeoutMs: 60_000 });
};

interface ArchivesOptions extends Pick<EnginesWorld, 'storage' | 'directory'>, Pick<WorldOptions, 'progress'> {
  readonly daemonUrl: string;
}

/** Archives all old months into the directory, and into the bucket, with which the commands work that it returns. */
const archiveTwice = async ({ daemonUrl, storage, directory, progress }: ArchivesOptions) => {
  const archiveIn = (address: string) => ({
    DATABASE_URL: daemonUrl,
    ORGTRAIL_RETENTION: '365d',
    ORGTRAIL_ARCHIVE: address,
    ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: storage.accessKey,
    ORGTRAIL_ARCHIVE_S3_SECRET_KEY: storage.secretKey,
  });
  const run = async (env: Readonly<Record<string, string>>, args: readonly string[]) => {
    progress(`orgtrail ${args.join(' ')}, with ${env['ORGTRAIL_ARCHIVE']}`);
    const { code, stdout, stderr } = await runOrgtrail(args, env);
    if (code !== 0) throw new Error(`orgtrail ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  };
  await run(archiveIn(`file://${directory}`), ['archive', 'run']);
  const inBucket = archiveIn(`s3://${BUCKET}/orgtrail?endpoint=${storage.endpoint}`);
  await run(inBucket, ['archive', 'run']);
  return (...args: readonly string[]) => run(inBucket, args);
};

/**
 * Six months of 2024; every column with values that differ in case or are null, later contents, all kinds of defective entries, and the first
 * moment that is archived.
 */
const fill = async (pool: Pool, events: number, seed: number): Promise<void> => {
  await pool.query('update discovery set server_time = clock_timestamp()');
  await setRetentionPolicy(pool, YEAR_MS);
  const untilMs = Date.UTC(2024, 6, 1) - 1;
  await makeLargeHistory(pool, { events, organizations: 8, untilMs, days: 182, withAccounts: true });
  await (await createSearchedMonths(pool, seededRandom(seed)))(60);
  const texts = [...unnamedEntries, ...unholdableEntries, ...strangeEntries].map(({ text }) =>
    text.replaceAll('2026-01-10', '2024-03-10'),
  );
  await pool.query("select orgtrail_create_partitions('2009-01-01', '2009-01-02')");
  const early = entryText('early', 0, { action: { time: '2009-01-01T00:00:00.000001Z' } });
  await commitAll(pool, await newSource(pool, 'hostile'), [[...texts, early]]);
};

/** They sort behind the others of their month, so that an engine takes the columns from one of those. */
const addForeignObjects = async (bucket: S3Bucket): Promise<void> => {
  const { keys } = await bucket.list({ folder: 'orgtrail/v1/events' });
  const [first = ''] = keys;
  const folder = dirname(first);
  const bytes = (await bucket.get(first))?.bytes ?? Buffer.alloc(0);
  await bucket.put(`${folder}/9999999999999998-9999999999999998-000000000000.parquet`, bytes);
  await bucket.put(`${folder}/9999999999999999-9999999999999999-000000000000.parquet`, Buffer.from('PAR1 and PAR1'));
};

interface Delivered {
  readonly name: string;
  readonly format: FormatName;
  readonly compression: 'gzip' | 'zstd';
}

/** By the loop that the daemon runs. */
const deliver = async (pool: Pool, storage: Storage, { name, format, compression }: Delivered): Promise<void> => {
  const { endpoint, accessKey, secretKey } = storage;
  const settings = { type: 's3', endpoint, bucket: BUCKET, prefix: `sink/${name}`, format, compression };
  const keys = { access_key_id: accessKey, secret_access_key: secretKey, timeout: '10m' };
  const sink = createSink(sinkSettings.parse({ ...settings, ...keys }));
  await registerSinks(pool, [{ name, kind: 's3', target: 'bucket', start: 'beginning' }]);
  const { position: head } = await readFeedHead(pool);
  const position = async () =>
    (await pool.query<{ at: number }>('select position::float8 as at from sinks where name = $1', [name])).rows[0]?.at;
  {
    await using _ = startSinkWorker(pool, { name, sink, format, batchEvents: SINK_EVENTS, maxBytes: SINK_BYTES });
    await until(`${name} has all events`, async () => (await position()) === head);
  }
  await sink.close();
};
