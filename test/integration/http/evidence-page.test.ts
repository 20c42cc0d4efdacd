import { beforeAll, describe, expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { endLog } from '../../../src/evidence/generations/end-log.sql.ts';
import { openCheckpoint } from '../../../src/evidence/notes/checkpoint.ts';
import { parseVerifierKey } from '../../../src/evidence/notes/signed-note.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { newSigner, next, openBuilder } from '../../support/evidence/builder-world.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const signer = newSigner();

/** A server over stored events, by an account that may read the log, and with the setting of the evidence. */
const world = forAllTests(() => openWorld({ organizations: 2, entries: 60 }));
const pool = poolOfWorld(world);
const login = forAllTests(() => createLogin(world.database, ['orgtrail_ingest', 'orgtrail_evidence']));
const run = forAllTests(() =>
  world.open({ DATABASE_URL: login.url, ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence' }),
);
const served = forAllTests(() => serve(run));
beforeAll(async () => {
  await run.cycle();
});

describe('the page of the evidence', () => {
  test('without a log says so and how to begin, whether evidence is configured or not', async () => {
    expect(await page()).toMatch(/No log has been begun[\s\S]*orgtrail evidence init/);
    await using without = await world.open({ DATABASE_URL: login.url });
    await using other = await serve(without);
    expect(await page(other)).toMatch(/Evidence is not configured[\s\S]*ORGTRAIL_EVIDENCE_ORIGIN/);
    expect(await overview()).toContain('<a href="/evidence-log">Evidence</a>');
    // A log that no process builds any more still holds up retention.
    await build();
    expect(await page(other)).toMatch(/This process has no <code>ORGTRAIL_EVIDENCE_ORIGIN/);
  });

  test('has the log with origin, size, key and checkpoint, what is adopted, and which sources are not stated', async () => {
    const text = await page();
    const { rows } = await pool.query<{ origin: string; size: string; adopted: string }>(
      `select base || '/' || feed_id || '.' || number as origin, size, adopted_position as adopted from evidence_log`,
    );
    const [{ origin, size, adopted } = { origin: '', size: '', adopted: '' }] = rows;
    expect(text).toMatch(new RegExp(`${origin}[\\s\\S]*${size} leaves`));
    expect(text).toContain(`<strong>Positions 1 to ${adopted}</strong>`);
    expect(text).toContain('<strong>2 sources</strong> without a statement of coverage');
    expect(text).toMatch(/state-behind">unanchored/);
    expect(text).toContain('No anchor has kept anything');
    expect(text).not.toContain('Logs of this tree');
    expect(await overview()).toMatch(/The evidence is unanchored\.<\/p><p><a href="\/evidence-log"/);
  });

  test('gives out a checkpoint and a key that verify each other', async () => {
    const key = await get('/evidence-log/key');
    const checkpoint = await get('/evidence-log/checkpoint');
    const logs = [parseVerifierKey((await key.text()).trim())];
    const { origin, size } = openCheckpoint(Buffer.from(await checkpoint.arrayBuffer()), { logs, witnesses: [] });
    expect(origin).toMatch(/\.1$/);
    expect(checkpoint.headers.get('content-disposition')).toBe(`attachment; filename="log-1-${size}.checkpoint"`);
    expect(key.headers.get('content-disposition')).toBe('attachment; filename="log.vkey"');
    expect((await get('/evidence-log/x')).status).toBe(404);
  });

  test('to an account that may not read the log it shows how the log stands, and says what it lacks', async () => {
    await using plain = await world.open({ ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence' });
    await using other = await serve(plain);
    const text = await page(other);
    expect(text).toContain('grant orgtrail_evidence to');
    expect(text).toMatch(/state-(behind|fresh)">(building|ok)/);
    expect(text).not.toContain('Download checkpoint');
    expect((await get('/evidence-log/checkpoint', other)).status).toBe(404);
    expect((await get('/evidence-log/key', other)).status).toBe(404);
  });

  test('is for those who have signed in', async () => {
    await using guarded = await serve(run, { feedToken: 'feed-token-of-the-test' });
    for (const path of ['/evidence-log', '/evidence-log/checkpoint', '/evidence-log/key']) {
      expect((await get(path, guarded)).status, path).toBe(303);
    }
  });

  test('shows what stopped it, what to do, and anchors that fail, and the overview leads there; text of others is text', async () => {
    await pool.query(`update evidence_log set state = 'halted', state_reason = $1`, [hostile]);
    await pool.query(
      `insert into evidence_anchors (anchor, size, number, at, error, failed_at)
       values ('file:/mnt/worm', 40, 1, clock_timestamp() - interval '2 hours', null, null),
         ($1, 60, 1, null, $1, clock_timestamp())`,
      [hostile],
    );
    for (const text of [await page(), await overview()]) {
      expect(text).toContain('&lt;img src=x onerror=&quot;alert(1)&quot;&gt;\\u202egnp.exe');
      expect(text).not.toMatch(/<img src=x|\u202e/);
    }
    const text = await page();
    expect(text).toMatch(/state-failing">halted[\s\S]*<code>orgtrail evidence verify<\/code> names each position/);
    expect(text).toMatch(/file:\/mnt\/worm[\s\S]*state-fresh">ok[\s\S]*40 leaves[\s\S]*2h( \d+[ms])* ago/);
    expect(text).not.toContain('unanchored</span>');
    expect(await overview()).toMatch(/The evidence is halted: [\s\S]*<p><a href="\/evidence-log">Evidence/);
    await pool.query(`update evidence_log set state = 'behind'`);
    expect(await page()).toContain('<code>orgtrail evidence next --reason');
  });

  test('names the logs of the tree, by whom and why they began', async () => {
    await pool.query('delete from evidence_anchors');
    await pool.query(`update evidence_log set state = 'behind', lease_until = null`);
    await next(pool, signer, { reason: `restored ${hostile}` });
    await build();
    const text = await page();
    expect(text).toMatch(/Logs of this tree[\s\S]*Begun[\s\S]*by J\. Doe: restored &lt;img[\s\S]*The first one\./);
    const store = createEvidenceStore(pool, 'end', 0);
    await endLog(pool, store, { reason: 'engagement over', by: 'A. Roe', isStated: true });
    expect(await page()).toMatch(/state-quiet">ended[\s\S]*Ended[\s\S]*by A\. Roe: engagement over/);
    expect(await overview()).not.toContain('aria-label="Evidence"');
  });
});

const hostile = `<img src=x onerror="alert(1)">\u202egnp.exe`;

const build = () => openBuilder(pool, signer).build();
const get = (path: string, of = served) => fetch(`${of.server.url}${path}`, { redirect: 'manual' });
const page = async (of = served): Promise<string> => await (await get('/evidence-log', of)).text();
const overview = async (): Promise<string> => await (await get('/')).text();
