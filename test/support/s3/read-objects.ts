import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { S3Bucket } from '../../../src/base/s3/bucket.ts';

export interface ReadObject {
  /** Below the prefix of the bucket: what the sink has as its prefix, and the name that it gave. */
  readonly name: string;
  readonly lines: readonly string[];
}

/** Every object below a folder, in the order of names. */
export const readObjects = async (bucket: S3Bucket, folder: string): Promise<readonly ReadObject[]> => {
  const names: string[] = [];
  let more = true;
  while (more) {
    const after = names.at(-1);
    const part = await bucket.list({ folder, ...(after !== undefined && { after }) });
    names.push(...part.keys);
    more = part.more;
  }
  const objects: ReadObject[] = [];
  for (const name of names) {
    const bytes = (await bucket.get(name))?.bytes ?? Buffer.alloc(0);
    const text = (name.endsWith('.gz') ? gunzipSync(bytes) : zstdDecompressSync(bytes)).toString();
    if (!text.endsWith('\n')) throw new Error(`${name} does not end with a whole line`);
    objects.push({ name, lines: text.slice(0, -1).split('\n') });
  }
  return objects;
};
