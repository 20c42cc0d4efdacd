import { beforeEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import { listFindings } from '../../../src/sinks/findings/list-findings.sql.ts';
import { readOwnDetections } from '../../../src/sinks/findings/own-detections.sql.ts';
import {
  type FindingsRange,
  readDetections,
  readFindingHead,
  readFindings,
} from '../../../src/sinks/findings/read-findings.sql.ts';
import { noteFindings, wantDetections } from '../../../src/sinks/findings/record-findings.sql.ts';
import { readDeadLetters } from '../../../src/sinks/sink-status.sql.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { askedFindings } from '../../support/findings/asked-findings.ts';
import { withLock } from '../../support/postgres/lock-waits.ts';
import { commitAll, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';
import { newAccountSource, userEntryText } from '../../support/sync/account-source.ts';

const { pool, daemonUrl, register, status, reaches, work } = useSinkDatabase(async () => {});
let lease: Lease;
let nowMs: number;
beforeEach(async () => {
  await pool().query('truncate audit_events, findings, finding_head, sinks, retention_drops restart identity cascade');
  await pool().query('update feed_head set position = 0');
  lease = await newSource(pool(), 'org');
  nowMs = Date.now();
});

describe('what the detections find is noted', () => {
  test('never before a sink requires it; then from the end of the feed on, or from its beginning', async () => {
    await store(token('before'));
    expect(await note()).toBeUndefined();
    await wantDetections(pool(), false);
    await store(token('after'));
    expect(await note()).toEqual({ position: 2, head: 2, found: 1 });
    expect(await named()).toEqual(['after api_token_changed']);
    await pool().query('truncate findings, finding_head');
    await wantDetections(pool(), true);
    // A later sink changes nothing.
    await wantDetections(pool(), false);
    await note();
    expect(await named()).toEqual(['before api_token_changed', 'after api_token_changed']);
  });

  test('once each, however often it is asked, and what comes late is found when it comes', async () => {
    await wantDetections(pool(), false);
    await store(token('a'), harmless('b'));
    expect(await note()).toEqual({ position: 2, head: 2, found: 1 });
    expect(await note()).toEqual({ position: 2, head: 2, found: 0 });
    // The collector was away for a week, and then a month of history came as well.
    await store(token('a week ago', 7 * DAY_MS), token('a year ago', 365 * DAY_MS));
    expect(await note()).toEqual({ position: 4, head: 4, found: 2 });
    const found = ['a', 'a week ago', 'a year ago'].map((id) => `${id} api_token_changed`);
    expect(await named()).toEqual(found);
  });

  test('a burst whose middle comes last, step by step', async () => {
    await wantDetections(pool(), false);
    const deeds = Array.from({ length: 10 }, (_, n) => deleted(`delete-${n}`, 10 * MINUTE_MS - n * 10_000));
    await store(...deeds.filter((_, n) => n !== 4));
    await noteAll(2);
    expect(await named()).toEqual([]);
    await store(harmless('x'), deeds[4] ?? '', harmless('y'));
    await noteAll(1);
    const { rows } = await pool().query(
      'select detection, id, position::integer, event_position::integer, events from findings',
    );
    expect(rows).toEqual([{ detection: 'delete_burst', id: 'delete-9', position: 11, event_position: 9, events: 10 }]);
  });

  test('by one replica at a time: another one does not wait for it', async () => {
    await wantDetections(pool(), false);
    await store(token('a'));
    await withLock(pool(), 'select from finding_head for update', async () => expect(await note()).toBeUndefined());
    expect(await note()).toMatchObject({ found: 1 });
  });

  test('and forgotten with its month', async () => {
    await wantDetections(pool(), false);
    await store(token('old', 400 * DAY_MS), token('young'));
    await note();
    await pool().query(
      `insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention)
       values ('x', date_trunc('month', $1::timestamptz at time zone 'UTC')::date, 1, 0, 1, 1, 1, '1 year')`,
      [new Date(nowMs - 400 * DAY_MS)],
    );
    expect(await named()).toEqual(['young api_token_changed']);
  });
});

describe('a sink of findings', () => {
  test('reads whole positions, in order, and no further than the detections have been asked', async () => {
    await wantDetections(pool(), false);
    await store(token('a', MINUTE_MS, true), token('b'), harmless('c'));
    await note();
    await store(token('d'));
    const first = await read({ maxEvents: 1 });
    expect(first.events.map(({ finding }) => finding.detection)).toEqual(['api_token_changed', 'api_token_wide_scope']);
    expect(first).toMatchObject({ scannedTo: 1, isFull: true });
    expect(await read({ after: 1 })).toMatchObject({ scannedTo: 3, isFull: false, events: [{ id: 'b' }] });
    expect(await read({ after: 3 })).toMatchObject({ scannedTo: 3, events: [] });
    expect(await read({ after: 4 })).toMatchObject({ scannedTo: 4, events: [] });
    expect(await read({ until: 1 })).toMatchObject({ scannedTo: 1, events: [{}, {}] });
    expect(await named({ minSeverity: 'high' })).toEqual(['a api_token_wide_scope']);
    expect(await named({ organizationIds: ['other'] })).toEqual([]);
    expect(await named({ organizationIds: ['org'] })).toHaveLength(3);
  });

  test('is not sent what happened before it was known, nor what is too old, and counts the latter', async () => {
    await wantDetections(pool(), false);
    await register('chat', { start: 'now' });
    await store(token('history', 20 * DAY_MS), token('new', -MINUTE_MS));
    await note();
    expect(await named({ startsNow: true })).toEqual(['new api_token_changed']);
    // A sink that has been there for a month.
    await pool().query("update sinks set created_at = now() - interval '1 month'");
    const month = await read({ startsNow: true, maxAgeMs: 10 * DAY_MS });
    expect(month).toMatchObject({ tooOld: 1, events: [{ id: 'new' }] });
  });

  test('gets each once, goes on after a stop, and the one of a position that is refused is a dead letter', async () => {
    await wantDetections(pool(), false);
    await register('chat');
    await store(token('a', MINUTE_MS, true), token('b'));
    await note();
    const sink = createTestSink(({ events }) =>
      events.some(({ finding }) => finding?.detection === 'api_token_wide_scope')
        ? { kind: 'refused', reason: 'no such channel' }
        : { kind: 'delivered', refused: [] },
    );
    const start = () => work('chat', sink, { stream: 'detections' });
    {
      await using _ = start();
      await until('two are dealt with', async () => (await status('chat')).position === 2);
    }
    await store(token('c'));
    await note();
    {
      await using _ = start();
      await until('all are dealt with', async () => (await status('chat')).position === 3);
    }
    expect(sink.received()).toEqual([1, 2, 3]);
    expect(await readDeadLetters(pool(), 'chat', 10)).toMatchObject([{ position: 1, reason: 'no such channel' }]);
    expect(await readFindingHead(pool())).toBe(3);
    const keys = sink.deliveries.flatMap(({ events }) => events.map(({ key }) => key));
    expect(new Set(keys).size).toBe(4);
  });
});

test('a finding about a user reaches a sink of any account that has a copy, once for each sink, also if the copy comes later', async () => {
  await wantDetections(pool(), false);
  const signIn = (account: string) =>
    userEntryText(
      'token',
      account,
      { resource: { scope: 'user', type: 'api_token' }, raw: { method: 'POST', uri: '/user/tokens' } },
      nowMs - MINUTE_MS,
    );
  const storeIn = async (account: string, text: string, organization?: string) => {
    await commitAll(pool(), await newAccountSource(pool(), account, organization), [[text]]);
  };
  const ofEach = async () => {
    const filters: Partial<FindingsRange>[] = [
      {},
      { accountIds: ['a'] },
      { accountIds: ['b'] },
      { accountIds: ['c'] },
      { accountIds: ['a', 'c'] },
      { accountIds: ['b', 'c'] },
      { organizationIds: ['org'] },
    ];
    const found = await Promise.all(filters.map((filter) => read(filter)));
    return found.map(({ events }) => events.map(({ position, accountId }) => `${accountId}@${position}`).join(' '));
  };
  await storeIn('a', signIn('a'));
  await storeIn('b', signIn('b'));
  // An entry of the account itself is no copy of anything.
  await storeIn('b', userEntryText('own', 'b', { resource: { scope: 'accounts' } }, nowMs - MINUTE_MS));
  await note();
  expect(await ofEach()).toEqual(['a@1', 'a@1', 'b@2', '', 'a@1', 'b@2', '']);
  await store(harmless('between'));
  await storeIn('c', signIn('c'), 'org');
  await noteAll(1);
  expect(await ofEach()).toEqual(['a@1', 'a@1', 'b@2', 'c@5', 'a@1', 'b@2', 'c@5']);
  expect(await note(), 'noted once').toMatchObject({ found: 0 });
  const { rows } = await pool().query('select count(*)::integer as n from findings where copies_of_position is null');
  expect(rows).toEqual([{ n: 1 }]);

  const sinks = { b: createTestSink(), all: createTestSink() };
  for (const name of ['b', 'all']) await register(name);
  await using _b = work('b', sinks.b, { stream: 'detections', accountIds: ['b'] });
  await using _all = work('all', sinks.all, { stream: 'detections' });
  for (const name of ['b', 'all']) await reaches(name, 5);
  expect([sinks.b.received(), sinks.all.received()]).toEqual([[2], [1]]);
});

test('the list of the console has a finding for each organization with a copy of its entry', async () => {
  await newSource(pool(), 'other');
  const text = (account: string) =>
    userEntryText(
      'token',
      account,
      { resource: { scope: 'user', type: 'api_token' }, raw: { method: 'POST', uri: '/user/tokens' } },
      nowMs - MINUTE_MS,
    );
  for (const [account, organization] of [
    ['a', 'org'],
    ['b', 'other'],
  ] as const) {
    await commitAll(pool(), await newAccountSource(pool(), account, organization), [[text(account)]]);
  }
  const list = async (organization: string | undefined) =>
    (await listFindings(pool(), askedFindings(nowMs - DAY_MS, { organization }))).findings.map(({ id }) => id);
  expect(await list(undefined)).toEqual(['token']);
  expect(await list('org')).toEqual(['token']);
  expect(await list('other')).toEqual(['token']);
  expect(await list('third')).toEqual([]);
});

describe('detections of the operator', () => {
  const viewOf = (name: string, where: string, more = '') =>
    pool().query(
      `create view orgtrail_detections.${name} as select t.*, 'high'::text as severity${more} from audit_event_traits t where ${where}`,
    );
  beforeEach(async () => {
    await pool().query(
      'drop schema if exists orgtrail_detections cascade; create schema orgtrail_detections; delete from own_detections',
    );
    await wantDetections(pool(), false);
  });

  test('are noted, listed and sent as ours are, from the next event on', async () => {
    await store(deleted('before', MINUTE_MS));
    await note();
    await viewOf('deletions', 'deletes', ', 3 as events');
    await viewOf('api_token_changed', 'true');
    await store(deleted('a', MINUTE_MS), token('b'), deleted('c', 400 * DAY_MS));
    await note();
    expect(await named()).toEqual(['a deletions', 'b api_token_changed', 'c deletions']);
    expect((await read()).events[0]?.finding).toMatchObject({ severity: 'high', events: 3, eventPosition: 2 });
    const list = await listFindings(pool(), askedFindings(nowMs - DAY_MS, { detection: 'deletions' }));
    expect(list.findings).toMatchObject([
      { id: 'a', detection: 'deletions', severity: 'high', actor: 'mira@example.com' },
    ]);
    expect(list.counts).toContainEqual({ detection: 'deletions', severity: 'high', found: 1, muted: 0 });
    const asked = { since: new Date(0).toISOString(), minSeverity: 'low', detection: 'deletions', limit: 10 } as const;
    expect((await readDetections(pool(), asked)).map(({ position }) => position)).toEqual([2, 4]);
    expect((await readOwnDetections(pool())).map(({ name, faults }) => [name, faults])).toEqual([
      ['api_token_changed', ['a detection of orgtrail has this name']],
      ['deletions', []],
    ]);
  });

  test('that fail are asked again from where they stand, at positions that sinks still read; ours do not wait', async () => {
    await viewOf('broken', "deletes and 1 / (position('x' in id) - 1) > -2");
    await store(deleted('xa', MINUTE_MS), token('b'));
    expect(await note()).toMatchObject({ position: 2, head: 2, found: 1 });
    expect(await named()).toEqual(['b api_token_changed']);
    expect(await readOwnDetections(pool())).toMatchObject([
      { name: 'broken', position: 0, askedAt: null, faults: ['it failed: division by zero'] },
    ]);
    await pool().query(
      "create or replace view orgtrail_detections.broken as select t.*, 'high'::text as severity from audit_event_traits t where deletes",
    );
    await store(harmless('c'));
    await note();
    expect(await named({ after: 2 })).toEqual(['xa broken']);
    expect((await read({ after: 2 })).events).toMatchObject([{ position: 3, finding: { eventPosition: 1 } }]);
    expect(await readOwnDetections(pool())).toMatchObject([{ name: 'broken', position: 3, faults: [] }]);
    await pool().query('drop view orgtrail_detections.broken');
    await viewOf('slow', 'deletes and pg_sleep(600) is not null');
    await pool().query(
      'create view orgtrail_detections.void as select t.*, null::text as severity from audit_event_traits t where deletes',
    );
    await store(deleted('d', MINUTE_MS), token('e'));
    expect(await noteFindings(pool(), ALL, 500)).toMatchObject({ found: 1 });
    expect(await named({ after: 3 })).toEqual(['e api_token_changed']);
    expect((await readOwnDetections(pool())).map(({ faults }) => faults)).toEqual([
      ['it failed: canceling statement due to statement timeout'],
      [expect.stringContaining('it failed: null value in column "severity"')],
    ]);
    await pool().query('drop view orgtrail_detections.void');
    // A lock on the view holds up no other, either.
    await withLock(pool(), 'alter view orgtrail_detections.slow rename to slow_2', async () => {
      await store(token('f'));
      expect(await noteFindings(pool(), ALL, 500)).toMatchObject({ found: 1 });
    });
    await pool().query('drop view orgtrail_detections.slow');
    expect(await readOwnDetections(pool())).toEqual([]);
  });

  test('that belong to another account are never asked: their functions would run with the rights of the owner', async () => {
    await using login = await createLogin({ url: daemonUrl(), pool: pool() }, ['orgtrail_reader']);
    await pool().query(
      `grant usage, create on schema orgtrail_detections to ${login.name}; grant select on audit_event_traits to ${login.name}`,
    );
    await login.pool.query(
      "create function orgtrail_detections.seize() returns text language plpgsql as $$ begin raise exception 'as %', current_user; end $$",
    );
    await login.pool.query(
      'create view orgtrail_detections.trap as select t.*, orgtrail_detections.seize() as severity from audit_event_traits t',
    );
    await login.pool.query('create materialized view orgtrail_detections.trap_2 as select 1 as position');
    await store(token('a'));
    await note();
    expect(await named()).toEqual(['a api_token_changed']);
    const rules = await readOwnDetections(pool());
    expect(rules.map(({ name, position }) => [name, position])).toEqual([
      ['trap', null],
      ['trap_2', null],
    ]);
    expect(rules[0]?.faults).toEqual([expect.stringContaining(`it belongs to ${login.name}: only views of `)]);
    expect(rules[1]?.faults).toEqual([
      'it is no view',
      expect.stringContaining('it belongs to '),
      expect.stringMatching(
        /^it lacks action_result \(text\), action_time \(timestamp with time zone\).*severity \(text\)/,
      ),
    ]);
    await pool().query('drop schema orgtrail_detections cascade');
  });
});

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const ALL = 50_000;

const store = async (...entries: readonly string[]): Promise<void> => {
  const committed = await commitAll(pool(), lease, [entries]);
  lease = committed.at(-1)?.lease ?? lease;
};

const entry = (id: string, agoMs: number, action: object, more: object = {}): string =>
  entryText(id, nowMs - agoMs, {
    action: { result: 'success', time: new Date(nowMs - agoMs).toISOString(), ...action },
    ...more,
  });

const harmless = (id: string, agoMs = MINUTE_MS): string => entry(id, agoMs, { type: 'view' });

const deleted = (id: string, agoMs: number): string =>
  entry(id, agoMs, { type: 'delete' }, { actor: { id: 'mira', email: 'mira@example.com' } });

/** A token: of medium severity; for all zones: of high severity as well, at the same position. */
const token = (id: string, agoMs = MINUTE_MS, isWide = false): string => {
  const request = isWide ? { policies: [{ resources: { 'com.cloudflare.api.account.zone.*': '*' } }] } : {};
  return entry(
    id,
    agoMs,
    { type: 'create', description: 'Create API Token' },
    { resource: { type: 'api_token', request } },
  );
};

const note = async (most = ALL) => await noteFindings(pool(), most);

const noteAll = async (most: number): Promise<void> => {
  for (let noted = await note(most); noted !== undefined && noted.position < noted.head; ) noted = await note(most);
};

const read = async (more: Partial<FindingsRange> = {}) =>
  await readFindings(pool(), {
    after: 0,
    until: undefined,
    maxEvents: 100,
    organizationIds: undefined,
    sink: 'chat',
    startsNow: false,
    ...more,
  });

const named = async (more: Partial<FindingsRange> = {}) =>
  (await read(more)).events.map(({ id, finding }) => `${id} ${finding.detection}`);
