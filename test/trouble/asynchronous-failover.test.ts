import { afterAll, beforeAll, expect, test } from 'vitest';
import { documented, documentedSubscription } from '../support/deploy/documented-sql.ts';
import { FeedFollower } from '../support/feed/feed-follower.ts';
import { type LastingReader, readBySql, readOverHttp } from '../support/feed/lasting-readers.ts';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import {
  type PostgresCluster,
  type Standby,
  startCluster,
  startStandby,
} from '../support/postgres/postgres-cluster.ts';
import { type PostgresProxy, startPostgresProxy } from '../support/postgres/wire/postgres-proxy.ts';
import { runInProcess } from '../support/process/run-in-process.ts';
import { expectTroubleSaid, startTroubled } from '../support/process/trouble.ts';
import { until } from '../support/process/until.ts';

let primary: PostgresCluster;
let standby: Standby;
let subscriber: PostgresCluster;
/** The address that moves, as a virtual IP or a name does. */
let proxy: PostgresProxy;

beforeAll(async () => {
  primary = await startCluster({ settings: { wal_keep_size: '256MB', wal_level: 'logical' } });
  standby = await startStandby(primary, { asynchronous: true });
  subscriber = await startCluster({ settings: { wal_retrieve_retry_interval: '100ms' } });
  proxy = await startPostgresProxy(primary);
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await subscriber?.[Symbol.asyncDispose]();
  await standby?.[Symbol.asyncDispose]();
  await primary?.[Symbol.asyncDispose]();
});

test('failed over to an asynchronous standby that lacks commits which readers have read: no reader misses an entry', async () => {
  const { name, url } = await openDatabase();
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

  await expectNothingMissed(name, {
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

const ORGANIZATIONS = 5;
/** So many commits, at least, and so many of them lost. */
const BEFORE = 400;
const LOST = 250;

/** A migrated database with the documented publication, and a subscriber of it. */
const openDatabase = async () => {
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

const expectNothingMissed = async (name: string, seen: Readonly<Record<string, Iterable<string>>>) => {
  const rows = await standby.sql(`select source_id || ' ' || id as key from audit_events`, name);
  const stored = rows.map((row) => String(row['key']));
  expect(new Set(stored.map((key) => key.split(' ')[0])).size).toBe(ORGANIZATIONS);
  for (const [reader, keys] of Object.entries(seen)) {
    const met = new Set(keys);
    expect(stored.filter((key) => !met.has(key)).length, `missed ${reader}`).toBe(0);
  }
};
