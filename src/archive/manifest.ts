import { createHash } from 'node:crypto';
import { z } from 'zod';
import { OrgtrailError } from '../base/errors.ts';
import { S3Fault } from '../base/s3/errors.ts';
import type { Pool } from '../postgres/pool.ts';
import { type CataloguedObject, readCatalogue, readEnteredKeys, readFeedId } from './catalogue.sql.ts';
import { objectKinds } from './columns.ts';
import type { ObjectStore } from './store.ts';

/**
 * `none`: the archive has no object. `unknown`: the manifest names objects that the catalogue never had, as that of a newer database does. `stale`:
 * its text is any other than that of the catalogue.
 */
export type ManifestState = 'current' | 'missing' | 'stale' | 'unknown' | 'none';

export interface ManifestFound {
  readonly key: string;
  readonly state: ManifestState;
  /** The catalogue never had them. */
  readonly unknownKeys: readonly string[];
}

export interface WrittenManifest {
  readonly key: string;
  readonly isWritten: boolean;
  /** Where the old text is, if that named objects that the catalogue never had. */
  readonly keptAs: string | undefined;
}

/** While other replicas write it, too. */
const MOST_ATTEMPTS = 5;

/** In the bucket, compared with the catalogue. */
export const readManifest = async (pool: Pool, store: ObjectStore, signal?: AbortSignal): Promise<ManifestFound> =>
  (await compare(pool, store, signal)).result;

/**
 * Writes which objects count, for readers that have no database; nothing here ever decides by it. A text that the bucket has is not written again,
 * so that versions and locks are not made for nothing. The catalogue is read again after writing: the last of several writers leaves the newest
 * text. Rejects if the storage gives anything else than what was written.
 */
export const writeManifest = async (
  { pool, store }: { readonly pool: Pool; readonly store: ObjectStore },
  signal?: AbortSignal,
): Promise<WrittenManifest> => {
  let keptAs: string | undefined;
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const { result, bytes, found } = await compare(pool, store, signal);
    const { key, state } = result;
    if (state === 'current' || state === 'none') return { key, isWritten: attempt > 0, keptAs };
    if (found !== undefined && state === 'unknown') {
      keptAs = key.replace(/\.json$/, `-before-${sha256Of(found).slice(0, 12)}.json`);
      await store.put(keptAs, found, signal);
    }
    await store.put(key, bytes, signal);
  }
  throw new Error(`the manifest was written to ${store.name}, which gives other bytes`);
};

const compare = async (pool: Pool, store: ObjectStore, signal: AbortSignal | undefined) => {
  const feedId = await readFeedId(pool);
  const objects = (await readCatalogue(pool)).filter(({ archive }) => archive === store.name);
  const key = keyOfManifest(feedId);
  const bytes = Buffer.from(manifestText(feedId, objects));
  const found = objects.length === 0 ? undefined : await findObject(store, key, signal);
  // After the manifest: what another replica has entered meanwhile is known.
  const entered = found === undefined ? new Set<string>() : await readEnteredKeys(pool, store.name);
  const named = (found && parsed(found)?.objects) ?? [];
  const unknownKeys = named.map((object) => object.key).filter((each) => !entered.has(each));
  return { result: { key, state: stateOf(objects, bytes, found, unknownKeys), unknownKeys }, bytes, found };
};

/** Amazon refuses what is missing to a key that may not list the bucket. */
export const findObject = async (
  store: ObjectStore,
  key: string,
  signal?: AbortSignal,
): Promise<Buffer | undefined> => {
  try {
    return await store.get(key, signal);
  } catch (error) {
    if (error instanceof S3Fault && error.kind === 'denied') return undefined;
    throw error;
  }
};

const stateOf = (
  objects: readonly CataloguedObject[],
  bytes: Buffer,
  found: Buffer | undefined,
  unknownKeys: readonly string[],
): ManifestState => {
  if (objects.length === 0) return 'none';
  if (found === undefined) return 'missing';
  if (found.equals(bytes)) return 'current';
  return unknownKeys.length > 0 ? 'unknown' : 'stale';
};

export const keyOfManifest = (feedId: string): string => `v1/manifest/feed=${feedId}.json`;

/** One object a line, in order of month, kind and position: the same catalogue gives the same bytes. */
const manifestText = (feedId: string, objects: readonly CataloguedObject[]): string => {
  const lines = objects.map((object) =>
    JSON.stringify({
      key: object.key,
      kind: object.kind,
      month: object.month,
      first_position: object.firstPosition,
      last_position: object.lastPosition,
      rows: object.events,
      bytes: object.bytes,
      sha256: object.sha256,
      ids_sha256: object.idsSha256,
      raw_sha256: object.rawSha256,
      columns_sha256: object.columnsSha256,
    }),
  );
  return `{"version":1,"feed_id":${JSON.stringify(feedId)},"objects":[\n${lines.join(',\n')}\n]}\n`;
};

const manifest = z.object({
  version: z.literal(1),
  feed_id: z.guid(),
  objects: z.array(
    z.object({
      key: z.string(),
      kind: z.enum(objectKinds),
      month: z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/),
      first_position: z.int(),
      last_position: z.int(),
      rows: z.int().positive(),
      bytes: z.int().positive(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      ids_sha256: z.string(),
      raw_sha256: z.string(),
      columns_sha256: z.string(),
    }),
  ),
});

/** Undefined: there is none. Throws OrgtrailError for any other text: what it named would be missing without a word. */
export const fetchManifest = async (store: ObjectStore, feedId: string, signal?: AbortSignal) => {
  const bytes = await findObject(store, keyOfManifest(feedId), signal);
  const found = bytes && parsed(bytes);
  if (bytes === undefined || found?.feed_id === feedId) return found?.objects;
  const what = `${keyOfManifest(feedId)} in ${store.name} is not what orgtrail writes`;
  throw new OrgtrailError('verification_failed', what, {
    hint: 'nothing was restored; an earlier version of the object may still be in the bucket. Without the object, a restore has what its state names, and no newer objects',
  });
};

const parsed = (bytes: Buffer): z.output<typeof manifest> | undefined => {
  try {
    return manifest.parse(JSON.parse(bytes.toString()));
  } catch {
    return undefined;
  }
};

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** An object is believed only if it has the bytes that were compared with the database when it was written. */
export const readObject = async (
  store: ObjectStore,
  { key, sha256 }: Pick<CataloguedObject, 'key' | 'sha256'>,
  signal?: AbortSignal,
): Promise<{ readonly bytes: Buffer } | { readonly fault: string }> => {
  const bytes = await store.get(key, signal);
  if (bytes === undefined) return { fault: 'it is not there' };
  return sha256Of(bytes) === sha256 ? { bytes } : { fault: `it has other bytes (${bytes.length} of them)` };
};
