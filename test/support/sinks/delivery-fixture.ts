import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { afterAll, beforeAll } from 'vitest';
import type { SinkCheckpoints } from '../../../src/evidence/anchors/stored-anchors.sql.ts';
import { readFeedHead } from '../../../src/feed/feed-head.sql.ts';
import { deliverForever } from '../../../src/sinks/deliver-forever.ts';
import type { Delivery, DeliveryOutcome, Sink } from '../../../src/sinks/delivery.ts';
import { createDeliveryStore, createOwnStore, registerSinks } from '../../../src/sinks/delivery-store.sql.ts';
import { hasAlarmChanges } from '../../../src/sinks/findings/alarms.sql.ts';
import { hasSearchMatches } from '../../../src/sinks/findings/tell-searches.sql.ts';
import { type DeliveryObserver, isOwnStream, type SinkConfig } from '../../../src/sinks/ports.ts';
import { readSinkStatus, type SinkStatus } from '../../../src/sinks/sink-status.sql.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/database.ts';
import { LEASE_MS } from '../postgres/store-fixture.ts';
import { until } from '../process/until.ts';

/** A receiver in this process: what it was sent, and what it says to each. */
export interface TestSink extends Sink {
  readonly deliveries: readonly Delivery[];
  /** The positions that it has, in the order in which they came. */
  received(): readonly number[];
}

type Answer = (delivery: Delivery, signal: AbortSignal) => Promise<DeliveryOutcome> | DeliveryOutcome;

/** It has what it does not refuse. */
export const createTestSink = (answer: Answer = () => ({ kind: 'delivered', refused: [] })): TestSink => {
  const deliveries: Delivery[] = [];
  const received: number[] = [];
  return {
    target: 'test',
    deliveries,
    received: () => received,
    deliver: async (delivery, signal) => {
      deliveries.push(delivery);
      const outcome = await answer(delivery, signal);
      if (outcome.kind === 'delivered') {
        const refused = new Set(outcome.refused.map(({ index }) => index));
        received.push(...delivery.events.flatMap(({ event }, index) => (refused.has(index) ? [] : [event.position])));
      }
      return outcome;
    },
    close: async () => {},
  };
};

export interface SinkWorker extends AsyncDisposable {
  /** Asks for a stop, and resolves when the loop has ended. */
  stop(): Promise<void>;
  /** What is under way is aborted. */
  abort(): Promise<void>;
}

export interface SinkWorkerOptions extends Partial<SinkConfig> {
  readonly name: string;
  readonly sink: Sink;
  readonly owner?: string;
  /** How many times shorter it sleeps and rests than the daemon does: how many more renewals a lease sees. Default 1. */
  readonly speed?: number;
  readonly observer?: DeliveryObserver;
  readonly checkpoints?: SinkCheckpoints;
}

/** The loop of one sink, as the daemon runs it, on a database of the test. */
export const startSinkWorker = (pool: Pool, options: SinkWorkerOptions): SinkWorker => {
  const [asked, hard] = [new AbortController(), new AbortController()];
  const { owner = 'host/1/worker', speed = 1, observer = {}, checkpoints } = options;
  const entries = createDeliveryStore(pool, owner, LEASE_MS);
  const { stream } = options;
  const store = isOwnStream(stream) ? createOwnStore(pool, stream, entries, LEASE_MS) : entries;
  const hasNews = {
    alarms: (after: number) => hasAlarmChanges(pool, after),
    searches: (after: number) => hasSearchMatches(pool, options.name, after),
    other: async (after: number) => (await readFeedHead(pool)).position > after,
  }[isOwnStream(stream) ? stream : 'other'];
  const ended = deliverForever(
    {
      // A rest is as long as in the daemon, but for the scale.
      store: {
        ...store,
        fail: (turn, { reason, afterMs }) => store.fail(turn, { reason, afterMs: afterMs / (20 * speed) }),
      },
      time: {
        nowMs: () => performance.now(),
        sleep: (ms, signal) => sleep(ms / speed, undefined, { ref: false, ...(signal && { signal }) }),
      },
      leaseMs: LEASE_MS,
      checkpoints,
      observer,
      random: () => 0,
      redact: (text) => text.replaceAll('s3cret', '[redacted]'),
      waitForNews: async (after, signal) => {
        while (!(await hasNews(after))) await sleep(20, undefined, { signal });
      },
    },
    { format: 'native', batchEvents: 100, organizationIds: undefined, ...options },
    { asked: asked.signal, hard: hard.signal },
  );
  const stop = async () => {
    asked.abort();
    await ended;
  };
  return {
    stop,
    abort: async () => {
      hard.abort();
      await stop();
    },
    [Symbol.asyncDispose]: async () => {
      hard.abort();
      await stop();
    },
  };
};

/** A database for all tests of a file, with what `prepare` stores, and what tests ask of its sinks. */
export const useSinkDatabase = (prepare: (pool: Pool) => Promise<unknown>) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
    await prepare(database.pool);
  });
  afterAll(() => database?.close());
  type Registration = Parameters<typeof registerSinks>[1][number];
  const status = async (name: string): Promise<SinkStatus> => {
    const [row] = await readSinkStatus(database.pool, [name]);
    if (row === undefined) throw new Error(`no sink ${name}`);
    return row;
  };
  return {
    pool: () => database.pool,
    daemonUrl: () => database.daemonUrl,
    register: (name: string, more: Partial<Registration> = {}) =>
      registerSinks(database.pool, [{ name, kind: 'test', target: 'test', start: 'beginning', ...more }]),
    status,
    reaches: (name: string, position: number) =>
      until(`${name} reaches ${position}`, async () => (await status(name)).position === position),
    work: (name: string, sink: Sink, more: Partial<SinkWorkerOptions> = {}) =>
      startSinkWorker(database.pool, { name, sink, ...more }),
  };
};
