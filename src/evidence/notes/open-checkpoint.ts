import { EvidenceFault } from '../evidence-fault.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { isQuorum, type Policy } from './policy.ts';
import { type NoteSignature, type NoteSigner, parseNote, verifyNote } from './signed-note.ts';

/** A checkpoint that the policy lets believe. */
export interface OpenCheckpoint extends Checkpoint {
  /** The log itself, and the witnesses that are known. */
  readonly signers: readonly NoteSigner[];
  /** Signature lines of other keys: nothing follows from these. */
  readonly unknown: readonly NoteSignature[];
}

/**
 * Reads a signed checkpoint and verifies every signature of a key of the policy. Throws an EvidenceFault if one does not verify, if
 * the log itself has not signed (its key is named like the origin), or if too few witnesses have.
 */
export const openCheckpoint = (note: Uint8Array, policy: Policy): OpenCheckpoint => {
  const { text, signers, unknown } = verifyNote(parseNote(note), [
    ...policy.logs,
    ...policy.witnesses.map(({ key }) => key),
  ]);
  const checkpoint = parseCheckpoint(text);
  const keys = signers.map(({ key }) => key);
  if (!keys.some((key) => policy.logs.includes(key) && key.name === checkpoint.origin)) {
    throw new EvidenceFault(`checkpoint is not signed by ${checkpoint.origin}`);
  }
  if (!isQuorum(policy.quorum, keys)) throw new EvidenceFault('checkpoint is cosigned by too few witnesses');
  return { ...checkpoint, signers, unknown };
};
