import { setTimeout as sleep } from 'node:timers/promises';
import { usageOf } from '../../test/support/process/process-usage.ts';
import { startDaemonProcess } from '../../test/support/process/running-daemon.ts';
import type { BenchServer } from './bench-database.ts';
import { startPageSource } from './contenders/children.ts';
import { median, postgresCpuMs } from './measure.ts';

/** Four pages a second, the API's own limit: what its budget is spaced by, see api-budget.ts. */
const BUDGET_OF_4_A_SECOND = 1_356;
const ORGANIZATIONS = 4;
const SAMPLE_MS = 10_000;
const DAY_MS = 86_400_000;

interface Sample {
  readonly atMs: number;
  readonly cpuMs: number;
  readonly postgresMs: number | undefined;
  readonly residentBytes: number;
  readonly position: number;
}

/** The daemon at the API's limit for so long: does it keep up, on how much CPU, and does it grow? Gives the report. */
export const runSteady = async (
  server: BenchServer,
  minutes: number,
  progress: (line: string) => void,
): Promise<string> => {
  const entries = Math.ceil((minutes + 2) * 60 * 4_000);
  const historyMs = 180 * DAY_MS;
  await using source = await startPageSource({
    latencyMs: 0,
    // A thousand of each organization are what its endless log is made of.
    simulator: {
      seed: 4,
      organizations: ORGANIZATIONS,
      entries: ORGANIZATIONS * 1_000,
      historyMs,
      distribution: 'uniform',
    },
    endlessEntries: Math.ceil(entries / ORGANIZATIONS),
  });
  const database = await server.createDatabase();
  await using daemon = await startDaemonProcess({
    CLOUDFLARE_API_TOKEN: 'token-of-the-benchmark',
    CLOUDFLARE_BASE_URL: source.baseUrl(),
    DATABASE_URL: database.url,
    ORGTRAIL_API_BUDGET: String(BUDGET_OF_4_A_SECOND),
    ORGTRAIL_SCHEDULE: '*/30 * * * * *',
    ORGTRAIL_LOG_LEVEL: 'info',
  });
  const pid = daemon.process.child.pid ?? 0;
  const sample = async (): Promise<Sample> => {
    const usage = await usageOf(pid);
    const postgresMs = await postgresCpuMs(database.postmaster);
    const { rows } = await database.admin.query('select position::float8 as position from feed_head');
    const position = Number(rows[0]?.position);
    return { atMs: performance.now(), cpuMs: usage.cpuMs, postgresMs, residentBytes: usage.residentBytes, position };
  };
  // The burst of the budget, and the start of the process, come first.
  await sleep(45_000);
  const samples = [await sample()];
  const endMs = performance.now() + minutes * 60_000;
  while (performance.now() < endMs) {
    await sleep(SAMPLE_MS);
    samples.push(await sample());
    const [before, now] = samples.slice(-2) as [Sample, Sample];
    const seconds = (now.atMs - before.atMs) / 1_000;
    progress(
      `${((now.position - before.position) / seconds).toFixed(0)} entries/s, daemon ${share(before, now)} % of a core, ${(now.residentBytes / 1e6).toFixed(0)} MB`,
    );
  }
  const { peakResidentBytes } = await usageOf(pid);
  await daemon.stop();
  await database.drop();
  return report(samples, minutes, peakResidentBytes);
};

const share = (from: Sample, to: Sample): string =>
  ((100 * (to.cpuMs - from.cpuMs)) / (to.atMs - from.atMs)).toFixed(1);

const report = (samples: readonly Sample[], minutes: number, peakBytes: number): string => {
  const [first, last] = [samples[0] as Sample, samples.at(-1) as Sample];
  const elapsedMs = last.atMs - first.atMs;
  const parts = Array.from({ length: 6 }, (_, part) =>
    samples.slice(Math.floor((part * samples.length) / 6), Math.floor(((part + 1) * samples.length) / 6)),
  ).filter((part) => part.length > 0);
  const resident = parts.map((part) => `${(median(part.map((each) => each.residentBytes)) / 1e6).toFixed(0)}`);
  const postgres =
    first.postgresMs === undefined ? '-' : ((100 * ((last.postgresMs ?? 0) - first.postgresMs)) / elapsedMs).toFixed(1);
  const rate = ((last.position - first.position) / elapsedMs) * 1_000;
  const met = Number(share(first, last)) <= 15 && peakBytes <= 200e6;
  return [
    `### The daemon at the API's limit: 4 pages of 1,000 a second, for ${minutes} minutes`,
    '',
    '| entries/s | daemon, % of one core | PostgreSQL, % of one core | RSS MB, sixth by sixth | peak RSS MB |',
    '|---|---|---|---|---|',
    `| ${rate.toFixed(0)} | ${share(first, last)} | ${postgres} | ${resident.join(', ')} | ${(peakBytes / 1e6).toFixed(0)} |`,
    '',
    `${met ? 'Met' : 'Not met'}: wanted are 15 % of one core and 200 MB, without growth.`,
  ].join('\n');
};
