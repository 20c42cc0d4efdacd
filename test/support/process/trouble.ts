import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'pg';
import { expect } from 'vitest';
import { compareWithTruth, isExact } from '../../../src/cli/demo/verdict.sql.ts';
import { countPositions } from '../../../src/feed/feed.sql.ts';
import type { Simulator } from '../../../src/simulator/interface.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { firstValue } from '../postgres/rows.ts';
import { type OrgtrailProcess, startOrgtrail } from './orgtrail-process.ts';
import { until } from './until.ts';

const TOKEN = 'token-of-the-trouble-test';
const ORGANIZATIONS = 3;
const CONCURRENCY = 2;
/** The daemon ticks once a second. In each second of trouble it may say and ask this much, and no more: no busy loop. */
const LINES_PER_TICK = 12;
const REQUESTS_PER_TICK = 20;
/** Equal lines are one a minute. */
const WATCHED_MS = 4_000;

/** A running daemon, and what it should have stored. */
export interface Troubled extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly daemon: OrgtrailProcess;
  /** Where the daemon that is watched serves HTTP. */
  readonly httpUrl: string;
  readyz(): Promise<{ code: number; reasons: string }>;
  livez(): Promise<number>;
  /** New entries in every organization, as of now. */
  generate(each: number): void;
  storedBy(databaseUrl: string): Promise<number>;
  /** Waits until the database holds exactly what was served, and the daemon says that it is ready. */
  untilExact(databaseUrl: string): Promise<void>;
  /** Ends the daemon as an operator does, and looks at what it leaves. */
  stop(): Promise<void>;
  /** What all daemons have logged. */
  logs(): string;
}

export interface TroubledOptions {
  readonly simulator?: SimulatorOptions;
  /** How many daemons share the work; the first is the one that is watched. Default 1. */
  readonly replicas?: number;
}

/** Starts a simulated Cloudflare and the daemon, a real process, with the database reached by `daemonUrl`. */
export const startTroubled = async (daemonUrl: string, options: TroubledOptions = {}): Promise<Troubled> => {
  const simulator = await startSimulator({
    seed: 23,
    organizations: ORGANIZATIONS,
    entries: 900,
    distribution: 'uniform',
    pageCap: 40,
    budget: null,
    historyMs: 2 * 86_400_000,
    startMs: Date.now() - 60_000,
    ...options.simulator,
  });
  const env = {
    CLOUDFLARE_API_TOKEN: TOKEN,
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: daemonUrl,
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_HISTORY: '3d',
    ORGTRAIL_SCHEDULE: '* * * * * *',
    ORGTRAIL_CONCURRENCY: String(CONCURRENCY),
    ORGTRAIL_HTTP_PORT: '0',
  };
  const daemons = Array.from({ length: options.replicas ?? 1 }, () => startOrgtrail(['run'], env));
  await Promise.all(daemons.map((each) => each.waitFor('orgtrail started')));
  const daemon = daemons[0] as OrgtrailProcess;
  const httpUrl = /"url":"([^"]+)"/.exec(daemon.stdout())?.[1] ?? '';
  const readyz = async () => {
    const response = await fetch(`${httpUrl}/readyz`);
    const body = (await response.json()) as { reasons: string[] };
    return { code: response.status, reasons: body.reasons.join('; ') };
  };
  return {
    simulator,
    daemon,
    httpUrl,
    readyz,
    livez: async () => (await fetch(`${httpUrl}/livez`)).status,
    generate: (each) => {
      for (const { id } of simulator.summary().organizations) simulator.generate(id, each);
    },
    logs: () => daemons.map((each) => each.stdout()).join(''),
    storedBy: (url) => withPool(url, (pool) => stored(pool)),
    untilExact: async (url) => {
      await withPool(url, async (pool) => {
        const exact = async () => isExact(await compareWithTruth(pool, simulator));
        await until('exactly what was served is stored', exact).catch(async (error: unknown) => {
          throw new Error(`${error}\n${JSON.stringify(await compareWithTruth(pool, simulator))}\n${tail(daemon)}`);
        });
        const { rows } = await pool.query(
          `select count(distinct position)::integer as positions, count(*)::integer as events,
             coalesce(max(position), 0)::float8 as last from audit_events`,
        );
        const { positions, events, last } = rows[0];
        expect({ positions, given: await countPositions(pool, 0, last) }).toEqual({ positions: events, given: events });
      });
      await until('the daemon is ready', async () => (await readyz()).code === 200);
    },
    stop: async () => {
      for (const each of daemons) {
        each.child.kill('SIGTERM');
        expect(await each.ended, tail(each)).toBe(143);
        expect(each.stderr()).toBe('');
        expect(each.stdout()).not.toContain(TOKEN);
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of daemons) {
        each.child.kill('SIGKILL');
        await each.ended;
      }
      await simulator.close();
    },
  };
};

/**
 * What a daemon must do while it cannot write: say why, in its log and in /readyz, stay alive, and neither fill the log nor
 * spend the API budget. Resolves once that has been seen for some ticks.
 */
export const expectTroubleSaid = async (troubled: Troubled, why: RegExp): Promise<void> => {
  const { daemon, simulator } = troubled;
  const linesBefore = lines(daemon).length;
  const failures = () =>
    lines(daemon)
      .slice(linesBefore)
      .filter((line) => why.test(line)).length;
  await until(`the log says ${why}`, async () => failures() > 0).catch((error: unknown) => {
    throw new Error(`${error}\n${tail(daemon)}`);
  });
  let ready = await troubled.readyz();
  await until(`readyz says ${why}`, async () => {
    ready = await troubled.readyz();
    return ready.code === 503 && why.test(ready.reasons);
  }).catch((error: unknown) => {
    throw new Error(`${error}\nit said ${ready.code} ${ready.reasons}\n${tail(daemon)}`);
  });
  const [firstLine, firstRequest, startedAtMs] = [lines(daemon).length, simulator.requestCount, performance.now()];
  await sleep(WATCHED_MS);
  expect(await troubled.livez()).toBe(200);
  const ticks = Math.ceil((performance.now() - startedAtMs) / 1_000) + 1;
  expect(simulator.requestCount - firstRequest).toBeLessThanOrEqual(ticks * REQUESTS_PER_TICK);
  const said = lines(daemon).slice(firstLine);
  expect(said.length, tail(daemon)).toBeLessThanOrEqual(ticksOf(said) * LINES_PER_TICK);
  expect(daemon.child.exitCode).toBe(null);
};

const withPool = async <T>(url: string, run: (pool: Pool) => Promise<T>): Promise<T> => {
  const pool = new Pool({ connectionString: url, max: 2 });
  pool.on('error', () => {});
  try {
    return await run(pool);
  } finally {
    await pool.end();
  }
};

const stored = (pool: Pool): Promise<number> =>
  firstValue<number>(pool, 'select position::float8 as position from feed_head');

const lines = (daemon: OrgtrailProcess): string[] => daemon.stdout().split('\n').slice(0, -1);

/** How many ticks these lines are of, by the times that they tell: on a busy machine many may be read at once. */
const ticksOf = (some: readonly string[]): number => {
  const timesMs = some.map((line) => Date.parse((JSON.parse(line) as { time: string }).time));
  return some.length === 0 ? 0 : Math.ceil((Math.max(...timesMs) - Math.min(...timesMs)) / 1_000) + 1;
};

const tail = (daemon: OrgtrailProcess): string => `${lines(daemon).slice(-20).join('\n')}\n${daemon.stderr()}`;
