import type { Logger } from 'pino';
import type { DeliveryObserver } from '../sinks/ports.ts';
import { onceADay } from './once-a-day.ts';

/**
 * What the log says of sinks: that one begins to fail, or works again, not every attempt. `nowMs` is a clock that never
 * goes back.
 */
export const logDelivery = (logger: Logger, nowMs: () => number): DeliveryObserver => {
  const mayWarn = onceADay(nowMs);
  const maySaySkipped = onceADay(nowMs);
  const states = new Map<string, string>();
  const failedCheckpoints = new Map<string, string>();
  /** True if that is news. */
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
        if (mayWarn(sink)) logger.warn(refused, words);
        else logger.debug(refused, words);
      }
      if (accepted > 0 && enter(sink, 'delivers')) logger.info(facts, 'sink recovered');
      else logger.debug(facts, 'delivered');
    },
    skipped: ({ sink, events, position }) => {
      const facts = { sink, events, position };
      const words = 'sink skips events that are older than its max_age';
      if (maySaySkipped(sink)) logger.warn(facts, words);
      else logger.debug(facts, words);
    },
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
      const { sink } = facts;
      if (enter(sink, 'interrupted')) logger.error(facts, 'sink delivery interrupted; retrying');
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
