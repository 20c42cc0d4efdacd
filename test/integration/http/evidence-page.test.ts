import { beforeAll, describe, expect, test } from 'vitest';
import { openCheckpoint, parsePolicy, writePolicy } from '../../../src/evidence/notes/policy.ts';
import { parseVerifierKey } from '../../../src/evidence/notes/signed-note.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { fork, newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
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

  test('has both logs with origin, size, key and checkpoint, what is adopted, and which sources are not stated', async () => {
    const text = await page();
    const { rows } = await pool.query<{ origin: string; size: string }>(
      'select origin, size from evidence_logs order by name',
    );
    for (const { origin, size } of rows)
      expect(text).toMatch(new RegExp(`${origin}[\\s\\S]*${size} (position|statement)s`));
    expect(text).toContain(`<strong>Positions 1 to ${rows[0]?.size}</strong>`);
    expect(text).toContain('<strong>2 sources</strong> without a statement of coverage');
    expect(text).toMatch(/state-behind">unanchored/);
    expect(text).toContain('No anchor has kept anything');
    expect(text).not.toContain('Forks and ends');
    expect(await overview()).toMatch(/The evidence is unanchored\.<\/p><p><a href="\/evidence-log"/);
  });

  test('gives out checkpoints and keys that verify each other', async () => {
    for (const log of ['events', 'journal'] as const) {
      const key = await get(`/evidence-log/${log}/key`);
      const checkpoint = await get(`/evidence-log/${log}/checkpoint`);
      const policy = writePolicy([parseVerifierKey((await key.text()).trim())], [], 0);
      const note = Buffer.from(await checkpoint.arrayBuffer());
      const { origin, size } = openCheckpoint(note, parsePolicy(Buffer.from(policy)));
      expect(origin).toMatch(new RegExp(`\\.1/${log}$`));
      expect(checkpoint.headers.get('content-disposition')).toBe(`attachment; filename="${log}-1-${size}.checkpoint"`);
      expect(key.headers.get('content-disposition')).toBe(`attachment; filename="${log}-1.vkey"`);
    }
    for (const path of ['/evidence-log/entries/key', '/evidence-log/entries/checkpoint', '/evidence-log/events/x']) {
      expect((await get(path)).status).toBe(404);
    }
  });

  test('to an account that may not read the log it shows how the log stands, and says what it lacks', async () => {
    await using plain = await world.open({ ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence' });
    await using other = await serve(plain);
    const text = await page(other);
    expect(text).toContain('grant orgtrail_evidence to');
    expect(text).toMatch(/state-(behind|fresh)">(building|ok)/);
    expect(text).not.toContain('Download checkpoint');
    expect((await get('/evidence-log/events/checkpoint', other)).status).toBe(404);
    expect((await get('/evidence-log/events/key', other)).status).toBe(404);
  });

  test('is for those who have signed in', async () => {
    await using guarded = await serve(run, { feedToken: 'feed-token-of-the-test' });
    for (const path of ['/evidence-log', '/evidence-log/events/checkpoint', '/evidence-log/events/key']) {
      expect((await get(path, guarded)).status, path).toBe(303);
    }
  });

  test('shows what stopped it, what to do, and anchors that fail, and the overview leads there; text of others is text', async () => {
    await pool.query(`update evidence_logs set state = 'halted', state_reason = $1 where name = 'events'`, [hostile]);
    await pool.query(
      `insert into evidence_anchors (log, generation, anchor, size, at, error, failed_at)
       values ('events', 1, 'file:/mnt/worm', 40, clock_timestamp() - interval '2 hours', null, null),
         ('events', 1, $1, 60, null, $1, clock_timestamp())`,
      [hostile],
    );
    for (const text of [await page(), await overview()]) {
      expect(text).toContain('&lt;img src=x onerror=&quot;alert(1)&quot;&gt;\\u202egnp.exe');
      expect(text).not.toMatch(/<img src=x|\u202e/);
    }
    const text = await page();
    expect(text).toMatch(/state-failing">halted[\s\S]*<code>orgtrail evidence verify<\/code> names each position/);
    expect(text).toMatch(/file:\/mnt\/worm[\s\S]*state-fresh">ok[\s\S]*40 events[\s\S]*2h( \d+[ms])* ago/);
    expect(text).not.toContain('unanchored</span>');
    expect(await overview()).toMatch(/The evidence is halted: [\s\S]*<p><a href="\/evidence-log">Evidence/);
    for (const state of ['behind', 'forked']) {
      await pool.query(`update evidence_logs set state = $1 where name = 'events'`, [state]);
      expect(await page()).toContain('<code>orgtrail evidence fork --reason');
    }
  });

  test('names forks and ends, by whom and why', async () => {
    await pool.query('delete from evidence_anchors');
    await pool.query(`update evidence_logs set state = 'forked', lease_until = null`);
    await fork(pool, signer, { reason: `restored ${hostile}` });
    await build();
    const text = await page();
    expect(text).toMatch(/Forks and ends[\s\S]*Forked[\s\S]*by J\. Doe: restored &lt;img[\s\S]*The first one\./);
    await pool.query(
      `update evidence_logs set ended_at = clock_timestamp(), ended_by = 'A. Roe', ended_reason = 'engagement over' where generation = 2`,
    );
    expect(await page()).toMatch(/state-quiet">ended[\s\S]*Ended[\s\S]*by A\. Roe: engagement over/);
    expect(await overview()).not.toContain('aria-label="Evidence"');
  });
});

const hostile = `<img src=x onerror="alert(1)">\u202egnp.exe`;

const build = () => openBuilder(pool, signer).build();
const get = (path: string, of = served) => fetch(`${of.server.url}${path}`, { redirect: 'manual' });
const page = async (of = served): Promise<string> => await (await get('/evidence-log', of)).text();
const overview = async (): Promise<string> => await (await get('/')).text();
