// `npm run chaos`: see --help, and docs/development/how-it-is-tested.md.
import { readChaosOptions } from './chaos-options.ts';
import { runChaos } from './chaos-run.ts';
import { isSound, reportOf } from './report.ts';

const options = readChaosOptions(process.argv.slice(2));
const stop = new AbortController();
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  // Later ones, too, leave it to the first: everything is taken down within some seconds.
  process.on(signal, () => stop.abort(code));
}
const say = (line: string) => process.stderr.write(`${line}\n`);
say(`chaos with seed ${options.seed} for ${options.durationMs / 1_000} s`);
const result = await runChaos(options, say, stop.signal);
if (result === undefined) {
  say('stopped');
  process.exitCode = Number(stop.signal.reason);
} else {
  process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : reportOf(result));
  process.exitCode = isSound(result) ? 0 : 1;
}
