import { isSigned } from '../crypto/ed25519.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { type Checkpoint, writeCheckpoint } from '../notes/checkpoint.ts';
import { type NoteSignature, writeNote } from '../notes/signed-note.ts';
import { printVerifierKey, signatureTypes, type VerifierKey, verifierKey } from '../notes/verifier-key.ts';
import type { LogSigner } from './ports.ts';

/** The key of a log has the name of its origin. */
export const keyOfLog = (origin: string, publicKey: Uint8Array): VerifierKey =>
  verifierKey(origin, signatureTypes.note, publicKey);

/** As genesis has them: one for each log. */
export const vkeysOf = (origins: readonly string[], { publicKey }: { readonly publicKey: Uint8Array }): string[] =>
  origins.map((origin) => printVerifierKey(keyOfLog(origin, publicKey)));

/** The note of a checkpoint, signed by all of these. Throws an EvidenceFault if what signs has another key than it says. */
export const signCheckpoint = async (checkpoint: Checkpoint, signers: readonly LogSigner[]): Promise<string> => {
  const text = writeCheckpoint(checkpoint);
  const signatures: NoteSignature[] = [];
  for (const signer of signers) {
    const { name, id: keyId } = keyOfLog(checkpoint.origin, signer.publicKey);
    const signature = await signer.sign(text);
    if (!isSigned(Buffer.from(text), signature, signer.publicKey)) {
      throw new EvidenceFault('the signature is not one of the key that is configured');
    }
    signatures.push({ name, keyId, signature });
  }
  return writeNote({ text, signatures });
};
