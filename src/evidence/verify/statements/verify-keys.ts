import { type BundleReader, checkpointPath } from '../../bundle/layout.ts';
import { EvidenceFault } from '../../evidence-fault.ts';
import type { OpenCheckpoint } from '../../notes/open-checkpoint.ts';
import type { Policy } from '../../notes/policy.ts';
import { parseNote, verifyNote } from '../../notes/signed-note.ts';
import { parseVerifierKey, printVerifierKey, type VerifierKey } from '../../notes/verifier-key.ts';
import type { Report } from '../report.ts';
import type { SignedStatements, VerifiedLogs } from '../verify-journal.ts';

/** What the keys of the checkpoints are held against. */
interface Announced extends VerifiedLogs {
  readonly statements: SignedStatements;
  readonly policy: Policy;
}

/**
 * That both checkpoints are signed by the newest key, if one was announced for the size of the events: who has stolen the old one can go on
 * with the journal, and cannot take the announcement from it. And that a key which is replaced is one of this log.
 */
export const verifyKeys = (report: Report, reader: BundleReader, announced: Announced): void => {
  const { events, journal, statements, policy } = announced;
  const vkeys = statedVkeys(statements);
  const isAnnounced = policy.logs.some((key) => key.name === events.origin && vkeys.includes(printVerifierKey(key)));
  if (vkeys.length > 0 && !isAnnounced)
    report.note(`that the key of ${events.origin} was announced: no genesis and no statement names it`);
  verifySuccession(report, statements);
  const newest = statements.of('key').findLast((one) => one.first_size <= events.size)?.new_vkeys ?? [];
  for (const { log, origin } of [events, journal]) {
    const keys = newest.flatMap(keyOf).filter(({ name }) => name === origin);
    const path = checkpointPath(log);
    const note = reader.read(path);
    if (keys.length === 0 || note === undefined) continue;
    report.attempt('checkpoint', `${path}, by the key that was announced`, () => verifyNote(parseNote(note), keys));
  }
};

/** A key that was never announced cannot be replaced: such a statement is of another log, or made up. */
const verifySuccession = (report: Report, statements: SignedStatements): void => {
  const known = new Set(beginningVkeys(statements));
  for (const { reason, old_vkeys, new_vkeys, first_size } of statements.of('key')) {
    const unknown = known.size === 0 ? undefined : old_vkeys.find((vkey) => !known.has(vkey));
    if (unknown !== undefined)
      report.fault('statement', `a statement replaces a key that this log never had: ${unknown}`);
    for (const vkey of [...old_vkeys, ...new_vkeys]) known.add(vkey);
    if (reason !== 'compromised') continue;
    report.note(
      `that what the key before signed is the log's: it was compromised before there were ${first_size} leaves. A checkpoint of it counts only as far as an anchor, a cosignature or a time stamp is older than the theft`,
    );
  }
};

/** All keys that the journal names, those that are replaced and those of earlier generations too: a checkpoint that was kept may be by one of these. */
export const withStatedKeys = (policy: Policy, statements: SignedStatements): Policy => {
  const earlier = statements.of('fork').flatMap((one) => one.old_vkeys ?? []);
  const stated = [...new Set([...statedVkeys(statements), ...earlier])].flatMap(keyOf);
  const isNew = (key: VerifierKey) => !policy.logs.some(({ name, id }) => name === key.name && id === key.id);
  return { ...policy, logs: [...policy.logs, ...stated.filter(isNew)] };
};

/** Whether no other key has signed than those that were stolen: it is worth no more than the time at which it was kept. */
export const isByStolenKey = ({ signers }: Pick<OpenCheckpoint, 'signers'>, statements: SignedStatements): boolean => {
  const changes = statements.of('key');
  const stolen = [
    ...changes.filter(({ reason }) => reason === 'compromised').flatMap(({ old_vkeys }) => old_vkeys),
    ...statements.of('fork').flatMap((one) => one.stolen_vkeys ?? []),
  ];
  const isStolen = ({ publicKey }: VerifierKey) =>
    stolen.flatMap(keyOf).some((key) => Buffer.compare(key.publicKey, publicKey) === 0);
  return signers.filter(({ atSeconds }) => atSeconds === undefined).every(({ key }) => isStolen(key));
};

const beginningVkeys = (statements: SignedStatements): string[] => [
  ...statements.of('genesis').flatMap((one) => one.vkeys),
  ...statements.of('fork').flatMap((one) => one.vkeys ?? []),
];

const statedVkeys = (statements: SignedStatements): string[] => [
  ...beginningVkeys(statements),
  ...statements.of('key').flatMap((one) => [...one.old_vkeys, ...one.new_vkeys]),
];

/** A text that is no vkey announces nothing. */
const keyOf = (vkey: string): VerifierKey[] => {
  try {
    return [parseVerifierKey(vkey)];
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    return [];
  }
};
