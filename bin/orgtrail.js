#!/usr/bin/env node
// Starts orgtrail: a package has a bundle (dist/), a checkout runs its source (src/). Both need Node 24. This file runs on any Node: if the
// host's own is older, it goes on with the one that the `node` development dependency installed, or says what to do.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const REQUIRED_MAJOR = 24;
const source = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const main = existsSync(source) ? source : fileURLToPath(new URL('../dist/orgtrail.js', import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= REQUIRED_MAJOR) {
  await import(main);
} else {
  const bundled = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
  if (existsSync(bundled)) {
    const child = spawn(bundled, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
    // A terminal sends Ctrl-C to both processes; `kill` reaches only this one, so pass it on.
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.on('exit', (code, signal) => {
      process.exitCode = code ?? 128 + (signal === 'SIGKILL' ? 9 : 15);
    });
  } else {
    process.stderr.write(
      `orgtrail needs Node ${REQUIRED_MAJOR} or later; this is Node ${process.versions.node}.\n` +
        'Install Node 24; in a checkout, `npm ci` brings one.\n',
    );
    process.exitCode = 2;
  }
}
