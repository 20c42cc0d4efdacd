import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../process/seeded-random.ts';
import { type ReadObject, readObjects } from '../s3/read-objects.ts';
import { type PutFault, startStorageProxy } from '../s3/storage-proxy.ts';
import { storages, testBucket } from '../s3/storages.ts';
import type { ReceivedEvent } from './http/http-receiver.ts';
import type { SinkReceiver } from './sink-receivers.ts';

export interface ObjectStorageOptions {
  readonly batch_events: number;
  readonly timeout: string;
  /** So often the network breaks a connection, before or behind an object. */
  readonly cuts: number;
  readonly eventOfLine: (line: string) => ReceivedEvent;
}

type StorageKind = (typeof storages)[number];

/** A bucket on each storage that is installed, under the name of its sink. */
export const startObjectStorages = async (
  stack: AsyncDisposableStack,
  seed: number,
  options: ObjectStorageOptions,
): Promise<ReadonlyMap<string, SinkReceiver>> => {
  const receivers = new Map<string, SinkReceiver>();
  for (const kind of storages.filter(({ missing }) => missing === undefined)) {
    receivers.set(`s3-${kind.name}`, await startBucket(stack, kind, seed + receivers.size, options));
  }
  return receivers;
};

const startBucket = async (
  stack: AsyncDisposableStack,
  { name, start }: StorageKind,
  seed: number,
  { cuts, eventOfLine, ...common }: ObjectStorageOptions,
): Promise<SinkReceiver> => {
  const storage = await start();
  stack.defer(storage.stop);
  const bucket = await testBucket(storage, 'orgtrail-sinks');
  stack.defer(bucket.close);
  const random = seededRandom(seed);
  const faults: readonly PutFault[] = ['cut_before', 'cut_after'];
  let cut = 0;
  let repeated = 0;
  const nextFault = () => {
    if (cut >= cuts || random() < 0.9) return undefined;
    cut += 1;
    return faults[Math.floor(random() * faults.length)];
  };
  const proxy = stack.use(await startStorageProxy(storage.endpoint, nextFault));
  return {
    settings: {
      ...{ type: 's3', endpoint: proxy.endpoint, bucket: 'orgtrail-sinks', prefix: 'prefix/all' },
      ...{ access_key_id: storage.accessKey, secret_access_key: storage.secretKey, max_interval: '1s', ...common },
      compression: name === 'moto' ? 'gzip' : 'zstd',
    },
    format: 'native',
    received: async () => {
      const objects = await readObjects(bucket, 'all');
      repeated = repeatsOf(proxy.puts, objects);
      const events = objects.flatMap(({ lines }) => lines.map(eventOfLine));
      if (new Set(events.map(({ key }) => key)).size < events.length) throw new Error('an event stands in two objects');
      return events;
    },
    dropped: () => repeated,
    restart: async (how, pauseMs) => {
      if (storage.restart !== undefined) return await storage.restart(how === 'stop' ? 'SIGTERM' : 'SIGKILL', pauseMs);
      // It would forget everything: nothing reaches it meanwhile.
      await proxy.stop();
      await sleep(pauseMs);
      await proxy.restart();
    },
    cuts: proxy.cuts,
  };
};

/** Events that came again in an object of the same name. Throws for one that came with other bytes, or is not in the bucket. */
const repeatsOf = (
  puts: readonly { readonly path: string; readonly sha256: string }[],
  objects: readonly ReadObject[],
): number => {
  const linesOf = new Map(objects.map(({ name, lines }) => [name, lines.length]));
  const contents = new Map<string, string>();
  let repeats = 0;
  for (const { path, sha256 } of puts) {
    const name = path.slice(path.indexOf('/prefix/') + '/prefix/'.length);
    const lines = linesOf.get(name);
    if (lines === undefined) throw new Error(`${name} was taken in, and is not in the bucket`);
    const before = contents.get(name);
    if (before !== undefined && before !== sha256) throw new Error(`${name} came again with other bytes`);
    if (before !== undefined) repeats += lines;
    contents.set(name, sha256);
  }
  return repeats;
};
