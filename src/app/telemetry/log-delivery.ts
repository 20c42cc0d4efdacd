import type { Logger } from 'pino';
import type { ArchiveObserver } from '../../archive/archive-month.ts';
import type { AnchorObserver } from '../../evidence/anchor.ts';
import type { EvidenceObserver } from '../../evidence/builder/ports.ts';
import type { DeliveryObserver } from '../../sinks/ports.ts';
import { onceADay } from './log-sync.ts';

/** Logs when a sink begins to fail or works again, not every attempt. `nowMs` is a clock that never goes back. */
export const logDelivery = (logger: Logger, nowMs: () => number): DeliveryObserver => {
  const mayWarn = onceADay(nowMs);
  const maySaySkipped = onceADay(nowMs);
  const states = new Map<string, string>();
  const failedCheckpoints = new Map<string, string>();
  const enter = (sink: string, state: string): boolean => {
    const before = states.get(sink) ?? 'delivers';
    states.set(sink, state);
    return before !== state;
  };
  return {
    delivered: ({ sink, accepted, deadLetters, position }) => {
      const facts = { sink, accepted, position };
      const [first] = deadLetters;
      if (first !== undefined) {
        const refused = { ...facts, deadLetters: deadLetters.length, event: first.position, reason: first.reason };
        const words = 'sink rejected events permanently; see `orgtrail sink dead-letters`';
        logger[mayWarn(sink) ? 'warn' : 'debug'](refused, words);
      }
      if (accepted > 0 && enter(sink, 'delivers')) logger.info(facts, 'sink recovered');
      else logger.debug(facts, 'delivered');
    },
    skipped: ({ sink, events, position }) =>
      logger[maySaySkipped(sink) ? 'warn' : 'debug'](
        { sink, events, position },
        'sink skips events that are older than its max_age',
      ),
    split: ({ sink, events }) =>
      logger.debug({ sink, events }, 'batch rejected as a whole; retrying with smaller batches'),
    failed: ({ sink, reason, afterMs, misconfigured }) => {
      const facts = { sink, reason, afterMs };
      if (!enter(sink, misconfigured ? 'misconfigured' : 'fails')) logger.debug(facts, 'sink delivery failed');
      else if (misconfigured) logger.error(facts, 'sink rejects every event: check its configuration; still retrying');
      else logger.warn(facts, 'sink delivery failing; retrying with backoff');
    },
    lost: ({ sink }) => logger.info({ sink }, 'sink lease lost (replay, another replica, or expiry)'),
    caughtUp: ({ sink }) => {
      if (enter(sink, 'delivers')) logger.info({ sink }, 'sink recovered');
    },
    interrupted: (facts) => {
      if (enter(facts.sink, 'interrupted')) logger.error(facts, 'sink delivery interrupted; retrying');
      else logger.debug(facts, 'sink delivery interrupted');
    },
    checkpointDelivered: (facts) => {
      if (failedCheckpoints.delete(facts.sink)) logger.info(facts, 'checkpoints of the evidence reach the sink again');
      else logger.debug(facts, 'checkpoint of the evidence delivered');
    },
    checkpointFailed: ({ sink, reason }) => {
      if (failedCheckpoints.get(sink) !== reason)
        logger.warn({ sink, reason }, 'a checkpoint of the evidence was not delivered to the sink; retrying');
      failedCheckpoints.set(sink, reason);
    },
  };
};

export const logArchive = (logger: Logger): ArchiveObserver => ({
  written: ({ month, kind, key, events, bytes }) =>
    logger.info({ month, kind, key, events, bytes }, 'wrote an object of the archive, and read it back'),
  proven: ({ month, key, events }) => logger.info({ month, key, events }, 'read an object of the archive back'),
  faulty: ({ month, key }, fault) =>
    logger.error(
      { month, key, fault },
      'an object of the archive is not what was written: its events are written again',
    ),
});

/** A line for each checkpoint, and at once what stops it. */
export const logEvidence = (logger: Logger): EvidenceObserver => {
  let told: string | undefined;
  let heldBack = 0;
  return {
    signed: ({ origin, size, root }) => {
      told = undefined;
      logger.info({ origin, size, root: Buffer.from(root).toString('base64') }, 'evidence checkpoint');
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
    coverageHeldBack: (sources) => {
      if (sources > heldBack)
        logger.warn(
          { sources },
          'some time of these sources is covered and not stated in the evidence: no request is recorded for it, or less is read than was stated before',
        );
      heldBack = sources;
    },
    faultsFound: (block, faults) =>
      logger.error({ block, faults }, 'what is stored is not what the evidence has signed'),
    wentOn: () =>
      logger.warn('the database failed over; every checkpoint that was signed holds there, and evidence goes on'),
  };
};

/** A failing anchor is logged once until it works again or fails for another reason. */
export const logAnchors = (logger: Logger): AnchorObserver => {
  const told = new Map<string, string>();
  return {
    kept: (anchor, { size }) => {
      if (told.delete(anchor)) logger.info({ anchor }, 'evidence anchor recovered');
      logger.info({ anchor, size }, 'evidence checkpoint anchored');
    },
    failed: (anchor, reason) => {
      if (told.get(anchor) !== reason) logger.error({ anchor, reason }, 'evidence anchor failed; retrying');
      told.set(anchor, reason);
    },
  };
};
