import { reasonOf } from '../../errors.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { originOf } from '../notes/generations.ts';
import { openCheckpoint } from '../notes/open-checkpoint.ts';
import type { LogName } from '../notes/origin.ts';
import { signatureTypes, type VerifierKey, verifierKey } from '../notes/verifier-key.ts';
import type { Anchor, AnchoredCheckpoint, AnchorObserver } from './ports.ts';

/** What an anchor may take before it counts as one that cannot be read. */
const READ_TIMEOUT_MS = 10_000;

/** Whose checkpoints are read. */
export interface AnchoredLogs {
  readonly generation: number;
  readonly logs: readonly { readonly log: LogName; readonly origin: string }[];
  /** The keys that ever signed these logs. */
  readonly keys: readonly VerifierKey[];
}

/**
 * The newest checkpoints that anchors have of both logs and that these have signed: what a database that went back is found by. An anchor
 * that cannot be read in time is told and left out.
 */
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

/** Of one anchor. Rejects if it cannot be read. */
export const readAnchor = async (
  anchor: Anchor,
  { generation, logs, keys }: AnchoredLogs,
): Promise<AnchoredCheckpoint[]> => {
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

/** A checkpoint by one of the keys under the same base and the name of another feed. */
const ofOtherFeed = (origin: string, keys: readonly VerifierKey[], note: Buffer) => {
  const named = note.toString('utf8', 0, Math.max(0, note.indexOf('\n')));
  const [ours, theirs] = [originOf(origin), originOf(named)];
  if (ours?.base !== theirs?.base || ours?.log !== theirs?.log || ours?.feedId === theirs?.feedId) return undefined;
  const renamed = keys.map(({ publicKey }) => verifierKey(named, signatureTypes.note, publicKey));
  return signedBy(renamed, note);
};

/** Undefined: the log has not signed it. An account that can write to the anchor must not be able to stop the log by that. */
const signedBy = (keys: readonly VerifierKey[], note: Buffer) => {
  try {
    return openCheckpoint(note, { logs: keys, witnesses: [], quorum: { needed: 0, members: [] } });
  } catch (error) {
    if (error instanceof EvidenceFault) return undefined;
    throw error;
  }
};

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
