import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { App } from './app.ts';
import type { Config } from './config.ts';
import { type DeliveryStop, deliverForever } from './delivery/deliver-forever.ts';
import type { DeliveryContext, DeliveryObserver, DeliveryStore, Route } from './delivery/ports.ts';
import { logDelivery } from './log-delivery.ts';
import type { Metrics } from './metrics.ts';
import { isDeadOwner } from './process-identity.ts';
import { redactorOf } from './sink-config.ts';
import { createSink } from './sinks/create-sink.ts';
import { readFeedEvents, readFeedHead } from './store/feed-events.ts';
import { createPool } from './store/pool.ts';
import {
  beginDelivery,
  claimSink,
  failDelivery,
  finishDelivery,
  registerSinks,
  releaseDeadSinks,
  releaseSink,
  renewSink,
  skipEvents,
} from './store/sinks.ts';

/** Their statements are short: sinks share these, and none of them is one of the connections for pulling. */
const MOST_CONNECTIONS = 6;
const NEWS_EVERY_MS = 1_000;

export interface RunningSinks {
  /** Resolves once a stop was asked for and no delivery is under way any more. */
  readonly ended: Promise<unknown>;
  close(): Promise<void>;
}

export interface SinkAppOptions extends DeliveryStop {
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * Starts delivering to all sinks of the configuration. Called by the daemon, once the schema is current. Throws
 * OrgtrailError `configuration` for a sink that cannot be used.
 */
export const startSinks = async (config: Config, app: App, options: SinkAppOptions): Promise<RunningSinks> => {
  const routes = config.sinks.map(({ name, settings }): Route & Pick<DeliveryContext, 'redact'> => ({
    ...{ name, sink: createSink(name, settings), format: settings.format, batchEvents: settings.batch_events },
    ...{ organizationIds: settings.organizations, redact: redactorOf(settings) },
  }));
  if (routes.length === 0) return { ended: Promise.resolve(), close: async () => {} };
  const { logger, metrics } = options;
  const registrations = config.sinks.map(({ name, settings: { type, start } }, index) => ({
    ...{ name, kind: type, start, target: routes[index]?.sink.target ?? '' },
  }));
  await registerSinks(app.database.pool, registrations);
  const pool = createPool(app.database.url, Math.min(MOST_CONNECTIONS, routes.length + 1), (error) =>
    logger.warn({ reason: error.message }, 'lost an idle database connection'),
  );
  const context: Omit<DeliveryContext, 'redact'> = {
    store: createDeliveryStore(pool, app.owner, config.leaseMs),
    time: app.sync.time,
    leaseMs: config.leaseMs,
    observer: both(
      metrics.delivery,
      logDelivery(logger, () => performance.now()),
    ),
    random: Math.random,
    waitForNews: (after, signal) => waitForNews(pool, after, signal),
  };
  for (const { name, sink } of routes) logger.info({ sink: name, target: sink.target }, 'a sink is served');
  const loops = routes.map((route) => deliverForever({ ...context, redact: route.redact }, route, options));
  return {
    ended: Promise.all(loops),
    close: async () => {
      await Promise.all(routes.map(({ sink }) => sink.close().catch(() => {})));
      // A connection attempt that hangs must not hold up a stop.
      await Promise.race([pool.end(), sleep(2_000, undefined, { ref: false })]);
    },
  };
};

/** Joins the statements of the store to the port that delivery declares. */
const createDeliveryStore = (pool: Pool, owner: string, leaseMs: number): DeliveryStore => ({
  claim: async (name) => {
    const claimed = await claimSink(pool, name, owner, leaseMs);
    if ('epoch' in claimed) return claimed;
    const { heldBy, restMs } = claimed;
    if (heldBy === undefined || !isDeadOwner(heldBy, owner)) return { waitMs: restMs };
    await releaseDeadSinks(pool, heldBy);
    return { waitMs: restMs ?? 0 };
  },
  renew: (turn) => renewSink(pool, turn, leaseMs),
  read: (range) => readFeedEvents(pool, range),
  begin: (turn, until) => beginDelivery(pool, turn, until, leaseMs),
  finish: (turn, result) => finishDelivery(pool, turn, result, leaseMs),
  skip: (turn, until) => skipEvents(pool, turn, until, leaseMs),
  fail: (turn, failure) => failDelivery(pool, turn, failure),
  release: (turn) => releaseSink(pool, turn),
});

/** Looks once a second. */
const waitForNews = async (pool: Pool, after: number, signal: AbortSignal): Promise<void> => {
  while ((await readFeedHead(pool)) <= after) await sleep(NEWS_EVERY_MS, undefined, { signal });
};

/** One observer that tells both. */
const both = (first: DeliveryObserver, second: DeliveryObserver): DeliveryObserver => {
  const names = ['delivered', 'split', 'failed', 'lost', 'interrupted'] as const satisfies (keyof DeliveryObserver)[];
  return Object.fromEntries(
    names.map((name) => [
      name,
      (event: never) => {
        first[name]?.(event);
        second[name]?.(event);
      },
    ]),
  );
};
