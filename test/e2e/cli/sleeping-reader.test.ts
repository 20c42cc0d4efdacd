import { execFile, spawn } from 'node:child_process';
import { closeSync, constants, createReadStream, openSync, writeSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { beforeAll, describe, expect, test } from 'vitest';
import { createProgram } from '../../../src/cli/cli.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { compileCache, runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { usageOf } from '../../support/process/process-usage.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const bundle = fileURLToPath(new URL('../../../dist/orgtrail.js', import.meta.url));
const DAY_MS = 86_400_000;
/** It is over, and the history reaches behind it. */
const MONTH = new Date(Date.now() - 32 * DAY_MS).toISOString().slice(0, 7);

const { folder } = temporaryFolder();
const world = ofAllTests(() =>
  openWorld(
    { organizations: 2, entries: ENTRIES, pageCap: 300, historyMs: 75 * DAY_MS },
    { ORGTRAIL_HISTORY: '80d', ORGTRAIL_SETTLE: 'none' },
  ),
);
let env: Readonly<Record<string, string>>;

/** How each command is run: what it is given, and how it ends. Their order does not matter. `log`: it runs until a signal, and its output is a log. */
const ways: Readonly<Record<string, readonly [code: number, ...args: string[]] | 'log'>> = {
  run: 'log',
  sync: [0],
  check: [0],
  'config check': [0],
  'config print': [0],
  status: [0, '--json'],
  'sink list': [0],
  'sink replay': [0, 'lake', '--after', '0'],
  'sink dead-letters': [0, 'lake'],
  'sink test': [2, 'lake'],
  'hold add': [0, '--reason', 'case 17', '--all-organizations', '--since', '2d', '--json'],
  'hold confirm': [2],
  'detections check': [0],
  'hold list': [0],
  'hold release': [2, '4711'],
  'token create': [0, 'auditor', '--scope', 'search'],
  'token list': [0],
  'token revoke': [2, 'of-another'],
  backfill: [0, '--since', '2d', '--before', '1d', '--json'],
  verify: [0, '--since', '2d', '--before', '1d', '--all'],
  migrate: [0],
  feed: [0, '--after', '0'],
  fetch: [2, '--day', '2026-03-04'],
  'evidence init': [0],
  'evidence run': 'log',
  'evidence status': [0],
  'evidence checkpoint': [0],
  'evidence key': [0],
  'evidence statement': [0, '--all', '--json'],
  'evidence verify': [0],
  'evidence export': [0, 'FOLDER/bundle'],
  'evidence prove': [0, '7', '--json', '--out', 'FOLDER/event'],
  'evidence sample': [2, 'FOLDER'],
  'evidence next': [2, '--reason', 'none', '--by', 'J. Doe'],
  'evidence end': [2],
  'archive run': [0, '--month', MONTH, '--json'],
  'archive list': [0],
  'archive thaw': [2, MONTH],
  'archive verify': [0],
  'archive iceberg': [0],
  'archive restore': [0, MONTH],
  'archive end': [0],
  search: [0, '--since', '90d', '--limit', '500', '--json'],
  query: [0, 'select * from audit_events order by position'],
  mcp: [0],
  simulate: 'log',
  demo: 'log',
};

beforeAll(async () => {
  await mkdir(join(folder, 'archive'));
  env = {
    ...world.ownerEnv,
    ORGTRAIL_SINKS: JSON.stringify({ lake: { type: 'file', path: join(folder, 'lake.ndjson') } }),
    ORGTRAIL_ARCHIVE: `file://${join(folder, 'archive')}`,
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    ORGTRAIL_EVIDENCE_INTERVAL: '1s',
  };
  expect(await runOrgtrail(['evidence', 'init'], env)).toMatchObject({ code: 0 });
  const daemon = await startDaemonProcess(env);
  await until('all that is stored is signed', async () => {
    const { rows } = await world.database.pool.query<{ isSigned: boolean }>(
      `select h.position = $1 and l.position = $1 and l.signed_size = l.size as "isSigned" from feed_head h, evidence_log l`,
      [ENTRIES],
    );
    return rows[0]?.isSigned === true;
  });
  await daemon.stop();
  expect(await runOrgtrail(argumentsOf('archive run'), env)).toMatchObject({ code: 0 });
  const asked = [
    {
      method: 'initialize',
      id: 1,
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
    },
    { method: 'notifications/initialized' },
    { method: 'tools/list', id: 2 },
  ];
  await writeFile(
    join(folder, 'stdin'),
    asked.map((each) => `${JSON.stringify({ jsonrpc: '2.0', ...each })}\n`).join(''),
  );
});

test('there is a way to run every command', () => {
  const context = {
    env: {},
    stdout: process.stdout,
    stderr: process.stderr,
    interactive: false,
    signal: AbortSignal.abort(),
  };
  expect(Object.keys(ways).sort()).toEqual(leaves(createProgram(context, () => {})).sort());
});

describe.runIf(process.platform === 'linux')('a reader that sleeps gets all', () => {
  const printing = Object.keys(ways).filter((name) => ways[name] !== 'log');

  test.concurrent.for(printing)('of %s', async (name) => {
    const { stayed, stdout, stderr, code } = await runBeforeSleepers(name, argumentsOf(name));
    const printed = stdout + stderr;
    expect({ name, stayed, code, isWhole: printed.endsWith('\n') }, printed.slice(-2_000)).toEqual({
      name,
      stayed: true,
      code: ways[name]?.[0],
      isWhole: true,
    });
  });

  test.for(['search', 'feed', 'query', 'archive restore'])(
    'of %s, which is more than a pipe holds: the same as a reader that reads',
    async (name) => {
      const plain = await runOrgtrail(argumentsOf(name), env);
      const late = await runBeforeSleepers(`${name} again`, argumentsOf(name));
      expect(plain.stdout.length).toBeGreaterThan(3 * PIPE_BYTES);
      // A search also says when it was made, and how long it took.
      const readOf = (text: string) =>
        name === 'search'
          ? JSON.parse(text)
              .events.map((each: object) => JSON.stringify(each))
              .join()
          : text;
      expect(readOf(late.stdout) === readOf(plain.stdout), `${late.stdout.length} of ${plain.stdout.length}`).toBe(
        true,
      );
      expect([late.code, plain.code]).toEqual([0, 0]);
    },
  );
});

test('a reader of stdout that goes away ends a command with 0; one of stderr changes nothing', async () => {
  const leave = async (name: string, stream: 'stdout' | 'stderr') => {
    const { child, ended } = startOrgtrail(argumentsOf(name), env);
    child[stream]?.destroy();
    return await ended;
  };
  expect(await Promise.all([leave('search', 'stdout'), leave('feed', 'stdout')])).toEqual([0, 0]);
  expect(await Promise.all([leave('hold release', 'stderr'), leave('search', 'stderr')])).toEqual([2, 0]);
});

test('a daemon goes on without the reader of its log', async () => {
  await using daemon = await startDaemonProcess({ ...env, ORGTRAIL_LOG_LEVEL: 'debug' });
  daemon.process.child.stdout?.destroy();
  const before = world.simulator.requestCount;
  await until('it has asked Cloudflare on', async () => world.simulator.requestCount > before + 20);
  expect((await daemon.get('/livez')).code).toBe(200);
});

/** What a pipe of Linux holds: one that has so much takes nothing more. */
const PIPE_BYTES = 65_536;
/** So long a process has done nothing: it waits, or it has left. Longer than it may stay once it is done. */
const IDLE_MS = 2_500;
const ENTRIES = 900;

const leaves = (command: Command, path: readonly string[] = []): string[] =>
  command.commands.length === 0
    ? [path.join(' ')]
    : command.commands.flatMap((each) => leaves(each, [...path, each.name()]));

const argumentsOf = (name: string): string[] => {
  const way = ways[name];
  if (way === undefined || way === 'log') throw new Error(`${name} is a log`);
  return [...name.split(' '), ...way.slice(1).map((arg) => String(arg).replace('FOLDER', folder))];
};

/** A pipe that is full, whose reader sleeps. */
const openFullPipe = async (path: string) => {
  await promisify(execFile)('mkfifo', [path]);
  const both = openSync(path, constants.O_RDWR);
  writeSync(both, Buffer.alloc(PIPE_BYTES));
  return {
    end: both,
    read: async (): Promise<string> => {
      const reading = createReadStream(path);
      await new Promise((resolve) => reading.once('open', resolve));
      closeSync(both);
      const chunks: Buffer[] = [];
      for await (const chunk of reading) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).subarray(PIPE_BYTES).toString('utf8');
    },
  };
};

/** Runs a command with both ends of its output full; they are read once it does nothing any more. Whether it still was there then. */
const runBeforeSleepers = async (name: string, args: readonly string[]) => {
  const place = join(folder, name.replaceAll(' ', '-'));
  const [out, err] = [await openFullPipe(`${place}.out`), await openFullPipe(`${place}.err`)];
  const input = openSync(join(folder, 'stdin'), constants.O_RDONLY);
  const child = spawn(process.execPath, [bundle, ...args], {
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compileCache, ...env },
    stdio: [input, out.end, err.end],
  });
  closeSync(input);
  const ended = new Promise<number | string | null>((resolve) =>
    child.on('exit', (code, signal) => resolve(code ?? signal)),
  );
  const usage = () => usageOf(child.pid ?? 0).catch(() => undefined);
  const isThere = () => child.exitCode === null && child.signalCode === null;
  for (let [last, idleMs] = [-1, 0]; isThere() && idleMs < IDLE_MS; ) {
    await sleep(100);
    const cpuMs = (await usage())?.cpuMs ?? last;
    idleMs = cpuMs === last ? idleMs + 100 : 0;
    last = cpuMs;
  }
  const stayed = isThere();
  const [stdout, stderr] = await Promise.all([out.read(), err.read()]);
  return { stayed, stdout, stderr, code: await ended };
};
