import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { loadConfig } from '../../app/config/config.ts';
import { type Daemon, startDaemon } from '../../app/start-daemon.ts';
import { createLogger } from '../../app/telemetry/log.ts';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { counted } from '../../base/text.ts';
import { formatDuration, parseDurationMs } from '../../base/time.ts';
import { stopEmbeddedServerAtOnce } from '../../postgres/embedded-server.ts';
import type { Simulator } from '../../simulator/interface.ts';
import { pausesOf, sourceHealth } from '../../status/health.ts';
import type { Status } from '../../status/status.sql.ts';
import type { CliContext } from '../command.ts';
import { appendAttack, appendUsualSignIns, attackedAccount, showDemoAlarms } from '../demo/attack.sql.ts';
import { prepareDemoEvidence, verifyDemoEvidence } from '../demo/evidence.ts';
import { catchUp, type Verdict, verdictText } from '../demo/verdict.sql.ts';
import { countedSources, drawLine } from '../output/terminal.ts';

const ORGANIZATIONS = 6;
const ACCOUNTS = 2;
/** Most things happen in accounts. */
const ORGANIZATION_ENTRIES = 4_000;
const ACCOUNT_ENTRIES = 16_000;
const LIVE_PER_SECOND = 20;
/** The settle passes find entries up to this late. */
const LATE_MS = 2_000;
const SETTLE = '3s,8s';
/** For the last arrivals, two settle passes and some ticks. */
const CATCH_UP_MS = 45_000;
const START_TIMEOUT_MS = 10_000;

const help = `
Nothing leaves this machine: a simulated Cloudflare on a loopback port, a PostgreSQL from an npm package in a temporary
directory (or DATABASE_URL), and the real daemon. Some of the simulated responses fail, on purpose. In one account an
attack is played, and the detections that find it are shown.
Ctrl-C stops the demo and compares the database with what was served; the exit code is 0 only if they are the same.
All that is stored is signed, with a key that is made for the demo. At the end a bundle of it is exported and verified by orgtrail
and by the bundle's own verifier (python3); if one of them does not agree, the exit code is 5.

Examples:
  $ orgtrail demo
  $ orgtrail demo --port 9000        the console on another port (or ORGTRAIL_HTTP_PORT)
  $ orgtrail demo --for 20s          stops by itself`;

export const demoCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('demo')
    .description('Run the real daemon on an embedded PostgreSQL and a simulated Cloudflare')
    .option('--for <duration>', 'stop after this time, and compare the database with what was served')
    .option('--port <port>', 'port of the console, health and metrics (default: ORGTRAIL_HTTP_PORT, or 8080)')
    .addHelpText('after', help)
    .action(async (options: { for?: string; port?: string }) => {
      const durationMs = options.for === undefined ? undefined : parseDurationMs(options.for);
      if (options.for !== undefined && durationMs === undefined) {
        throw new OrgtrailError('usage', `--for must be a duration such as 20s or 5m, not "${options.for}"`);
      }
      const { verdict, evidenceAgrees } = await demo(context, portOf(options.port, context.env), durationMs);
      context.stdout.write(verdictText(verdict));
      if (!evidenceAgrees) report(exitCodes.evidenceFails);
      else if (verdict.outcome !== 'exact') report(exitCodes.sourceFailed);
    });

const portOf = (option: string | undefined, env: CliContext['env']): string | undefined => {
  if (option === undefined) return env['ORGTRAIL_HTTP_PORT'];
  if (/^\d{1,5}$/.test(option) && Number(option) <= 65_535) return option;
  throw new OrgtrailError('usage', `--port must be an integer between 0 and 65535, not "${option}"`);
};

/** Without evidence, it agrees. */
const demo = async (
  context: CliContext,
  port: string | undefined,
  durationMs: number | undefined,
): Promise<{ readonly verdict: Verdict; readonly evidenceAgrees: boolean }> => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-demo-'));
  const remove = () => rm(directory, { recursive: true, force: true, maxRetries: 5 });
  stack.defer(remove);
  const simulator = await startDemoSimulator();
  stack.defer(() => simulator.close());
  // A log in a database that outlives the demo would lose its key.
  const evidence = context.env['DATABASE_URL'] ? undefined : prepareDemoEvidence(directory);
  const settings = settingsOf(context.env, { port, directory, baseUrl: simulator.baseUrl });
  const config = loadConfig({ ...settings, ...evidence }, { needsCredential: true, interactive: context.interactive });
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: [] });
  const account = attackedAccount(simulator);
  appendUsualSignIns(simulator, account, Date.now());
  const starting = startDaemon(config, logger, {}, context.signal);
  const leaving = new AbortController();
  context.takeOverStop?.(async () => {
    logger.level = 'silent';
    leaving.abort();
    // Else the server could begin after it was looked for.
    await Promise.race([starting.catch(() => {}), sleep(START_TIMEOUT_MS)]);
    await stopEmbeddedServerAtOnce(directory);
    await remove();
  });
  const daemon = await starting;
  stack.defer(() => daemon.stop());
  context.stdout.write(
    whereToLook(daemon, { simulatorUrl: simulator.baseUrl, durationMs, isSigned: evidence !== undefined }),
  );
  const progress = showDemoProgress(context, daemon.app.status, config);
  stack.defer(() => progress.finish());
  const { pool } = daemon.app.database;
  const { position: after } = await daemon.app.status();
  appendAttack(simulator, account, Date.now());
  const alarms = showDemoAlarms(context, pool, { after, consoleUrl: daemon.httpUrl });
  stack.defer(() => alarms.finish());
  await stream(simulator, context.signal, durationMs);
  await progress.finish();
  context.stdout.write(stopping(context.signal.aborted));
  await sleep(LATE_MS);
  const verdict = await catchUp(pool, simulator, {
    timeoutMs: CATCH_UP_MS,
    settlePasses: config.settleDelaysMs.length,
    onPause: (pauseMs) => context.stdout.write(pausedText(pauseMs)),
  });
  await alarms.finish();
  if (evidence === undefined) return { verdict, evidenceAgrees: true };
  const { stdout } = context;
  return { verdict, evidenceAgrees: await verifyDemoEvidence(pool, { directory, stdout, signal: leaving.signal }) };
};

/**
 * No limit of requests: Cloudflare's own would be used up after 80 seconds. The next attempts get over its faults: two server errors
 * in a row (`server_error`) would let a lane rest for seconds and show as failing.
 */
const startDemoSimulator = async (): Promise<Simulator> => {
  const { startSimulator } = await import('../../simulator/simulator.ts');
  return await startSimulator({
    organizations: ORGANIZATIONS,
    accounts: ACCOUNTS,
    entries: ORGANIZATION_ENTRIES,
    accountEntries: ACCOUNT_ENTRIES,
    budget: null,
    calm: true,
    faults: {
      connection_reset: 0.005,
      cut_body: 0.01,
      expired_cursor: 0.002,
      last_page_cursor: 0.2,
      late: 0.05,
      lateDelayMs: LATE_MS,
      equal_timestamps: 0.3,
      unknown_enums: 0.05,
      defectRate: 0.005,
    },
  });
};

const settingsOf = (
  env: CliContext['env'],
  { port, directory, baseUrl }: { port: string | undefined; directory: string; baseUrl: string },
) => ({
  CLOUDFLARE_API_TOKEN: 'demo-token-of-the-simulator',
  CLOUDFLARE_BASE_URL: baseUrl,
  ORGTRAIL_SOURCES: 'organizations,accounts',
  ORGTRAIL_DATA_DIR: directory,
  DATABASE_URL: env['DATABASE_URL'],
  ORGTRAIL_SCHEDULE: '*/2 * * * * *',
  ORGTRAIL_HISTORY: '120d',
  ORGTRAIL_SETTLE: SETTLE,
  ORGTRAIL_API_BUDGET: '100000',
  ORGTRAIL_HTTP_PORT: port,
  ORGTRAIL_LOG_LEVEL: 'error',
});

/** One entry of this many is an organization's, one a user's, the others are accounts'. */
const TURNS = 10;

const stream = async (simulator: Simulator, signal: AbortSignal, durationMs: number | undefined): Promise<void> => {
  const { organizations, accounts } = simulator.summary();
  const endAt = performance.now() + (durationMs ?? Number.POSITIVE_INFINITY);
  for (let index = 0; performance.now() < endAt && !signal.aborted; index += 1) {
    const organization = organizations[Math.floor(index / TURNS) % organizations.length];
    if (index % TURNS === 0) simulator.generate(organization?.id ?? '', 1);
    else if (index % TURNS === 5) simulator.generateUserEntries(organization?.accountIds ?? [], 1);
    else simulator.generate({ kind: 'account', id: accounts[index % accounts.length]?.id ?? '' }, 1);
    await sleep(1_000 / LIVE_PER_SECOND, undefined, { signal }).catch(() => {});
  }
};

type Shown = Readonly<{ simulatorUrl: string; durationMs: number | undefined; isSigned: boolean }>;

const whereToLook = (daemon: Daemon, { simulatorUrl, durationMs, isSigned }: Shown): string => `
orgtrail demo: ${ORGANIZATIONS} organizations with ${ORGANIZATIONS * ACCOUNTS} accounts, ${(ORGANIZATION_ENTRIES + ACCOUNT_ENTRIES).toLocaleString('en')} entries of history, ${LIVE_PER_SECOND} new ones a second, with faults

  console   ${daemon.httpUrl}/
  health    curl -s ${daemon.httpUrl}/healthz
  metrics   curl -s ${daemon.httpUrl}/metrics | grep ^orgtrail
  evidence  ${isSigned ? `${daemon.httpUrl}/evidence-log\n            its keys: curl -s ${daemon.httpUrl}/evidence/policy` : 'none: in a database of yours its key would be lost with the demo'}
  SQL       psql '${daemon.app.database.url}' -c 'select * from audit_history order by position desc limit 10'
  Cloudflare (simulated)   ${simulatorUrl}

${durationMs === undefined ? 'Ctrl-C stops it and then verifies every event (up to a minute).' : `It stops by itself after ${durationMs / 1_000} s.`}

`;

const stopping = (asked: boolean): string =>
  asked
    ? '\nStopping: collecting the last events and verifying every event, up to a minute. Ctrl-C again exits immediately.\n'
    : '\nThe stream has ended: collecting the last events and verifying every event.\n';

const pausedText = (pauseMs: number): string =>
  `Cloudflare's simulated limit pauses the daemon for ${formatDuration(pauseMs)}; waiting.\n`;

/** While history is read. */
const LOOK_EVERY_MS = 1_000;
/** In a pipe each look is a line of its own. */
const SETTLED_PIPE_EVERY_MS = 15_000;

const showDemoProgress = (
  context: Pick<CliContext, 'stdout' | 'interactive'>,
  readStatus: () => Promise<Status>,
  settings: { readonly tickMs: number; readonly apiBudget: number },
) => {
  const startedAt = performance.now();
  const stop = new AbortController();
  let latest: Status | undefined;
  const { draw, finish } = drawLine(context, () => progressLine(latest, settings, performance.now() - startedAt));
  const looking = (async () => {
    while (!stop.signal.aborted) {
      // The daemon reports a database that does not answer.
      latest = await readStatus().catch(() => latest);
      draw(false);
      const settled = latest !== undefined && isSettled(latest, settings);
      const everyMs = settled && !context.interactive ? SETTLED_PIPE_EVERY_MS : LOOK_EVERY_MS;
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  })();
  return {
    finish: async (): Promise<void> => {
      if (stop.signal.aborted) return await looking;
      stop.abort();
      await looking;
      finish();
    },
  };
};

type Settings = Parameters<typeof pausesOf>[0];

const countUpToDate = ({ sources }: Status, settings: Settings): number => {
  const pauses = pausesOf(settings, sources.length);
  return sources.filter((source) => ['fresh', 'quiet'].includes(sourceHealth(source, pauses))).length;
};

const isSettled = (status: Status, settings: Settings): boolean =>
  status.sources.length > 0 && countUpToDate(status, settings) === status.sources.length;

/** `6 organizations, 12 accounts up to date · 30,412 events · 1m 4s`; until then `9 of 18 logs up to date · …`. */
export const progressLine = (status: Status | undefined, settings: Settings, elapsedMs: number): string => {
  if (status === undefined || status.sources.length === 0) return `starting · ${formatDuration(elapsedMs)}`;
  const { sources } = status;
  const which = isSettled(status, settings)
    ? countedSources(sources)
    : `${countUpToDate(status, settings)} of ${counted(sources.length, 'log')}`;
  return [`${which} up to date`, `${status.position.toLocaleString('en')} events`, formatDuration(elapsedMs)].join(
    ' · ',
  );
};
