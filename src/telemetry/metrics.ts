import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { RequestObserver } from '../ingest/cloudflare/wire/middleware.ts';
import type { SyncObserver } from '../ingest/sync/ports.ts';
import type { MetricsSource } from '../status/ports.ts';
import { RecentCount } from '../time/recent-count.ts';
import { createArchiveMetrics, showArchive } from './archive/archive-metrics.ts';
import { createHttpMetrics, type HttpObserver } from './http-metrics.ts';
import { createSinkMetrics, type SinkMetrics } from './sink-metrics.ts';
import { createStatusGauges, readStatusGauges, type StatusGauges } from './status-gauges.ts';
import { createStreamMetrics, type StreamMetrics } from './stream-metrics.ts';

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
export const createBuildInfo = (version: string, registers: Registry[]): void => {
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
