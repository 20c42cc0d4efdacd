import { beforeAll, expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const signer = newSigner();

/** A server over 60 stored events, by an account that may read the log. */
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

test('the page of an event says since when it is not signed, and then under which checkpoint it is', async () => {
  expect(await pageOf(7)).not.toContain('id="proof"');
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
  await pool.query('update evidence_log set lease_until = null');
  await openBuilder(pool, signer).build();
  const { rows: logs } = await pool.query<{ size: string }>('select signed_size as size from evidence_log');
  expect(await pageOf(7)).toMatch(
    new RegExp(
      `It is in the log <span class="mono">audit\\.example\\.com/[^<]+</span>, under the checkpoint of ${logs[0]?.size} leaves, signed`,
    ),
  );
});

test('it says that nothing is signed any more, and why, as text', async () => {
  const reason = '<b onclick=x>no event</b>\u202e';
  await pool.query(`update evidence_log set state = 'behind', state_reason = $1, signed_position = 50`, [reason]);
  for (const position of [7, 55]) {
    const text = await pageOf(position);
    expect(text).toContain('The log is behind: &lt;b onclick=x&gt;no event&lt;/b&gt;\\u202e. Nothing is signed');
    expect(text.includes('Not yet signed')).toBe(position === 55);
    expect(text.includes('orgtrail evidence prove')).toBe(position === 7);
  }
});

const pageOf = async (position: number): Promise<string> =>
  await (await fetch(`${served.server.url}/events/${position}`, { redirect: 'manual' })).text();
