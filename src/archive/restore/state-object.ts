import { zstdDecompressSync } from 'node:zlib';
import type { Logger } from 'pino';
import { z } from 'zod';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';
import { inTransaction, longStatement, type Pool } from '../../postgres/pool.ts';
import { readFeedId } from '../catalogue.sql.ts';
import { findObject, readObject, sha256Of } from '../manifest.ts';
import type { ObjectStore } from '../store.ts';
import { emptyState, readRare, readState } from './state.sql.ts';

/** Which states of each database that archives here there are, the newest last. It is the only object of states that is replaced. */
export const POINTER_KEY = 'v1/state/latest.json';
/** In place of a key: there is no state, and the manifest says which objects count. */
export const NO_STATE = 'none';
/** Of a database; older ones stay in the bucket unnamed. */
const MOST_NAMED = 5;
/** While other databases write it, too. */
const MOST_ATTEMPTS = 5;
const LOOK_EVERY_MS = 5_000;
/** A database that names its state at the same time may overwrite this one's name. */
const LOOKS_PER_NAME = 12;
const RETRY_MS = 60_000;

const pointed = z.object({
  feed_id: z.guid(),
  key: z.string(),
  sha256: z.string(),
  bytes: z.number(),
  position: z.number(),
  at: z.string(),
  rare_sha256: z.string(),
});
const pointer = z.object({ version: z.literal(1), states: z.array(pointed) });
type PointedState = z.output<typeof pointed>;

interface StateContext {
  readonly pool: Pool;
  readonly store: ObjectStore;
}

/**
 * Puts what the database has beside its months into the bucket; with `ifRare`, only if holds and the like are others than those that the bucket has.
 * One process of a database at a time: the last one that is named is the newest. Rejects if the storage gives other bytes.
 */
export const writeState = async (
  { pool, store }: StateContext,
  signal?: AbortSignal,
  { ifRare = false }: { readonly ifRare?: boolean } = {},
): Promise<PointedState> =>
  await inTransaction(
    pool,
    async (client) => {
      await client.query('set local idle_in_transaction_session_timeout = 0');
      await client.query(longStatement("select pg_advisory_xact_lock(hashtextextended('orgtrail state', 0))"));
      const feedId = await readFeedId(pool);
      const known = (await readPointer(store, signal)) ?? [];
      const newest = known.findLast(({ feed_id }) => feed_id === feedId);
      if (ifRare && newest !== undefined && newest.rare_sha256 === (await readRare(pool))) return newest;
      const { head, bytes, rareSha256: rare_sha256 } = await readState(pool, store.name, signal);
      const { feed_id, position, at } = head;
      const sha256 = sha256Of(bytes);
      const key = `v1/state/feed=${feed_id}/${String(position).padStart(16, '0')}-${sha256.slice(0, 12)}.ndjson.zst`;
      await store.put(key, bytes, signal);
      const outcome = await readObject(store, { key, sha256 }, signal);
      if ('fault' in outcome) throw new Error(`${key} was written to ${store.name}, but ${outcome.fault}`);
      const state = { feed_id, key, sha256, bytes: bytes.length, position, at, rare_sha256 };
      await nameState(store, state, signal);
      return state;
    },
    signal,
  );

const nameState = async (store: ObjectStore, state: PointedState, signal?: AbortSignal): Promise<void> => {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const known = (await readPointer(store, signal)) ?? [];
    if (known.findLast(({ feed_id }) => feed_id === state.feed_id)?.key === state.key) return;
    const others = known.filter(({ feed_id }) => feed_id !== state.feed_id);
    const own = known.filter(({ feed_id, key }) => feed_id === state.feed_id && key !== state.key);
    const text = JSON.stringify({ version: 1, states: [...others, ...own.slice(1 - MOST_NAMED), state] }, null, 1);
    await store.put(POINTER_KEY, Buffer.from(`${text}\n`), signal);
  }
  throw new Error(`${POINTER_KEY} was written to ${store.name}, which gives other bytes`);
};

/** Until the signal: a hold that was added, and what else must not be lost, is in the bucket within a minute. */
export const keepState = async (
  context: StateContext & { readonly time: Pick<Time, 'sleep'>; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<void> => {
  const { pool, time, logger, signal } = context;
  let written: string | undefined;
  let told: string | undefined;
  for (let looks = 0; !signal.aborted; looks += 1) {
    try {
      if (looks % LOOKS_PER_NAME === 0 || (await readRare(pool)) !== written)
        written = (await writeState(context, signal, { ifRare: true })).rare_sha256;
      told = undefined;
    } catch (error) {
      const reason = reasonOf(error);
      if (!signal.aborted && reason !== told) logger.warn({ reason }, UNWRITTEN);
      told = reason;
    }
    await time.sleep(told === undefined ? LOOK_EVERY_MS : RETRY_MS, signal).catch(() => {});
  }
};

const UNWRITTEN = 'the state was not written to the archive; retrying';

/** Undefined: it is not what is written here, so that it names nothing. */
const readPointer = async (store: ObjectStore, signal?: AbortSignal): Promise<readonly PointedState[] | undefined> => {
  const bytes = await findObject(store, POINTER_KEY, signal);
  if (bytes === undefined) return [];
  try {
    return pointer.parse(JSON.parse(bytes.toString())).states;
  } catch {
    return undefined;
  }
};

export interface FoundState {
  readonly key: string;
  readonly sha256: string;
  readonly lines: Buffer;
}

/**
 * The newest of the only database that archives here, or of the one that is asked for; or the one of this key. Throws OrgtrailError if there is none, or
 * more, or if it is not what was written.
 */
export const findState = async (
  store: ObjectStore,
  { feedId, key }: { readonly feedId?: string | undefined; readonly key?: string | undefined },
  signal?: AbortSignal,
): Promise<FoundState> => {
  if (key === NO_STATE) {
    if (feedId === undefined)
      throw new OrgtrailError('usage', `--state ${NO_STATE} needs --feed: the folders v1/events/feed=… have its name`);
    return { key, sha256: '', lines: emptyState(feedId, store.name) };
  }
  if (key !== undefined) return await fetchState(store, { key }, signal);
  const all = await readPointer(store, signal);
  if (all === undefined)
    throw new OrgtrailError('verification_failed', `${POINTER_KEY} in ${store.name} is not what orgtrail writes`, {
      hint: 'name a state of v1/state/ with --state; an earlier version of the object may still be in the bucket',
    });
  const states = all.filter((each) => feedId === undefined || each.feed_id === feedId);
  const newest = states.filter(
    (each, index) => states.findLastIndex((other) => other.feed_id === each.feed_id) === index,
  );
  const [state] = newest;
  if (state === undefined) {
    const whose = feedId === undefined ? '' : ` of the feed ${feedId}`;
    throw new OrgtrailError('usage', `${store.name} has no state of a database${whose}: ${POINTER_KEY} names none`, {
      hint: `ORGTRAIL_ARCHIVE must be the address of the archive, and its key must be allowed to read it; --feed ID --state ${NO_STATE} restores the months alone`,
    });
  }
  if (newest.length > 1) {
    const feeds = newest.map((each) => `${each.feed_id} of ${each.at}`).join(', ');
    throw new OrgtrailError('usage', `several databases archive into ${store.name}: ${feeds}`, {
      hint: 'name one of them with --feed',
    });
  }
  const older = states.filter((each) => each !== state).map((each) => `${each.key} of ${each.at}`);
  return await fetchState(store, state, signal, older.reverse());
};

/** Its lines, believed only if it has the bytes that were written; its name says which, too. */
export const fetchState = async (
  store: ObjectStore,
  { key, sha256: expected }: { readonly key: string; readonly sha256?: string },
  signal?: AbortSignal,
  older: readonly string[] = [],
): Promise<FoundState> => {
  const bytes = await findObject(store, key, signal);
  const sha256 = bytes && sha256Of(bytes);
  if (bytes !== undefined && sha256 !== undefined && (expected ?? sha256) === sha256)
    if (key.endsWith(`-${sha256.slice(0, 12)}.ndjson.zst`)) return { key, sha256, lines: zstdDecompressSync(bytes) };
  const fault = bytes === undefined ? 'it is not there' : `it has other bytes (${bytes.length} of them)`;
  throw new OrgtrailError('verification_failed', `${key} in ${store.name}: ${fault}`, {
    hint: `nothing was restored; an earlier version of the object may still be in the bucket, or restore an older state with --state${older.length === 0 ? '' : `: ${older.join(', ')}`}`,
  });
};
