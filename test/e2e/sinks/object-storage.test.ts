import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { formats } from '../../../src/formats/registry.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { until } from '../../support/process/until.ts';
import { readObjects } from '../../support/s3/read-objects.ts';
import { type PutFault, type StorageProxy, startStorageProxy } from '../../support/s3/storage-proxy.ts';
import { type Storage, storages, testBucket } from '../../support/s3/storages.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 1_758);
/** Half of them between an object and the note that it is there, the others at any time. */
const KILLS = 4;

test.each(storages.filter(({ missing }) => missing === undefined))(
  `on $name, killed ${KILLS} times, half of them between an object and its note (seed ${SEED}): the bucket has each event once, in order`,
  async ({ start }) => {
    await using stack = new AsyncDisposableStack();
    const storage = await start();
    stack.defer(storage.stop);
    const bucket = await testBucket(storage, 'orgtrail-e2e');
    stack.defer(bucket.close);
    const proxy = stack.use(await startStorageProxy(storage.endpoint));
    const world = stack.use(await openWorld({ organizations: 3, entries: ENTRIES, pageCap: 100, liveRate: 10 }));
    const env = {
      ...world.env,
      ORGTRAIL_HTTP_PORT: '0',
      ORGTRAIL_SCHEDULE: '* * * * * *',
      ORGTRAIL_SINKS: JSON.stringify({ lake: settingsOf(storage, proxy, { batch_events: BATCH }) }),
    };
    let daemon: OrgtrailProcess = startOrgtrail(['run'], env);
    stack.defer(async () => {
      daemon.child.kill('SIGKILL');
      await daemon.ended;
    });
    const random = seededRandom(SEED);
    for (let kill = 0; kill < KILLS; kill += 1) {
      const after = await sinkAt(world).catch(() => 0);
      await until('it delivers', async () => (await sinkAt(world)) > after);
      if (kill % 2 === 0) {
        for (let n = Math.floor(random() * 3); n > 0; n -= 1) proxy.faults.push('cut_after');
        proxy.faults.push('hold');
        await proxy.held();
        // What is stored meanwhile is not to be in that object.
        await sleep(random() * 1_500);
      } else await sleep(random() * 300);
      daemon.child.kill('SIGKILL');
      await daemon.ended;
      daemon = startOrgtrail(['run'], env);
    }
    await until('all of the history is stored', async () => (await head(world)) >= ENTRIES);
    const storedBy = await head(world);
    await until('and delivered', async () => (await sinkAt(world)) >= storedBy);
    // The one before it may have delivered the last of it.
    await daemon.waitFor('orgtrail started');
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toBe(143);

    const objects = await readObjects(bucket, 'lake');
    const positions = objects.flatMap(({ lines }) => lines.map((line) => JSON.parse(line).position));
    expect(positions).toEqual(Array.from({ length: await sinkAt(world) }, (_, n) => n + 1));
    expect(changed(proxy)).toEqual([]);
    const repeats = proxy.puts.length - objects.length;
    console.log(`${positions.length} events in ${objects.length} objects; ${repeats} objects came again`);
    expect(repeats).toBeGreaterThanOrEqual(KILLS / 2);
  },
);

test.runIf(storages.some(({ name, missing }) => name === 'radosgw' && missing === undefined))(
  'a wrong secret shows everywhere without the secret, and loses nothing; objects are no larger than max_bytes',
  async () => {
    await using stack = new AsyncDisposableStack();
    const storage = await storages.find(({ name }) => name === 'radosgw')?.start();
    if (storage === undefined) throw new Error('no radosgw');
    stack.defer(storage.stop);
    const bucket = await testBucket(storage, 'orgtrail-e2e');
    stack.defer(bucket.close);
    const proxy = stack.use(await startStorageProxy(storage.endpoint));
    const world = stack.use(await openWorld({ organizations: 2, entries: 300, pageCap: 100 }));
    const secret = 'a-secret-that-is-not-the-one';
    const sinks = (settings: object) => ({ ...world.env, ORGTRAIL_SINKS: JSON.stringify({ lake: settings }) });
    const wrong = stack.use(await startDaemonProcess(sinks(settingsOf(storage, proxy, { secret_access_key: secret }))));
    await until('all is stored', async () => (await head(world)) === 300);
    await until('health says why', async () =>
      /not that of the access key .*; check access_key_id and secret_access_key$/.test(
        (await wrong.health()).sinks[0]?.last_error ?? '',
      ),
    );
    expect(await wrong.health()).toMatchObject({ status: 'failing', sinks: [{ state: 'failing', position: 0 }] });
    expect(await wrong.stop()).toBe(143);
    const said = wrong.process.stdout() + wrong.process.stderr();
    expect(said).toContain('sink delivery failing');
    expect(said).not.toContain(secret);
    expect(said).not.toContain(storage.accessKey);

    const small = settingsOf(storage, proxy, { max_bytes: MAX_BYTES });
    await using right = await startDaemonProcess(sinks(small));
    await until('all is delivered', async () => (await sinkAt(world)) === 300);
    const objects = await readObjects(bucket, 'lake');
    expect(objects.flatMap(({ lines }) => lines.map((line) => JSON.parse(line).position))).toEqual(
      Array.from({ length: 300 }, (_, n) => n + 1),
    );
    const sizes = objects.map(({ lines }) =>
      lines.reduce((sum, line) => sum + Buffer.byteLength(formats.native.readLine(line).rawText ?? ''), 0),
    );
    expect(sizes.filter((bytes) => bytes > MAX_BYTES)).toEqual([]);
    expect(sizes.length).toBeGreaterThan(2);
    expect(await right.stop()).toBe(143);
  },
);

test.runIf(storages.some(({ name, missing }) => name === 'radosgw' && missing === undefined))(
  'a 412 is no delivery, whatever it means; a lock is one only of what is there: nothing is lost',
  async () => {
    await using stack = new AsyncDisposableStack();
    const storage = await storages.find(({ name }) => name === 'radosgw')?.start();
    if (storage === undefined) throw new Error('no radosgw');
    stack.defer(storage.stop);
    const bucket = await testBucket(storage, 'orgtrail-e2e');
    stack.defer(bucket.close);
    let refused = 0;
    let isRefusing = true;
    const nextFault = (): PutFault | undefined => {
      if (!isRefusing) return undefined;
      refused += 1;
      return { status: 412, code: 'PreconditionFailed' };
    };
    const proxy = stack.use(await startStorageProxy(storage.endpoint, nextFault));
    const world = stack.use(await openWorld({ organizations: 1, entries: 200, pageCap: 100 }));
    const sinks = JSON.stringify({ lake: settingsOf(storage, proxy) });
    await using daemon = await startDaemonProcess({ ...world.env, ORGTRAIL_SINKS: sinks });
    await until(
      'it is refused again and again, or taken for put',
      async () => refused >= 3 || (await sinkAt(world)) > 0,
    );
    const health = await daemon.health();
    expect(health.sinks).toMatchObject([{ state: 'failing', position: 0, dead_letters: 0 }]);
    expect(health.sinks[0]?.last_error).toMatch(
      /^the storage did not take the object \(PreconditionFailed\), and does not/,
    );
    expect(await readObjects(bucket, 'lake')).toEqual([]);
    proxy.faults.push('cut_after', { status: 403, code: 'ObjectLockedByBucketPolicy' });
    isRefusing = false;
    await until('all is delivered', async () => (await sinkAt(world)) === 200);
    const positions = (await readObjects(bucket, 'lake')).flatMap(({ lines }) =>
      lines.map((line) => JSON.parse(line).position),
    );
    // One is tried before its turn if it was refused often enough, and comes again in it.
    expect([...new Set(positions)].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
    expect(await daemon.stop()).toBe(143);
  },
);

const ENTRIES = 3_000;

/** More than are stored in a second: an object ends where the feed did when it was begun. */
const BATCH = 2_000;
/** The least that may be set. */
const MAX_BYTES = 65_536;

const sinkAt = async (world: SyncWorld): Promise<number> => {
  const { rows } = await world.database.pool.query<{ position: number }>('select position::float8 from sinks');
  return rows[0]?.position ?? 0;
};

const head = (world: SyncWorld): Promise<number> =>
  firstValue<number>(world.database.pool, 'select position::float8 from feed_head');

const settingsOf = (storage: Storage, proxy: StorageProxy, more: object = {}) => ({
  ...{ type: 's3', endpoint: proxy.endpoint, bucket: 'orgtrail-e2e', prefix: 'prefix/lake' },
  ...{ access_key_id: storage.accessKey, secret_access_key: storage.secretKey, max_interval: '1s' },
  ...more,
});

/** Names of objects that were put with two contents. */
const changed = ({ puts }: StorageProxy): string[] => {
  const contents = new Map<string, string>();
  return puts.flatMap(({ path, sha256 }) => {
    const before = contents.get(path);
    contents.set(path, sha256);
    return before === undefined || before === sha256 ? [] : [path];
  });
};
