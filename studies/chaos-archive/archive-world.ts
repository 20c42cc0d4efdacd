import type { Pool } from 'pg';
import { setRetentionPolicy } from '../../src/archive/retention.sql.ts';
import type { S3Bucket } from '../../src/base/s3/bucket.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { prepareForDaemon } from '../../test/support/accounts/daemon-account.ts';
import { type PostgresCluster, startCluster } from '../../test/support/postgres/postgres-cluster.ts';
import { commit, entryText, newSource, takeLease } from '../../test/support/postgres/store-fixture.ts';
import { type Storage, storages, testBucket } from '../../test/support/s3/storages.ts';
import { type StorageProxy, startStorageProxy } from './storage-proxy.ts';

const YEAR_MS = 365 * 86_400_000;
const EVENTS_OF_MONTH = 40;
/** Each with the first day that is used of it. */
export const months: Readonly<Record<string, number>> = {
  '2024-01': Date.UTC(2024, 0, 3),
  '2024-02': Date.UTC(2024, 1, 3),
  '2024-03': Date.UTC(2024, 2, 3),
};

/** One server and one storage for all seeds. */
export interface ArchiveServers extends AsyncDisposable {
  readonly cluster: PostgresCluster;
  readonly storage: Storage;
  readonly proxy: StorageProxy;
}

/** Throws if it is not installed. */
export const startServers = async (kind = 'moto'): Promise<ArchiveServers> => {
  const moto = storages.find(({ name }) => name === kind);
  if (moto === undefined || moto.missing !== undefined) throw new Error(moto?.missing ?? `there is no ${kind}`);
  const cluster = await startCluster();
  const storage = await moto.start();
  const proxy = await startStorageProxy(storage.endpoint);
  await cluster.sql('create database template');
  const daemonUrl = await prepareForDaemon(cluster.url('template'));
  const pool = createPool(cluster.url('template'), 2, () => {});
  await fillTemplate(pool).finally(() => pool.end());
  if (daemonUrl === '') throw new Error('there is no account for the daemon');
  return {
    cluster,
    storage,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await storage.stop();
      await cluster[Symbol.asyncDispose]();
    },
  };
};

/** Events of all months mixed in order of position, with a later content here and there. */
const fillTemplate = async (pool: Pool): Promise<void> => {
  await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-03-31')");
  await pool.query('update discovery set server_time = clock_timestamp()');
  await setRetentionPolicy(pool, YEAR_MS);
  const texts = Array.from({ length: EVENTS_OF_MONTH }, (_, n) =>
    Object.entries(months).map(([month, fromMs]) =>
      entryText(`${month}-${n}`, fromMs + n * 60_000, { n, text: 'é\n"' }),
    ),
  ).flat();
  await commit(pool, await newSource(pool, 'o'), texts);
  await commit(pool, await takeLease(pool, 'o'), [
    entryText('2024-01-3', months['2024-01'], { other: true }),
    entryText('2024-02-4', months['2024-02'], { other: true }),
  ]);
};

/** What a seed works on. */
export interface SeedWorld extends AsyncDisposable {
  readonly owner: Pool;
  readonly bucket: S3Bucket;
  /** For `orgtrail archive`, with the account of the daemon, through the proxy. */
  readonly env: Readonly<Record<string, string>>;
}

export const openSeedWorld = async (servers: ArchiveServers, seed: number): Promise<SeedWorld> => {
  const { cluster, storage, proxy } = servers;
  const name = `seed_${seed}`;
  await cluster.sql(`create database ${name} template template`);
  const owner = createPool(cluster.url(name), 4, () => {});
  const bucket = await testBucket(storage, `seed-${seed}`);
  const daemonUrl = await prepareForDaemon(cluster.url(name));
  return {
    owner,
    bucket,
    env: {
      DATABASE_URL: daemonUrl,
      ORGTRAIL_RETENTION: '365d',
      ORGTRAIL_ARCHIVE: `s3://seed-${seed}/prefix?endpoint=${proxy.endpoint}`,
      ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: storage.accessKey,
      ORGTRAIL_ARCHIVE_S3_SECRET_KEY: storage.secretKey,
    },
    [Symbol.asyncDispose]: async () => {
      await bucket.close();
      await owner.end();
      await cluster.sql(`drop database ${name} with (force)`);
    },
  };
};
