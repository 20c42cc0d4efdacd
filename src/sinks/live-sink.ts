import type { Sink } from './delivery.ts';
import { textBytes } from './outgoing.ts';
import { createSink, type SinkSettings } from './registry.ts';
import type { SinkSurroundings } from './sink-kind.ts';

export interface LatestSettings {
  /** The same object until a secret is renewed. */
  readonly settings: () => SinkSettings;
  /** Looks for newer secrets. */
  readonly refresh: () => void;
  readonly surroundings?: SinkSurroundings;
}

/**
 * A sink whose secrets may be renewed: before a delivery it takes the latest ones, and after one that failed it looks for newer
 * ones, which the next attempt then has. Throws as `createSink` does.
 */
export const createLiveSink = ({ settings, refresh, surroundings }: LatestSettings): Sink => {
  let used = settings();
  let sink = createSink(used, surroundings);
  const latest = async (): Promise<Sink> => {
    const now = settings();
    if (now === used) return sink;
    const old = sink;
    sink = createSink(now, surroundings);
    used = now;
    // One delivery at a time: nothing is under way on it.
    await old.close().catch(() => {});
    return sink;
  };
  return {
    target: sink.target,
    maxEvents: sink.maxEvents,
    maxBytes: sink.maxBytes,
    eventBytes: (event) => sink.eventBytes?.(event) ?? textBytes(event),
    deliver: async (delivery, signal) => {
      try {
        const outcome = await (await latest()).deliver(delivery, signal);
        if (outcome.kind !== 'delivered') refresh();
        return outcome;
      } catch (error) {
        refresh();
        throw error;
      }
    },
    close: () => sink.close(),
  };
};
