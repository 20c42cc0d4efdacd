import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompressSync } from 'node:zlib';
import { z } from 'zod';
import { OrgtrailError } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { findObject, readObject, sha256Of } from '../manifest.ts';
import type { ObjectStore } from '../store.ts';
import { readState } from './state.sql.ts';

/** Which state of each database that archives here is the newest. It is the only object of states that is replaced. */
export const POINTER_KEY = 'v1/state/latest.json';

const pointed = z.object({
  feed_id: z.guid(),
  key: z.string(),
  sha256: z.string(),
  bytes: z.number(),
  position: z.number(),
  at: z.string(),
});
const pointer = z.object({ version: z.literal(1), states: z.array(pointed) });
type PointedState = z.output<typeof pointed>;

const parameters = { [constants.ZSTD_c_compressionLevel]: 9 };

/** Puts what the database has beside its months into the bucket. Rejects if the storage gives other bytes. */
export const writeState = async (
  { pool, store }: { readonly pool: Pool; readonly store: ObjectStore },
  signal?: AbortSignal,
): Promise<PointedState> => {
  const { head, lines } = await readState(pool, store.name, signal);
  const { feed_id, position, at } = head;
  const bytes = await promisify(zstdCompress)(lines, { params: parameters });
  const sha256 = sha256Of(bytes);
  const key = `v1/state/feed=${feed_id}/${String(position).padStart(16, '0')}-${sha256.slice(0, 12)}.ndjson.zst`;
  await store.put(key, bytes, signal);
  const outcome = await readObject(store, { key, sha256 }, signal);
  if ('fault' in outcome) throw new Error(`${key} was written to ${store.name}, but ${outcome.fault}`);
  const state = { feed_id, key, sha256, bytes: bytes.length, position, at };
  const others = (await readPointer(store, signal)).filter((each) => each.feed_id !== feed_id);
  const text = JSON.stringify({ version: 1, states: [...others, state] }, null, 1);
  await store.put(POINTER_KEY, Buffer.from(`${text}\n`), signal);
  return state;
};

const readPointer = async (store: ObjectStore, signal?: AbortSignal): Promise<readonly PointedState[]> => {
  const bytes = await findObject(store, POINTER_KEY, signal);
  if (bytes === undefined) return [];
  try {
    return pointer.parse(JSON.parse(bytes.toString())).states;
  } catch {
    throw new OrgtrailError('verification_failed', `${POINTER_KEY} in ${store.name} is not what orgtrail writes`, {
      hint: 'an earlier version of the object may still be in the bucket',
    });
  }
};

/** The newest of the only database that archives here, or of the one that is asked for. Throws OrgtrailError if there is none, or more. */
export const findState = async (
  store: ObjectStore,
  feedId: string | undefined,
  signal?: AbortSignal,
): Promise<PointedState> => {
  const states = (await readPointer(store, signal)).filter((each) => feedId === undefined || each.feed_id === feedId);
  const [state] = states;
  if (state === undefined) {
    const whose = feedId === undefined ? '' : ` of the feed ${feedId}`;
    throw new OrgtrailError('usage', `${store.name} has no state of a database${whose}: ${POINTER_KEY} names none`, {
      hint: 'ORGTRAIL_ARCHIVE must be the address of the archive; months that version 0.3 archived are printed by `orgtrail archive restore MONTH`',
    });
  }
  if (states.length === 1) return state;
  const feeds = states.map((each) => `${each.feed_id} of ${each.at}`).join(', ');
  throw new OrgtrailError('usage', `several databases archive into ${store.name}: ${feeds}`, {
    hint: 'name one of them with --feed',
  });
};

/** Its lines, believed only if it has the bytes that were written. */
export const fetchState = async (
  store: ObjectStore,
  { key, sha256 }: Pick<PointedState, 'key' | 'sha256'>,
  signal?: AbortSignal,
): Promise<Buffer> => {
  const outcome = await readObject(store, { key, sha256 }, signal);
  if ('bytes' in outcome) return zstdDecompressSync(outcome.bytes);
  throw new OrgtrailError('verification_failed', `${key} in ${store.name}: ${outcome.fault}`, {
    hint: 'nothing was restored; an earlier version of the object may still be in the bucket',
  });
};
