// Leaves the demo open for ten minutes (or `-- --minutes 3`) on a machine that is busy with other things, and looks at /healthz all
// the time: once everything is up to date, everything has to stay so, and Ctrl-C has to end with the exact verdict and exit code 0.
// Exit code 1 where it does not. `npm run lab demo`.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startOrgtrail } from '../../test/support/process/orgtrail-process.ts';

interface Health {
  readonly status: string;
  readonly sources: readonly {
    readonly organization_name: string;
    readonly state: string;
    readonly lag_seconds: number;
    readonly last_error?: string;
  }[];
}

const LOOK_EVERY_MS = 1_000;
/** `6 organizations, 12 accounts up to date` is of the demo's own line. */
const LOGS = 18;
const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const openMs = Number(values.minutes) * 60_000;

const busy = Array.from({ length: availableParallelism() }, () =>
  spawn('nice', ['-n', '19', 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' }),
);
const demo = startOrgtrail(['demo', '--port', '0'], {});
const faults: string[] = [];
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = true;
  });
}
try {
  await demo.waitFor('Cloudflare (simulated)');
  const url = /^ {2}console +(\S+)$/m.exec(demo.stdout())?.[1];
  const startedAt = performance.now();
  const elapsed = () => Math.round((performance.now() - startedAt) / 1_000);
  let settledAt: number | undefined;
  let looks = 0;
  let mostLag = 0;
  while (performance.now() - startedAt < openMs && !interrupted) {
    const { sources } = (await (await fetch(`${url}healthz`)).json()) as Health;
    const others = sources.filter(({ state }) => state !== 'fresh' && state !== 'quiet');
    if (sources.length === LOGS && others.length === 0 && settledAt === undefined) {
      settledAt = elapsed();
      console.log(`after ${settledAt} s: everything is up to date`);
    } else if (settledAt !== undefined && others.length > 0) {
      const which = others.map(
        ({ organization_name: name, state, lag_seconds: lag, last_error: error }) =>
          `${name} ${state}, lag ${Math.round(lag)} s, ${error ?? 'no error'}`,
      );
      faults.push(`after ${elapsed()} s: ${which.join('; ')}`);
      console.log(faults.at(-1));
    }
    if (settledAt !== undefined) {
      looks += 1;
      mostLag = Math.max(mostLag, ...sources.map(({ lag_seconds: lag }) => lag));
    }
    await sleep(LOOK_EVERY_MS);
  }
  if (interrupted) faults.push('interrupted');
  if (settledAt === undefined) faults.push('it was never all up to date');
  console.log(
    `${looks} looks afterwards, ${faults.length} with something not up to date; largest lag ${Math.round(mostLag)} s`,
  );
  const askedAt = elapsed();
  demo.child.kill('SIGINT');
  const code = await demo.ended;
  console.log(demo.stdout().trimEnd().split('\n').slice(-7).join('\n'));
  console.log(`exit code ${code}, ${elapsed() - askedAt} s after Ctrl-C`);
  if (code !== 0) faults.push(`exit code ${code}`);
} finally {
  for (const { pid } of busy) if (pid !== undefined) process.kill(pid);
  if (demo.child.exitCode === null) demo.child.kill('SIGKILL');
}
process.exitCode = faults.length === 0 ? 0 : 1;
