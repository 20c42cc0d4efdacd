import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';
import type { Anchor, AnchoredCheckpoint, AnchorObserver, AnchorStore, LogToAnchor } from '../anchor.ts';
import { unlessFault } from '../bytes.ts';
import { keyOfLog, openCheckpoint, originOf } from '../notes/checkpoint.ts';
import type { VerifierKey } from '../notes/signed-note.ts';

interface AnchoringOptions {
  readonly store: AnchorStore;
  /** Every key that ever signed, by the name of this log. */
  readonly readKeys: (origin: string) => Promise<readonly VerifierKey[]>;
  readonly observer: AnchorObserver;
  /** The stored log must go on from what lies at an anchor. */
  readonly learn: (found: readonly AnchoredCheckpoint[]) => void;
  readonly time: Time;
  readonly signal: AbortSignal;
}

/** Until the first checkpoint is signed, and after the first failure; doubled with each further one, up to the interval. */
const FIRST_PAUSE_MS = 1_000;

/** Each anchor at its own pace, until the signal. Never throws: what fails is noted and retried. */
export const anchorForever = async (anchors: readonly Anchor[], options: AnchoringOptions): Promise<void> => {
  await Promise.all(anchors.map((anchor) => keepForever(anchor, options)));
};

const keepForever = async (anchor: Anchor, options: AnchoringOptions): Promise<void> => {
  const { time, signal } = options;
  let failures = 0;
  while (!signal.aborted) {
    const outcome = await keepOnce(anchor, options);
    failures = outcome === 'failed' ? failures + 1 : 0;
    const backoffMs = Math.min(anchor.intervalMs, FIRST_PAUSE_MS * 2 ** Math.min(failures, 20));
    const pauseMs = { done: anchor.intervalMs, more: 0, unsigned: FIRST_PAUSE_MS, failed: backoffMs }[outcome];
    await time.sleep(pauseMs, signal).catch(() => {});
  }
};

type Outcome = 'done' | 'more' | 'unsigned' | 'failed';

const keepOnce = async (anchor: Anchor, options: AnchoringOptions): Promise<Outcome> => {
  const { store, observer, signal } = options;
  let log: LogToAnchor | undefined;
  try {
    log = await store.readSigned(anchor.name);
    if (log === undefined) return 'unsigned';
    // What lies there is heard before anything is added to it.
    options.learn(await readAnchor(anchor, { ...log, keys: await options.readKeys(log.origin) }));
    const kept = await anchor.keepCheckpoint(log, store);
    await store.noteKept(log, anchor.name, kept);
    observer.kept?.(anchor.name, log);
    const isComplete = await keepTiles(anchor, log, options);
    return isComplete || signal.aborted ? 'done' : 'more';
  } catch (error) {
    if (signal.aborted) return 'done';
    const reason = reasonOf(error);
    observer.failed?.(anchor.name, reason);
    if (log !== undefined) await store.noteFailure(log, anchor.name, reason).catch(() => {});
    return 'failed';
  }
};

const keepTiles = async (anchor: Anchor, log: LogToAnchor, { store, signal }: AnchoringOptions): Promise<boolean> => {
  if (anchor.keepTiles === undefined || log.tilesSize >= log.size) return true;
  const kept = await anchor.keepTiles(log, store, signal);
  await store.noteKept(log, anchor.name, kept);
  return kept.tilesSize >= log.size;
};

/** An anchor that takes longer cannot be read. */
const READ_TIMEOUT_MS = 10_000;

interface AnchoredLog {
  readonly number: number;
  readonly origin: string;
  readonly keys: readonly VerifierKey[];
}

/** What a database that went back is found by. An anchor that cannot be read in time is reported and left out. */
export const readAnchors = async (
  anchors: readonly Anchor[],
  log: AnchoredLog,
  observer: AnchorObserver,
): Promise<readonly AnchoredCheckpoint[]> => {
  const found = await Promise.all(
    anchors.map(async (anchor) => {
      try {
        return await withTimeout(readAnchor(anchor, log));
      } catch (error) {
        observer.failed?.(anchor.name, reasonOf(error));
        return [];
      }
    }),
  );
  return found.flat();
};

/** Rejects if it cannot be read. */
const readAnchor = async (anchor: Anchor, { number, origin, keys }: AnchoredLog): Promise<AnchoredCheckpoint[]> => {
  const found: AnchoredCheckpoint[] = [];
  for (const note of await anchor.newest(number)) {
    const checkpoint = signedBy(keys, note);
    if (checkpoint?.origin === origin) return [...found, { anchor: anchor.name, checkpoint }];
    const other = ofOtherFeed(origin, keys, note);
    if (other !== undefined) found.push({ anchor: anchor.name, checkpoint: other, isOfOtherFeed: true });
  }
  return found;
};

/** Under the same base. */
const ofOtherFeed = (origin: string, keys: readonly VerifierKey[], note: Buffer) => {
  const named = note.toString('utf8', 0, Math.max(0, note.indexOf('\n')));
  const [ours, theirs] = [originOf(origin), originOf(named)];
  if (ours?.base !== theirs?.base || ours?.feedId === theirs?.feedId) return undefined;
  return signedBy(
    keys.map(({ publicKey }) => keyOfLog(named, publicKey)),
    note,
  );
};

/** Undefined: the log has not signed it. Who can write to the anchor must not be able to stop the log by that. */
const signedBy = (logs: readonly VerifierKey[], note: Buffer) =>
  unlessFault(() => openCheckpoint(note, { logs, witnesses: [] }));

const withTimeout = async <T>(reading: Promise<T>): Promise<T> => {
  const over = new AbortController();
  const late = sleep(READ_TIMEOUT_MS, undefined, { signal: over.signal }).then(() => {
    throw new Error('the anchor does not answer');
  });
  return await Promise.race([reading, late]).finally(() => over.abort());
};
