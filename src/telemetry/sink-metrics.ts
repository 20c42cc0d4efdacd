import { Counter, Gauge, type Registry } from 'prom-client';
import type { DeliveryObserver } from '../sinks/ports.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';

export interface SinkMetrics {
  readonly observer: DeliveryObserver;
  /** What a scrape read of them from the database. */
  show(sinks: readonly SinkStatus[]): void;
}

/** Positions and lag are the database's, the same for every replica; the counters are those of this process. */
export const createSinkMetrics = (registers: Registry[]): SinkMetrics => {
  const perSink = (name: string, help: string) => new Gauge({ name, help, labelNames: ['sink'], registers });
  const gauges = {
    position: perSink('orgtrail_sink_position', 'Position up to which all events are delivered or dead letters.'),
    lagEvents: perSink('orgtrail_sink_lag_events', 'Events not yet delivered to the sink.'),
    lagSeconds: perSink(
      'orgtrail_sink_lag_seconds',
      'Seconds since the oldest undelivered event was stored; 0 if all are delivered.',
    ),
    failures: perSink(
      'orgtrail_sink_failures',
      'Consecutive failures, of the receiver or of a rejected database statement; 0 while it delivers.',
    ),
    deadLetters: perSink('orgtrail_sink_dead_letters', 'Events that the sink rejected permanently.'),
    skipped: perSink(
      'orgtrail_sink_skipped_events',
      'Events skipped so far because they were older than max_age of the sink, those of replays included.',
    ),
  };
  const delivered = new Counter({
    name: 'orgtrail_sink_delivered_total',
    help: 'Events that the sink has confirmed to this process.',
    labelNames: ['sink'],
    registers,
  });
  const deliveries = new Counter({
    name: 'orgtrail_sink_deliveries_total',
    help: 'Delivery attempts by this process, by result: delivered, refused (as a whole), failed, lost (the lease), interrupted (by the database).',
    labelNames: ['sink', 'result'],
    registers,
  });
  const count = (sink: string, result: string) => deliveries.labels(sink, result).inc();
  return {
    observer: {
      delivered: ({ sink, accepted }) => {
        delivered.labels(sink).inc(accepted);
        count(sink, accepted > 0 ? 'delivered' : 'refused');
      },
      split: ({ sink }) => count(sink, 'refused'),
      failed: ({ sink, misconfigured }) => count(sink, misconfigured ? 'refused' : 'failed'),
      lost: ({ sink }) => count(sink, 'lost'),
      interrupted: ({ sink }) => count(sink, 'interrupted'),
    },
    show: (sinks) => {
      for (const gauge of Object.values(gauges)) gauge.reset();
      for (const { name, ...sink } of sinks) {
        gauges.position.labels(name).set(sink.position);
        gauges.lagEvents.labels(name).set(sink.lagEvents);
        gauges.lagSeconds.labels(name).set(sink.lagSeconds);
        gauges.failures.labels(name).set(sink.failures);
        gauges.deadLetters.labels(name).set(sink.deadLetters);
        gauges.skipped.labels(name).set(sink.skipped);
      }
    },
  };
};
