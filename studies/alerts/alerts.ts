// Provokes every alert of deploy/prometheus/rules.yml in real daemons, watched by a real Prometheus. Not part of `npm test`.
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { formatDuration } from '../../src/base/time.ts';
import { startEmbeddedServer } from '../../src/postgres/embedded-server.ts';
import { readRules } from '../../test/support/deploy/prometheus-rules.ts';
import { isOfPromtoolAlone, type Scenario, schedule, type WorldScenarios } from './scenarios.ts';
import { FACTOR } from './shortened-rules.ts';
import { type AlertWorld, openAlertWorld } from './world.ts';

const help = `Usage: npm run lab alerts -- [options]

Real daemons, a real PostgreSQL, simulated Cloudflares with the fault that each alert is about, and a real Prometheus with the rules of
deploy/prometheus/rules.yml, in which all that takes time is shortened by ${FACTOR}. Every alert must fire, say what it should, and no
other may. Where Prometheus is not installed (Debian: apt-get install prometheus), one line says so, and the exit code is 0.

Options:
  --only WORLD       two-replicas, refused, budget, empty, evidence, unanchored, behind, changed,
                     keyless, unbegun or key-pending: only the alerts that are provoked there
  --report FILE      writes the table as Markdown, too
  --json             one object on stdout instead of the table
  --help

DATABASE_URL, where it is set, is a server on which databases are created and dropped; else a server is started from an npm package.
Exit codes: 0 all as it should be, 1 something was not, 2 usage.

Examples:
  $ npm run lab alerts                           about six minutes
  $ npm run lab alerts -- --report /tmp/alerts.md
`;

interface Row {
  readonly alert: string;
  readonly cause: string;
  /** Since the cause; undefined: it did not fire. */
  readonly afterSeconds: number | undefined;
  readonly says: string;
  readonly ok: boolean;
}

/** A rule of 20 s at the most, and a machine that is busy with other things. */
const TIMEOUT_MS = 300_000;
const HEALTHY_MS = 10_000;
const LOOK_EVERY_MS = 250;

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort(new Error(signal)));
const startedAt = performance.now();
const tell = (text: string) => {
  process.stderr.write(`${formatDuration(performance.now() - startedAt).padStart(8)}  ${text}\n`);
};
const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal });

const liveThrough = async ({ plan, scenarios, healthyFirst }: WorldScenarios, serverUrl: string, directory: string) => {
  await using world = await openAlertWorld(plan, serverUrl, directory);
  tell(`${plan.name}: runs`);
  const rows: Row[] = [];
  if (healthyFirst) rows.push(await healthyRow(world));
  const expected = new Set<string>();
  for (const scenario of scenarios) {
    for (const name of [...Object.keys(scenario.alerts), ...(scenario.also ?? [])]) expected.add(name);
    rows.push(...(await rowsOf(world, scenario)));
    const others = (await world.prometheus.alerts()).filter(({ name }) => !expected.has(name));
    for (const { name, summary } of others) {
      rows.push({
        alert: name,
        cause: `${scenario.cause}: not of this`,
        afterSeconds: undefined,
        says: summary,
        ok: false,
      });
    }
  }
  const unwell = (await world.prometheus.ruleHealth()).filter(([, health]) => health !== 'ok');
  for (const [alert, health] of unwell)
    rows.push({ alert, cause: plan.name, afterSeconds: undefined, says: health, ok: false });
  return rows;
};

/** Everything is read, and then for a while nothing fires. */
const healthyRow = async (world: AlertWorld): Promise<Row> => {
  const cause = 'all is well';
  while ((await world.stored()) < world.simulator.summary().entries - 5) await pause(LOOK_EVERY_MS);
  while (!(await world.prometheus.look()).up) await pause(LOOK_EVERY_MS);
  // A Prometheus that has not looked yet knows of no daemon.
  while ((await world.prometheus.look()).firing.length > 0) await pause(LOOK_EVERY_MS);
  const from = performance.now();
  let fired: readonly string[] = [];
  while (performance.now() - from < HEALTHY_MS && fired.length === 0) {
    fired = (await world.prometheus.look()).firing;
    await pause(LOOK_EVERY_MS);
  }
  tell(`${cause}: ${fired.join(' ') || 'nothing fires'}`);
  return { alert: 'none', cause, afterSeconds: undefined, says: fired.join(' '), ok: fired.length === 0 };
};

const rowsOf = async (world: AlertWorld, { cause, alerts, provoke, provokeAgain, mend }: Scenario): Promise<Row[]> => {
  tell(cause);
  const from = performance.now();
  const rows = new Map<string, Row>();
  await provoke(world);
  while (rows.size < Object.keys(alerts).length && performance.now() - from < TIMEOUT_MS) {
    await provokeAgain?.(world);
    for (const { name, summary } of await world.prometheus.alerts()) {
      const wanted = alerts[name];
      if (wanted === undefined || !wanted.test(summary) || rows.has(name)) continue;
      const afterSeconds = (performance.now() - from) / 1_000;
      rows.set(name, { alert: name, cause, afterSeconds, says: summary, ok: true });
      tell(`  ${name}: ${summary}`);
    }
    await pause(LOOK_EVERY_MS);
  }
  await mend?.(world);
  const silent = Object.keys(alerts).filter((name) => !rows.has(name));
  return [
    ...rows.values(),
    ...silent.map((alert) => ({ alert, cause, afterSeconds: undefined, says: 'nothing', ok: false })),
  ];
};

const table = (rows: readonly Row[]): string =>
  ['| alert | cause | fires after | says | as it should |', '|---|---|---|---|---|']
    .concat(
      rows.map(({ alert, cause, afterSeconds, says, ok }) => {
        const after = afterSeconds === undefined ? '' : `${afterSeconds.toFixed(0)} s`;
        return `| ${alert} | ${cause} | ${after} | ${says} | ${ok ? 'yes' : '**NO**'} |`;
      }),
    )
    .join('\n');

const run = async (only: string | undefined): Promise<readonly Row[]> => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-alerts-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const given = process.env['DATABASE_URL'];
  const server = given === undefined ? await startEmbeddedServer(directory, 300) : undefined;
  if (server !== undefined) stack.defer(() => server.stop());
  const rows: Row[] = [];
  for (const worlds of schedule) {
    const wanted = worlds.filter(({ plan }) => only === undefined || plan.name === only);
    const lived = wanted.map((each) => liveThrough(each, given ?? server?.url ?? '', directory));
    // All of them come to their end, so that none is left behind.
    for (const result of await Promise.allSettled(lived)) {
      if (result.status === 'rejected') throw result.reason;
      rows.push(...result.value);
    }
  }
  if (only !== undefined) return rows;
  const provoked = new Set(rows.map(({ alert }) => alert));
  for (const rule of readRules()) {
    if (!('alert' in rule) || provoked.has(rule.alert) || isOfPromtoolAlone(rule.alert)) continue;
    rows.push({ alert: rule.alert, cause: 'nothing provokes it', afterSeconds: undefined, says: '', ok: false });
  }
  return rows;
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      report: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const program = 'prometheus';
  if (spawnSync(program, ['--version']).status !== 0) {
    process.stdout.write('skipped, the live run of the alerts: prometheus is not installed\n');
    return 0;
  }
  const rows = await run(values.only);
  const passed = rows.every(({ ok }) => ok);
  if (values.report !== undefined) await writeFile(values.report, `${table(rows)}\n`);
  process.stdout.write(values.json ? `${JSON.stringify({ factor: FACTOR, passed, rows })}\n` : `${table(rows)}\n`);
  return passed ? 0 : 1;
};

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const usage = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
    const what = usage ? `${(error as Error).message}\n(add --help for the options)` : String((error as Error).stack);
    tell(stop.signal.aborted ? `stopped: ${String(stop.signal.reason)}` : what);
    process.exitCode = usage ? 2 : 1;
  },
);
