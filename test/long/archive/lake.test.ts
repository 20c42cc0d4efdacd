import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { readFeedId, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { fieldsOf } from '../../../src/archive/columns.ts';
import { writeTables } from '../../../src/archive/iceberg/write-table.ts';
import { readOldMonths } from '../../../src/archive/retention.sql.ts';
import { type ObjectStore, openObjectStore, tableBaseOf } from '../../../src/archive/store.ts';
import { openArchiveWorld, storeWith } from '../../support/archive/archive-world.ts';
import { askClickHouse, hasClickHouse } from '../../support/archive/clickhouse.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { storages, testBucket } from '../../support/s3/storages.ts';

const EVENTS = Number(process.env['TEST_LAKE_EVENTS'] ?? 2_800);
const MONTHS = 14;
const noKeys = { accessKey: undefined, secretKey: undefined, environment: {} };

interface Place {
  readonly store: ObjectStore;
  readonly base: string;
  /** In the SQL of ClickHouse, of a folder. */
  table(folder: string): string;
  close(): Promise<void>;
}

const directory = {
  name: 'a directory',
  missing: undefined,
  open: async (path: string): Promise<Place> => {
    const target = { kind: 'file', name: `file://${path}`, directory: path } as const;
    const table = (folder: string) => `icebergLocal('${path}/${folder}')`;
    return { store: openObjectStore(target, noKeys), base: tableBaseOf(target), table, close: async () => {} };
  },
};

const places = [
  directory,
  // Ranges of radosgw with the store of Debian are not what ClickHouse asks for.
  ...storages
    .filter(({ name }) => name === 'moto')
    .map(({ name, missing, start }) => ({
      name,
      missing,
      open: async (): Promise<Place> => {
        const storage = await start();
        const { accessKey, secretKey, endpoint } = storage;
        const bucket = await testBucket(storage, 'archive', { canLock: false, parameters: '' });
        const target = { kind: 's3', name: bucket.address.name, address: bucket.address } as const;
        return {
          store: openObjectStore(target, { accessKey, secretKey, environment: {} }),
          base: tableBaseOf(target),
          table: (folder) =>
            `icebergS3('${endpoint}${tableBaseOf(target).slice('s3:/'.length)}/${folder}', '${accessKey}', '${secretKey}')`,
          close: storage.stop,
        };
      },
    })),
];

describe.each(places)('ClickHouse, on the table in $name', ({ missing, open }) => {
  describe.skipIf(missing !== undefined || !hasClickHouse)('that is there', () => {
    const world = forAllTests(() => openArchiveWorld(10));
    let place: Place;
    let folder: string;
    beforeAll(async () => {
      place = await open(world.directory);
      folder = `v1/iceberg/feed=${await readFeedId(world.owner)}`;
      await useArchive(world.daemon, place.store.name);
      await world.owner.query("select orgtrail_create_partitions('2024-01-01', '2025-02-27')");
      await world.owner.query(
        `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, action_type, actor_email, raw_status_code, defects, raw)
         select 'organization', 'o', 'o' || n % 7, md5(n::text), 1000 + n, timestamptz '2024-01-01T00:00:00Z' + n * interval '1 month' * ${MONTHS}.0 / ${EVENTS + 1},
           (array['create', 'delete', null])[1 + n % 3], 'actor-' || n % 50 || '@example.com', case when n % 2 = 0 then 200 + n % 300 end,
           case when n % 11 = 0 then array['no_actor', 'no_zone'] end, json_build_object('id', n, 'text', md5(n || 'raw') || E'"\\u2028😀')
         from generate_series(1, ${EVENTS}) n`,
      );
      await world.owner.query(`update feed_head set position = ${1000 + EVENTS}`);
    });
    afterAll(() => place.close());
    const ask = (...statements: readonly string[]) => askClickHouse(world.directory, ...statements);
    const archive = async (month: string, parquetVersion: 1 | 2 = 2, store = place.store) =>
      await archiveMonth({ pool: world.daemon, store, parquetVersion }, month);
    const write = () => writeTables({ pool: world.daemon, store: place.store, tableBase: place.base });

    test('it has each row of the database after each round, in order, each older snapshot as it was, and one month by the objects of that month', async () => {
      const rounds = [
        async () => {
          for (const month of await readOldMonths(world.owner, 86_400_000)) if (month < '2025-03') await archive(month);
        },
        async () => {
          await world.addLate(30, 'late');
          await world.change('january-7');
          await archive('2024-01');
        },
        // Its object was altered, and is written again with other bytes.
        async () => {
          const { rows } = await world.owner.query("select key from archive_objects where month = '2024-05-01'");
          const get: ObjectStore['get'] = async (key, signal) =>
            key === rows[0].key ? Buffer.from('altered') : await place.store.get(key, signal);
          expect((await archive('2024-05', 1, storeWith(place.store, { get }))).written).toBe(1);
        },
      ];
      const facts = 'count() as rows, uniqExact(position) as positions, toString(sum(cityHash64(raw, id))) as hash';
      const seen: { readonly snapshot: number; readonly facts: unknown }[] = [];
      for (const round of rounds) {
        await round();
        const [events] = await write();
        const table = place.table(folder);
        const [found, rows] = await ask(
          `select ${facts} from ${table}`,
          `select ${columns.clickHouse} from ${table} order by position`,
        );
        expect(rows?.error).toBeUndefined();
        expect(rows?.data.map((row) => Object.values(row))).toEqual(await rowsOfDatabase());
        seen.push({ snapshot: events?.snapshot ?? 0, facts: found?.data });
      }
      expect(seen.map(({ snapshot }) => snapshot)).toEqual([1, 2, 3]);
      const entries = await world.owner.query(
        "select entry ->> 'snapshot-id' as id from archive_snapshots where kind = 'events' order by number",
      );
      const table = place.table(folder);
      const older = await ask(
        ...entries.rows.map(({ id }) => `select ${facts} from ${table} settings iceberg_snapshot_id = ${id}`),
      );
      expect(older.map(({ data }) => data)).toEqual(seen.map((each) => each.facts));

      const { rows } = await world.owner.query(
        "select count(*)::integer as events from audit_events where action_time >= '2024-07-01' and action_time < '2024-08-01'",
      );
      const [month, one, none] = await ask(
        `select max(length(raw)) from ${table} where action_time >= '2024-07-01' and action_time < '2024-08-01'`,
        `select max(length(raw)) from ${table} where position = ${1000 + EVENTS}`,
        `select max(length(raw)) from ${table} where organization_id = 'zzz'`,
      );
      expect(month?.statistics.rows_read).toBe(rows[0].events);
      expect(one?.statistics.rows_read).toBeLessThan(EVENTS / MONTHS + 40);
      expect(none?.statistics.rows_read).toBe(0);
    });

    const rowsOfDatabase = async () =>
      (
        await world.owner.query({
          text: `select ${columns.postgres} from audit_feed f where action_time < '2025-03-01' order by f.position`,
          rowMode: 'array',
        })
      ).rows;
  });
});

const isText = (name: string) => name === 'position' || name === 'raw' || name === 'feed_id';
const columns = {
  clickHouse: fieldsOf.events
    .map(({ name, type }) => {
      if (type === 'timestamptz') return `toString(toUnixTimestamp64Micro(assumeNotNull(${name}))) as t_${name}`;
      return type === 'long' ? `toString(${name}) as t_${name}` : `${name} as t_${name}`;
    })
    .join(', '),
  postgres: fieldsOf.events
    .map(({ name, type }) => {
      if (type === 'timestamptz') return `(extract(epoch from ${name}) * 1000000)::bigint::text`;
      return isText(name) ? `${name}::text` : name;
    })
    .join(', '),
};
