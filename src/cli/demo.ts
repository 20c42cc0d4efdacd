import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { loadConfig } from '../config.ts';
import { parseDurationMs } from '../domain/duration.ts';
import { exitCodes, OrgtrailError } from '../errors.ts';
import { createLogger } from '../log.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { type Comparison, compareWithTruth, isExact } from './compare-with-truth.ts';
import { showProgress } from './progress.ts';
import { type Daemon, startDaemon } from './run.ts';
import type { VerbContext } from './verb-context.ts';

const ORGANIZATIONS = 30;
const ENTRIES = 30_000;
const LIVE_PER_SECOND = 20;
/** Late entries of the demo come up to this late; the settle passes then find them. */
const LATE_MS = 2_000;
const SETTLE = '3s,8s';
/** After the stream has ended: as long as something comes in, and then two settle passes and some ticks more. */
const CATCH_UP_MS = 45_000;

const help = `
Nothing leaves this machine: a simulated Cloudflare on a loopback port, a PostgreSQL from an npm package in a temporary
directory (or DATABASE_URL), and the real daemon. Some of the simulated responses fail, on purpose.

Examples:
  $ orgtrail demo
  $ orgtrail demo --for 20s          stops by itself; exit code 0 only if the store has exactly what was served`;

export const demoVerb = (context: VerbContext, report: (code: number) => void): Command =>
  new Command('demo')
    .description('Run the real daemon on an embedded PostgreSQL and a simulated Cloudflare')
    .option('--for <duration>', 'stop by itself after this time, and compare the store with what was served')
    .option('--port <port>', 'port of the console, health and metrics', '8080')
    .addHelpText('after', help)
    .action(async (options: { for?: string; port: string }) => {
      const durationMs = options.for === undefined ? undefined : parseDurationMs(options.for);
      if (options.for !== undefined && durationMs === undefined) {
        throw new OrgtrailError('usage', `--for must be a duration such as 20s or 5m, not "${options.for}"`);
      }
      const comparison = await demo(context, options.port, durationMs);
      context.stdout.write(verdict(comparison));
      if (!isExact(comparison)) report(exitCodes.sourceFailed);
    });

const demo = async (context: VerbContext, port: string, durationMs: number | undefined): Promise<Comparison> => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-demo-'));
  const simulator = await startSimulator({
    organizations: ORGANIZATIONS,
    entries: ENTRIES,
    faults: {
      ...{ server_error: 0.01, cut_body: 0.005, html_error: 0.003, expired_cursor: 0.01, last_page_cursor: 0.2 },
      ...{ late: 0.05, lateDelayMs: LATE_MS, equal_timestamps: 0.3, unknown_enums: 0.05, defectRate: 0.005 },
    },
  });
  let daemon: Daemon | undefined;
  try {
    const env = {
      ...{ CLOUDFLARE_API_TOKEN: 'demo-token-of-the-simulator', CLOUDFLARE_BASE_URL: simulator.baseUrl },
      ...{ ORGTRAIL_DATA_DIR: directory, DATABASE_URL: context.env['DATABASE_URL'] },
      ...{ ORGTRAIL_SCHEDULE: '*/2 * * * * *', ORGTRAIL_HISTORY: '120d', ORGTRAIL_SETTLE: SETTLE },
      ...{ ORGTRAIL_API_BUDGET: '100000', ORGTRAIL_HTTP_PORT: port, ORGTRAIL_LOG_LEVEL: 'error' },
    };
    const config = loadConfig(env, { needsCredential: true, interactive: context.interactive });
    const logger = createLogger({ ...config.log, destination: context.stderr, secrets: [] });
    const progress = showProgress(context);
    daemon = await startDaemon(config, logger, progress.observer, context.signal);
    context.stdout.write(whereToLook(daemon, simulator.baseUrl, durationMs));
    await stream(simulator, context.signal, durationMs);
    context.stdout.write('\nthe stream has ended; waiting until all of it is stored …\n');
    const comparison = await untilExact(daemon, simulator);
    progress.finish();
    return comparison;
  } finally {
    await daemon?.stop();
    await simulator.close();
    await rm(directory, { recursive: true, force: true });
  }
};

type Simulator = Awaited<ReturnType<typeof startSimulator>>;

/** Entries come into being in all organizations, until the time is over or somebody presses Ctrl-C. */
const stream = async (simulator: Simulator, signal: AbortSignal, durationMs: number | undefined): Promise<void> => {
  const organizations = simulator.summary().organizations;
  const endAt = performance.now() + (durationMs ?? Number.POSITIVE_INFINITY);
  for (let index = 0; performance.now() < endAt && !signal.aborted; index += 1) {
    simulator.generate(organizations[index % organizations.length]?.id ?? '', 1);
    await sleep(1_000 / LIVE_PER_SECOND, undefined, { signal }).catch(() => {});
  }
};

/** Compares again and again, since late entries show only after a settle pass. */
const untilExact = async (daemon: Daemon, simulator: Simulator): Promise<Comparison> => {
  let giveUpAt = performance.now() + CATCH_UP_MS;
  let stored = 0;
  await sleep(LATE_MS);
  for (;;) {
    const beganAt = performance.now();
    const comparison = await compareWithTruth(daemon.app.database.pool, simulator);
    if (comparison.stored > stored) giveUpAt = performance.now() + CATCH_UP_MS;
    stored = comparison.stored;
    if (isExact(comparison) || performance.now() > giveUpAt) return comparison;
    // Each comparison hashes all that is stored: most of the machine is for the daemon.
    await sleep(Math.max(500, 4 * (performance.now() - beganAt)));
  }
};

const whereToLook = (daemon: Daemon, simulatorUrl: string, durationMs: number | undefined): string => `
orgtrail demo: ${ORGANIZATIONS} organizations, ${ENTRIES.toLocaleString('en')} entries of history, ${LIVE_PER_SECOND} new ones a second, with faults

  console   ${daemon.httpUrl}/
  health    curl -s ${daemon.httpUrl}/healthz
  metrics   curl -s ${daemon.httpUrl}/metrics | grep ^orgtrail
  SQL       psql '${daemon.app.database.url}' -c 'select * from audit_history order by position desc limit 10'
  Cloudflare (simulated)   ${simulatorUrl}

${durationMs === undefined ? 'Ctrl-C stops it, and compares the store with what was served.' : `It stops by itself after ${durationMs / 1_000} s.`}

`;

const verdict = (comparison: Comparison): string => `
                 served   stored
organizations  ${pad(comparison.organizationsExpected)} ${pad(comparison.organizationsStored)}
events         ${pad(comparison.expected)} ${pad(comparison.stored)}

missing ${comparison.missing} · extra ${comparison.extra} · stored twice ${comparison.duplicates} · positions missing ${comparison.positionsMissing}
${isExact(comparison) ? 'Every event of every organization is stored, once each, to the byte.' : 'The store is NOT what was served.'}
`;

const pad = (count: number): string => count.toLocaleString('en').padStart(8);
