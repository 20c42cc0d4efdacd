import { EvidenceFault } from '../evidence-fault.ts';
import { type NoteSignature, parseNote } from './signed-note.ts';
import type { VerifierKey } from './verifier-key.ts';

/**
 * Those of the keys that have a signature on one of these notes, in the order of the signatures; whether they verify is not asked. All of
 * them if there is none: then a verifier says so.
 */
export const whoSigned = (notes: readonly string[], keys: readonly VerifierKey[]): readonly VerifierKey[] => {
  const lines = notes.flatMap(signaturesOf);
  const found = lines.flatMap(({ name, keyId }) => keys.filter((key) => key.name === name && key.id === keyId));
  return found.length === 0 ? keys : [...new Set(found)];
};

/** None of what is no note. */
const signaturesOf = (note: string): readonly NoteSignature[] => {
  try {
    return parseNote(Buffer.from(note)).signatures;
  } catch (error) {
    if (error instanceof EvidenceFault) return [];
    throw error;
  }
};
