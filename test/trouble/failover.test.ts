import { expect, test } from 'vitest';
import { headBehindFailover } from '../../src/feed/feed-head.sql.ts';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { prepareForDaemon } from '../support/accounts/daemon-account.ts';
import { documented, documentedSubscription } from '../support/deploy/documented-sql.ts';
import { FeedFollower } from '../support/feed/feed-follower.ts';
import { type LastingReader, readBySql, readOverHttp } from '../support/feed/lasting-readers.ts';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import { type PostgresCluster, startCluster, startStandby } from '../support/postgres/postgres-cluster.ts';
import { startPair } from '../support/postgres/standby-pair.ts';
import { commitAll, entryText, newSource } from '../support/postgres/store-fixture.ts';
import { runInProcess } from '../support/process/run-in-process.ts';
import { expectTroubleSaid, startTroubled } from '../support/process/trouble.ts';
import { until } from '../support/process/until.ts';

test.concurrent('failed over to a synchronous standby in the middle of a backfill, read-only until it is promoted', async () => {
  await using pair = await startPair({ asynchronous: false, settings: { wal_keep_size: '256MB' } });
  const { primary, standby, proxy } = pair;
  const { name, url } = await primary.createDatabase();
  await using troubled = await startTroubled(byWayOf(proxy, url), { simulator: { entries: 3_000 } });
  await until('the backfill is under way', async () => (await troubled.storedBy(url)) > 500);
  const seen = await troubled.storedBy(url);
  const feedSeen = await feedUpTo(primary, name, seen);

  await primary.stop('immediate');
  proxy.pointTo(standby);
  await expectTroubleSaid(troubled, /cannot execute \w+ in a read-only transaction/);
  troubled.generate(30);

  await standby.promote();
  await troubled.untilExact(standby.url(name, name));
  // Who read the feed before the failover has read no position that means another event now.
  expect(await feedUpTo(standby, name, seen)).toBe(feedSeen);
  await troubled.stop();
});

test.concurrent('an hour without events does not make the jump of a failover longer: the daemon notes that the database is at work', async () => {
  await using pair = await startPair({ asynchronous: true });
  const { primary, standby, proxy } = pair;
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
  // Not the note from before, which a standby that lags still has.
  const [updated] = await primary.sql('select clock_timestamp()::text as at', name);
  await until('the standby has a note of the daemon', async () => {
    const [row] = await standby.sql(`select alive_at > '${updated?.['at']}' as is_noted from feed_head`, name);
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

test.concurrent('failed over to an asynchronous standby that lacks commits which readers have read: no reader misses an entry (invariant 6)', async () => {
  await using pair = await startPair({
    asynchronous: true,
    settings: { wal_keep_size: '256MB', wal_level: 'logical' },
  });
  const { primary, standby, proxy } = pair;
  await using subscriber = await startCluster({ settings: { wal_retrieve_retry_interval: '100ms' } });
  const { name, url } = await openPublished(primary, subscriber);
  await using troubled = await startTroubled(byWayOf(proxy, url), {
    replicas: 2,
    simulator: { organizations: ORGANIZATIONS, entries: 4_000 },
  });
  const follower = new FeedFollower({ DATABASE_URL: byWayOf(proxy, url) });
  const readers = {
    'in SQL': readBySql(byWayOf(proxy, url)),
    'over HTTP': readOverHttp(troubled.httpUrl),
    'at the subscriber': readBySql(subscriber.url()),
  } satisfies Record<string, LastingReader>;
  const all = {
    ...readers,
    'of feed --follow': {
      get position() {
        return follower.events.at(-1)?.position ?? 0;
      },
    },
  };
  await until('the backfill is under way', async () => (await troubled.storedBy(url)) > BEFORE);
  await standby.fallBehind();
  const kept = await headOf(standby, name);
  // The rest of the backfill may have been read while the standby was being restarted.
  troubled.generate(LOST);
  await untilAllReach('has read what will be lost', all, kept + LOST);
  await primary.stop('immediate');
  proxy.pointTo(standby);
  await expectTroubleSaid(troubled, /cannot execute \w+ in a read-only transaction/);
  // As docs/logical-replication.md says: the slot is gone with the primary.
  await subscriber.sql(documented('at the subscriber: start over after a failover that lost commits'));
  await standby.promote();
  await subscriber.sql(documentedSubscription(standby.port, name));
  troubled.generate(30);
  await troubled.untilExact(standby.url(name, name));
  await untilAllReach('has come to the end', all, await headOf(standby, name));
  await Promise.all(Object.values(readers).map((reader) => reader.stop()));
  expect(await follower.end()).toBe(143);

  await expectNothingMissed(standby, name, {
    ...Object.fromEntries(Object.entries(readers).map(([reader, { seen }]) => [reader, seen])),
    'of feed --follow': follower.events.map(({ key }) => key.replace('organization ', '')),
  });
  // In the table, in the feed and in the log.
  const jumps = await standby.sql(
    'select from_position::float8, to_position::float8, old_timeline, new_timeline from position_jumps',
    name,
  );
  const [old, current] = [/^00000001 /, /^00000002 /].map((timeline) => expect.stringMatching(timeline));
  expect(jumps).toEqual([
    { from_position: kept, to_position: expect.any(Number), old_timeline: old, new_timeline: current },
  ]);
  expect(readers['over HTTP'].refusals).toEqual([
    { status: 410, reason: expect.stringContaining(`lost the events after position ${kept} that you have read`) },
  ]);
  // Whichever process was the first to connect or to commit has said it.
  expect(troubled.logs() + follower.stderr()).toContain('the database failed over or was restored; positions jump');
  await troubled.stop();
});

test.each([1, 2])(
  'a reader whose events were lost is not told of another database if the standby is promoted behind statement %i',
  async (statements) => {
    await using primary = await startCluster();
    await using standby = await startStandby(primary, { asynchronous: true });
    const { name, url } = await primary.createDatabase();
    const daemonUrl = await prepareForDaemon(url, primary.url(name));
    const owner = createPool(url, 1, () => {});
    await commitAll(owner, await newSource(owner, 'o'), [['a', 'b', 'c'].map((id) => entryText(id))]);
    await owner.end();
    const has = (count: number) => async () => {
      const rows = await standby.sql('select count(*)::integer as events from audit_events', name).catch(() => []);
      return rows[0]?.['events'] === count;
    };
    await until('the standby has all that is kept', has(3));
    await primary.stop('immediate');
    const pool = createPool(standby.url(name, new URL(daemonUrl).username), 1, () => {});
    const watched = promotedBehind(pool, statements, () => standby.promote());
    const asked = headBehindFailover(watched, 8);
    if (statements === 1) expect((await asked).position).toBeGreaterThan(8);
    else await expect(asked).rejects.toMatchObject({ code: 'database_unreachable' });
    await pool.end();
  },
);

const feedUpTo = async (cluster: PostgresCluster, database: string, position: number): Promise<string> => {
  const rows = await cluster.sql(
    `select string_agg(position || ' ' || id, ',' order by position) as feed from audit_events where position <= ${position}`,
    database,
  );
  return String(rows[0]?.['feed']);
};

/** What a jump is without any time: for clocks, and what may be given out at once. */
const LEAST_JUMP = 750_000;
const PER_SECOND = 25_000;
const ORGANIZATIONS = 5;
/** So many commits, at least, and so many of them lost. */
const BEFORE = 400;
const LOST = 250;

/** A migrated database with the documented publication, and a subscriber of it. */
const openPublished = async (primary: PostgresCluster, subscriber: PostgresCluster) => {
  const { name, url } = await primary.createDatabase();
  for (const role of ['orgtrail_ingest', 'orgtrail_reader']) await primary.sql(`create role ${role}`);
  expect(await runInProcess(['migrate', '--roles', '--publication'], { DATABASE_URL: url })).toMatchObject({ code: 0 });
  await primary.sql(documented('at the source: account'), name);
  await subscriber.sql(documented('at the subscriber: tables'));
  await subscriber.sql(documentedSubscription(primary.port, name));
  return { name, url };
};

const headOf = async (server: PostgresCluster, database?: string): Promise<number> => {
  const [row] = await server.sql('select coalesce(max(position), 0)::float8 as head from audit_events', database);
  return Number(row?.['head']);
};

const untilAllReach = async (
  what: string,
  readers: Record<string, { readonly position: number }>,
  position: number,
) => {
  for (const [name, reader] of Object.entries(readers)) {
    await until(`${name} ${what}`, async () => reader.position >= position);
  }
};

const expectNothingMissed = async (
  standby: PostgresCluster,
  name: string,
  seen: Readonly<Record<string, Iterable<string>>>,
) => {
  const rows = await standby.sql(`select source_id || ' ' || id as key from audit_events`, name);
  const stored = rows.map((row) => String(row['key']));
  expect(new Set(stored.map((key) => key.split(' ')[0])).size).toBe(ORGANIZATIONS);
  for (const [reader, keys] of Object.entries(seen)) {
    const met = new Set(keys);
    expect(stored.filter((key) => !met.has(key)).length, `missed ${reader}`).toBe(0);
  }
};

/** A pool whose server is promoted when so many of its statements have ended. */
const promotedBehind = (pool: Pool, statements: number, promote: () => Promise<void>): Pool => {
  let ended = 0;
  const query = async (...statement: unknown[]) => {
    const result = await (pool.query as (...statement: unknown[]) => Promise<unknown>)(...statement);
    ended += 1;
    if (ended === statements) await promote();
    return result;
  };
  return new Proxy(pool, { get: (target, name) => (name === 'query' ? query : Reflect.get(target, name)) });
};
