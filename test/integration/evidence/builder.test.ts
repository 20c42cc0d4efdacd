import { beforeEach, describe, expect, test } from 'vitest';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest();
const pool = poolOfTests(world);

describe('the builder', () => {
  test('makes leaves of what is stored, states genesis and sources, and signs: the database verifies', async () => {
    await world.addEvents(300, 'a');
    const { build, signed } = world.open();
    expect(await build()).toMatchObject({ kind: 'done', size: 300 });
    expect(signed.map(({ log, size }) => [log, size])).toEqual([
      ['events', 300],
      ['journal', 2],
    ]);
    expect(await kindsAndRefs()).toEqual(['genesis 1', 'source organization/a']);
    const report = await world.verified();
    expect(report.claims.join('\n')).toContain('of 300 events 300 are as they were hashed');
    expect(report.notClaimed.join('\n')).toContain('what happened to the first 300 events before they were hashed');
  });

  test('is one at a time: another one waits for the lease, and what an earlier holder has under way is refused', async () => {
    await world.addEvents(10, 'a');
    const first = world.open();
    const second = world.open({ owner: 'other-host/1/y' });
    const early = await first.claim();
    expect(await second.claim()).toBeUndefined();
    await pool.query('update evidence_logs set lease_until = clock_timestamp()');
    await second.build();
    await world.addEvents(10, 'more');
    expect(await first.builder.step(early as NonNullable<typeof early>)).toEqual({ kind: 'stale', size: 10 });
    const { rows } = await pool.query(`select size::integer from evidence_logs where name = 'events'`);
    expect(rows).toEqual([{ size: 10 }]);
  });

  test('signs nothing over a hole that nothing explains, and goes on once it is explained (invariant 15)', async () => {
    const { build, stops, signed } = world.open();
    await build();
    const before = signed.length;
    await world.addEvents(20, 'a');
    await pool.query('create table taken as select * from audit_events where position = 7');
    await pool.query('delete from audit_events where position = 7');
    expect(await build()).toMatchObject({ kind: 'stopped' });
    expect(stops).toEqual(['halted: position 7 has no event, and neither a drop nor a jump says why']);
    expect(signed).toHaveLength(before);
    await pool.query('insert into audit_events select * from taken');
    expect(await build()).toMatchObject({ kind: 'done', size: 20 });
    const { rows } = await pool.query(`select state from evidence_logs where name = 'events'`);
    expect(rows).toEqual([{ state: 'ok' }]);
    await world.verified();
  });

  test('states legal holds and changed content, once each', async () => {
    const { build } = world.open();
    await world.addEvents(3, 'a');
    await commit(pool, await takeLease(pool, 'a'), [entryText('a-1', T0 + 1_000, { other: 'content' })]);
    await pool.query(`insert into holds (reason, created_by) values ('case 17', 'J. Doe')`);
    await build();
    await pool.query(`update holds set released_at = clock_timestamp(), released_as = session_user`);
    await build();
    await build();
    const journal = await world.journal();
    expect(journal.map(({ kind, ref }) => `${kind} ${ref}`)).toEqual([
      'genesis 1',
      'hold 1/added',
      'change 1',
      'source organization/a',
      'hold 1/released',
    ]);
    expect(journal[1]).toMatchObject({ reason: 'case 17', since: null, before: null, released_at: null });
    expect(journal[2]).toMatchObject({ position: 2, event_id: 'a-1' });
    await world.verified();
  });

  test('refuses a key and an origin that are not those of the log', async () => {
    await world.build();
    await expect(openBuilder(pool, newSigner()).build()).rejects.toThrow('the key is not the one');
    await expect(world.open({ base: 'other.example.com' }).build()).rejects.toThrow(
      /the evidence of this database is of audit.example.com/,
    );
  });
});

describe('a month that is dropped', () => {
  beforeEach(() => world.allowDrops());

  test('must have been hashed; it takes its key with it, and is stated with its positions', async () => {
    const { build } = world.open();
    await build();
    await world.addEvents(10, 'early', { fromMs: Date.UTC(2025, 0, 5) });
    await world.addEvents(5, 'late', { fromMs: Date.UTC(2025, 1, 5) });
    await world.addEvents(10, 'early', { source: 'b', fromMs: Date.UTC(2025, 0, 5) });
    expect(await world.drop('2025-01')).toBe('the evidence is at position 0, and still needs events up to 25');
    await build();
    expect(await world.drop('2025-01')).toBeNull();
    const { rows: keys } = await pool.query('select month from evidence_month_keys');
    expect(keys).toEqual([{ month: '2025-02' }]);
    await build();
    const journal = await world.journal();
    expect(journal.at(-1)).toMatchObject({
      kind: 'drop',
      month: '2025-01',
      events: 20,
      positions: [
        [1, 11],
        [16, 26],
      ],
      part: 1,
      parts: 1,
    });
    const report = await world.verified();
    expect(report.claims.join('\n')).toContain('of 25 events 5 are as they were hashed, 20 were dropped');
    // A late event of that month has a key of its own, and a drop of its own.
    await world.addEvents(1, 'straggler', { fromMs: Date.UTC(2025, 0, 6) });
    await build();
    await world.verified();
  });

  test('before a legal hold was added, and is stated after it, is not held against the database', async () => {
    const { build } = world.open();
    await world.addEvents(10, 'early', { fromMs: Date.UTC(2025, 0, 5) });
    await build();
    expect(await world.drop('2025-01')).toBeNull();
    await pool.query(`insert into holds (reason) values ('case')`);
    await build();
    const journal = await world.journal();
    expect(journal.slice(-2).map(({ kind }) => kind)).toEqual(['hold', 'drop']);
    const report = await world.verified();
    expect(report.notClaimed).toContain(
      'that month 2025-01 was dropped before legal hold 1 was added, as its drop says',
    );
  });

  test('before there was evidence is a hole, and no statement', async () => {
    await world.addEvents(10, 'early', { fromMs: Date.UTC(2025, 0, 5) });
    await world.addEvents(5, 'late', { fromMs: Date.UTC(2025, 1, 5) });
    expect(await world.drop('2025-01')).toBeNull();
    const { build } = world.open();
    await build();
    expect(await kindsAndRefs()).toEqual(['genesis 1', 'source organization/a']);
    const report = await world.verified();
    expect(report.claims.join('\n')).toContain(
      'of 15 events 5 are as they were hashed, 0 were dropped as stated, and 10',
    );
  });

  test('is not dropped while the log is forked', async () => {
    await world.addEvents(10, 'early', { fromMs: Date.UTC(2025, 0, 5) });
    await world.build();
    await pool.query(`update evidence_logs set state = 'forked'`);
    expect(await world.drop('2025-01')).toBe('the evidence is forked, and cannot state what is dropped');
  });
});

describe('a database that went back', () => {
  test('a failover, seen by a process that may not know all that was signed: forked', async () => {
    await world.addEvents(10, 'a');
    await world.build();
    await pool.query(`update evidence_logs set timeline = 'of the lost server'`);
    const { build, stops, signed } = world.open();
    expect(await build()).toMatchObject({ kind: 'stopped' });
    expect(stops[0]).toMatch(/^forked: the database failed over or was restored/);
    expect(signed).toEqual([]);
    const { rows } = await pool.query('select state from evidence_logs');
    expect(rows).toEqual([{ state: 'forked' }, { state: 'forked' }]);
  });
});

const kindsAndRefs = async () => (await world.journal()).map(({ kind, ref }) => `${kind} ${ref}`);
