import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { asDaemon, prepareForDaemon } from '../support/accounts/daemon-account.ts';
import { judge } from '../support/evidence/judge.ts';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { type HostClock, missingHostClock, openHostClock } from '../support/process/host-clock.ts';
import { ofEachTest } from '../support/process/of-tests.ts';
import { runOrgtrail } from '../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../support/process/running-daemon.ts';
import { until } from '../support/process/until.ts';

if (missingHostClock !== undefined) console.warn(`No clock is moved: ${missingHostClock}.`);

const simulator = ofEachTest(() => startSimulator({ seed: 31, organizations: 2, entries: 200, budget: null }));
// Declared last, so that it is closed first.
const stack = ofEachTest(() => new AsyncDisposableStack());
let clock: HostClock;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-evidence-clock-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'worm'));
  if (missingHostClock === undefined) clock = stack.use(await openHostClock());
});

describe.skipIf(missingHostClock !== undefined)('a clock that goes back by an hour while a daemon builds', () => {
  test('on its own host: evidence goes on, its times are those of the database, and nothing is stated of it', async () => {
    const { running, before } = await startAhead('elsewhere');
    const { server, name, daemon } = running;
    for (const [at, aheadSeconds] of [0, -HOUR_SECONDS].entries()) {
      await clock.set(aheadSeconds);
      await untilMoreIsSigned(server, name);
      expect([before, await expectHolds(running, `after-${at}`)]).toEqual([[], []]);
    }
    expect(daemon.process.stdout()).not.toMatch(/evidence is (behind|halted)|building the evidence failed/);
  });

  test('on the host of the database as well: evidence goes on, and says when its own time went back', async () => {
    const { running } = await startAhead('here');
    const { server, name, daemon } = running;
    await clock.set(0);
    await untilMoreIsSigned(server, name);
    const stated = (await expectHolds(running, 'after')).find(({ facts }) => facts.before !== null);
    const stepSeconds = (Date.parse(stated?.facts.before ?? '') - Date.parse(stated?.at ?? '')) / 1_000;
    expect(stepSeconds).toBeGreaterThan(HOUR_SECONDS - 600);
    expect(stepSeconds).toBeLessThanOrEqual(HOUR_SECONDS);
    expect(daemon.process.stdout()).not.toMatch(/evidence is (behind|halted)|building the evidence failed/);
  });
});

const HOUR_SECONDS = 3_600;

/** A daemon whose host has the clock that is moved, and its database, on that host or on another one. */
const start = async (database: 'here' | 'elsewhere') => {
  const server = stack.use(await startCluster(database === 'here' ? { environment: clock.environment } : {}));
  const { name, url } = await server.createDatabase();
  await server.sql('create role orgtrail_evidence nologin');
  await prepareForDaemon(url, server.url(name));
  await server.sql('grant orgtrail_evidence to orgtrail_test_daemon');
  const env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-clock-test',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: asDaemon(url),
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_SETTLE: 'none',
    ORGTRAIL_LEASE: '5s',
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    ORGTRAIL_EVIDENCE_ANCHORS: `file:${join(folder, 'worm')}`,
    ORGTRAIL_EVIDENCE_INTERVAL: '1s',
  };
  expect((await runOrgtrail(['evidence', 'init'], { ...env, DATABASE_URL: url })).code).toBe(0);
  const daemon = stack.use(await startDaemonProcess({ ...env, ...clock.environment }));
  return { server, name, env, daemon };
};

/** An hour ahead: something is signed, and holds. */
const startAhead = async (database: 'here' | 'elsewhere') => {
  await clock.set(HOUR_SECONDS);
  const running = await start(database);
  await untilMoreIsSigned(running.server, running.name);
  await running.daemon.process.waitFor('evidence checkpoint anchored');
  return { running, before: await expectHolds(running, 'before') };
};

const signedSize = async (server: PostgresCluster, name: string): Promise<number> => {
  const [row] = await server.sql('select signed_position::float8 as size from evidence_log', name);
  return Number(row?.['size'] ?? 0);
};

/** Resolves once what Cloudflare has from now on is stored and signed. */
const untilMoreIsSigned = async (server: PostgresCluster, name: string): Promise<void> => {
  const before = await signedSize(server, name);
  const added = 20;
  for (const { id } of simulator.summary().organizations) simulator.generate(id, added);
  const all = before + simulator.summary().organizations.length * added;
  await until(`${all} events are signed`, async () => (await signedSize(server, name)) >= all);
};

/** States coverage, and has database and bundle verified by both verifiers against all that was kept; gives the statements about clocks. */
const expectHolds = async (
  { server, name, env }: Awaited<ReturnType<typeof start>>,
  to: string,
): Promise<readonly { readonly at: string; readonly facts: { readonly before: string | null } }[]> => {
  expect((await runOrgtrail(['evidence', 'statement', '--all'], env)).code).toBe(0);
  const checkpoints = join(folder, 'worm/log-1/checkpoints');
  // What is being written has another name.
  const kept = (await readdir(checkpoints)).filter((file) => /^\d{20}$/.test(file));
  const files = kept.map((file) => join(checkpoints, file));
  expect(files.length).toBeGreaterThan(0);
  const stored = await runOrgtrail(['evidence', 'verify', ...files.flatMap((file) => ['--anchor', file])], env);
  expect(stored).toMatchObject({ code: 0, stderr: '' });
  const bundle = join(folder, to);
  expect((await runOrgtrail(['evidence', 'export', bundle], env)).code).toBe(0);
  const notes = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const { node, python } = await judge(bundle, notes);
  expect([node.faults, python.faults]).toEqual([[], []]);
  const rows = await server.sql(`select text from evidence_statements where ref like 'clock/%' order by index`, name);
  return rows.map(({ text }) => JSON.parse(String(text)));
};
