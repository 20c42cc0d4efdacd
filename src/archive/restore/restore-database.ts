import type { Logger } from 'pino';
import { OrgtrailError } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';
import { createProcessIdentity } from '../../postgres/leases.ts';
import type { Pool } from '../../postgres/pool.ts';
import { asOwner } from '../../postgres/sql-state.ts';
import { readFeedId } from '../catalogue.sql.ts';
import { fetchManifest } from '../manifest.ts';
import type { ObjectStore } from '../store.ts';
import { workOnce } from '../thaw/thaw-forever.ts';
import {
  askForMonths,
  beginRestore,
  endRestore,
  type MonthOfRestore,
  type RestoreRow,
  readMonthsOfRestore,
  readOpenRestore,
  restoringAlone,
} from './restores.sql.ts';
import { readStateHead, type StateHead } from './state.sql.ts';
import { fetchState, findState, NO_STATE } from './state-object.ts';

/** Another process may have the month that is left, or had it when it was killed: its lease ends within a minute. */
const LOOK_EVERY_MS = 1_000;

interface RestoreContext {
  readonly pool: Pool;
  readonly store: ObjectStore;
  readonly time: Time;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Events that are in the database again, of all. */
  readonly onProgress: (events: number, all: number) => void;
}

interface Restored {
  readonly state: RestoreRow & { readonly head: StateHead };
  readonly months: readonly MonthOfRestore[];
  readonly events: number;
}

/**
 * Brings a lost database back into an empty one: its state, and each month by the way of a thaw. Killed at any moment, it goes on where it was when it is
 * called again; until its end the database stores nothing. Throws OrgtrailError with the names of the months that cannot come back, when all others are.
 */
export const restoreDatabase = async (context: RestoreContext, asked: Asked): Promise<Restored> =>
  await asOwner(
    'restore a database',
    restoringAlone(context.pool, () => restore(context, asked)),
  );

interface Asked {
  readonly feedId?: string | undefined;
  /** Of a state. Default: the newest. */
  readonly key?: string | undefined;
  readonly without: readonly string[];
}

const restore = async (context: RestoreContext, { without, ...asked }: Asked): Promise<Restored> => {
  const { pool, store, signal, onProgress } = context;
  const { open, lines } = await openRestore(context, asked);
  const all = await askForMonths(pool, without);
  const owner = createProcessIdentity();
  let done = 0;
  const work = {
    ...context,
    logger: context.logger.child({}, { level: 'silent' }),
    archiveMonth: () => Promise.reject(new Error('no month goes')),
    onCopied: (events: number) => onProgress(done + events, all),
  };
  for (;;) {
    signal.throwIfAborted();
    const months = await readMonthsOfRestore(pool);
    const left = months.filter(({ state }) => state === 'asked');
    done = all - left.reduce((sum, { events }) => sum + events, 0);
    onProgress(done, all);
    if (left.length === 0) break;
    if (!(await workOnce(work, owner))) await context.time.sleep(LOOK_EVERY_MS, signal);
  }
  const months = await readMonthsOfRestore(pool);
  refuseFailed(
    store,
    months.filter(({ state }) => state === 'failed'),
  );
  await endRestore(pool, open, lines);
  const events = months.reduce((sum, month) => sum + month.events, 0);
  return { state: { ...open, head: readStateHead(lines) }, months, events };
};

const openRestore = async ({ pool, store, logger, signal }: RestoreContext, asked: Omit<Asked, 'without'>) => {
  const open = await readOpenRestore(pool);
  if (open !== undefined) {
    const named = { archive: store.name, stateKey: asked.key ?? open.stateKey };
    for (const what of ['archive', 'stateKey'] as const)
      if (open[what] !== named[what])
        throw new OrgtrailError('usage', `this database is being restored from ${open[what]}, not from ${named[what]}`);
    return { open, lines: await linesOf(store, open, await readFeedId(pool), signal) };
  }
  const state = await findState(store, asked, signal);
  const head = readStateHead(state.lines);
  const manifest = await fetchManifest(store, head.feed_id, signal);
  if (state.key === NO_STATE && manifest === undefined)
    throw new OrgtrailError('usage', `${store.name} has no manifest of the feed ${head.feed_id}`);
  if (manifest === undefined)
    logger.warn(
      { feedId: head.feed_id },
      'there is no manifest of the archive: objects that are newer than the state are not known',
    );
  await beginRestore(pool, { archive: store.name, ...state }, head, manifest);
  const begun = await readOpenRestore(pool);
  if (begun === undefined) throw new Error('the restore did not begin');
  return { open: begun, lines: state.lines };
};

const linesOf = async (
  store: ObjectStore,
  { stateKey: key, stateSha256: sha256 }: RestoreRow,
  feedId: string,
  signal: AbortSignal,
) =>
  (key === NO_STATE ? await findState(store, { feedId, key }) : await fetchState(store, { key, sha256 }, signal)).lines;

const refuseFailed = (store: ObjectStore, failed: readonly MonthOfRestore[]): void => {
  if (failed.length === 0) return;
  const reasons = failed.map(({ month, error }) => `${month}: ${error ?? 'not thawed'}`).join('; ');
  throw new OrgtrailError('verification_failed', `not whole, so nothing is collected yet: ${reasons}`, {
    hint: `bring the objects back in ${store.name} and run it again, or give a month up with --without ${failed[0]?.month}: what Cloudflare still has of it is read again`,
  });
};
