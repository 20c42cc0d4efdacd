import { OrgtrailError } from '../../base/errors.ts';
import { everyKey, type KeyHistory, type KeyOrder, type KeyState, keysInForce } from '../append/keys-in-force.ts';
import type { LogInMemory } from '../append/log.ts';
import { EvidenceFault, isSigned } from '../bytes.ts';
import { instantText, microsecondsOf } from '../journal/instants.ts';
import { LOG_NUMBER } from '../leaf.ts';
import { type Checkpoint, keyOfLog, writeCheckpoint } from '../notes/checkpoint.ts';
import { hexOfId, type NoteSignature, parseNote, printVerifierKey, writeNote } from '../notes/signed-note.ts';
import type { LogSigner } from './ports.ts';

export interface Signing {
  /** All that sign, that of the key in force first. None: another key is to be stated first. */
  readonly signers: readonly LogSigner[];
  /** Carried out by this process. */
  readonly toState: KeyOrder | undefined;
  /** A rotation to a key that this process has not. */
  readonly lacks: KeyOrder | undefined;
}

export const hexOf = ({ publicKey }: Pick<LogSigner, 'publicKey'>): string => publicKey.toString('hex');

/** Throws OrgtrailError `configuration` if it must sign nothing: it lacks the key that signs, or the one after a loss or theft. */
export const signingAt = (
  own: readonly LogSigner[],
  { history, order }: KeyState,
  origin: string,
  at: string,
): Signing => {
  const { key, old } = keysInForce(history, at);
  if (key === undefined) return { signers: own.slice(0, 1), toState: undefined, lacks: undefined };
  const ofKey = (wanted: string | undefined) => own.filter((signer) => hexOf(signer) === wanted);
  const inForce = ofKey(key);
  const signers = inForce.length === 0 ? [] : [...inForce, ...ofKey(old?.key)];
  if (order !== undefined && ofKey(order.newKey).length > 0) return { signers, toState: order, lacks: undefined };
  if (order !== undefined && order.reason !== 'rotation') {
    const id = idOf(origin, order.newKey);
    throw refused(`the key of the evidence was ${order.reason}, and this process has not the new one: ${id}`);
  }
  if (inForce.length === 0) throw missingKey(own, history, origin, key);
  return { signers, toState: undefined, lacks: order };
};

const HINT =
  'ORGTRAIL_EVIDENCE_KEY_FILE and ORGTRAIL_EVIDENCE_NEXT_KEY_FILE name the keys of this process, `orgtrail evidence key` the one that signs';

const refused = (message: string): OrgtrailError => new OrgtrailError('configuration', message, { hint: HINT });

const missingKey = (own: readonly LogSigner[], history: KeyHistory, origin: string, key: string): OrgtrailError =>
  refused(
    own.some((signer) => everyKey(history).includes(hexOf(signer)))
      ? `the key of the evidence was replaced, and this process has only the old one: ${idOf(origin, key)} is missing`
      : `the key is not the one that the log names, ${idOf(origin, key)}. If the database was restored to before this key, order it once more: \`orgtrail evidence key --rotate --reason lost\`; then the log is compared, and \`orgtrail evidence next\` goes on`,
  );

const idOf = (origin: string, key: string): string => hexOfId(keyOfLog(origin, Buffer.from(key, 'hex')).id);

export const stateKey = (memory: LogInMemory, { id, reason, newKey, bothForMs, by }: KeyOrder, old: string): void => {
  const isOverlapping = reason === 'rotation' && bothForMs > 0;
  const untilUs = (microsecondsOf(memory.at) ?? 0n) + BigInt(Math.round(bothForMs)) * 1_000n;
  const old_signs_until = isOverlapping ? instantText(untilUs) : null;
  memory.state('key', LOG_NUMBER, String(id), { reason, old, new: newKey, old_signs_until, by });
};

/** By all of these, and no other of the log. */
export const isSignedAs = (note: string | undefined, origin: string, signers: readonly LogSigner[]): boolean => {
  if (note === undefined) return false;
  const wanted = signers.map(({ publicKey }) => keyOfLog(origin, publicKey).id);
  const own = parseNote(Buffer.from(note)).signatures.filter(({ name }) => name === origin);
  const signed = own.map(({ keyId }) => keyId);
  return wanted.every((id) => signed.includes(id)) && signed.every((id) => wanted.includes(id));
};

export const vkeyOf = (origin: string, publicKey: Uint8Array): string => printVerifierKey(keyOfLog(origin, publicKey));

/** Throws an EvidenceFault if what signs has another key than it says. */
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
