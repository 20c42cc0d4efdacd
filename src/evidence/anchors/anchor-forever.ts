import { reasonOf } from '../../errors.ts';
import type { Time } from '../../time/clock.ts';
import type { LogName } from '../notes/origin.ts';
import type { VerifierKey } from '../notes/verifier-key.ts';
import type { Anchor, AnchoredCheckpoint, AnchorObserver, AnchorStore, LogToAnchor } from './ports.ts';
import { readAnchor } from './read-anchors.ts';

export interface AnchoringOptions {
  readonly store: AnchorStore;
  readonly generation: number;
  /** The keys that ever signed these logs. */
  readonly readKeys: (logs: readonly LogToAnchor[]) => Promise<readonly VerifierKey[]>;
  readonly observer: AnchorObserver;
  /** Hears what lies at an anchor: the stored logs must go on from there. */
  readonly learn: (found: readonly AnchoredCheckpoint[]) => void;
  readonly time: Time;
  readonly signal: AbortSignal;
}

/** Until the first checkpoint is signed, and after the first failure; doubled with each further one, up to the interval. */
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 300_000;

/** Brings every new checkpoint to the anchors, each at its own pace, until the signal. Never throws: what fails is noted and retried. */
export const anchorForever = async (anchors: readonly Anchor[], options: AnchoringOptions): Promise<void> => {
  await Promise.all([noteConfigured(anchors, options), ...anchors.map((anchor) => keepForever(anchor, options))]);
};

/** Until it is noted: what keeps it from being noted keeps other statements too, and those tell. */
const noteConfigured = async (anchors: readonly Anchor[], options: AnchoringOptions): Promise<void> => {
  const { store, generation, time, signal } = options;
  const names = anchors.map(({ name }) => name).toSorted();
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    try {
      return await store.noteConfigured(generation, names);
    } catch {
      await time.sleep(pauseMs, signal).catch(() => {});
    }
  }
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

/** False: there are more. */
const keepTiles = async (anchor: Anchor, log: LogToAnchor, { store, signal }: AnchoringOptions): Promise<boolean> => {
  if (anchor.keepTiles === undefined || log.tilesSize >= log.size) return true;
  const kept = await anchor.keepTiles(log, store, signal);
  await store.noteKept(log, anchor.name, kept);
  return kept.tilesSize >= log.size;
};

/** The logs whose checkpoints are read. */
export const bothLogs = (origins: Readonly<Record<LogName, string>>) =>
  (['events', 'journal'] as const).map((log) => ({ log, origin: origins[log] }));
