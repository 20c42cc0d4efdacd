import { type BundleReader, checkpointPath } from '../../bundle/layout.ts';
import { EvidenceFault } from '../../evidence-fault.ts';
import type { Policy } from '../../notes/policy.ts';
import { parseNote, verifyNote } from '../../notes/signed-note.ts';
import { parseVerifierKey, printVerifierKey, type VerifierKey } from '../../notes/verifier-key.ts';
import type { Report } from '../report.ts';
import type { VerifiedLog } from '../verified-log.ts';
import type { SignedStatements } from '../verify-journal.ts';

/**
 * That the checkpoint is signed by the newest key, if one was announced for its size: who has stolen the old one can go on with the journal,
 * and cannot take the announcement from it.
 */
export const verifyKeys = (
  report: Report,
  reader: BundleReader,
  { events, statements, policy }: { events: VerifiedLog; statements: SignedStatements; policy: Policy },
): void => {
  const { origin, size } = events;
  const keyStatements = statements.of('key');
  const vkeys = [
    ...statements.of('genesis').flatMap((one) => one.vkeys),
    ...statements.of('fork').flatMap((one) => one.vkeys ?? []),
    ...keyStatements.flatMap((one) => [...one.old_vkeys, ...one.new_vkeys]),
  ];
  const isAnnounced = policy.logs.some((key) => key.name === origin && vkeys.includes(printVerifierKey(key)));
  if (vkeys.length > 0 && !isAnnounced)
    report.note(`that the key of ${origin} was announced: no genesis and no statement names it`);
  const newest = keyStatements.findLast((one) => one.first_size <= size)?.new_vkeys ?? [];
  const keys = newest.flatMap(keyOf).filter(({ name }) => name === origin);
  const note = reader.read(checkpointPath('events'));
  if (keys.length === 0 || note === undefined) return;
  report.attempt('checkpoint', `${checkpointPath('events')}, by the key that was announced`, () =>
    verifyNote(parseNote(note), keys),
  );
};

/** A text that is no vkey announces nothing. */
const keyOf = (vkey: string): VerifierKey[] => {
  try {
    return [parseVerifierKey(vkey)];
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    return [];
  }
};
