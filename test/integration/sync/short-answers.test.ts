import { expect, test } from 'vitest';
import { auditRequests, openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

test.each([
  ['is still served: no request more', false],
  ['Cloudflare has taken back: one question more, and what it ends is believed as without', true],
])('a window of history whose sentinel %s', async (_, isGone) => {
  const narrowed: string[] = [];
  const observer = { windowNarrowed: ({ reason }: { readonly reason: string }) => void narrowed.push(reason) };
  await using world = await openWorld({ organizations: 1, pageCap: 1_000 }, { ORGTRAIL_SETTLE: 'none' });
  await using run = await world.open({}, observer);
  await run.sync();
  const untilMs = await forgetHistory(world, 200);
  if (isGone) {
    // Nearer than any that is served.
    await world.database.pool.query(
      `update audit_events set id = 'gone', action_time = to_timestamp($1::float8 / 1000 + 1)
       where action_time = (select min(action_time) from audit_events)`,
      [untilMs],
    );
  }
  const from = world.simulator.requestCount;
  await run.sync();
  const asked = auditRequests(world.simulator, from).map(({ query }) => query);
  const ofHistory = asked.filter((query) => Date.parse(query.get('since') ?? '') < untilMs);
  expect(Date.parse(ofHistory[0]?.get('before') ?? ''), 'reaches over it').toBeGreaterThanOrEqual(untilMs + 2_000);
  // Of the seconds around it: a live poll that looks far back reaches over it as well.
  const questions = asked.filter((query) => Date.parse(query.get('before') ?? '') === untilMs + 3_000);
  expect(new Set(questions.map((query) => Date.parse(query.get('since') ?? '')))).toEqual(
    new Set(isGone ? [untilMs] : []),
  );
  expect(narrowed).toEqual([]);
  const { missing, extra } = await world.compare();
  // The one that is called so.
  const ofGone = isGone ? 1 : 0;
  expect({ missing, extra }).toEqual({ missing: ofGone, extra: ofGone });
});

/** As if history older than the newest so many events had never been read. Returns when it ends, in milliseconds. */
const forgetHistory = async ({ database }: SyncWorld, kept: number): Promise<number> => {
  const { rows } = await database.pool.query<{ ms: number }>(
    `select (extract(epoch from date_trunc('second', action_time)) * 1000 - 20000)::float8 as ms from audit_events
     order by action_time desc offset $1 limit 1`,
    [kept],
  );
  const untilMs = rows[0]?.ms ?? Number.NaN;
  await database.pool.query('delete from audit_events where action_time < to_timestamp($1::float8 / 1000)', [untilMs]);
  await database.pool.query(
    "update coverage set ranges = ranges * tstzmultirange(tstzrange(to_timestamp($1::float8 / 1000), 'infinity'))",
    [untilMs],
  );
  return untilMs;
};
