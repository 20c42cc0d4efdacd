import { afterAll, beforeAll, expect, test } from 'vitest';
import { prepareForDaemon } from '../support/accounts/daemon-account.ts';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import {
  type PostgresCluster,
  type Standby,
  startCluster,
  startStandby,
} from '../support/postgres/postgres-cluster.ts';
import { type PostgresProxy, startPostgresProxy } from '../support/postgres/wire/postgres-proxy.ts';
import { startTroubled } from '../support/process/trouble.ts';
import { until } from '../support/process/until.ts';

let primary: PostgresCluster;
let standby: Standby;
let proxy: PostgresProxy;

beforeAll(async () => {
  primary = await startCluster();
  standby = await startStandby(primary, { asynchronous: true });
  proxy = await startPostgresProxy(primary);
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await standby?.[Symbol.asyncDispose]();
  await primary?.[Symbol.asyncDispose]();
});

test('an hour without events does not make the jump of a failover longer: the daemon notes that the database is at work', async () => {
  const { name, url } = await primary.createDatabase();
  const daemonUrl = await prepareForDaemon(url, primary.url(name));
  await using troubled = await startTroubled(byWayOf(proxy, daemonUrl), {
    simulator: { organizations: 2, entries: 200 },
  });
  await troubled.untilExact(url);
  // As it is after an hour in which nothing happened and no daemon ran.
  const hour = "- interval '1 hour'";
  await primary.sql(`update audit_events set received_at = received_at ${hour}`, name);
  await primary.sql(
    `update feed_head set timeline_since = timeline_since ${hour}, alive_at = alive_at ${hour}, paced_until = null`,
    name,
  );
  await until('the standby has a note of the daemon', async () => {
    const [row] = await standby.sql(
      "select alive_at > clock_timestamp() - interval '1 minute' as is_noted from feed_head",
      name,
    );
    return row?.['is_noted'] === true;
  });
  const [noted] = await standby.sql('select extract(epoch from alive_at)::float8 as at from feed_head', name);
  await primary.stop('immediate');
  await standby.promote();
  proxy.pointTo(standby);
  troubled.generate(5);
  await troubled.untilExact(standby.url(name, name));
  const [jump] = await standby.sql(
    `select (to_position - from_position)::float8 as positions, extract(epoch from found_at)::float8 as at from position_jumps`,
    name,
  );
  const secondsAway = Math.ceil(Number(jump?.['at']) - Number(noted?.['at']));
  expect(Number(jump?.['positions'])).toBeGreaterThanOrEqual(LEAST_JUMP);
  expect(Number(jump?.['positions'])).toBeLessThanOrEqual(LEAST_JUMP + (secondsAway + 1) * PER_SECOND);
  await troubled.stop();
});

/** What a jump is without any time: for clocks, and what may be given out at once. */
const LEAST_JUMP = 750_000;
const PER_SECOND = 25_000;
