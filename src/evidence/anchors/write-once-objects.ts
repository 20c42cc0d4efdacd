import type { S3Bucket } from '../../s3/s3-bucket.ts';
import { S3Fault } from '../../s3/s3-fault.ts';
import type { PutResult, WriteOnceFiles } from './write-once-files.ts';

/** So many names are asked for at once. */
const PAGE = 1_000;

/**
 * Objects of a bucket, locked if its address says so. Not every storage can refuse to write an object twice: so each is read before it is
 * written, and the storage is asked to refuse as well.
 */
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

/**
 * A list begins with the smallest name, and after a year of checkpoints it has a hundred pages. So the last one is searched for: a page
 * that begins in the middle of what is left, until one has enough names and is the last.
 */
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

interface Page {
  readonly names: readonly string[];
  /** There are further ones. */
  readonly more: boolean;
}

const lastOf = ({ names }: Page): bigint | undefined => {
  const last = names.at(-1);
  return last === undefined ? undefined : BigInt(last);
};

const readPage = async (bucket: S3Bucket, folder: string, after?: bigint): Promise<Page> => {
  const key = after === undefined ? undefined : `${folder}/${String(after).padStart(DIGITS, '0')}`;
  const { keys, more } = await bucket.list({ folder, limit: PAGE, ...(key !== undefined && { after: key }) });
  return { names: keys.map((each) => each.slice(folder.length + 1)).filter((name) => /^\d{20}$/.test(name)), more };
};
