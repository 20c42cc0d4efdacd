import { Client, type Pool } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { noteAccess } from '../../../src/postgres/access/access-log.sql.ts';
import { createAccessToken } from '../../../src/postgres/access/tokens.sql.ts';
import { sqlState } from '../../../src/postgres/sql-state.ts';
import { claimSink, registerSinks } from '../../../src/sinks/delivery-store.sql.ts';
import { readSinkStatus } from '../../../src/sinks/sink-status.sql.ts';
import { sourceHealth } from '../../../src/status/health.ts';
import { sinkState } from '../../../src/status/source-state.ts';
import { readStatus } from '../../../src/status/status.sql.ts';
import { type HostileStatement, hostileCalls, hostileWrites } from '../../support/accounts/hostile-calls.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commit, entryText, FILTERS, LEASE_MS, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { words } from '../../support/process/words.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const database = databaseOfTests();
/** A connection of the account that was stolen. */
const thief = ofAllTests(() => new Client({ connectionString: database.daemonUrl }));
let known: Readonly<Record<string, string>>;
beforeAll(async () => {
  const { pool } = database;
  const lease = await newSource(pool, 'org');
  // Read until an hour ago; nothing has been read since. So the truth is: behind.
  const nowMs = Date.now();
  await pool.query(
    "update sources set wanted_since = now() - interval '1 day', wanted_history = '1 day', last_event_at = now()",
  );
  const result = await commit(
    pool,
    lease,
    Array.from({ length: EVENTS }, (_, n) => entryText(`e-${n}`, T0 + n)),
    {
      claims: [[{ fromMs: nowMs - 25 * HOUR_MS, toMs: nowMs - HOUR_MS }]],
    },
  );
  if (result.kind !== 'committed') throw new Error('fenced');
  await pool.query("update audit_events set received_at = now() - interval '1 hour'");
  await registerSinks(pool, [{ name: 'siem', kind: 'file', target: '/x', start: 'beginning' }]);
  const turn = await claimSink(pool, 'siem', lease.owner, LEASE_MS);
  await thief.connect();
  known = {
    p_kind: "'organization'",
    p_source_id: "'org'",
    p_organization_id: "'org'",
    p_owner: `'${lease.owner}'`,
    p_commit_seq: String(result.lease.commitSeq),
    p_lease_ms: '30000',
    p_lane: "'live'",
    p_filter_hash: `'${FILTERS}'`,
    p_known_from: "'-infinity'",
    p_known_to: "'infinity'",
    p_name: "'siem'",
    p_until: String(EVENTS),
    p_detection: "'member_added'",
    p_reason: "'harm'",
    p_by: "'thief'",
    // Of both kinds of turn: each function looks at its own.
    p_epoch: 'epoch' in turn ? String(turn.epoch) : '0',
    p_state: 'null',
    p_holes: 'null',
    p_reading: 'null',
    p_page_entries: '0',
    p_walk_since_ms: 'null',
    p_last_event_ms: 'null',
    p_event_rate: 'null',
    p_recent_event_rate: 'null',
    p_refused: "'{}'",
    p_reasons: "'{}'",
    since: 'now()',
    until: 'now()',
    p_claim_passes: "'{0}'",
    p_claim_ranges: "array['{[,)}']",
  };
  expect(lease.epoch, 'one number for both').toBe('epoch' in turn ? turn.epoch : 0);
});

test('before anything is tried, the watchers say that the source and the sink are behind', async () => {
  await thief.query('begin');
  expect(await watch()).toMatchObject({
    sources: ['behind'],
    sinks: [{ position: 0, state: 'behind' }],
    gone: 0,
    position: EVENTS,
  });
  await thief.query('rollback');
});

describe('who takes the password of the collector', () => {
  test('writes to few tables, and by none of that do source and sink look well', async () => {
    const written = new Set<string>();
    const found: string[] = [];
    // Refused for want of the right to it, a column is refused with every other value.
    const withoutRight = new Set<string>();
    for (const statement of await hostileWrites(database.pool)) {
      const [right = ''] = statement.sql.split(' = ');
      if (withoutRight.has(right)) continue;
      const { seen, refusedBy } = await attempt(statement);
      expect(refusedBy, statement.sql).not.toBe('57014');
      if (refusedBy === '42501') withoutRight.add(right);
      if (seen === undefined) continue;
      written.add(statement.what);
      const well = [
        ...(seen.sources.some((state) => state === 'fresh' || state === 'quiet') ? ['the source looks well'] : []),
        ...(seen.sources.length + seen.gone === 0 ? ['the source is not to be seen'] : []),
        ...(seen.sinks[0]?.state === 'ok' ? ['the sink looks well'] : []),
      ];
      found.push(...[...faults(seen), ...well].map((fault) => `${statement.sql}: ${fault}`));
    }
    expect(found).toEqual([]);
    expect([...written].sort()).toEqual([
      // Derived: docs/places.md.
      'delete address_places',
      // This ends sessions of the console, and hides nothing.
      'delete console_sessions',
      'update account_listings',
      'update account_organizations',
      'update accounts',
      'update address_places',
      'update api_budget',
      'update discovery',
      'update organizations',
      'update place_head',
      'update sources',
    ]);
  });

  test('calls every function that it may with hostile arguments: nothing lies beyond the truth, and no call lasts', async () => {
    const calls = await hostileCalls(database.pool, 'orgtrail_test_daemon', known);
    const done = new Set<string>();
    const found: string[] = [];
    for (const statement of calls) {
      const { seen, refusedBy } = await attempt(statement);
      expect(refusedBy, statement.sql).not.toBe('57014');
      if (seen === undefined) continue;
      done.add(statement.what);
      found.push(...faults(seen).map((fault) => `${statement.sql}: ${fault}`));
    }
    expect(found).toEqual([]);
    // A call that all are refused would have shown nothing. These take only what the database holds (test/integration/archive/archive.test.ts), or who
    // has proven a token (test/integration/http/sessions.test.ts, operations.test.ts).
    const names = new Set(calls.map(({ what }) => what));
    expect([...names].filter((name) => !done.has(name)).sort()).toEqual([
      ...[
        'attach_thaw',
        'begin_thaw',
        'check_thaw',
        'facts_of',
        'fail_thaw',
        'find_thawed',
        'hold_thaw',
        'index_thaw',
      ].map((name) => `call orgtrail_${name}`),
      'call orgtrail_note_archived',
      'call orgtrail_order',
      'call orgtrail_take_snapshot',
    ]);
    expect(names.size).toBeGreaterThan(15);
  });

  test('reads nothing of the trail of access, and of tokens no more than the day on which each was last used', async () => {
    await createAccessToken(
      { pool: database.pool },
      {
        name: 'jane',
        scopes: ['search'],
        expiresAt: undefined,
        seesAccessLog: true,
      },
    );
    const note = { kind: 'search', outcome: 'ok', address: '::1', route: 'GET /events', requests: 1 } as const;
    await noteAccess(database.pool, [{ ...note, who: 'jane', what: { actor: 'thief@example.com' } }]);
    const learned: string[] = [];
    const calls = await hostileCalls(database.pool, 'orgtrail_test_daemon', {
      ...known,
      p_token: "'jane'",
      p_who: "'jane'",
    });
    const reads = calls.filter(({ what }) => /access_log|token_use|prove_session/.test(what));
    expect(new Set(reads.map(({ what }) => what)).size).toBe(4);
    for (const { sql } of reads) {
      await thief.query('begin');
      await thief.query(
        "insert into console_sessions (key, token_id, expires_at) select sha256('x'), id, now() + interval '1 hour' from access_tokens",
      );
      const { rows } = await thief.query(sql).catch(() => ({ rows: [] }));
      await thief.query('rollback');
      learned.push(...rows.map((row) => JSON.stringify(Object.values(row).filter((value) => value !== null))));
    }
    expect([...new Set(learned)].map((row) => row.replace(/\d{4}-[^)"]*/, 'DAY')).sort()).toEqual([
      '["1","DAY"]',
      '["none"]',
      '[false]',
    ]);
  });

  test('a sink goes back by no call, and no further than the feed', async () => {
    const { rows } = await database.pool.query<{ epoch: number }>(
      "select lease_epoch::float8 as epoch from sinks where name = 'siem'",
    );
    const epoch = rows[0]?.epoch;
    await thief.query('begin');
    try {
      await thief.query(`select orgtrail_finish_delivery('siem', ${epoch}, 10, 10, 0, '{}', '{}', 30000)`);
      for (const until of [9, EVENTS + 1, 9_000_000_000]) {
        for (const call of [
          `finish_delivery('siem', ${epoch}, ${until}, 0, 0, '{}', '{}', 1)`,
          `skip_events('siem', ${epoch}, ${until}, 1)`,
        ]) {
          await thief.query('savepoint before_call');
          await expect(thief.query(`select orgtrail_${call}`), call).rejects.toThrow(/may not go/);
          await thief.query('rollback to savepoint before_call');
        }
      }
      expect((await watch()).sinks).toMatchObject([{ position: 10 }]);
    } finally {
      await thief.query('rollback');
    }
  });

  test.each([
    ["'1000-01-01', '1200-01-01'", /2009/],
    ["'2009-01-01', now() + interval '4 months'", /three months/],
    ["'-infinity', 'infinity'", /2009/],
    ['null, null', /2009/],
  ])('makes no months of (%s)', async (range, words) => {
    await expect(thief.query(`select orgtrail_create_partitions(${range})`)).rejects.toThrow(words);
  });

  test('claims no time beyond a minute from now, however it is asked for: what it hides ends by then', async () => {
    const claim = hostileCalls(database.pool, 'orgtrail_test_daemon', known);
    const honest = (await claim).find(({ what }) => what === 'call orgtrail_commit_page_2');
    if (honest === undefined) throw new Error('no such call');
    const { seen } = await attempt(honest);
    expect(seen?.ahead).toBeGreaterThan(0);
    expect(seen?.ahead).toBeLessThanOrEqual(60);
  });
});

test('whatever it locks, a replica starts and says what is wrong', async () => {
  await using world = await openWorld({ organizations: 1, entries: 10 });
  const locker = new Client({ connectionString: world.database.daemonUrl });
  await locker.connect();
  try {
    await locker.query(`begin; select pg_advisory_xact_lock(7045662113),
      pg_advisory_xact_lock(hashtext('orgtrail_create_partitions')), pg_advisory_xact_lock(hashtext('orgtrail_drop_month'))`);
    const { rows } = await locker.query<{ name: string }>(
      `select c.oid::regclass::text as name from pg_class c
       where c.relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace) and c.relkind in ('r', 'p') and not c.relispartition`,
    );
    const locked: string[] = [];
    for (const { name } of rows) {
      await locker.query('savepoint before_lock');
      await locker.query(`lock table ${name} in access exclusive mode`).then(
        () => locked.push(name),
        () => locker.query('rollback to savepoint before_lock'),
      );
    }
    expect(locked.sort()).toEqual(
      words(`
      account_listings account_organizations accounts address_places api_budget console_sessions discovery organizations
      place_head sources`),
    );
    await using daemon = await startDaemonProcess(world.env);
    expect((await daemon.get('/livez')).code).toBe(200);
    await until('it says what is wrong', async () => (await daemon.get('/readyz')).code === 503);
    await locker.query('rollback');
  } finally {
    await locker.end();
  }
});

const HOUR_MS = 3_600_000;
const PAUSES = { tickMs: 30_000, longestMs: 30_000 };
const EVENTS = 20;
/** Far longer than any of these statements takes, and far shorter than what would hurt a server. */
const SLOWEST_MS = 20_000;

/** What the watchers see, within the transaction of the thief. */
const watch = async () => {
  const pool = thief as unknown as Pool;
  const status = await readStatus(pool);
  const sinks = await readSinkStatus(pool, undefined);
  const { rows } = await thief.query<{ ahead: number | null; positions: number; last: number; events: number }>(
    `select (select extract(epoch from max(upper(ranges)) - clock_timestamp()) from coverage)::float8 as ahead,
       (select position from feed_head)::float8 as positions, (select coalesce(max(position), 0) from audit_events)::float8 as last,
       (select count(*) from audit_events)::float8 as events`,
  );
  const [row] = rows;
  return {
    sources: status.sources.map((source) => sourceHealth(source, PAUSES)),
    sinks: sinks.map((sink) => ({ position: sink.position, state: sinkState(sink) })),
    gone: status.gone.length,
    ahead: row?.ahead ?? 0,
    position: status.position,
    last: row?.last ?? 0,
    events: row?.events ?? 0,
  };
};

type Seen = Awaited<ReturnType<typeof watch>>;

/** Runs it as the thief, looks, and undoes it. Undefined: it was refused. */
const attempt = async ({ sql }: HostileStatement): Promise<{ readonly seen?: Seen; readonly refusedBy?: string }> => {
  await thief.query(`begin; set local statement_timeout = ${SLOWEST_MS}; set local lock_timeout = ${SLOWEST_MS}`);
  try {
    await thief.query(sql);
    return { seen: await watch() };
  } catch (error) {
    return { refusedBy: sqlState(error) ?? String(error) };
  } finally {
    await thief.query('rollback');
  }
};

/** What no statement may bring about, whatever it is; the words say which of it did. */
const faults = ({ ahead, position, last, events, sinks }: Seen): string[] => [
  ...(ahead > 61 ? [`coverage reaches ${ahead} s beyond now`] : []),
  ...(position !== last || events < EVENTS
    ? [`the feed ends at ${position}, and its events at ${last} (${events})`]
    : []),
  ...sinks.flatMap((sink) => (sink.position > position || sink.position < 0 ? [`a sink is at ${sink.position}`] : [])),
];
