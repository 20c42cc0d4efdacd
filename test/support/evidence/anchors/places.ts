import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Anchor } from '../../../../src/evidence/anchor.ts';
import { mirrorTo, objectsIn } from '../../../../src/evidence/anchors/mirror.ts';
import { type Storage, storages, testBucket } from '../../s3/storages.ts';
import { directoryAnchor } from './anchoring-builder.ts';

const INTERVAL_MS = 10;

/** Where an anchor keeps its files, seen from outside. */
export interface Place extends AsyncDisposable {
  readonly anchor: Anchor;
  /** Names in a folder, in order; none if there is no such folder. */
  names(folder: string): Promise<readonly string[]>;
  read(path: string): Promise<Buffer>;
  /** Also over what is there. */
  write(path: string, bytes: Uint8Array): Promise<void>;
}

interface PlaceKind {
  readonly name: string;
  /** Why there is none; undefined: there is. */
  readonly missing: string | undefined;
  readonly storageName: 'moto' | 'radosgw' | undefined;
  /** Before all tests: what the places are on. */
  open(): Promise<{ readonly storage: Storage | undefined; place(): Promise<Place>; close(): Promise<void> }>;
}

const directory: PlaceKind = {
  name: 'a directory',
  missing: undefined,
  storageName: undefined,
  open: async () => ({
    storage: undefined,
    place: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'orgtrail-anchor-'));
      return {
        anchor: directoryAnchor(folder),
        names: async (path) => (await readdir(join(folder, path)).catch(() => [])).sort(),
        read: (path) => readFile(join(folder, path)),
        write: async (path, bytes) => {
          await mkdir(dirname(join(folder, path)), { recursive: true });
          await rm(join(folder, path), { force: true });
          await writeFile(join(folder, path), bytes);
        },
        [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
      };
    },
    close: async () => {},
  }),
};

const bucketOn = async (storage: Storage, name: string): Promise<Place> => {
  const bucket = await testBucket(storage, name);
  return {
    anchor: mirrorTo(bucket.address.name, objectsIn(bucket), INTERVAL_MS),
    names: async (folder) => (await bucket.list({ folder })).keys.map((key) => key.slice(folder.length + 1)),
    read: async (path) => (await bucket.get(path))?.bytes ?? Buffer.alloc(0),
    write: async (path, bytes) => void (await bucket.put(path, Buffer.from(bytes))),
    [Symbol.asyncDispose]: () => bucket.close(),
  };
};

/** A directory, and a bucket on each storage that is installed. */
export const placeKinds: readonly PlaceKind[] = [
  directory,
  ...storages.map(({ name, missing, start }) => ({
    name: `a bucket on ${name}`,
    missing,
    storageName: name,
    open: async () => {
      const storage = await start();
      let count = 0;
      return {
        storage,
        place: () => {
          count += 1;
          return bucketOn(storage, `place-${count}`);
        },
        close: () => storage.stop(),
      };
    },
  })),
];
