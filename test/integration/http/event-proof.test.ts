import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { untilNoted } from '../../support/accounts/access-log.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { signInAt } from '../../support/accounts/sign-in.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const signer = newSigner();

/** A server over 60 stored events, by an account that may read the log. */
const { folder } = temporaryFolder();
const world = forAllTests(() => openWorld({ organizations: 2, entries: 60 }));
const pool = poolOfWorld(world);
const login = forAllTests(() => createLogin(world.database, ['orgtrail_ingest', 'orgtrail_evidence']));
const run = forAllTests(() => world.open({ DATABASE_URL: login.url, ...evidence }));
const served = forAllTests(() => serve(run));
beforeAll(async () => {
  await run.cycle();
});
describe('the proof of an event', () => {
  test('of an event that is not signed yet does not exist, and the page says since when', async () => {
    expect(await pageOf(7)).not.toContain('id="proof"');
    expect(await reasonOf('/events/7/proof/json')).toMatch(/^409 There is no proof: there is no evidence/);
    const { builder, claim } = openBuilder(pool, signer, { chunk: 10 });
    const held = await claim();
    if (held === undefined) throw new Error('another one has the lease');
    await builder.step(held, false);
    const { rows } = await pool.query<{ at: string }>(
      `select to_char(received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI') as at from audit_events where position = 7`,
    );
    expect(await pageOf(7)).toMatch(
      new RegExp(`Not yet signed</strong>, since it was stored [^<]*<span class="time">${rows[0]?.at}`),
    );
    expect(await reasonOf('/events/7/proof/tlog-proof')).toMatch(/^409 There is no proof: no checkpoint is signed yet/);
  });

  test('is downloaded as the pair that the command verifies, and a file of another event does not fit', async () => {
    await pool.query('update evidence_logs set lease_until = null');
    await build();
    expect(await pageOf(7)).toMatch(
      /It is in the log <span class="mono">audit\.example\.com\/[^<]+\/events<\/span>, under the checkpoint of 60 positions, signed/,
    );
    const proof = await download(7);
    const verified = await runInProcess(['evidence', 'verify', proof], {});
    expect(verified).toMatchObject({ code: 0, stderr: '' });
    expect(verified.stdout).toContain('event 7 is in audit.example.com/');
    await writeFile(join(folder, '7.json'), await (await get('/events/8/proof/json')).text());
    expect((await runInProcess(['evidence', 'verify', proof], {})).code).toBe(5);
  });

  test('does not exist of what has no event or no format', async () => {
    for (const [path, status] of [
      ['/events/61/proof/json', 409],
      ['/events/0/proof/json', 404],
      ['/events/7/proof/xml', 404],
      ['/events/99999999999999999999/proof/json', 404],
    ] as const)
      expect((await get(path)).status, path).toBe(status);
  });

  test('is for those who may read the event, and is noted like an export', async () => {
    await using guarded = await serve(run, { feedToken });
    expect((await get('/events/7/proof/json', {}, guarded)).status).toBe(303);
    const cookie = await signInAt(guarded, feedToken);
    expect((await get('/events/7/proof/tlog-proof', { cookie }, guarded)).status).toBe(200);
    const noted = { kind: 'export', route: 'GET /events/:position/proof/:format' };
    const who = 'ORGTRAIL_FEED_TOKEN';
    await untilNoted(pool, { ...noted, outcome: 'begun', who });
    expect(await untilNoted(pool, { ...noted, outcome: 'ok', who })).toMatchObject({
      events: 1,
      what: { position: '7', format: 'tlog-proof' },
    });
  });

  test('is not made by an account that may not read the log', async () => {
    await using plain = await world.open(evidence);
    await using other = await serve(plain);
    const response = await get('/events/7/proof/json', {}, other);
    expect([response.status, await response.text()]).toEqual([409, expect.stringContaining('role orgtrail_evidence')]);
  });

  test('of an event that is not the one that was signed is refused', async () => {
    await pool.query(`update audit_events set raw = '{"changed": true}' where position = 5`);
    expect(await reasonOf('/events/5/proof/json')).toMatch(/^409 The evidence does not hold: event 5 is not in/);
    expect((await get('/events/6/proof/json')).status).toBe(200);
    expect(run.log()).toContain('an event is not the one that was signed');
  });

  test('says that nothing is signed any more, and why, as text', async () => {
    const reason = '<b onclick=x>no event</b>\u202e';
    await pool.query(`update evidence_logs set state = 'forked', state_reason = $1, signed_size = 50`, [reason]);
    for (const position of [7, 55]) {
      const text = await pageOf(position);
      expect(text).toContain('The log is forked: &lt;b onclick=x&gt;no event&lt;/b&gt;\\u202e. Nothing is signed');
      expect(text.includes('Not yet signed')).toBe(position === 55);
      expect(text.includes('Download proof')).toBe(position === 7);
    }
    expect((await runInProcess(['evidence', 'verify', await download(7)], {})).code).toBe(0);
  });
});

const feedToken = 'feed-token-of-the-test';
const evidence = { ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence' };

const build = () => openBuilder(pool, signer).build();

const get = (path: string, headers: Readonly<Record<string, string>> = {}, of = served) =>
  fetch(`${of.server.url}${path}`, { headers, redirect: 'manual' });

const pageOf = async (position: number): Promise<string> => await (await get(`/events/${position}`)).text();

/** Saves both files under the names that the server gives them. */
const download = async (position: number): Promise<string> => {
  const names: string[] = [];
  for (const format of ['json', 'tlog-proof']) {
    const response = await get(`/events/${position}/proof/${format}`);
    expect(response.status).toBe(200);
    const name = /^attachment; filename="([^"]+)"$/.exec(response.headers.get('content-disposition') ?? '')?.[1];
    await writeFile(join(folder, name ?? ''), Buffer.from(await response.arrayBuffer()));
    names.push(name ?? '');
  }
  expect(names).toEqual([`${position}.json`, `${position}.tlog-proof`]);
  return join(folder, `${position}.tlog-proof`);
};

const reasonOf = async (path: string): Promise<string> => {
  const response = await get(path);
  return `${response.status} ${/<p>([^<]*)<\/p>/.exec((await response.text()).split('<main')[1] ?? '')?.[1]}`;
};
