import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { openSigningWorld, type SigningWorld } from '../../support/evidence/signing-world.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

const signing = ofEachTest(() => openSigningWorld({ organizations: 2, entries: 100 }));
/** Of the daemon, which may not write evidence, and of the builder, which may do nothing else. */
const collector = ofEachTest(() => createLogin(signing.world.database, ['orgtrail_ingest']));
const signer = ofEachTest(() => createLogin(signing.world.database, ['orgtrail_evidence']));
let env: SigningWorld['env'];
beforeEach(async () => {
  const { CLOUDFLARE_API_TOKEN: _token, CLOUDFLARE_BASE_URL: _url, ...rest } = signing.env;
  const worm = join(signing.folder, 'worm');
  await mkdir(worm);
  env = { ...rest, DATABASE_URL: signer.url, ORGTRAIL_EVIDENCE_ANCHORS: `file:${worm}` };
});

test('a process without a credential, and with no right but to write evidence, builds beside a daemon that has no key', async () => {
  const { world } = signing;
  expect(await runOrgtrail(['evidence', 'init'], env)).toMatchObject({ code: 0, stderr: '' });
  await using daemon = await startDaemonProcess({
    ...world.env,
    DATABASE_URL: collector.url,
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
  });
  await daemon.process.waitFor('evidence is not built here');
  const builder = startOrgtrail(['evidence', 'run'], { ...env, ORGTRAIL_HTTP_PORT: '0' });
  await builder.waitFor('orgtrail builds evidence');
  await signing.untilSigned();
  await builder.waitFor('evidence checkpoint anchored');
  // The first checkpoint may be of a time before the daemon has claimed any.
  await until('coverage is signed', async () => {
    const { rowCount } = await world.database.pool.query(
      `select from evidence_statements where type = 'coverage' limit 1`,
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
  await world.database.pool.query(`update evidence_log set state = 'behind', state_reason = 'by this test'`);
  expect(JSON.parse((await get('/healthz')).text).status).toBe('failing');
  expect(await stop(builder)).toBe(143);
  expect(builder.stdout()).toContain('stopped');
  expect(builder.stderr()).toBe('');
});

test('two of them take turns; one that is killed is followed by the other', async () => {
  const { world } = signing;
  await runOrgtrail(['evidence', 'init'], env);
  await using daemon = await startDaemonProcess({ ...world.env, DATABASE_URL: collector.url });
  const [first, second] = [startOrgtrail(['evidence', 'run'], env), startOrgtrail(['evidence', 'run'], env)];
  await Promise.all([first.waitFor('orgtrail builds evidence'), second.waitFor('orgtrail builds evidence')]);
  await signing.untilSigned();
  first.child.kill('SIGKILL');
  await first.ended;
  const { rows } = await world.database.pool.query<{ size: number }>('select position::float8 as size from feed_head');
  signing.grow(20);
  await until('more is stored', async () => {
    const now = await world.database.pool.query<{ size: number }>('select position::float8 as size from feed_head');
    return (now.rows[0]?.size ?? 0) > (rows[0]?.size ?? 0);
  });
  await signing.untilSigned();
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
