import { OrgtrailError } from '../../base/errors.ts';
import { everyKey, type KeyHistory, type KeyOrder, type KeyState, keysInForce } from '../append/keys-in-force.ts';
import { type Moment, type NewEntry, newEntry } from '../append/new-statements.ts';
import { EvidenceFault, isSigned } from '../bytes.ts';
import { type Checkpoint, type LogName, writeCheckpoint } from '../notes/checkpoint.ts';
import {
  hexOfId,
  type NoteSignature,
  parseNote,
  parseVerifierKey,
  printVerifierKey,
  signatureTypes,
  type VerifierKey,
  verifierKey,
  writeNote,
} from '../notes/signed-note.ts';
import type { LogSigner } from './ports.ts';

export interface Signing {
  /** All that sign. None: another key is to be stated first. */
  readonly signers: readonly LogSigner[];
  /** Carried out by this process. */
  readonly toState: KeyOrder | undefined;
  /** A rotation to a key that this process has not. */
  readonly lacks: KeyOrder | undefined;
}

/** Throws OrgtrailError `configuration` if it must sign nothing: it lacks a key that signs, or the one after a loss or theft. */
export const signingAt = (
  own: readonly LogSigner[],
  { history, order }: KeyState,
  origins: readonly string[],
  at: string,
): Signing => {
  const { vkeys, until } = keysInForce(history, at);
  if (vkeys.length === 0) return { signers: own.slice(0, 1), toState: undefined, lacks: undefined };
  const has = (signer: LogSigner, wanted: readonly string[]) =>
    vkeysOf(origins, signer).every((vkey) => wanted.includes(vkey));
  const signers = own.filter((signer) => has(signer, vkeys));
  const had = signers.flatMap((signer) => vkeysOf(origins, signer));
  const missing = vkeys.filter((vkey) => !had.includes(vkey));
  const isNewHere = order !== undefined && own.some((signer) => has(signer, order.newVkeys));
  if (order !== undefined && order.reason !== 'rotation') {
    if (isNewHere) return { signers: missing.length === 0 ? signers : [], toState: order, lacks: undefined };
    const ids = idsOf(order.newVkeys);
    throw refused(`the key of the evidence was ${order.reason}, and this process has not the new one: ${ids}`);
  }
  const mine = own.flatMap((signer) => vkeysOf(origins, signer));
  if (missing.length > 0) throw missingKeys(mine, history, missing, until);
  return isNewHere ? { signers, toState: order, lacks: undefined } : { signers, toState: undefined, lacks: order };
};

const HINT =
  'ORGTRAIL_EVIDENCE_KEY_FILE and ORGTRAIL_EVIDENCE_NEXT_KEY_FILE name the keys of this process, `orgtrail evidence key` those that sign';

const refused = (message: string): OrgtrailError => new OrgtrailError('configuration', message, { hint: HINT });

const missingKeys = (
  own: readonly string[],
  history: KeyHistory,
  missing: readonly string[],
  until: string | undefined,
): OrgtrailError => {
  const ids = idsOf(missing);
  if (until !== undefined)
    return refused(`two keys sign the evidence until ${until}, and this process has not both: ${ids} is missing`);
  return refused(
    own.some((vkey) => everyKey(history).includes(vkey))
      ? `the key of the evidence was replaced, and this process has only the old one: ${ids} is missing`
      : `the key is not the one that the journal of the evidence names, ${ids}. If the database was restored to before this key, order it once more: \`orgtrail evidence key --rotate --reason lost\`; then the log is compared, and \`orgtrail evidence fork\` goes on`,
  );
};

/** Both logs have one key. */
const idsOf = (vkeys: readonly string[]): string =>
  vkeys
    .map(parseVerifierKey)
    .map(({ name, id }) => `${hexOfId(id)} of ${name.slice(name.lastIndexOf('/') + 1)}`)
    .join(', ');

export const entryOfOrder = (order: KeyOrder, { history }: KeyState, moment: Moment): NewEntry => {
  const old = keysInForce(history, moment.at).vkeys.filter((vkey) => !order.newVkeys.includes(vkey));
  const untilMs = Date.parse(moment.at) + order.bothForMs;
  const isOverlapping = order.reason === 'rotation' && order.bothForMs > 0;
  return newEntry(String(order.id), {
    type: 'key',
    ...moment,
    reason: order.reason,
    old_vkeys: old,
    new_vkeys: [...order.newVkeys],
    first_size: moment.tree.size,
    ...(isOverlapping && { old_signs_until: new Date(untilMs).toISOString() }),
    by: order.by,
  });
};

/** A journal keeps a signature that is no longer needed: time stamps are of the whole note. */
export const isSignedAs = (
  note: string | undefined,
  log: LogName,
  origin: string,
  signers: readonly LogSigner[],
): boolean => {
  if (note === undefined) return false;
  const wanted = signers.map(({ publicKey }) => keyOfLog(origin, publicKey).id);
  const signed = parseNote(Buffer.from(note))
    .signatures.filter(({ name }) => name === origin)
    .map(({ keyId }) => keyId);
  return wanted.every((id) => signed.includes(id)) && (log === 'journal' || signed.every((id) => wanted.includes(id)));
};

/** The key of a log has the name of its origin. */
export const keyOfLog = (origin: string, publicKey: Uint8Array): VerifierKey =>
  verifierKey(origin, signatureTypes.note, publicKey);

/** One for each log. */
export const vkeysOf = (origins: readonly string[], { publicKey }: { readonly publicKey: Uint8Array }): string[] =>
  origins.map((origin) => printVerifierKey(keyOfLog(origin, publicKey)));

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
