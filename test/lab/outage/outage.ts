// Lets the real daemon live through an outage and a block of the API. Not part of `npm test`: it takes its time.
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { formatDuration, parseDurationMs } from '../../../src/time/duration.ts';
import { type Check, judge } from './checks.ts';
import { startProbe } from './probe.ts';
import { startPrometheus } from './prometheus.ts';
import { liveThrough, type Plan } from './scenario.ts';
import { openOutageWorld } from './world.ts';

const help = `Usage: npm run lab outage -- [options]

The real daemon (default schedule, lease and budget), a real PostgreSQL, a simulated Cloudflare with new entries all the time, and, where
it is installed, a real Prometheus with deploy/prometheus/rules.yml. The API is down (half of the time it refuses connections, then it
takes them and never answers, then it breaks them off), comes back, and later answers everything with 429 for a while. Linux only.

Options:
  --for DURATION     how long the API is down (default 60m)
  --block DURATION   how long it answers 429, in whole seconds (default 5m)
  --report FILE      writes the table as Markdown, too
  --json             one object on stdout instead of the table
  --help

DATABASE_URL, where it is set, is a server on which a database is created and dropped; else a server is started from an npm package.
Exit codes: 0 all as it should be, 1 something was not, 2 usage.

Examples:
  $ npm run lab outage                                  an hour and a half
  $ npm run lab outage -- --for 2m --block 30s          a rehearsal: what needs longer to show is marked as not due
  $ npm run lab outage -- --report /tmp/outage.md --json > /tmp/outage.json
`;

interface Options extends Plan {
  readonly json: boolean;
  readonly report: string | undefined;
}

const readOptions = (): Options | 'help' => {
  const { values } = parseArgs({
    options: {
      for: { type: 'string', default: '60m' },
      block: { type: 'string', default: '5m' },
      report: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const [outageMs, blockMs] = [parseDurationMs(values.for), parseDurationMs(values.block)];
  if (outageMs === undefined || outageMs < 60_000) throw new TypeError('--for must be a duration of at least 1m');
  if (blockMs === undefined || blockMs < 20_000 || blockMs % 1_000 !== 0) {
    throw new TypeError('--block must be whole seconds, at least 20s');
  }
  return { outageMs, blockMs, json: values.json, report: values.report };
};

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort(new Error(signal)));
const startedAt = performance.now();
const tell = (text: string) => {
  process.stderr.write(`${formatDuration(performance.now() - startedAt).padStart(8)}  ${text}\n`);
};

const run = async (options: Options): Promise<{ checks: readonly Check[]; alerts: boolean }> => {
  await using world = await openOutageWorld(process.env['DATABASE_URL']);
  tell(`the daemon runs at ${world.url}`);
  void world.daemon.ended.then((code) =>
    stop.abort(new Error(`the daemon ended (${code}):\n${world.daemon.stderr()}`)),
  );
  while ((await world.compare()).missing > 0) await sleep(200, undefined, { signal: stop.signal });
  tell('the history is read');
  await using prometheus = await startPrometheus(world.url, world.directory);
  if (prometheus === undefined)
    tell('prometheus is not installed (Debian: apt-get install prometheus): no look at alerts');
  while (prometheus !== undefined && !(await prometheus.look()).up)
    await sleep(200, undefined, { signal: stop.signal });
  const probe = startProbe({
    daemon: world.daemon,
    url: world.url,
    prometheus,
    everyMs: 5_000,
    onFault: (error) => stop.abort(error),
  });
  const timer = setInterval(() => {
    const last = probe.samples.at(-1);
    tell(
      `  ${last?.phase}: listing ${last?.listing}, lag ${last?.lagSeconds.toFixed(0)} s, firing: ${last?.firing.join(' ') || 'none'}`,
    );
  }, 60_000);
  try {
    const course = await liveThrough(world, probe, options, { tell, signal: stop.signal });
    return { checks: judge(course, probe.samples, prometheus !== undefined), alerts: prometheus !== undefined };
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    clearInterval(timer);
    await probe.stop();
  }
};

const verdictOf = ({ ok, due }: Check): string => (due ? (ok ? 'yes' : '**NO**') : 'not due');

const table = (checks: readonly Check[]): string =>
  ['| what | measured | wanted | as wanted |', '|---|---|---|---|']
    .concat(checks.map((each) => `| ${each.what} | ${each.measured} | ${each.wanted} | ${verdictOf(each)} |`))
    .join('\n');

const main = async (): Promise<number> => {
  let options: Options | 'help';
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`outage: ${(error as Error).message}\n(add --help for the options and examples)\n`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(help);
    return 0;
  }
  const { checks, alerts } = await run(options);
  const passed = checks.every(({ ok, due }) => ok || !due);
  const title = `An outage of ${formatDuration(options.outageMs)}, then a block of ${formatDuration(options.blockMs)}`;
  const text = `${title}${alerts ? '' : ' (without Prometheus)'}:\n\n${table(checks)}\n`;
  if (options.report !== undefined) await writeFile(options.report, text);
  process.stdout.write(options.json ? `${JSON.stringify({ ...options, alerts, passed, checks })}\n` : text);
  return passed ? 0 : 1;
};

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    tell(stop.signal.aborted ? `stopped: ${String(stop.signal.reason)}` : `failed: ${(error as Error).stack}`);
    process.exitCode = 1;
  },
);
