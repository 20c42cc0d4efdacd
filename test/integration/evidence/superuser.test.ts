import { expect, test } from 'vitest';
import { verifyBlock } from '../../../src/evidence/stored/read-block.sql.ts';
import { dueBlocks } from '../../../src/evidence/stored/verify-forever.ts';
import { verifyTree } from '../../../src/evidence/stored/verify-tree.sql.ts';
import { type EvidenceWorld, worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { readsOf } from '../../support/evidence/stated-coverage.ts';
import { commit, entryText, FILTERS, seconds, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const DAY_MS = 86_400_000;
const coverage = { filters: [{ kind: 'organization', hash: FILTERS, text: '' }], everyMs: DAY_MS, lookMs: 0 };

/** Two sources, requests, a changed content, a hold, a month that was dropped; full tiles, and a partial one. */
const prepare = async (world: EvidenceWorld) => {
  await world.allowDrops();
  await world.build();
  await world.addEvents(600, 'a');
  await world.addEvents(40, 'old', { source: 'b', fromMs: Date.UTC(2025, 0, 5) });
  await world.addEvents(20, 'b', { source: 'b', fromMs: Date.UTC(2025, 10, 5) });
  const reads = readsOf(T0, T0 + 1_000_000, T0 + 2_000_000);
  await commit(world.pool, await takeLease(world.pool, 'a'), [], { claims: [seconds(0, 1_000)], reads });
  await commit(world.pool, await takeLease(world.pool, 'a'), [entryText('a-1', T0 + 1_000, { other: 'content' })]);
  await world.pool.query(`insert into holds (reason, created_by, since) values ('case 17', 'J. Doe', '2025-11-01')`);
  await world.build({ coverage });
  expect(await world.drop('2025-01')).toBeNull();
  await world.build({ coverage });
};
const world = worldOfAllTests(prepare);

/** All that the log finds in itself, as it would within a round. */
const faults = async (): Promise<readonly string[]> => [
  ...(await verifyTree(world.pool)),
  ...(await verifyBlock(world.pool, 0)),
];

/** As a superuser: no trigger, no check is in the way. What is done is undone. */
const asSuperuser = async <T>(sql: string, look: () => Promise<T>): Promise<T> => {
  const tables =
    'audit_events audit_event_changes evidence_log evidence_tiles evidence_statements evidence_sources evidence_checkpoints evidence_month_keys evidence_coverage evidence_reads coverage feed_head retention_drops'.split(
      ' ',
    );
  for (const table of tables) await world.pool.query(`create table saved_${table} as select * from ${table}`);
  const { rows: checks } = await world.pool.query<{ table: string; name: string; definition: string }>(
    `select conrelid::regclass::text as table, conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
     where contype = 'c' and conparentid = 0 and conrelid::regclass::text = any($1)`,
    [['audit_events', 'evidence_tiles']],
  );
  for (const { table, name } of checks) await world.pool.query(`alter table ${table} drop constraint ${name}`);
  await world.pool.query('set session_replication_role = replica');
  try {
    await world.pool.query(`set session_replication_role = replica; ${sql}; set session_replication_role = origin`);
    return await look();
  } finally {
    const restore = tables.map(
      (table) =>
        `delete from ${table}; insert into ${table} overriding system value select * from saved_${table}; drop table saved_${table};`,
    );
    await world.pool.query(
      `set session_replication_role = replica; ${restore.join('')} set session_replication_role = origin`,
    );
    for (const { table, name, definition } of checks)
      await world.pool.query(`alter table ${table} add constraint ${name} ${definition}`);
  }
};

test('as it is, the log holds', async () => {
  expect(await faults()).toEqual([]);
});

const columns = `(source_kind, source_id, organization_id, id, position, action_time, received_at, raw)`;
const copied = `select source_kind, source_id, organization_id, id || 'x', P, action_time, received_at, raw from audit_events where position = 5`;
const inserted = (position: string) => `insert into audit_events ${columns} ${copied.replace('P', position)}`;

/** Each finds something, without a command. */
const changes: readonly (readonly [what: string, sql: string])[] = [
  ['the content', `update audit_events set raw = '{"id":"other"}' where position = 5`],
  ['the content, by a space', `update audit_events set raw = (raw::text || ' ')::json where position = 5`],
  ['received_at', `update audit_events set received_at = received_at + interval '1 us' where position = 5`],
  ['action_time', `update audit_events set action_time = action_time + interval '1 us' where position = 5`],
  ['the id', `update audit_events set id = 'x' where position = 5`],
  ['defects', `update audit_events set defects = '{no_id}' where position = 5`],
  ['the organization', `update audit_events set organization_id = 'x' where position = 5`],
  ['the source', `update audit_events set source_id = 'b' where position = 5`],
  ['a deleted event', 'delete from audit_events where position = 5'],
  ['a deleted event at the end', 'delete from audit_events where position = (select max(position) from audit_events)'],
  ['a deleted month', `delete from audit_events where source_id = 'b' and action_time >= '2025-11-01'`],
  [
    'two positions swapped',
    'update audit_events set position = case position when 5 then 6 else 5 end where position in (5, 6)',
  ],
  ['a second event at a position', inserted('6')],
  ['an event at position 0', inserted('0')],
  ['an event at position -5', inserted('-5')],
  ['an event above the head', inserted('100000')],
  ['an event where a month was dropped', inserted('610')],
  ['the actor', `update audit_events set actor_email = 'mallory@example.com' where position = 5`],
  ['the type of an action', `update audit_events set action_type = 'x' where position = 5`],
  ['a statement', `update evidence_statements set text = replace(text, 'case 17', 'case 18') where type = 'hold'`],
  ['a deleted statement', `delete from evidence_statements where type = 'hold'`],
  ['the source of a statement', `update evidence_statements set source = 1 where type = 'hold'`],
  [
    'the hash of an event',
    `update evidence_tiles set hashes = overlay(hashes placing '\\x00'::bytea from 200) where level = 0 and n = 0`,
  ],
  [
    'the hash at the edge',
    `update evidence_tiles set hashes = overlay(hashes placing '\\x00'::bytea from 20) where level = 0 and n = 2`,
  ],
  ['a tile above', `update evidence_tiles set hashes = overlay(hashes placing '\\x00'::bytea from 20) where level = 1`],
  ['a deleted tile', 'delete from evidence_tiles where level = 0 and n = 1'],
  [
    'positions beside a tile',
    `update evidence_tiles set positions = overlay(positions placing '\\x09'::bytea from 40) where level = 0 and n = 1`,
  ],
  [
    'the first position of a tile',
    'update evidence_tiles set first_position = first_position + 1 where level = 0 and n = 1',
  ],
  [
    'numbers beside a tile',
    `update evidence_tiles set sources = overlay(sources placing '\\x02'::bytea from 40) where level = 0 and n = 0`,
  ],
  ['which source a number is', `update evidence_sources set id = 'c' where id = 'b'`],
  ['a chain', `update evidence_sources set chain = sha256('x') where number = 1`],
  ['a count', 'update evidence_sources set events = events + 1 where number = 1'],
  ['the key of a month', `update evidence_month_keys set key = sha256('x') where month = '2026-01'`],
  ['a deleted key of a month', `delete from evidence_month_keys where month = '2026-01'`],
  ['a row of requests', 'update evidence_reads set entries = entries + 1'],
  ['deleted requests', 'delete from evidence_reads'],
  ['a later content', `update audit_event_changes set raw = '{"id":"other"}'`],
  ['a deleted later content', 'delete from audit_event_changes'],
  ['wider coverage', `update coverage set proven = proven + '{[2020-01-01 00:00Z,2020-06-01 00:00Z)}'`],
  ['narrower coverage', `update coverage set proven = '{}'`],
  ['the root that was signed', `update evidence_checkpoints set root = sha256('x')`],
  ['another feed', 'update feed_head set feed_id = gen_random_uuid()'],
];

test.each(changes)('%s: found', async (_, sql) => {
  const found = await asSuperuser(sql, faults);
  expect(found).not.toEqual([]);
});

test('afterwards it holds again', async () => {
  expect(await faults()).toEqual([]);
});

test('a row that was deleted behind a forged drop is not stated, if the month is young or held', async () => {
  const forged = (month: string, older: string) => `delete from audit_events where position = 5;
    insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention, positions, dropped_at)
    values ('x', '${month}', 1, 0, 5, 5, 1, '${older}', '{[5,6)}', clock_timestamp())`;
  const young = await asSuperuser(forged('2026-11-01', '30 days'), async () => {
    const builder = world.open();
    await builder.build();
    return builder.stops;
  });
  expect(young).toEqual([expect.stringMatching(/^halted: the drop of 2026-11 at .* is not one of the retention/)]);
  const held = await asSuperuser(forged('2025-12-01', '1 day'), async () => {
    const builder = world.open();
    await builder.build();
    return builder.stops;
  });
  expect(held).toEqual([expect.stringMatching(/^halted: the drop of 2025-12 at .* is against hold/)]);
});

test('each block is due once in a week, whatever was missed; one at random each hour', () => {
  const HOUR_MS = 3_600_000;
  const verified = new Map<number, { block: number; atMs: number; hasFaults: boolean }>();
  const last = new Map<number, number>();
  let most = 0;
  for (let hour = 480_000; hour < 480_000 + 4 * 168; hour += 1) {
    // Some hours nothing runs.
    if (hour % 50 < 5) continue;
    for (const block of dueBlocks(hour * HOUR_MS, 611, [...verified.values()], () => 0.5)) {
      verified.set(block, { block, atMs: hour * HOUR_MS, hasFaults: false });
      if (block >= 0 && last.has(block)) most = Math.max(most, hour - (last.get(block) ?? hour));
      if (block >= 0) last.set(block, hour);
    }
  }
  expect([last.size, most <= 168 + 5]).toEqual([611, true]);
  const now = { atMs: 480_000 * HOUR_MS, hasFaults: true };
  expect(dueBlocks(480_001 * HOUR_MS, 1, [{ block: 0, ...now }], () => 0)).toContain(0);
});
