import { setFlagsFromString } from 'node:v8';
import { withSettingsFile } from './app/config/settings-file.ts';
import { handleStopSignals } from './app/process.ts';
import { exitCodes, OrgtrailError } from './base/errors.ts';
import { giveBackLargeMemory } from './base/memory.ts';

// V8 lets the heap grow to several times of what lives before it collects; pages are large and short-lived. With this it
// collects early: the peak falls by half (npm run lab memory). Of its own accord it would then collect at each third that the heap grows,
// which takes half of the time of a plan with 50,000 sources. A search ends soon: collecting took a quarter of the time of one in the archive.
if (process.argv[2] !== 'search') {
  setFlagsFromString('--optimize-for-size');
  setFlagsFromString('--heap-growing-percent=60');
}

// Node asks for it at each connection, also at those of libraries: no client of this process may leave a certificate unchecked.
// biome-ignore lint/style/noProcessEnv: nothing else turns it off for libraries
delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];

const stop = handleStopSignals();

const command = process.argv.slice(2, 4).join(' ');
const isDaemon = /^(run|evidence run)( |$)/.test(command);
/** Their stdout is a log: they go on without it. */
const isLog = isDaemon || /^(simulate|demo)( |$)/.test(command);
let leaving = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that went away (`orgtrail status | head`) is no error of ours. What is to be collected is, also without one.
  const isOver = error.code === 'EPIPE';
  if (leaving || (isOver ? isDaemon || command.startsWith('sync') : isLog)) return;
  leaving = true;
  if (isOver) return stop.leave(exitCodes.done);
  const said = `orgtrail: stdout cannot be written, so what is there is not all: ${error.message}\n`;
  process.stderr.write(said, () => stop.leave(exitCodes.usage));
});
// What a command says beside its output: it goes on without it.
process.stderr.on('error', () => {});

const readSettings = async () => {
  try {
    // biome-ignore lint/style/noProcessEnv: the one place where the environment enters
    const given = process.env;
    const settings = withSettingsFile(given, '.env', process.geteuid?.());
    giveBackLargeMemory(settings.environment, given);
    return settings;
  } catch (error) {
    if (!(error instanceof OrgtrailError)) throw error;
    const { message, hint, exitCode } = error;
    await new Promise((resolve) => process.stderr.write(`orgtrail: ${message}\nTry: ${hint}\n`, resolve));
    process.exit(exitCode);
  }
};
const { environment, file, names } = await readSettings();
// Loaded only now: as pid 1, a signal that comes before the handlers above is lost.
const { runCli } = await import('./cli/cli.ts');
// What a command waits for may be a pause alone, whose timer does not keep the process alive.
const alive = setInterval(() => {}, 1 << 30);
process.exitCode = await runCli(process.argv.slice(2), {
  env: environment,
  settingsFile: file,
  namesOfFile: names,
  // Looked at only by commands that read it.
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  interactive: process.stdout.isTTY === true,
  signal: stop.signal,
  takeOverStop: stop.takeOver,
  // On a terminal it says that the terminal was closed.
  ...(process.stdout.isTTY !== true && { onReloadAsked: (listener) => void process.on('SIGHUP', listener) }),
});
// What was printed waits in this process until its reader takes it; a signal ends the wait.
const taken = [process.stdout, process.stderr].map(
  (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
);
const stopped = new Promise<void>((resolve) => {
  if (stop.signal.aborted) resolve();
  stop.signal.addEventListener('abort', () => resolve());
});
await Promise.race([Promise.all(taken), stopped]);
clearInterval(alive);
if (stop.signal.aborted && !stop.isTakenOver()) process.exitCode = Number(stop.signal.reason);
// What is still open by now (a keep-alive socket of a client) must not hold the process.
setTimeout(() => process.exit(), 1_000).unref();
