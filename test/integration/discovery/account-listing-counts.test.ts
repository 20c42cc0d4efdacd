import { expect, test } from 'vitest';
import { countAccountListings } from '../../../src/status/account-listings.sql.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const env = { ORGTRAIL_SOURCES: 'organizations,accounts' };

test('listings of accounts are counted by how the last attempt ended, those of organizations that are gone left out', async () => {
  await using world = await openWorld({ organizations: 5, accounts: 1, entries: 5, accountEntries: 5 }, env);
  await using run = await world.open();
  await run.sync();
  const { pool } = world.database;
  expect(await countAccountListings(pool)).toEqual({ listed: 6, empty: 0, refused: 0, failed: 0, waiting: 0 });

  const [refused, failed, waiting, gone, empty] = world.simulator.summary().organizations.map(({ id }) => id);
  const change = (id: string | undefined, set: string) =>
    pool.query(`update account_listings set ${set} where scope = 'organization:' || $1`, [id]);
  await change(refused, "last_failure = 'refused'");
  await change(failed, "last_failure = 'server_error'");
  await change(waiting, 'last_success_at = null, last_attempt_at = null');
  await change(empty, 'accounts = 0');
  await pool.query("update organizations set state = 'gone' where id = $1", [gone]);
  expect(await countAccountListings(pool)).toEqual({ listed: 1, empty: 1, refused: 1, failed: 1, waiting: 1 });

  const samples = parseMetrics(await run.metrics.scrape(run.app.metricsSource));
  expect(samples.get('orgtrail_account_listings{state="refused"}')).toBe(1);
  expect(samples.get('orgtrail_account_listings{state="waiting"}')).toBe(1);
  expect(samples.get('orgtrail_account_listings{state="empty"}')).toBe(1);
});
