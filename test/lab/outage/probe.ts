import { setTimeout as sleep } from 'node:timers/promises';
import { parseMetrics, sumOf, valuesOf } from '../../support/deploy/metrics-text.ts';
import type { OrgtrailProcess } from '../../support/process/orgtrail-process.ts';
import { usageOf } from '../../support/process/process-usage.ts';
import type { Prometheus } from './prometheus.ts';

/** The daemon at one moment, as its operator can see it. */
export interface Sample {
  readonly phase: string;
  /** Since the run began. */
  readonly atMs: number;
  readonly cpuMs: number;
  readonly residentBytes: number;
  readonly logLines: number;
  readonly livez: number;
  readonly readyz: number;
  /** `ok` or `behind`. */
  readonly listing: string;
  readonly listingError: string;
  readonly attempts: number;
  readonly throttled: number;
  readonly throttledSeconds: number;
  readonly blockedSeconds: number;
  /** Of the organization that lags most. */
  readonly lagSeconds: number;
  readonly discoveryAgeSeconds: number;
  /** Alerts that fire, but for the one of the world's defective entries. */
  readonly firing: readonly string[];
}

export interface Probe {
  readonly samples: readonly Sample[];
  /** Later samples belong to this phase; resolves after its first one. */
  enter(phase: string): Promise<void>;
  /** Milliseconds since the run began. */
  nowMs(): number;
  stop(): Promise<void>;
}

/** The world has defective entries at all times: that this alert fires says nothing of the API. */
const OF_THE_DATA = 'OrgtrailEntriesDefective';
/** Longer than a machine that is busy with other things makes it wait. */
const LOOK_TIMEOUT_MS = 30_000;

/** Looks at the daemon every `everyMs`, until it is stopped. A look that fails ends the run: `onFault` is called with it. */
export const startProbe = (options: {
  readonly daemon: OrgtrailProcess;
  readonly url: string;
  readonly prometheus: Prometheus | undefined;
  readonly everyMs: number;
  readonly onFault: (error: unknown) => void;
}): Probe => {
  const startedAt = performance.now();
  const nowMs = () => performance.now() - startedAt;
  const samples: Sample[] = [];
  const stopped = new AbortController();
  let phase = 'start';
  const look = async () => {
    const sample = await takeSample(options, phase, nowMs());
    samples.push(sample);
  };
  const loop = async () => {
    while (!stopped.signal.aborted) {
      await look();
      await sleep(options.everyMs, undefined, { signal: stopped.signal }).catch(() => {});
    }
  };
  const running = loop().catch((error: unknown) => options.onFault(error));
  return {
    samples,
    nowMs,
    enter: async (next) => {
      phase = next;
      await look();
    },
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
};

const takeSample = async (
  { daemon, url, prometheus }: { daemon: OrgtrailProcess; url: string; prometheus: Prometheus | undefined },
  phase: string,
  atMs: number,
): Promise<Sample> => {
  const get = (path: string) => fetch(`${url}${path}`, { signal: AbortSignal.timeout(LOOK_TIMEOUT_MS) });
  const [usage, livez, readyz, healthz, metrics, alerts] = await Promise.all([
    usageOf(daemon.child.pid ?? 0),
    get('/livez'),
    get('/readyz'),
    get('/healthz'),
    get('/metrics'),
    prometheus?.look(),
  ]);
  const { discovery } = (await healthz.json()) as { discovery: { state: string; last_error: string | null } };
  await readyz.arrayBuffer();
  const series = parseMetrics(await metrics.text());
  return {
    phase,
    atMs,
    cpuMs: usage.cpuMs,
    residentBytes: usage.residentBytes,
    logLines: daemon.stdout().split('\n').length - 1,
    livez: livez.status,
    readyz: readyz.status,
    listing: discovery.state,
    listingError: discovery.last_error ?? '',
    attempts: sumOf(series, 'orgtrail_api_requests_total'),
    throttled: sumOf(series, 'orgtrail_api_requests_total', 'status="429"'),
    throttledSeconds: sumOf(series, 'orgtrail_api_throttled_seconds_total'),
    blockedSeconds: sumOf(series, 'orgtrail_api_blocked_seconds'),
    lagSeconds: Math.max(0, ...valuesOf(series, 'orgtrail_source_lag_seconds')),
    discoveryAgeSeconds: sumOf(series, 'orgtrail_discovery_age_seconds'),
    firing: (alerts?.firing ?? []).filter((name) => name !== OF_THE_DATA),
  };
};
