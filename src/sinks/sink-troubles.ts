import type { DeliveryObserver } from './ports.ts';
import type { SinkStatus } from './sink-status.sql.ts';

/** What this process knows of its sinks by itself: the database may refuse to record a failure, or to return it. */
export interface SinkTroubles {
  readonly observer: DeliveryObserver;
  /** The status with what has gone wrong here since. */
  addTo(sinks: readonly SinkStatus[]): readonly SinkStatus[];
}

interface Trouble {
  readonly failures: number;
  readonly reason: string;
}

/** A trouble is over once something was delivered, nothing waits, or a failure of the receiver is in the database. */
export const createSinkTroubles = (): SinkTroubles => {
  const troubles = new Map<string, Trouble>();
  const over = ({ sink }: { readonly sink: string }) => void troubles.delete(sink);
  return {
    observer: {
      delivered: over,
      split: over,
      failed: over,
      caughtUp: over,
      interrupted: ({ sink, reason }) => {
        troubles.set(sink, { failures: (troubles.get(sink)?.failures ?? 0) + 1, reason });
      },
    },
    addTo: (sinks) =>
      sinks.map((sink) => {
        const trouble = troubles.get(sink.name);
        if (trouble === undefined || sink.failures > 0) return sink;
        return { ...sink, failures: trouble.failures, lastError: trouble.reason };
      }),
  };
};
