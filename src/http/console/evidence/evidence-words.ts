import { type EvidenceStatus, isUnanchored } from '../../../evidence/stored/evidence-status.sql.ts';
import type { SourceHealth } from '../../../status/health.ts';
import { spanText } from '../words.ts';

type State = EvidenceStatus['state'];

/** The colour of each state: that of a state of sources which is as grave. */
export const colours: Readonly<Record<State, SourceHealth>> = {
  building: 'behind',
  ok: 'fresh',
  halted: 'failing',
  behind: 'failing',
  forked: 'failing',
  ended: 'quiet',
};

/** What each state means. */
export const meanings: Readonly<Record<State, string>> = {
  building: 'Events that were stored before the log began are still being hashed.',
  ok: 'The log grows, and what it has is signed.',
  halted: 'Nothing is signed any more.',
  behind: 'The database went back: a known checkpoint has more leaves than the log. Nothing is signed any more.',
  forked:
    'The database went back, or may have: a known checkpoint may be of another history. Nothing is signed any more.',
  ended: 'An operator has ended this log. What was signed stays good; nothing follows.',
};

/** Nothing is signed until an operator does something. Collecting goes on. */
export const isStopped = ({ state }: Pick<EvidenceStatus, 'state'>): boolean =>
  state === 'halted' || state === 'behind' || state === 'forked';

/** Without a new checkpoint for so long although events wait, something is wrong. */
const LATE_SECONDS = 900;

/** What is wrong, a sentence each; nothing if all is well. */
export const troublesOf = (status: EvidenceStatus): readonly string[] => {
  const { state, stateReason, anchors, lagEvents, signedSecondsAgo, heldBy } = status;
  const troubles: string[] = [];
  if (state === 'ended') return troubles;
  if (isStopped(status)) troubles.push(`The evidence is ${state}${stateReason === null ? '' : `: ${stateReason}`}`);
  else if (lagEvents > 0 && (signedSecondsAgo ?? LATE_SECONDS) >= LATE_SECONDS && (state === 'ok' || heldBy === null)) {
    const last =
      signedSecondsAgo === null
        ? 'nothing is signed yet'
        : `the last checkpoint was signed ${spanText(signedSecondsAgo)} ago`;
    troubles.push(`${heldBy === null ? 'No process builds the evidence' : 'The evidence is late'}: ${last}`);
  }
  for (const { anchor, error } of anchors) {
    if (error !== null) troubles.push(`The anchor ${anchor} fails: ${error}`);
  }
  if (isUnanchored(status)) troubles.push('The evidence is unanchored');
  return troubles;
};
