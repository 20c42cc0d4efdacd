import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogin, type Login } from '../../support/accounts/login.ts';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

let world: SyncWorld;
/** Of the daemon, which may not write evidence, and of the builder, which may do nothing else. */
let collector: Login;
let signer: Login;
let folder: string;
let env: Readonly<Record<string, string>>;

beforeEach(async () => {
  world = await openWorld({ organizations: 2, entries: 100 }, { ORGTRAIL_SETTLE: 'none' });
  collector = await createLogin(world.database, ['orgtrail_ingest']);
  signer = await createLogin(world.database, ['orgtrail_evidence']);
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-evidence-'));
  await mkdir(join(folder, 'worm'));
  env = {
    DATABASE_URL: signer.url,
    ORGTRAIL_LEASE: '2s',
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    ORGTRAIL_EVIDENCE_ANCHORS: `file:${join(folder, 'worm')}`,
    ORGTRAIL_EVIDENCE_INTERVAL: '1s',
  };
});

afterEach(async () => {
  await collector?.[Symbol.asyncDispose]();
  await signer?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test('a process without a credential, and with no right but to write evidence, builds beside a daemon that has no key', async () => {
  expect(await runOrgtrail(['evidence', 'init'], env)).toMatchObject({ code: 0, stderr: '' });
  await using daemon = await startDaemonProcess({
    ...world.env,
    DATABASE_URL: collector.url,
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
  });
  await daemon.process.waitFor('evidence is not built here');
  const builder = startOrgtrail(['evidence', 'run'], { ...env, ORGTRAIL_HTTP_PORT: '0' });
  await builder.waitFor('orgtrail builds evidence');
  await untilSigned();
  await builder.waitFor('evidence checkpoint anchored');
  // The first checkpoint may be of a time before the daemon has claimed any.
  await until('coverage is signed', async () => {
    const { rowCount } = await world.database.pool.query(
      `select from evidence_journal where kind = 'coverage' limit 1`,
    );
    return rowCount === 1;
  });

  const url = /"url":"([^"]+)"/.exec(builder.stdout())?.[1] ?? '';
  const get = async (path: string) => {
    const answer = await fetch(`${url}${path}`);
    return { code: answer.status, text: await answer.text() };
  };
  expect(await get('/livez')).toEqual({ code: 200, text: '{"status":"ok"}' });
  expect(await get('/readyz')).toEqual({ code: 200, text: '{"status":"ready","reasons":[]}' });
  // A machine with very much else to do may let a lease of 2 s run out for a moment.
  let health = JSON.parse((await get('/healthz')).text);
  await until('the builder holds the lease', async () => {
    health = JSON.parse((await get('/healthz')).text);
    return health.evidence.held_by !== null;
  });
  expect(health).toMatchObject({
    status: 'ok',
    evidence: { state: 'ok', unanchored: false, held_by: expect.any(String) },
  });
  const metrics = (await get('/metrics')).text;
  expect(metrics).toMatch(/^orgtrail_evidence_tree_size \d+$/m);
  expect(metrics).toMatch(/^orgtrail_build_info\{/m);
  expect((await get('/v1/events')).code).toBe(404);
  await world.database.pool.query(`update evidence_logs set state = 'forked', state_reason = 'by this test'`);
  expect(JSON.parse((await get('/healthz')).text).status).toBe('failing');
  expect(await stop(builder)).toBe(143);
  expect(builder.stdout()).toContain('stopped');
  expect(builder.stderr()).toBe('');
});

test('two of them take turns; one that is killed is followed by the other', async () => {
  await runOrgtrail(['evidence', 'init'], env);
  await using daemon = await startDaemonProcess({ ...world.env, DATABASE_URL: collector.url });
  const [first, second] = [startOrgtrail(['evidence', 'run'], env), startOrgtrail(['evidence', 'run'], env)];
  await Promise.all([first.waitFor('orgtrail builds evidence'), second.waitFor('orgtrail builds evidence')]);
  await untilSigned();
  first.child.kill('SIGKILL');
  await first.ended;
  const { rows } = await world.database.pool.query<{ size: number }>('select position::float8 as size from feed_head');
  for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 20);
  await until('more is stored', async () => {
    const now = await world.database.pool.query<{ size: number }>('select position::float8 as size from feed_head');
    return (now.rows[0]?.size ?? 0) > (rows[0]?.size ?? 0);
  });
  await untilSigned();
  expect(second.stdout()).not.toContain('"url"');
  expect(await stop(second)).toBe(143);
  expect(await daemon.stop()).toBe(143);
});

test('where something is missing it ends at once, and says what', async () => {
  await runOrgtrail(['evidence', 'init'], env);
  for (const [what, more, message] of [
    [
      'no key',
      { ORGTRAIL_EVIDENCE_KEY_FILE: '' },
      'ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE must be set',
    ],
    ['a key that is not there', { ORGTRAIL_EVIDENCE_KEY_FILE: '/nowhere/key.pem' }, 'cannot be read (ENOENT)'],
    ['no database', { DATABASE_URL: '', ORGTRAIL_DATA_DIR: '/nowhere/data' }, 'no orgtrail database here'],
  ] as const) {
    const ended = await runOrgtrail(['evidence', 'run'], { ...env, ...more });
    expect(ended.code, what).toBe(2);
    expect(ended.stderr, what).toContain(message);
  }
});

const stop = async (process: ReturnType<typeof startOrgtrail>) => {
  process.child.kill('SIGTERM');
  return await process.ended;
};

const untilSigned = async () =>
  await until('all that is stored is signed', async () => {
    const { rows } = await world.database.pool.query<{ isSigned: boolean }>(
      `select l.signed_size = h.position and h.position > 0 as "isSigned" from feed_head h, evidence_logs l where l.name = 'events'`,
    );
    return rows[0]?.isSigned === true;
  });
