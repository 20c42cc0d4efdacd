import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { reasonOf } from '../base/errors.ts';
import type { Time } from '../base/time.ts';
import { createSinkCheckpoints } from '../evidence/anchors/stored-anchors.sql.ts';
import type { FeedSource } from '../feed/feed.ts';
import { openPool } from '../postgres/open-pool.ts';
import type { Pool } from '../postgres/pool.ts';
import { type DeliveryStop, deliverForever } from '../sinks/deliver-forever.ts';
import { createDeliveryStore, createOwnStore, neverRefused, registerSinks } from '../sinks/delivery-store.sql.ts';
import { hasAlarmChanges, noteAlarms, registerAlarmSinks } from '../sinks/findings/alarms.sql.ts';
import { readFindingHead } from '../sinks/findings/read-findings.sql.ts';
import { type NoteObserver, noteFindings, noteForever, wantDetections } from '../sinks/findings/record-findings.sql.ts';
import { hasSearchMatches, noteSearchMatches } from '../sinks/findings/tell-searches.sql.ts';
import {
  type DeliveryContext,
  type DeliveryObserver,
  isOwnStream,
  type SinkConfig,
  type SinkStream,
} from '../sinks/ports.ts';
import { createLiveSink, redactorOf } from '../sinks/registry.ts';
import type { SinkSurroundings } from '../sinks/sink-kind.ts';
import { readCauses } from '../status/causes.sql.ts';
import { alarmsOf, type Cause } from '../status/causes.ts';
import { archivedEventsOf } from './archive.ts';
import type { Config } from './config/config.ts';
import { fixedSecrets, type LiveSecrets } from './config/live-secrets.ts';
import type { NamedSink } from './config/sinks.ts';
import type { App } from './open-app.ts';
import { teeObserver } from './telemetry/log.ts';
import { logDelivery } from './telemetry/log-delivery.ts';
import type { Metrics } from './telemetry/metrics.ts';

/** Shared by all sinks, whose statements are short, and apart from the connections for pulling. */
const MAX_CONNECTIONS = 6;
/** If a notification is lost, this ends the wait. */
const MAX_WAIT_MS = 30_000;
const CHECKPOINTS_EVERY_MS = 300_000;

/** The schema must be current. Throws OrgtrailError `configuration` for a sink that cannot be used. */
export const startSinks = async (
  config: Config,
  app: App,
  options: DeliveryStop & { readonly logger: Logger; readonly metrics: Metrics; readonly secrets?: LiveSecrets },
): Promise<{ readonly ended: Promise<unknown>; close(): Promise<void> }> => {
  const { logger, metrics, secrets = fixedSecrets(config) } = options;
  const sinkConfigs = config.sinks.map((sink) => configuredSink(sink, secrets, { aws: config.aws }));
  const registrations = config.sinks.map(({ name, settings: { type, start, max_age: maxAgeMs } }, index) => ({
    name,
    kind: type,
    start,
    maxAgeMs,
    target: sinkConfigs[index]?.sink.target ?? '',
  }));
  await prepareFindings(app.database.pool, (await app.feed.head()).position, config.sinks);
  if (registrations.length > 0) await registerSinks(app.database.pool, registrations);
  await prepareAlarms(app.database.pool, config.sinks);
  const size = Math.min(MAX_CONNECTIONS, sinkConfigs.length + 1);
  const { pool, close } = openPool({ url: app.database.latestUrl, size, logger });
  const archived = archivedEventsOf(config)?.(pool);
  const context: Omit<DeliveryContext, 'redact'> = {
    store: createDeliveryStore(pool, app.owner, config.leaseMs, archived),
    time: app.sync.time,
    leaseMs: config.leaseMs,
    observer: teeObserver<DeliveryObserver>(deliveryEvents, [
      metrics.delivery,
      logDelivery(logger, () => performance.now()),
      app.sinkTroubles.observer,
    ]),
    random: Math.random,
    waitForNews: (after, signal) => waitForNews(app.feed, after, signal),
    checkpoints: createSinkCheckpoints(pool, CHECKPOINTS_EVERY_MS),
  };
  for (const { name, sink } of sinkConfigs) logger.info({ sink: name, target: sink.target }, 'sink started');
  const loops = sinkConfigs.map((sinkConfig) =>
    deliverForever(
      { ...contextFor(sinkConfig, context, pool, config.leaseMs), redact: sinkConfig.redact },
      sinkConfig,
      options,
    ),
  );
  const noting = { pool, time: context.time, logger, signal: options.asked };
  loops.push(startFindings(config.sinks, noting, context.waitForNews));
  const causes = async () =>
    readCauses(app.database.pool, config, await app.statusReader.read(config), await app.sinks(), {});
  loops.push(startAlarms(config.sinks, noting, causes));
  loops.push(startSearches(config.sinks, noting));
  return {
    /** Resolves once a stop was asked for and no delivery is under way any more. */
    ended: Promise.all(loops),
    close: async () => {
      await Promise.all(sinkConfigs.map(({ sink }) => sink.close().catch(() => {})));
      await archived?.close();
      await close();
    },
  };
};

const configuredSink = (
  { name, settings }: NamedSink,
  secrets: LiveSecrets,
  surroundings: SinkSurroundings,
): SinkConfig & Pick<DeliveryContext, 'redact'> => {
  let latest = settings;
  const current = () => {
    const now = secrets.sink(name, settings);
    if (!isDeepStrictEqual(now, latest)) latest = now;
    return latest;
  };
  const live = createLiveSink({ settings: current, refresh: secrets.reload, surroundings });
  const sink = isOwnStream(settings.events) ? neverRefused(live) : live;
  return {
    name,
    sink,
    format: settings.format,
    batchEvents: Math.min(settings.batch_events, sink.maxEvents ?? settings.batch_events),
    maxBytes: sink.maxBytes,
    organizationIds: settings.organizations,
    accountIds: settings.accounts,
    copies: settings.copies,
    stream: settings.events,
    startsNow: settings.start === 'now',
    minSeverity: settings.min_severity,
    hasCheckpoints: settings.checkpoints,
    maxAgeMs: settings.max_age,
    maxEventBytes: settings.max_event_bytes,
    maxIntervalMs: settings.max_interval,
    redact: (text) => redactorOf(current())(text),
  };
};

/** Sinks of anything but entries do not wait for the feed. */
const contextFor = <C extends Omit<DeliveryContext, 'redact'>>(
  { name, stream }: SinkConfig,
  context: C,
  pool: Pool,
  leaseMs: number,
): C => {
  const { store, time } = context;
  switch (stream) {
    case 'detections':
      return {
        ...context,
        waitForNews: (after, signal) => until(async () => ((await readFindingHead(pool)) ?? 0) > after, time, signal),
      };
    case 'alarms':
      return {
        ...context,
        store: createOwnStore(pool, stream, store, leaseMs),
        waitForNews: (after, signal) => until(() => hasAlarmChanges(pool, after), time, signal),
      };
    case 'searches':
      return {
        ...context,
        store: createOwnStore(pool, stream, store, leaseMs),
        waitForNews: (after, signal) => until(() => hasSearchMatches(pool, name, after), time, signal),
      };
    default:
      return context;
  }
};

const waitForNews = async (feed: FeedSource, after: number, signal: AbortSignal): Promise<void> => {
  while ((await feed.head()).position <= after) {
    await feed.waitBeyond(after, MAX_WAIT_MS, signal);
    signal.throwIfAborted();
  }
};

const deliveryEvents = [
  'delivered',
  'skipped',
  'split',
  'failed',
  'lost',
  'caughtUp',
  'interrupted',
  'checkpointDelivered',
  'checkpointFailed',
] as const satisfies (keyof DeliveryObserver)[];

/** How soon a sink receives what was noted. */
const NOTED_EVERY_MS = 1_000;

/** Rejects if the signal aborts or the database fails. */
const until = async (
  isThere: () => Promise<boolean>,
  time: Pick<Time, 'sleep'>,
  signal: AbortSignal,
): Promise<void> => {
  while (!(await isThere())) await time.sleep(NOTED_EVERY_MS, signal);
};

const ofStream = (sinks: readonly NamedSink[], stream: SinkStream): readonly NamedSink[] =>
  sinks.filter(({ settings }) => settings.events === stream);

interface Noting {
  readonly pool: Pool;
  readonly time: Time;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** A database with more is old: reading all of it would hold up what is new for hours. */
const MAX_POSITIONS_BEFORE = 500_000;

/** Before the sinks are registered, which fixes where detections begin. */
const prepareFindings = async (pool: Pool, head: number, sinks: readonly NamedSink[]): Promise<void> => {
  const isWanted = ofStream(sinks, 'detections').some(({ settings }) => settings.start === 'beginning');
  await wantDetections(pool, isWanted || head <= MAX_POSITIONS_BEFORE);
};

/** Until the signal, also without a sink: searches ask for findings. */
const startFindings = async (
  sinks: readonly NamedSink[],
  { pool, time, logger, signal }: Noting,
  waitBeyond: DeliveryContext['waitForNews'],
): Promise<void> => {
  const note = (maxPositions: number) => noteFindings(pool, maxPositions);
  await noteForever(
    {
      time,
      observer: logFindings(logger, ofStream(sinks, 'detections').length > 0 ? 'info' : 'debug'),
      note,
      waitBeyond,
    },
    signal,
  );
};

/** `level`: of what was found. */
const logFindings = (logger: Logger, level: 'info' | 'debug'): NoteObserver => {
  let failures = 0;
  return {
    noted: ({ position, found }) => {
      if (failures > 0) logger.info({ failures }, 'detections are noted again');
      failures = 0;
      if (found > 0) logger[level]({ findings: found, position }, 'detections found something');
    },
    failed: (event) => {
      failures += 1;
      if (failures === 1) logger.error(event, 'what the detections find could not be noted; retrying');
      else logger.debug({ ...event, failures }, 'what the detections find could not be noted; retrying');
    },
  };
};

const TROUBLE_EVERY_MS = 15_000;
/** What passes by itself is no alarm. */
const OPEN_AFTER_MS = 120_000;

/** Once the sinks are registered: fixes where those of alarms begin. */
const prepareAlarms = async (pool: Pool, sinks: readonly NamedSink[]): Promise<void> => {
  const wanted = ofStream(sinks, 'alarms').map(({ name, settings }) => ({ name, start: settings.start }));
  await registerAlarmSinks(pool, wanted);
};

/** Until the signal; nothing without a sink of alarms. */
const startAlarms = async (
  sinks: readonly NamedSink[],
  { pool, time, logger, signal }: Noting,
  causes: () => Promise<readonly Cause[]>,
): Promise<void> => {
  if (ofStream(sinks, 'alarms').length === 0) return;
  const note = async () => noteAlarms(pool, alarmsOf(await causes()), OPEN_AFTER_MS);
  await repeat(note, { time, logger, signal, everyMs: TROUBLE_EVERY_MS, what: 'alarms' });
};

const SEARCHES_EVERY_MS = 5_000;

/** Until the signal, also without a sink of searches: then those that tell one say so. */
const startSearches = async (sinks: readonly NamedSink[], { pool, time, logger, signal }: Noting): Promise<void> => {
  const names = ofStream(sinks, 'searches').map(({ name }) => name);
  const note = async () => {
    const messages = await noteSearchMatches(pool, names);
    if (messages > 0) logger.info({ messages }, 'saved searches matched');
  };
  await repeat(note, { time, logger, signal, everyMs: SEARCHES_EVERY_MS, what: 'matches of saved searches' });
};

const repeat = async (
  note: () => Promise<void>,
  of: Omit<Noting, 'pool'> & { readonly everyMs: number; readonly what: string },
): Promise<void> => {
  const { time, logger, signal, everyMs, what } = of;
  let failures = 0;
  while (!signal.aborted) {
    try {
      await note();
      if (failures > 0) logger.info({ failures }, `${what} are noted again`);
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      const level = failures === 1 ? 'error' : 'debug';
      logger[level]({ reason: reasonOf(error), failures }, `${what} could not be noted; retrying`);
    }
    await time.sleep(everyMs, signal).catch(() => {});
  }
};
