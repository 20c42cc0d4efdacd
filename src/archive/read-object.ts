import { createHash } from 'node:crypto';
import type { CataloguedObject } from './catalogue.sql.ts';
import type { ObjectStore } from './store/ports.ts';

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Reads an object whole. It is believed only if it has the bytes that were compared with the database when it was written. */
export const readObject = async (
  store: ObjectStore,
  { key, sha256 }: Pick<CataloguedObject, 'key' | 'sha256'>,
  signal?: AbortSignal,
): Promise<{ readonly bytes: Buffer } | { readonly fault: string }> => {
  const bytes = await store.get(key, signal);
  if (bytes === undefined) return { fault: 'it is not there' };
  return sha256Of(bytes) === sha256 ? { bytes } : { fault: `it has other bytes (${bytes.length} of them)` };
};
