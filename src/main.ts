import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { setFlagsFromString } from 'node:v8';

// V8 lets the heap grow to several times of what lives before it collects; pages are large and short-lived. With this it
// collects early: the peak falls by half, for about no time (npm run measure:memory).
setFlagsFromString('--optimize-for-size');

const dotenv = existsSync('.env') ? parseEnv(readFileSync('.env', 'utf8')) : {};
const stop = new AbortController();

// The first signal asks; the second leaves at once. 128 + the signal's number, as shells count.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(code);
    stop.abort(code);
  });
}
// A reader that went away (`orgtrail status | head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});

// biome-ignore lint/style/noProcessEnv: the one place where the environment enters
const environment = { ...dotenv, ...process.env };
// Loaded only now: as pid 1, a signal that comes before the handlers above is lost.
const { runCli } = await import('./cli/cli.ts');
// What a command waits for may be a pause alone, whose timer does not keep the process alive.
const alive = setInterval(() => {}, 1 << 30);
process.exitCode = await runCli(process.argv.slice(2), {
  env: environment,
  stdout: process.stdout,
  stderr: process.stderr,
  interactive: process.stdout.isTTY === true,
  signal: stop.signal,
  // On a terminal it says that the terminal was closed.
  ...(process.stdout.isTTY !== true && { onReloadAsked: (listener) => void process.on('SIGHUP', listener) }),
});
clearInterval(alive);
if (stop.signal.aborted) process.exitCode = Number(stop.signal.reason);
// What is still open by now (a keep-alive socket of somebody else) must not hold the process.
setTimeout(() => process.exit(), 1_000).unref();
