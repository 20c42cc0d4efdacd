import { loadavg } from 'node:os';
import { type OrgtrailProcess, startOrgtrail } from '../../../test/support/process/orgtrail-process.ts';
import { usageOf } from '../../../test/support/process/process-usage.ts';
import { postgresCpuMs } from '../measure.ts';

const LOOK_EVERY_MS = 50;

/** What a command took. */
export interface CommandCost {
  readonly command: string;
  readonly seconds: number;
  /** The most memory that it ever had. */
  readonly peakBytes: number;
  readonly processCpuMs: number;
  readonly postgresCpuMs: number;
  /** The load of the machine when it ended, of the last one, five and fifteen minutes. */
  readonly load: string;
}

interface Running {
  readonly child: OrgtrailProcess['child'];
  readonly ended: Promise<number | string>;
  stderr(): string;
}

/** Waits for the end of a command that was just started. Rejects if it fails. */
export const costOf = async (
  command: string,
  postmaster: number | undefined,
  start: () => Running,
): Promise<CommandCost> => {
  const postgresBeforeMs = (await postgresCpuMs(postmaster)) ?? 0;
  const startedAt = performance.now();
  const running = start();
  let [peakBytes, processCpuMs] = [0, 0];
  const look = setInterval(() => {
    usageOf(running.child.pid ?? 0).then(
      (usage) => {
        // A process that has ended and was not waited for yet has none.
        peakBytes = Math.max(peakBytes, usage.peakResidentBytes);
        processCpuMs = Math.max(processCpuMs, usage.cpuMs);
      },
      () => {},
    );
  }, LOOK_EVERY_MS);
  const code = await running.ended.finally(() => clearInterval(look));
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${running.stderr()}`);
  return {
    command,
    seconds: (performance.now() - startedAt) / 1_000,
    peakBytes,
    processCpuMs,
    postgresCpuMs: ((await postgresCpuMs(postmaster)) ?? 0) - postgresBeforeMs,
    load: loadavg()
      .map((each) => each.toFixed(1))
      .join(' '),
  };
};

/** Runs `orgtrail ARGS` to its end. */
export const runMeasured = async (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  postmaster: number | undefined,
): Promise<CommandCost> => await costOf(`orgtrail ${args.join(' ')}`, postmaster, () => startOrgtrail(args, env));
