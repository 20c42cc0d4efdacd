import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { studies } from './studies.ts';

// `npm run lab` lists the studies, `npm run lab NAME -- …` runs one.
const [name, ...args] = process.argv.slice(2);
const study = studies.find((one) => one.name === name);
if (study === undefined) {
  const width = Math.max(...studies.map((one) => one.name.length));
  const lines = studies.map((one) => `  ${one.name.padEnd(width)}  ${one.is}`);
  console.log(`Studies and checks that are no part of npm test. npm run lab NAME [-- OPTIONS]\n\n${lines.join('\n')}`);
  process.exitCode = name === undefined ? 0 : 2;
} else {
  const [program = process.execPath, ...rest] = study.runs.endsWith('.ts') ? [process.execPath] : ['bash'];
  const child = spawn(program, [...rest, study.runs, ...args], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: 'inherit',
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 130);
  });
}
