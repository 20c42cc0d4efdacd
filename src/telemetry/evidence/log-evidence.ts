import type { Logger } from 'pino';
import type { AnchorObserver } from '../../evidence/anchors/ports.ts';
import type { EvidenceObserver } from '../../evidence/builder/ports.ts';

/** Says what building the evidence does: a line for each checkpoint of events, and at once what stops it. */
export const logEvidence = (logger: Logger): EvidenceObserver => {
  let told: string | undefined;
  return {
    signed: ({ log, origin, size, root }) => {
      told = undefined;
      const facts = { origin, size, root: Buffer.from(root).toString('base64') };
      if (log === 'events') logger.info(facts, 'evidence checkpoint');
      else logger.debug(facts, 'evidence checkpoint');
    },
    stopped: (state, reason) => {
      if (told !== reason) logger.error({ state, reason }, `evidence is ${state}: nothing is signed`);
      told = reason;
    },
    keyStated: ({ reason }) => logger.warn({ reason }, 'the evidence has another key from now on, as ordered'),
    keyMissing: ({ reason }) =>
      logger.warn(
        { reason },
        'another key of the evidence is ordered, and ORGTRAIL_EVIDENCE_NEXT_KEY_FILE does not name it here: this process goes on with the old key until another one has stated it, and then signs nothing',
      ),
    clockStated: ({ before, ahead_seconds }) =>
      logger.warn({ before, ahead_seconds }, 'the clock of the database has changed; the evidence states it'),
    coverageHeldBack: (sources) =>
      logger.warn(
        { sources },
        'less is read of some sources than the evidence has stated; they are stated again once that is read',
      ),
    wentOn: () =>
      logger.warn('the database failed over; every checkpoint that was signed holds there, and evidence goes on'),
  };
};

/** Says what anchors keep, and when one fails: once until it works again, or fails for another reason. */
export const logAnchors = (logger: Logger): AnchorObserver => {
  const told = new Map<string, string>();
  return {
    kept: (anchor, { log, size }) => {
      if (told.delete(anchor)) logger.info({ anchor }, 'evidence anchor recovered');
      if (log === 'events') logger.info({ anchor, size }, 'evidence checkpoint anchored');
    },
    failed: (anchor, reason) => {
      if (told.get(anchor) !== reason) logger.error({ anchor, reason }, 'evidence anchor failed; retrying');
      told.set(anchor, reason);
    },
  };
};
