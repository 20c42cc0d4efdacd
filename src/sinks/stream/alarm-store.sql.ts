import type { Pool } from 'pg';
import { readFeedHead } from '../../feed/head/feed-head.sql.ts';
import { finishAlarms, readAlarmChanges, readAlarmCursor } from '../../findings/alarms/alarms.sql.ts';
import { type Severity, severities } from '../../findings/finding.ts';
import type { Sink } from '../delivery.ts';
import type { DeliveryStore, SinkEvents, SinkTurn } from '../ports.ts';
import { skipEvents } from '../sinks.sql.ts';

const isWanted = (severity: string, least: Severity | undefined): boolean =>
  least === undefined || (severities as readonly string[]).indexOf(severity) >= severities.indexOf(least);

/**
 * The store of a sink of alarms: its turn, failures and count are those of every sink. Its positions are the numbers of the changes, which are
 * kept beside; the one in `sinks` goes along with the feed: the sink needs no entry.
 */
export const createAlarmStore = (pool: Pool, store: DeliveryStore, leaseMs: number): DeliveryStore => {
  let held: SinkTurn | undefined;
  const followFeed = async (turn: SinkTurn): Promise<void> => {
    const { position } = await readFeedHead(pool);
    await skipEvents(pool, turn, position, leaseMs);
  };
  return {
    ...store,
    claim: async (name) => {
      held = undefined;
      const claimed = await store.claim(name);
      if (!('epoch' in claimed)) return claimed;
      held = claimed;
      return { ...claimed, position: await readAlarmCursor(pool, name), batchUntil: undefined };
    },
    read: async ({ after, maxEvents, minSeverity }): Promise<SinkEvents> => {
      const changes = await readAlarmChanges(pool, { after, maxEvents });
      // Idle, it holds up nothing that waits for sinks, and is not behind.
      if (changes.length === 0 && held !== undefined) await followFeed(held);
      return {
        events: changes.filter(({ finding }) => isWanted(finding.severity, minSeverity)),
        scannedTo: changes.at(-1)?.position ?? after,
        isFull: changes.length === maxEvents,
        waitedMs: 0,
        tooOld: 0,
      };
    },
    // Changes are what they are: a repeat has the same ones, and maybe later ones beside them.
    begin: (turn) => store.renew(turn),
    finish: (turn, result) => finishAlarms(pool, turn, result, leaseMs),
    skip: (turn, until) => finishAlarms(pool, turn, { until, accepted: 0 }, leaseMs),
  };
};

/** An alarm is never given up: what is refused is retried, and shows as a failure. */
export const neverRefused = (sink: Sink): Sink => ({
  ...sink,
  eventBytes: (event) => sink.eventBytes?.(event) ?? Buffer.byteLength(event.text, 'utf8'),
  deliver: async (delivery, signal) => {
    const outcome = await sink.deliver(delivery, signal);
    if (outcome.kind === 'failed') return outcome;
    const refusal = outcome.kind === 'refused' ? outcome.reason : outcome.refused[0]?.reason;
    return refusal === undefined ? outcome : { kind: 'failed', reason: `an alarm was refused: ${refusal}` };
  },
});
