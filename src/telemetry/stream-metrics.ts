import { Counter, Gauge, type Registry } from 'prom-client';
import { type StreamLoad, type StreamObserver, streamKinds } from '../limits/stream-limits.ts';

export interface StreamMetrics {
  readonly observer: StreamObserver;
  show(load: StreamLoad): void;
}

/** Of this process: each replica has its own readers. */
export const createStreamMetrics = (registers: Registry[]): StreamMetrics => {
  const perKind = { labelNames: ['kind'], registers } as const;
  const open = new Gauge({
    name: 'orgtrail_streams_open',
    help: 'Responses being sent, by kind: feed, search pages, exports.',
    ...perKind,
  });
  const waiting = new Gauge({
    name: 'orgtrail_streams_waiting',
    help: 'Requests waiting until fewer responses of their kind are being sent.',
    ...perKind,
  });
  const refused = new Counter({
    name: 'orgtrail_streams_refused_total',
    help: 'Requests refused with 503 because too many responses of their kind were being sent.',
    ...perKind,
  });
  const stalled = new Counter({
    name: 'orgtrail_streams_stalled_total',
    help: 'Responses cut off because their reader took nothing for ORGTRAIL_STALL_TIMEOUT.',
    ...perKind,
  });
  const memory = new Gauge({
    name: 'orgtrail_stream_memory_bytes',
    help: 'Bytes lent to readers: pieces of the feed, and large entries of all answers, counted five times.',
    registers,
  });
  for (const kind of streamKinds) for (const counter of [refused, stalled]) counter.labels(kind).inc(0);
  return {
    observer: {
      refused: (kind) => refused.labels(kind).inc(),
      stalled: (kind) => stalled.labels(kind).inc(),
    },
    show: ({ streams, memoryBytes }) => {
      for (const kind of streamKinds) {
        open.labels(kind).set(streams[kind].open);
        waiting.labels(kind).set(streams[kind].waiting);
      }
      memory.set(memoryBytes);
    },
  };
};
