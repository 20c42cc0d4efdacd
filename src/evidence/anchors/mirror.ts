import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../../base/errors.ts';
import type { S3Bucket } from '../../base/s3/bucket.ts';
import { S3Fault } from '../../base/s3/errors.ts';
import type { Anchor, AnchorStore, LogToAnchor } from '../anchor.ts';
import { EvidenceFault } from '../bytes.ts';
import { readLines } from '../journal/strict-json.ts';
import { TILE_WIDTH, type TileId, tilePath } from '../tree/tiles.ts';

/** Leaves whose tiles are read and written together. */
const STEP = 64 * TILE_WIDTH;
/** Then the next checkpoint is due. */
const MAX_STEPS = 100;
/** At most so many that the log has not signed are passed over. */
const MAX_NEWEST = 20;

/**
 * Keeps every leaf hash and every statement, not only the root, out of the reach of the database's owner:
 * `log-1/checkpoints/0…01234`, `log-1/tile/…`, `log-1/statements/0…01234`: the statements up to that size, since the one before.
 */
export const mirrorTo = (name: string, files: WriteOnceFiles, intervalMs: number): Anchor => ({
  name,
  intervalMs,
  newest: async (number) => {
    const folder = `${folderOf(number)}/checkpoints`;
    const newest = await files.newestNumbers(folder, MAX_NEWEST);
    return await Promise.all(newest.map((each) => files.read(`${folder}/${each}`)));
  },
  history: async (number) => {
    const folder = `${folderOf(number)}/checkpoints`;
    const names = (await files.allNumbers(folder)).toSorted();
    return { sizes: names.map(Number), read: (index) => files.read(`${folder}/${names[index]}`) };
  },
  statements: async (number) => {
    const folder = `${folderOf(number)}/statements`;
    const texts: string[] = [];
    for (const each of (await files.allNumbers(folder)).toSorted())
      texts.push(...readLines(await files.read(`${folder}/${each}`), each));
    return texts;
  },
  keepCheckpoint: async ({ number, size, note, tilesSize }) => {
    const path = anchoredPath(number, size);
    const { outcome, receipt } = await files.put(path, Buffer.from(note));
    if (outcome === 'other' && textOf(await files.read(path)) !== textOf(Buffer.from(note))) {
      throw new EvidenceFault(`${path} is another checkpoint of ${size} leaves`);
    }
    return { tilesSize, ...(receipt && { receipt }) };
  },
  keepTiles: async (log, store, signal) => {
    let from = log.tilesSize;
    for (let step = 0; step < MAX_STEPS && from < log.size && !signal.aborted; step += 1) {
      const to = Math.min(log.size, (Math.floor(from / STEP) + 1) * STEP);
      await mirrorStep(files, store, log, { from, to }, signal);
      from = to;
    }
    return { tilesSize: from };
  },
});

/** Without the signatures, which may be by several keys. */
const textOf = (note: Buffer): string => note.toString('utf8').split('\n\n')[0] ?? '';

const folderOf = (number: number): string => `log-${number}`;
const nameOf = (size: number): string => String(size).padStart(20, '0');

const anchoredPath = (number: number, size: number): string => `${folderOf(number)}/checkpoints/${nameOf(size)}`;

const mirrorStep = async (
  files: WriteOnceFiles,
  store: AnchorStore,
  { number }: LogToAnchor,
  { from, to }: { readonly from: number; readonly to: number },
  signal: AbortSignal,
): Promise<void> => {
  const put = async (path: string, bytes: Buffer): Promise<void> => {
    signal.throwIfAborted();
    const at = `${folderOf(number)}/${path}`;
    if ((await files.put(at, bytes)).outcome === 'other')
      throw new EvidenceFault(`${at} is not as it is in the database`);
  };
  for (const { hashes, ...tile } of await store.readTiles(fullTiles(from, to))) await put(tilePath(tile), hashes);
  const texts = await store.readStatements(from, to);
  if (texts.length > 0) await put(`statements/${nameOf(to)}`, Buffer.from(texts.map((text) => `${text}\n`).join('')));
};

/** Tiles of all levels that become full between two sizes. */
const fullTiles = (from: number, to: number): TileId[] => {
  const tiles: TileId[] = [];
  for (let level = 0, leaves = TILE_WIDTH; leaves <= to; level += 1, leaves *= TILE_WIDTH) {
    for (let n = Math.floor(from / leaves); n < Math.floor(to / leaves); n += 1) {
      tiles.push({ level, n, width: TILE_WIDTH });
    }
  }
  return tiles;
};

interface WriteOnceFiles {
  /** What is `kept` outlives a crash of the machine. */
  put(path: string, bytes: Uint8Array): Promise<PutResult>;
  /** Names of twenty digits, the largest first; none if there is no such folder. */
  newestNumbers(folder: string, most: number): Promise<readonly string[]>;
  allNumbers(folder: string): Promise<readonly string[]>;
  read(path: string): Promise<Buffer>;
}

interface PutResult {
  /** `other`: the file exists with other bytes. */
  readonly outcome: 'kept' | 'same' | 'other';
  /** The version that the storage answered. */
  readonly receipt?: Buffer;
}

const READ_ONLY = 0o444;

/** The directory must exist: one that is not mounted must not be mistaken for an empty one. */
export const filesIn = (directory: string): WriteOnceFiles => ({
  put: async (path, bytes) => {
    await (await open(directory, 'r')).close();
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    return { outcome: await putFile(file, bytes) };
  },
  newestNumbers: async (folder, most) => (await numbersIn(directory, folder)).toSorted().slice(-most).toReversed(),
  allNumbers: (folder) => numbersIn(directory, folder),
  read: (path) => readFile(join(directory, path)),
});

const numbersIn = async (directory: string, folder: string): Promise<string[]> => {
  await (await open(directory, 'r')).close();
  const names = (await ifThere(readdir(join(directory, folder)))) ?? [];
  return names.filter((name) => /^\d{20}$/.test(name));
};

const putFile = async (file: string, bytes: Uint8Array): Promise<'kept' | 'same' | 'other'> => {
  const there = await ifThere(readFile(file));
  if (there !== undefined) return there.equals(bytes) ? 'same' : 'other';
  // The name appears once all of the file is on the disk.
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    await writeThrough(temporary, bytes);
    await link(temporary, file);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return (await readFile(file)).equals(bytes) ? 'same' : 'other';
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(dirname(file));
  return 'kept';
};

const ifThere = async <T>(reading: Promise<T>): Promise<T | undefined> =>
  await reading.catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });

const writeThrough = async (file: string, bytes: Uint8Array): Promise<void> => {
  await using handle = await open(file, 'wx', READ_ONLY);
  await handle.writeFile(bytes);
  await handle.sync();
};

const syncDirectory = async (directory: string): Promise<void> => {
  await using handle = await open(directory, 'r');
  await handle.sync();
};

const PAGE = 1_000;

/** Not every storage refuses to write an object twice: so each is read first, and the storage is asked to refuse as well. */
export const objectsIn = (bucket: S3Bucket): WriteOnceFiles => {
  const { lockMs } = bucket.address;
  const compare = async (path: string, bytes: Uint8Array): Promise<PutResult | undefined> => {
    const there = await bucket.get(path);
    if (there === undefined) return undefined;
    return there.bytes.equals(bytes) ? { outcome: 'same', ...receiptOf(there) } : { outcome: 'other' };
  };
  return {
    put: async (path, bytes) => {
      const there = await compare(path, bytes);
      if (there !== undefined) return there;
      try {
        const lock = lockMs === undefined ? {} : { lockedUntilMs: Date.now() + lockMs };
        return { outcome: 'kept', ...receiptOf(await bucket.put(path, bytes, { ...lock, once: true })) };
      } catch (error) {
        const isThere = error instanceof S3Fault && error.kind === 'exists';
        const now = isThere ? await compare(path, bytes) : undefined;
        if (now === undefined) throw error;
        return now;
      }
    },
    newestNumbers: (folder, most) => newestNumbers(bucket, folder, most),
    allNumbers: async (folder) => {
      const names: string[] = [];
      for (let page = await readPage(bucket, folder); ; page = await readPage(bucket, folder, lastOf(page))) {
        names.push(...page.names);
        if (!page.more || page.names.length === 0) return names;
      }
    },
    read: async (path) => {
      const there = await bucket.get(path);
      if (there === undefined) throw new Error(`${path} is not there any more`);
      return there.bytes;
    },
  };
};

const receiptOf = ({ versionId }: { readonly versionId: string | undefined }): Pick<PutResult, 'receipt'> =>
  versionId === undefined ? {} : { receipt: Buffer.from(versionId) };

const DIGITS = 20;
const BEHIND_ALL = 10n ** BigInt(DIGITS);

/** A list begins with the smallest name, and has a hundred pages after a year: so the last page is found by bisection. */
const newestNumbers = async (bucket: S3Bucket, folder: string, most: number): Promise<readonly string[]> => {
  const first = await readPage(bucket, folder);
  const newestOf = (names: readonly string[]) => names.slice(-most).toReversed();
  if (!first.more) return newestOf(first.names);
  // After `low` there is something; after `high` there is less than is wanted.
  let low = lastOf(first) ?? 0n;
  let upToLow = first.names;
  let high = BEHIND_ALL;
  while (high - low > 1n) {
    const far = 2n * low + 1n;
    const middle = high === BEHIND_ALL && far < high ? far : (low + high) / 2n;
    const page = await readPage(bucket, folder, middle);
    if (!page.more && page.names.length >= most) return newestOf(page.names);
    if (page.more) {
      low = lastOf(page) ?? middle;
      upToLow = page.names;
    } else high = middle;
  }
  return newestOf([...upToLow, ...(await readPage(bucket, folder, low)).names]);
};

const lastOf = ({ names }: { readonly names: readonly string[] }): bigint | undefined => {
  const last = names.at(-1);
  return last === undefined ? undefined : BigInt(last);
};

const readPage = async (bucket: S3Bucket, folder: string, after?: bigint) => {
  const key = after === undefined ? undefined : `${folder}/${String(after).padStart(DIGITS, '0')}`;
  const { keys, more } = await bucket.list({ folder, limit: PAGE, ...(key !== undefined && { after: key }) });
  return { names: keys.map((each) => each.slice(folder.length + 1)).filter((name) => /^\d{20}$/.test(name)), more };
};
