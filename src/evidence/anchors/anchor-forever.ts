import { reasonOf } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';
import type { Anchor, AnchoredCheckpoint, AnchorObserver, AnchorStore, LogToAnchor } from '../anchor.ts';
import { unlessFault } from '../bytes.ts';
import type { LogName } from '../notes/checkpoint.ts';
import { openCheckpoint, originOf, policyOfKeys } from '../notes/policy.ts';
import { signatureTypes, type VerifierKey, verifierKey } from '../notes/signed-note.ts';

interface AnchoringOptions {
  readonly store: AnchorStore;
  readonly generation: number;
  readonly readKeys: (logs: readonly LogToAnchor[]) => Promise<readonly VerifierKey[]>;
  readonly observer: AnchorObserver;
  /** The stored logs must go on from what lies at an anchor. */
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
  const { store, generation, observer, signal } = options;
  let logs: readonly LogToAnchor[] = [];
  let under: LogToAnchor | undefined;
  try {
    const signed = await store.readSigned(generation, anchor.name);
    // A log without events is not worth the interval that follows.
    if (signed.some(({ log, size }) => log === 'events' && size === 0)) return 'unsigned';
    logs = signed.filter(({ log }) => anchor.logs?.includes(log) ?? true);
    // What lies there is heard before anything is added to it.
    const keys = await options.readKeys(logs);
    options.learn(await readAnchor(anchor, { generation, logs, keys }));
    for (under of logs) await keepCheckpoint(anchor, under, options);
    let isComplete = true;
    for (under of logs) isComplete = (await keepTiles(anchor, under, options)) && isComplete;
    if (logs.length === 0) return 'unsigned';
    return isComplete || signal.aborted ? 'done' : 'more';
  } catch (error) {
    if (signal.aborted) return 'done';
    const reason = reasonOf(error);
    observer.failed?.(anchor.name, reason);
    const failed = under ?? logs[0];
    if (failed !== undefined) await store.noteFailure(failed, anchor.name, reason).catch(() => {});
    return 'failed';
  }
};

const keepCheckpoint = async (anchor: Anchor, log: LogToAnchor, { store, observer }: AnchoringOptions) => {
  const kept = await anchor.keepCheckpoint(log, store);
  if (kept === undefined) return;
  await store.noteKept(log, anchor.name, kept);
  observer.kept?.(anchor.name, log);
};

const keepTiles = async (anchor: Anchor, log: LogToAnchor, { store, signal }: AnchoringOptions): Promise<boolean> => {
  if (anchor.keepTiles === undefined || log.tilesSize >= log.size) return true;
  const kept = await anchor.keepTiles(log, store, signal);
  await store.noteKept(log, anchor.name, kept);
  return kept.tilesSize >= log.size;
};

export const bothLogs = (origins: Readonly<Record<LogName, string>>) =>
  (['events', 'journal'] as const).map((log) => ({ log, origin: origins[log] }));

/** An anchor that takes longer cannot be read. */
const READ_TIMEOUT_MS = 10_000;

interface AnchoredLogs {
  readonly generation: number;
  readonly logs: readonly { readonly log: LogName; readonly origin: string }[];
  /** Every key that ever signed these logs. */
  readonly keys: readonly VerifierKey[];
}

/** What a database that went back is found by. An anchor that cannot be read in time is reported and left out. */
export const readAnchors = async (
  anchors: readonly Anchor[],
  logs: AnchoredLogs,
  observer: AnchorObserver,
): Promise<readonly AnchoredCheckpoint[]> => {
  const found = await Promise.all(
    anchors.map(async (anchor) => {
      try {
        return await withTimeout(readAnchor(anchor, logs));
      } catch (error) {
        observer.failed?.(anchor.name, reasonOf(error));
        return [];
      }
    }),
  );
  return found.flat();
};

/** Rejects if it cannot be read. */
const readAnchor = async (anchor: Anchor, { generation, logs, keys }: AnchoredLogs): Promise<AnchoredCheckpoint[]> => {
  const found: AnchoredCheckpoint[] = [];
  for (const { log, origin } of logs) {
    for (const note of await anchor.newest({ log, generation })) {
      const checkpoint = signedBy(keys, note);
      if (checkpoint?.origin === origin) {
        found.push({ anchor: anchor.name, checkpoint });
        break;
      }
      const other = ofOtherFeed(origin, keys, note);
      if (other !== undefined) found.push({ anchor: anchor.name, checkpoint: other, isOfOtherFeed: true });
    }
  }
  return found;
};

/** Under the same base. */
const ofOtherFeed = (origin: string, keys: readonly VerifierKey[], note: Buffer) => {
  const named = note.toString('utf8', 0, Math.max(0, note.indexOf('\n')));
  const [ours, theirs] = [originOf(origin), originOf(named)];
  if (ours?.base !== theirs?.base || ours?.log !== theirs?.log || ours?.feedId === theirs?.feedId) return undefined;
  const renamed = keys.map(({ publicKey }) => verifierKey(named, signatureTypes.note, publicKey));
  return signedBy(renamed, note);
};

/** Undefined: the log has not signed it. Who can write to the anchor must not be able to stop the log by that. */
const signedBy = (keys: readonly VerifierKey[], note: Buffer) =>
  unlessFault(() => openCheckpoint(note, policyOfKeys(keys)));

const withTimeout = async <T>(reading: Promise<T>): Promise<T> => {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('the anchor does not answer')), READ_TIMEOUT_MS);
  reading.catch(() => {});
  try {
    return await Promise.race([reading, promise]);
  } finally {
    clearTimeout(timer);
  }
};
