import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ArchiveStatus } from '../../archive/archive-status.sql.ts';
import { type StreamLoad, type StreamObserver, streamKinds } from '../../base/limits.ts';
import { RecentCount } from '../../base/time.ts';
import type { EvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import type { AccessLimit } from '../../http/access/access.ts';
import type { RequestObserver } from '../../ingest/cloudflare/client.ts';
import type { SyncObserver } from '../../ingest/sync/ports.ts';
import type { DeliveryObserver } from '../../sinks/ports.ts';
import type { SinkStatus } from '../../sinks/sink-status.sql.ts';
import type { MetricsSource } from '../../status/scrape.sql.ts';
import {
  createEvidenceGauges,
  createStatusGauges,
  readStatusGauges,
  type StatusGauges,
  showEvidence,
} from './status-gauges.ts';

export interface Metrics {
  readonly registry: Registry;
  readonly sync: SyncObserver;
  readonly requests: RequestObserver;
  readonly delivery: SinkMetrics['observer'];
  readonly streams: StreamMetrics['observer'];
  readonly http: HttpObserver;
  /** A month could not be archived. */
  archiveFailed(): void;
  throttled(waitMs: number): void;
  pageCommitSeconds(seconds: number): void;
  leaseTaken(): void;
  /** Requests to Cloudflare in the last five minutes: what its limit is counted in. */
  recentRequests(): number;
  /** The exposition text; reads the gauges from `source` first. Rejects if the database does not answer. */
  scrape(source: MetricsSource): Promise<string>;
}

/** Cloudflare counts requests in any five minutes. */
const REQUEST_WINDOW_MS = 300_000;

/** All metrics of the process, on a registry of its own. Names and labels are a contract (docs/reference/metrics.md). */
export const createMetrics = (version: string): Metrics => {
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
        counters.requests.labels(endpoint, String(status)).inc();
        counters.requestSeconds.labels(endpoint).observe(durationMs / 1_000);
      },
    },
    delivery: sinks.observer,
    streams: streams.observer,
    http: createHttpMetrics(registers),
    archiveFailed: () => archive.failures.inc(),
    throttled: (waitMs) => counters.throttled.inc(waitMs / 1_000),
    pageCommitSeconds: (seconds) => counters.commitSeconds.observe(seconds),
    leaseTaken: () => counters.leases.inc(),
    recentRequests: () => recent.total(),
    scrape: async (source) => {
      const [sinkStatus, archived] = await Promise.all([
        source.sinks(),
        source.archive(),
        readStatusGauges(gauges, source),
      ]);
      sinks.show(sinkStatus);
      showArchive(archive, archived);
      streams.show(source.streamLoad());
      return await registry.metrics();
    },
  };
};

/** Names the version of the process. */
const createBuildInfo = (version: string, registers: Registry[]): void => {
  new Gauge({
    name: 'orgtrail_build_info',
    help: 'Always 1; the labels name the version.',
    labelNames: ['version', 'node'],
    registers,
  })
    .labels(version, process.versions.node)
    .set(1);
};

type Counters = ReturnType<typeof createCounters>;

const createCounters = (registers: Registry[]) => ({
  ...createRequestCounters(registers),
  stored: new Counter({ name: 'orgtrail_events_stored_total', help: 'Events stored.', registers }),
  duplicates: new Counter({
    name: 'orgtrail_entries_duplicate_total',
    help: 'Entries read that had been stored before.',
    registers,
  }),
  defective: new Counter({
    name: 'orgtrail_entries_defective_total',
    help: 'Events stored with a defect.',
    registers,
  }),
  changed: new Counter({
    name: 'orgtrail_entries_changed_total',
    help: 'Entries whose id was stored with other content.',
    registers,
  }),
  late: new Counter({
    name: 'orgtrail_entries_late_total',
    help: 'Entries stored that appeared only after their time had been read, by what found them: a settle pass or a lane.',
    labelNames: ['pass'],
    registers,
  }),
  beyondLastPass: new Counter({
    name: 'orgtrail_entries_beyond_last_pass_total',
    help: 'Entries stored after the final re-read pass had covered their time.',
    registers,
  }),
  scrubFound: new Counter({
    name: 'orgtrail_scrub_found_total',
    help: 'Entries stored by the scrub lane that were missing in time that had been read.',
    registers,
  }),
  lateness: new Histogram({
    name: 'orgtrail_event_lateness_seconds',
    help: 'Seconds from action time to first seen, live lane; without what the first walk of a source finds, which is history.',
    buckets: [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600, 86_400],
    registers,
  }),
  trimmed: new Counter({
    name: 'orgtrail_coverage_trimmed_total',
    help: 'Coverage rows trimmed because they claimed time that could not have been read yet.',
    registers,
  }),
  walks: new Counter({
    name: 'orgtrail_walks_total',
    help: 'Walks that ended: done and proven claim what they read; narrowed, hole, fenced, lost and failed do not.',
    labelNames: ['lane', 'result'],
    registers,
  }),
  leases: new Counter({ name: 'orgtrail_lease_epochs_total', help: 'Leases acquired by this process.', registers }),
});

/** What requests and commits cost. */
const createRequestCounters = (registers: Registry[]) => ({
  requests: new Counter({
    name: 'orgtrail_api_requests_total',
    help: 'Cloudflare API request attempts by endpoint and status (HTTP status or failure kind).',
    labelNames: ['endpoint', 'status'],
    registers,
  }),
  requestSeconds: new Histogram({
    name: 'orgtrail_api_request_duration_seconds',
    help: 'Duration of one request attempt, from sending to the end of the body.',
    labelNames: ['endpoint'],
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
    registers,
  }),
  throttled: new Counter({
    name: 'orgtrail_api_throttled_seconds_total',
    help: 'Seconds that requests waited for the budget or a Retry-After block.',
    registers,
  }),
  commitSeconds: new Histogram({
    name: 'orgtrail_page_commit_duration_seconds',
    help: 'Duration of the statement that commits a page.',
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers,
  }),
});

const syncObserver = (counters: Counters, gauges: StatusGauges): SyncObserver => ({
  pageCommitted: (page) => {
    counters.stored.inc(page.stored);
    counters.duplicates.inc(page.duplicates);
    counters.defective.inc(page.defective);
    counters.changed.inc(page.changed);
    for (const [finder, entries] of Object.entries(page.late.foundBy)) counters.late.labels(finder).inc(entries);
    counters.beyondLastPass.inc(page.late.beyondLastPass);
    for (const seconds of page.latenessSeconds) counters.lateness.observe(Math.max(0, seconds));
  },
  scrubFound: ({ entries }) => counters.scrubFound.inc(entries),
  walkEnded: ({ lane, result }) => counters.walks.labels(lane, result).inc(),
  futureTrimmed: ({ rows }) => counters.trimmed.inc(rows),
  clocksCompared: ({ aheadMs }) => gauges.clocks.set(aheadMs / 1_000),
});

interface SinkMetrics {
  readonly observer: DeliveryObserver;
  /** What a scrape read of them from the database. */
  show(sinks: readonly SinkStatus[]): void;
}

/** Positions and lag are the database's, the same for every replica; the counters are those of this process. */
const createSinkMetrics = (registers: Registry[]): SinkMetrics => {
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

/** What the HTTP server and the trail of access tell the metrics. */
interface HttpObserver {
  /** `status` is the code, or `aborted` if the connection ended before an answer. */
  answered(route: string, status: string): void;
  signInFailed(): void;
  /** Rows of the trail that did not get into the database. */
  accessNotesLost(count: number): void;
  /** More different requests than are kept at a time. */
  accessLimitReached(limit: AccessLimit): void;
}

/** The labels are bounded: a route is its pattern, and what has none is `unmatched`. */
const createHttpMetrics = (registers: Registry[]): HttpObserver => {
  const requests = new Counter({
    name: 'orgtrail_http_requests_total',
    help: 'HTTP responses of this process, by route pattern and status.',
    labelNames: ['route', 'status'],
    registers,
  });
  const signInFailures = new Counter({
    name: 'orgtrail_sign_in_failures_total',
    help: 'Refused attempts to sign in to the console.',
    registers,
  });
  const lost = new Counter({
    name: 'orgtrail_access_log_lost_total',
    help: 'Rows that could not be written to access_log; the log has them.',
    registers,
  });
  const limits = new Counter({
    name: 'orgtrail_access_log_limit_total',
    help: 'Requests beyond the different ones that the trail of access keeps within an hour. limit="strangers": refused without a name, and noted without an address; "readers": noted in full, and the sums of others sooner.',
    labelNames: ['limit'],
    registers,
  });
  for (const limit of ['readers', 'strangers']) limits.labels(limit).inc(0);
  return {
    answered: (route, status) => requests.labels(route, status).inc(),
    signInFailed: () => signInFailures.inc(),
    accessNotesLost: (count) => lost.inc(count),
    accessLimitReached: (limit) => limits.labels(limit).inc(),
  };
};

interface StreamMetrics {
  readonly observer: StreamObserver;
  show(load: StreamLoad): void;
}

/** Of this process: each replica has its own readers. */
const createStreamMetrics = (registers: Registry[]): StreamMetrics => {
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

/** Of the archive; the gauges are NaN if none is configured. */
const createArchiveMetrics = (registers: Registry[]) => ({
  waiting: new Gauge({
    name: 'orgtrail_archive_waiting_months',
    help: 'Months older than ORGTRAIL_RETENTION that are still in the database, those of holds and sinks included; NaN without an archive.',
    registers,
  }),
  faulty: new Gauge({
    name: 'orgtrail_archive_faulty_objects',
    help: 'Objects that were missing or had other bytes when they were last read; NaN without an archive.',
    registers,
  }),
  writtenAge: new Gauge({
    name: 'orgtrail_archive_written_age_seconds',
    help: 'Seconds since an object was last written, read back and entered in the catalogue; NaN before the first.',
    registers,
  }),
  failures: new Counter({
    name: 'orgtrail_archive_failures_total',
    help: 'Attempts of this process to archive a month that failed; the month stays, and the attempt is repeated.',
    registers,
  }),
});

type ArchiveMetrics = ReturnType<typeof createArchiveMetrics>;

/** Sets the gauges. */
const showArchive = (
  { waiting, faulty, writtenAge }: Pick<ArchiveMetrics, 'waiting' | 'faulty' | 'writtenAge'>,
  status: ArchiveStatus | undefined,
): void => {
  waiting.set(status?.waitingMonths ?? Number.NaN);
  faulty.set(status?.faultyObjects ?? Number.NaN);
  writtenAge.set(status?.writtenSecondsAgo ?? Number.NaN);
};

interface BuilderMetrics {
  /** The exposition text. Rejects if the database does not answer. */
  scrape(evidence: () => Promise<EvidenceStatus | undefined>): Promise<string>;
}

/** The metrics of a process that builds evidence alone: the same names as those of the daemon, and no others. */
export const createBuilderMetrics = (version: string): BuilderMetrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  createBuildInfo(version, [registry]);
  const gauges = createEvidenceGauges([registry]);
  return {
    scrape: async (evidence) => {
      showEvidence(gauges, await evidence(), true);
      return await registry.metrics();
    },
  };
};
