import { Client, type Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPool } from '../../src/postgres/pool.ts';
import { documented, documentedSubscription } from '../support/deploy/documented-sql.ts';
import { startTcpProxy } from '../support/network/tcp-proxy.ts';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { addSources, commit, commitAll, entryText, pageOf, T0, takeLease } from '../support/postgres/store-fixture.ts';
import { decodePgoutput } from '../support/postgres/wire/pgoutput.ts';
import { ofAllTests } from '../support/process/of-tests.ts';
import { runInProcess } from '../support/process/run-in-process.ts';
import { seededRandom } from '../support/process/seeded-random.ts';
import { until } from '../support/process/until.ts';
import { unholdableEntries, unnamedEntries } from '../support/sync/defective-entries.ts';

const SEED = 13;
const source = ofAllTests(() => startCluster({ settings: { wal_level: 'logical' } }));
// How long a worker of the subscription that failed waits before the next one is started.
const subscriber = ofAllTests(() => startCluster({ settings: { wal_retrieve_retry_interval: '100ms' } }));
/** The way from the subscriber to the source. */
const proxy = ofAllTests(() => startTcpProxy(source));
/** The source, as the owner of the tables, who is no superuser. */
let pool: Pool;
let database: string;
beforeAll(async () => {
  const { name, url } = await source.createDatabase();
  database = name;
  for (const role of ['orgtrail_ingest', 'orgtrail_reader']) await source.sql(`create role ${role}`);
  expect(await runInProcess(['migrate', '--roles', '--publication'], { DATABASE_URL: url })).toMatchObject({
    code: 0,
    stdout: expect.not.stringContaining('wal_level'),
  });
  pool = createPool(url, 8, () => {});
  await source.sql(documented('at the source: account'), name);
  await subscriber.sql(documented('at the subscriber: tables'));
});
afterAll(() => pool?.end());

const defective = [...unnamedEntries, ...unholdableEntries].map(({ text }) => text);

describe('logical replication', () => {
  test(`each row once, to the byte and in order, with new partitions, crashes of both ends and cut connections (seed ${SEED}) (invariant 6)`, async () => {
    await addSources(pool, [...SOURCES, 'defective']);
    await commitEach([...defective.slice(0, 10), entryText('x')]);
    await source.sql("select pg_create_logical_replication_slot('debezium', 'pgoutput')", database);
    const before = await positionAt(source, database);
    let stopWriting = false;
    let last = Number.POSITIVE_INFINITY;
    const random = seededRandom(SEED);
    const writing = Promise.all(SOURCES.map((id) => write(id, random, () => stopWriting)));
    const reading = tailSubscriber(() => last);
    for (const happen of happenings) {
      await happen();
      await untilArrived(100);
    }
    stopWriting = true;
    await writing;
    await untilArrived(0);
    const copying = "select from pg_subscription_rel where srsubstate <> 'r'";
    await until('all tables are followed', async () => (await subscriber.sql(copying)).length === 0);
    const total = await positionAt(source, database);
    last = total;
    expect(await reading).toEqual(Array.from({ length: total }, (_, index) => index + 1));
    await expectSameAtBothEnds(total);
    await expectInserts('debezium', before, total);
    await expectKeptAtSubscriber(total);
  });
});

const expectSameAtBothEnds = async (total: number): Promise<void> => {
  const [events, arrived] = await bothEnds(`select ${columns} from audit_events order by position`);
  expect(events).toHaveLength(total);
  expect(arrived).toEqual(events);
  for (const query of [
    'select id, event_id, position, raw::text as raw, raw_sha256, seen_at from audit_event_changes',
    'select id, name, state, meta, first_seen_at from organizations order by id',
    'select feed_id from feed_head',
  ]) {
    const [there, here] = await bothEnds(query);
    expect(there?.length, query).toBeGreaterThan(0);
    expect(here, query).toEqual(there);
  }
};

/** What Debezium would read: an insert for each event that was committed after its slot was made, as of the root table. */
const expectInserts = async (slot: string, copied: number, total: number): Promise<void> => {
  const rows = await source.sql(
    `select data from pg_logical_slot_get_binary_changes('${slot}', null, null, 'proto_version', '1', 'publication_names', 'orgtrail')`,
    database,
  );
  const changes = decodePgoutput(rows.map((row) => row['data'] as Buffer));
  expect(new Set(changes.map(({ kind, table }) => `${kind} ${table}`))).toEqual(
    new Set(['insert audit_events', 'insert audit_event_changes']),
  );
  const events = changes.filter(({ table }) => table === 'audit_events');
  expect(events.map(({ values }) => Number(values['position']))).toEqual(
    Array.from({ length: total - copied }, (_, index) => copied + 1 + index),
  );
};

/** Retention at the source removes nothing at the subscriber. */
const expectKeptAtSubscriber = async (total: number): Promise<void> => {
  await pool.query('drop table audit_events_2026_01');
  await pool.query("delete from audit_events where action_time < '2026-03-01'");
  await commit(pool, await takeLease(pool, 'a'), [entryText('last')]);
  await until('the last one arrives', async () => (await positionAt(subscriber)) === total + 1);
  const rows = await subscriber.sql('select count(*)::integer as count from audit_events');
  expect(rows).toEqual([{ count: total + 1 }]);
};

const SOURCES = ['a', 'b', 'c'];
const DAY_MS = 86_400_000;
const columns = `position, source_kind, source_id, organization_id, id, action_time, received_at, action_type, action_result,
  actor_email, actor_ip_address, raw_cf_ray_id, raw_status_code, resource_scope, raw::text as raw, defects`;

const subscribe = async () => {
  await subscriber.sql(documentedSubscription(proxy.port, database));
};

/** Commits pages until it is told to stop, whatever becomes of the source meanwhile. */
const write = async (id: string, random: () => number, stopped: () => boolean): Promise<void> => {
  let next = 0;
  let lease = await takeLease(pool, id);
  while (!stopped()) {
    const texts = Array.from({ length: 1 + Math.floor(random() * 12) }, (_, index) =>
      entryText(`${id}-${next + index}`, T0 + Math.floor(random() * 90) * DAY_MS),
    );
    try {
      const result = await commit(pool, lease, texts);
      // Fenced: a commit whose answer was lost had been done.
      if (result.kind === 'committed') {
        lease = result.lease;
        next += texts.length;
      } else lease = await takeLease(pool, id);
    } catch {
      await until('the source answers again', () =>
        pool.query('select').then(
          () => true,
          () => false,
        ),
      );
    }
  }
};

/** Tails the subscriber by position, through its restarts, up to the last one. Returns the positions as they came. */
const tailSubscriber = async (last: () => number): Promise<readonly number[]> => {
  const positions: number[] = [];
  const isBehind = () => (positions.at(-1) ?? 0) < last();
  while (isBehind()) {
    const client = new Client({ connectionString: subscriber.url() });
    client.on('error', () => {});
    try {
      await client.connect();
      while (isBehind()) {
        const { rows } = await client.query<{ position: number }>(
          'select position::float8 as position from audit_events where position > $1 order by position limit 500',
          [positions.at(-1) ?? 0],
        );
        positions.push(...rows.map((row) => row.position));
      }
    } catch {
      // It is being restarted.
    } finally {
      await client.end().catch(() => {});
    }
  }
  return positions;
};

const positionAt = async (cluster: PostgresCluster, name?: string): Promise<number> => {
  const rows = await cluster.sql('select coalesce(max(position), 0)::integer as position from audit_events', name);
  return Number(rows[0]?.['position']);
};

/** Waits until so many more events than now have arrived at the subscriber. */
const untilArrived = async (more: number): Promise<void> => {
  const wanted = (await positionAt(source, database)) + more;
  await until(`position ${wanted} arrives`, async () => (await positionAt(subscriber)) >= wanted);
};

const bothEnds = async (query: string) => [await source.sql(query, database), await subscriber.sql(query)];

const commitEach = async (texts: readonly string[]): Promise<void> => {
  await commitAll(
    pool,
    await takeLease(pool, 'defective'),
    texts.map((text) => pageOf([text])),
  );
};

const createPartition = async (day: string): Promise<void> => {
  // By a connection of its own: those of the pool may have been broken a moment ago.
  await source.sql(`select orgtrail_create_partitions('${day}', '${day}')`, database);
};

/** What happens while events are written; after each, some more of them must arrive. */
const happenings: readonly (() => Promise<void>)[] = [
  subscribe,
  async () => {
    // Their events lie in the default partition until now.
    await createPartition('2026-01-01');
    await createPartition('2026-02-01');
  },
  () => commitEach(defective.slice(10)),
  async () => {
    await subscriber.stop('immediate');
    await createPartition('2026-03-01');
    await subscriber.start();
  },
  async () => {
    await proxy.cut();
    await commitEach([entryText('x', T0, { changed: true })]);
    await pool.query("update organizations set name = 'Renamed' where id = 'a'");
    await proxy.restore();
  },
  async () => {
    await source.stop('immediate');
    await source.start();
  },
  async () => {
    await source.stop('fast');
    await source.start();
    await createPartition('2026-04-01');
  },
];
