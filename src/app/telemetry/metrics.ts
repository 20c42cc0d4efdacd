import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { type StreamLoad, type StreamObserver, streamKinds } from '../../base/limits.ts';
import { RecentCount } from '../../base/time.ts';
import type { EvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import type { RequestObserver } from '../../ingest/cloudflare/client.ts';
import type { SyncObserver } from '../../ingest/sync/ports.ts';
import type { AccessLimit } from '../../postgres/access/access.ts';
import type { DeliveryObserver } from '../../sinks/ports.ts';
import type { SinkStatus } from '../../sinks/sink-status.sql.ts';
import type { MetricsSource } from '../../status/scrape.sql.ts';
import {
  createEvidenceGauges,
  createStatusGauges,
  gaugesOf,
  metricsOf,
  readStatusGauges,
  type StatusGauges,
  showEvidence,
} from './status-gauges.ts';

export type Metrics = ReturnType<typeof createMetrics>;

/** Cloudflare counts requests in any five minutes. */
const REQUEST_WINDOW_MS = 300_000;

/** Names and labels are a contract (docs/reference/metrics.md). */
export const createMetrics = (version: string) => {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counters = createCounters(registers);
  const gauges = createStatusGauges(registers);
  const sinks = createSinkMetrics(registers);
  const streams = createStreamMetrics(registers);
  const archive = createArchiveMetrics(registers);
  createBuildInfo(version, registers);
  const recent = new RecentCount(REQUEST_WINDOW_MS, () => performance.now());
  return {
    registry,
    sync: syncObserver(counters, gauges),
    requests: {
      onAttempt: ({ endpoint, status, durationMs }) => {
        recent.add();
        counters.orgtrail_api_requests_total.labels(endpoint, String(status)).inc();
        counters.orgtrail_api_request_duration_seconds.labels(endpoint).observe(durationMs / 1_000);
      },
    } satisfies RequestObserver,
    delivery: sinks.observer,
    streams: streams.observer,
    http: createHttpMetrics(registers),
    archiveFailed: (): void => archive.orgtrail_archive_failures_total.inc(),
    throttled: (waitMs: number): void => counters.orgtrail_api_throttled_seconds_total.inc(waitMs / 1_000),
    pageCommitSeconds: (seconds: number): void => counters.orgtrail_page_commit_duration_seconds.observe(seconds),
    leaseTaken: (): void => counters.orgtrail_lease_epochs_total.inc(),
    recentRequests: () => recent.total(),
    /** Reads the gauges from `source` first. Rejects if the database does not answer. */
    scrape: async (source: MetricsSource): Promise<string> => {
      const [sinkStatus, archived] = await Promise.all([
        source.sinks(),
        source.archive(),
        readStatusGauges(gauges, source),
      ]);
      sinks.show(sinkStatus);
      archive.orgtrail_archive_waiting_months.set(archived?.waitingMonths ?? Number.NaN);
      archive.orgtrail_archive_faulty_objects.set(archived?.faultyObjects ?? Number.NaN);
      archive.orgtrail_archive_written_age_seconds.set(archived?.writtenSecondsAgo ?? Number.NaN);
      streams.show(source.streamLoad());
      return await registry.metrics();
    },
  };
};

const createBuildInfo = (version: string, registers: Registry[]): void =>
  gaugesOf(registers, ['version', 'node'], {
    orgtrail_build_info: 'Always 1; the labels name the version.',
  })
    .orgtrail_build_info.labels(version, process.versions.node)
    .set(1);

const countersOf = <Name extends string>(
  registers: Registry[],
  labelNames: string[],
  help: Readonly<Record<Name, string>>,
) => metricsOf(help, (settings) => new Counter({ ...settings, labelNames, registers }));

const histogramsOf = <Name extends string>(
  registers: Registry[],
  { labelNames = [], buckets }: { readonly labelNames?: string[]; readonly buckets: number[] },
  help: Readonly<Record<Name, string>>,
) => metricsOf(help, (settings) => new Histogram({ ...settings, labelNames, buckets, registers }));

const requestBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const commitBuckets = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const latenessBuckets = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600, 86_400];

type Counters = ReturnType<typeof createCounters>;

const createCounters = (registers: Registry[]) => ({
  ...countersOf(registers, ['endpoint', 'status'], {
    orgtrail_api_requests_total:
      'Cloudflare API request attempts by endpoint and status (HTTP status or failure kind).',
  }),
  ...histogramsOf(
    registers,
    { labelNames: ['endpoint'], buckets: requestBuckets },
    {
      orgtrail_api_request_duration_seconds: 'Duration of one request attempt, from sending to the end of the body.',
    },
  ),
  ...countersOf(registers, [], {
    orgtrail_api_throttled_seconds_total: 'Seconds that requests waited for the budget or a Retry-After block.',
  }),
  ...histogramsOf(
    registers,
    { buckets: commitBuckets },
    {
      orgtrail_page_commit_duration_seconds: 'Duration of the statement that commits a page.',
    },
  ),
  ...countersOf(registers, [], {
    orgtrail_events_stored_total: 'Events stored.',
    orgtrail_entries_duplicate_total: 'Entries read that had been stored before.',
    orgtrail_entries_defective_total: 'Events stored with a defect.',
    orgtrail_entries_changed_total: 'Entries whose id was stored with other content.',
  }),
  ...countersOf(registers, ['pass'], {
    orgtrail_entries_late_total:
      'Entries stored that appeared only after their time had been read, by what found them: a settle pass or a lane.',
  }),
  ...countersOf(registers, [], {
    orgtrail_entries_beyond_last_pass_total: 'Entries stored after the final re-read pass had covered their time.',
    orgtrail_scrub_found_total: 'Entries stored by the scrub lane that were missing in time that had been read.',
  }),
  ...histogramsOf(
    registers,
    { buckets: latenessBuckets },
    {
      orgtrail_event_lateness_seconds:
        'Seconds from action time to first seen, live lane; without what the first walk of a source finds, which is history.',
    },
  ),
  ...countersOf(registers, [], {
    orgtrail_coverage_trimmed_total:
      'Coverage rows trimmed because they claimed time that could not have been read yet.',
  }),
  ...countersOf(registers, ['lane', 'result'], {
    orgtrail_walks_total:
      'Walks that ended: done and proven claim what they read; narrowed, hole, fenced, lost and failed do not.',
  }),
  ...countersOf(registers, [], { orgtrail_lease_epochs_total: 'Leases acquired by this process.' }),
});

const syncObserver = (counters: Counters, gauges: StatusGauges): SyncObserver => ({
  pageCommitted: ({ stored, duplicates, defective, changed, late, latenessSeconds }) => {
    counters.orgtrail_events_stored_total.inc(stored);
    counters.orgtrail_entries_duplicate_total.inc(duplicates);
    counters.orgtrail_entries_defective_total.inc(defective);
    counters.orgtrail_entries_changed_total.inc(changed);
    for (const [finder, entries] of Object.entries(late.foundBy)) {
      counters.orgtrail_entries_late_total.labels(finder).inc(entries);
    }
    counters.orgtrail_entries_beyond_last_pass_total.inc(late.beyondLastPass);
    for (const seconds of latenessSeconds) counters.orgtrail_event_lateness_seconds.observe(Math.max(0, seconds));
  },
  scrubFound: ({ entries }) => counters.orgtrail_scrub_found_total.inc(entries),
  walkEnded: ({ lane, result }) => counters.orgtrail_walks_total.labels(lane, result).inc(),
  futureTrimmed: ({ rows }) => counters.orgtrail_coverage_trimmed_total.inc(rows),
  clocksCompared: ({ aheadMs }) => gauges.orgtrail_clock_difference_seconds.set(aheadMs / 1_000),
});

/** Positions and lag are the database's, the same for every replica; the counters are those of this process. */
const createSinkMetrics = (registers: Registry[]) => {
  const gauges = gaugesOf(registers, ['sink'], {
    orgtrail_sink_position: 'Position up to which all events are delivered or dead letters.',
    orgtrail_sink_lag_events: 'Events not yet delivered to the sink.',
    orgtrail_sink_lag_seconds: 'Seconds since the oldest undelivered event was stored; 0 if all are delivered.',
    orgtrail_sink_failures:
      'Consecutive failures, of the receiver or of a rejected database statement; 0 while it delivers.',
    orgtrail_sink_dead_letters: 'Events that the sink rejected permanently.',
    orgtrail_sink_skipped_events:
      'Events skipped so far because they were older than max_age of the sink, those of replays included.',
  });
  const counters = {
    ...countersOf(registers, ['sink'], {
      orgtrail_sink_delivered_total: 'Events that the sink has confirmed to this process.',
    }),
    ...countersOf(registers, ['sink', 'result'], {
      orgtrail_sink_deliveries_total:
        'Delivery attempts by this process, by result: delivered, refused (as a whole), failed, lost (the lease), interrupted (by the database).',
    }),
  };
  const count = (sink: string, result: string) => counters.orgtrail_sink_deliveries_total.labels(sink, result).inc();
  return {
    observer: {
      delivered: ({ sink, accepted }) => {
        counters.orgtrail_sink_delivered_total.labels(sink).inc(accepted);
        count(sink, accepted > 0 ? 'delivered' : 'refused');
      },
      split: ({ sink }) => count(sink, 'refused'),
      failed: ({ sink, misconfigured }) => count(sink, misconfigured ? 'refused' : 'failed'),
      lost: ({ sink }) => count(sink, 'lost'),
      interrupted: ({ sink }) => count(sink, 'interrupted'),
    } satisfies DeliveryObserver,
    show: (sinks: readonly SinkStatus[]): void => {
      for (const gauge of Object.values(gauges)) gauge.reset();
      for (const { name, ...sink } of sinks) {
        gauges.orgtrail_sink_position.labels(name).set(sink.position);
        gauges.orgtrail_sink_lag_events.labels(name).set(sink.lagEvents);
        gauges.orgtrail_sink_lag_seconds.labels(name).set(sink.lagSeconds);
        gauges.orgtrail_sink_failures.labels(name).set(sink.failures);
        gauges.orgtrail_sink_dead_letters.labels(name).set(sink.deadLetters);
        gauges.orgtrail_sink_skipped_events.labels(name).set(sink.skipped);
      }
    },
  };
};

/** The labels are bounded: a route is its pattern, and what has none is `unmatched`. */
const createHttpMetrics = (registers: Registry[]) => {
  const counters = {
    ...countersOf(registers, ['route', 'status'], {
      orgtrail_http_requests_total: 'HTTP responses of this process, by route pattern and status.',
    }),
    ...countersOf(registers, [], {
      orgtrail_sign_in_failures_total: 'Refused attempts to sign in to the console.',
      orgtrail_access_log_lost_total: 'Rows that could not be written to access_log; the log has them.',
    }),
    ...countersOf(registers, ['limit'], {
      orgtrail_access_log_limit_total:
        'Requests beyond the different ones that the trail of access keeps within an hour. limit="strangers": refused without a name, and noted without an address; "readers": noted in full, and the sums of others sooner.',
    }),
  };
  for (const limit of ['readers', 'strangers']) counters.orgtrail_access_log_limit_total.labels(limit).inc(0);
  return {
    /** `status` is the code, or `aborted` if the connection ended before an answer. */
    answered: (route: string, status: string): void =>
      counters.orgtrail_http_requests_total.labels(route, status).inc(),
    signInFailed: (): void => counters.orgtrail_sign_in_failures_total.inc(),
    accessNotesLost: (count: number): void => counters.orgtrail_access_log_lost_total.inc(count),
    accessLimitReached: (limit: AccessLimit): void => counters.orgtrail_access_log_limit_total.labels(limit).inc(),
  };
};

const createStreamMetrics = (registers: Registry[]) => {
  const gauges = gaugesOf(registers, ['kind'], {
    orgtrail_streams_open: 'Responses being sent, by kind: feed, search pages, exports.',
    orgtrail_streams_waiting: 'Requests waiting until fewer responses of their kind are being sent.',
  });
  const counters = countersOf(registers, ['kind'], {
    orgtrail_streams_refused_total:
      'Requests refused with 503 because too many responses of their kind were being sent.',
    orgtrail_streams_stalled_total: 'Responses cut off because their reader took nothing for ORGTRAIL_STALL_TIMEOUT.',
  });
  const { orgtrail_stream_memory_bytes: memory } = gaugesOf(registers, [], {
    orgtrail_stream_memory_bytes:
      'Bytes lent to readers: pieces of the feed, and large entries of all answers, counted five times.',
  });
  for (const kind of streamKinds) for (const counter of Object.values(counters)) counter.labels(kind).inc(0);
  return {
    observer: {
      refused: (kind) => counters.orgtrail_streams_refused_total.labels(kind).inc(),
      stalled: (kind) => counters.orgtrail_streams_stalled_total.labels(kind).inc(),
    } satisfies StreamObserver,
    show: ({ streams, memoryBytes }: StreamLoad): void => {
      for (const kind of streamKinds) {
        gauges.orgtrail_streams_open.labels(kind).set(streams[kind].open);
        gauges.orgtrail_streams_waiting.labels(kind).set(streams[kind].waiting);
      }
      memory.set(memoryBytes);
    },
  };
};

const createArchiveMetrics = (registers: Registry[]) => ({
  ...gaugesOf(registers, [], {
    orgtrail_archive_waiting_months:
      'Months older than ORGTRAIL_RETENTION that are still in the database, those of holds and sinks included; NaN without an archive.',
    orgtrail_archive_faulty_objects:
      'Objects that were missing or had other bytes when they were last read; NaN without an archive.',
    orgtrail_archive_written_age_seconds:
      'Seconds since an object was last written, read back and entered in the catalogue; NaN before the first.',
  }),
  ...countersOf(registers, [], {
    orgtrail_archive_failures_total:
      'Attempts of this process to archive a month that failed; the month stays, and the attempt is repeated.',
  }),
});

export const createBuilderMetrics = (version: string) => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  createBuildInfo(version, [registry]);
  const gauges = createEvidenceGauges([registry]);
  return {
    /** Rejects if the database does not answer. */
    scrape: async (evidence: () => Promise<EvidenceStatus | undefined>): Promise<string> => {
      showEvidence(gauges, await evidence(), true);
      return await registry.metrics();
    },
  };
};
