import { beforeAll, describe, expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import {
  type AskedFindings,
  type FindingLimits,
  listFindings,
  readEventMarks,
  singleEventRules,
} from '../../../src/sinks/findings/list-findings.sql.ts';
import {
  acknowledgeDetection,
  muteDetection,
  readMutes,
  unmuteDetection,
} from '../../../src/sinks/findings/mutes.sql.ts';
import { detectionRules, ruleNamed } from '../../../src/sinks/findings/rules.ts';
import { askedFindings } from '../../support/findings/asked-findings.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commitAll, entryText, newSource, takeLease } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';

let nowMs: number;

/** A token for all zones an hour ago, one of another kind two months ago, a burst of deletes then and one within the last hour, and nothing. */
const pool = poolOfTests();
beforeAll(async () => {
  nowMs = Date.now();
  const lease = await newSource(pool, 'org');
  const burst = (name: string, agoMs: number) =>
    Array.from({ length: 12 }, (_, n) => entry(`${name}-${n}`, agoMs - n * 1_000, { type: 'delete' }, mira));
  await commitAll(pool, lease, [
    [
      entry('wide', 60 * MINUTE_MS, created, { resource: { type: 'api_token', request: wide }, ...mira }),
      entry('old', 60 * DAY_MS, created, { resource: { type: 'api_token', request: {} } }),
      ...burst('old-burst', 61 * DAY_MS),
      ...burst('burst', 30 * MINUTE_MS),
      entry('harmless', 5 * MINUTE_MS, { type: 'view' }),
    ],
  ]);
});

/** Two tokens changed, each by another actor. */
const muted = databaseOfTests();
const mutedPool = poolOfTests(muted);

/** With the rights of the account of a daemon. */
const daemon = forAllTests(() => createPool(muted.daemonUrl, 2, () => {}));
beforeAll(async () => {
  const nowMs = Date.now();
  const lease = await newSource(mutedPool, 'org');
  await commitAll(mutedPool, lease, [[token('a', 'mira', nowMs - 60_000), token('b', 'noor', nowMs - 60_000)]]);
});
const token = (id: string, actor: string, timeMs: number) =>
  entryText(id, timeMs, {
    action: { type: 'create', result: 'success', description: 'Create API Token', time: new Date(timeMs) },
    resource: { type: 'api_token', request: {} },
    actor: { id: actor, email: `${actor}@example.com` },
  });

describe('findings are listed', () => {
  test('newest first, counted by rule whatever rule and severity are asked for', async () => {
    const { counts, findings } = await list();
    expect(findings.map(({ id, detection }) => `${id} ${detection}`)).toEqual([
      'burst-9 delete_burst',
      'wide api_token_changed',
      'wide api_token_wide_scope',
    ]);
    expect(findings[0]).toMatchObject({
      events: 10,
      actor: 'mira@example.com',
      ownerName: 'Name of org',
      severity: 'high',
    });
    expect(Date.parse(findings[0]?.actionTime ?? '') - Date.parse(findings[0]?.firstTime ?? '')).toBe(9_000);
    expect(counted(counts)).toEqual('api_token_changed 1, api_token_wide_scope 1, delete_burst 1');
    const high = await list({ severity: 'medium', detection: 'api_token_changed' });
    expect(high.findings.map(({ id }) => id)).toEqual(['wide']);
    expect(high.counts).toHaveLength(3);
  });

  test('a page at a time, by organization, and none of another', async () => {
    expect(await named({ limit: 1, offset: 1 })).toEqual(['wide api_token_changed']);
    expect(await named({ offset: 3 })).toEqual([]);
    expect(await named({ organization: 'org' })).toHaveLength(3);
    expect(await named({ organization: 'other' })).toEqual([]);
  });

  test('of any time, bursts older than a month too', async () => {
    expect(await named({ since: ago(62 * DAY_MS), before: ago(59 * DAY_MS) })).toEqual([
      'old api_token_changed',
      'old-burst-9 delete_burst',
    ]);
  });
});

describe('of more time than a page waits for', () => {
  test('all pieces together have what the view has', async () => {
    const { rows } = await pool.query<{ id: string; detection: string }>(
      `with s as materialized (select set_config('orgtrail.bursts_since', $1, false)) select d.id, d.detection from s, detections d
       where d.action_time >= $1::timestamptz order by d.action_time desc, d.position desc, d.detection`,
      [ago(70 * DAY_MS)],
    );
    const all = await list({ since: ago(70 * DAY_MS) });
    expect(rows.length).toBeGreaterThan(4);
    expect(all.findings.map(({ id, detection }) => `${id} ${detection}`)).toEqual(
      rows.map(({ id, detection }) => `${id} ${detection}`),
    );
    expect(all.counts.reduce((sum, { found }) => sum + found, 0)).toBe(rows.length);
    expect(all.lookedSince).toBeNull();
    expect(await named({ since: ago(70 * DAY_MS), limit: 2, offset: 2 })).toEqual(
      rows.slice(2, 4).map(({ id, detection }) => `${id} ${detection}`),
    );
  });

  test('the last day is looked at, and the list says so', async () => {
    const { counts, findings, lookedSince } = await list({ since: ago(70 * DAY_MS) }, { ...patient, lookMs: 0 });
    expect(findings).toEqual((await list()).findings);
    expect(counted(counts)).toEqual('api_token_changed 1, api_token_wide_scope 1, delete_burst 1');
    expect(Math.round((Date.now() - Date.parse(lookedSince ?? '')) / DAY_MS)).toBe(1);
    const before = lookedSince ?? undefined;
    expect(await named({ since: ago(70 * DAY_MS), before })).toEqual([
      'old api_token_changed',
      'old-burst-9 delete_burst',
    ]);
    expect((await list({}, { ...patient, lookMs: 0 })).lookedSince).toBeNull();
  });
});

describe('the marks of events', () => {
  test('are those of the view detections, but for what looks at many events', async () => {
    const { rows: events } = await pool.query(
      'select position::float8 as position, action_time::text as "sortTime" from audit_events order by position',
    );
    const { rows: all } = await pool.query(
      `select position::float8 as position, detection, severity from detections
       where detection !~ '_burst$|^sign_in_' order by position, detection`,
    );
    const marks = await readEventMarks(pool, events);
    expect(all.length).toBeGreaterThan(2);
    expect(marks).toEqual(all);
    expect(await readEventMarks(pool, [])).toEqual([]);
    const some = await readEventMarks(pool, events.slice(1, 2));
    expect(some).toEqual(all.filter(({ position }) => position === events[1].position));
  });
});

test.each(singleEventRules)('the condition of $name is that of its view', async ({ name, severity, condition }) => {
  const defined = async (view: string) =>
    (await pool.query(`select pg_get_viewdef('${view}'::regclass) as text`)).rows[0].text.split(/\bWHERE\b/)[1];
  await pool.query(
    `create view same_condition as select from audit_event_traits t where ${condition} and t.copies_of_position is null`,
  );
  try {
    expect(await defined('same_condition')).toBe(await defined(`detection_${name}`));
  } finally {
    await pool.query('drop view same_condition');
  }
  expect(ruleNamed(name)?.severity).toBe(severity);
});

test('each rule that is described has a view, and each view is described', async () => {
  const { rows } = await pool.query<{ name: string }>(
    `select substr(viewname, 11) as name from pg_views where viewname like 'detection\\_%' order by 1`,
  );
  expect(rows.map(({ name }) => name)).toEqual(detectionRules.map(({ name }) => name).sort());
});

test('what is muted leaves the list and comes back; the view has it all the time', async () => {
  const id = await muteDetection(daemon, { ...wanted, actor: 'mira@example.com' });
  expect(await ids()).toEqual(['b']);
  expect(await ids(true)).toEqual(['a', 'b']);
  expect((await listAs()).counts).toEqual([{ detection: 'api_token_changed', severity: 'medium', found: 2, muted: 1 }]);
  expect(await countOf('detections')).toBe(2);
  expect(await muteDetection(daemon, { ...wanted, actor: 'mira@example.com' }), 'the same again').toBeUndefined();
  const whole = await muteDetection(daemon, { ...wanted, forDays: undefined });
  expect(await ids()).toEqual([]);
  expect(await readMutes(daemon)).toMatchObject([
    { id: whole, actor: null, mutedUntil: null, createdBy: 'jane' },
    { id, actor: 'mira@example.com', reason: 'rotation' },
  ]);

  expect(await unmuteDetection(daemon, whole ?? 0, 'noor')).toBe(true);
  expect(await unmuteDetection(daemon, whole ?? 0, 'noor'), 'it is over').toBe(false);
  expect(await ids()).toEqual(['b']);
  await mutedPool.query("update detection_mutes set muted_until = now() - interval '1 second' where id = $1", [id]);
  expect(await ids()).toEqual(['a', 'b']);
  expect(await readMutes(daemon)).toEqual([]);
  expect(await countOf('detection_mutes'), 'each stays').toBe(2);
  const { rows } = await mutedPool.query('select ended_by, ended_as from detection_mutes where id = $1', [whole]);
  expect(rows[0].ended_by).toBe('noor');
  expect(rows[0].ended_as, 'the account that did it').not.toBeNull();
});

test('what is acknowledged leaves the list, what is found later does not, however old it is; groups are by rule and actor', async () => {
  const groups = async () =>
    (await listAs()).groups.map(({ detection, actor, found, owners }) => ({ detection, actor, found, owners }));
  const group = (actor: string, found: number) => ({
    detection: 'api_token_changed',
    actor: `${actor}@example.com`,
    found,
    owners: ['Name of org'],
  });
  const sorted = [group('mira', 1), group('noor', 1)];
  expect((await groups()).sort((a, b) => String(a.actor).localeCompare(String(b.actor)))).toEqual(sorted);
  const { detection, reason, by } = wanted;
  const scope = { detection, actor: 'mira@example.com', reason, by, seen: (await listAs()).seen };
  expect(scope.seen).toBe(2);
  const first = await acknowledgeDetection(daemon, scope);
  expect(await ids()).toEqual(['b']);
  expect(await groups()).toEqual([group('noor', 1)]);
  // Before the one that was acknowledged.
  const late = [token('c', 'mira', Date.now() - 120_000), token('d', 'mira', Date.now() - 90_000)];
  await commitAll(mutedPool, await takeLease(mutedPool, 'org'), [late]);
  expect(await ids()).toEqual(['b', 'c', 'd']);
  expect((await groups()).find(({ actor }) => actor?.startsWith('mira'))).toEqual(group('mira', 2));
  await unmuteDetection(daemon, await acknowledgeDetection(daemon, scope), 'noor');
  await acknowledgeDetection(daemon, scope);
  expect(await ids(), 'what has come since the list was read is shown').toEqual(['b', 'c', 'd']);
  const second = await acknowledgeDetection(daemon, { ...scope, seen: (await listAs()).seen });
  expect(await ids()).toEqual(['b']);
  expect(
    (await readMutes(daemon)).map(({ id }) => id),
    'it takes the place of the first',
  ).toEqual([second]);
  expect(await muteDetection(daemon, { ...wanted, actor: scope.actor }), 'a mute beside it').toBeGreaterThan(second);
  expect((await listAs(true)).groups).toContainEqual(expect.objectContaining({ ...group('mira', 3), muted: true }));
  for (const { id } of await readMutes(daemon)) expect(await unmuteDetection(daemon, id, 'noor')).toBe(true);
  expect(await unmuteDetection(daemon, first, 'noor')).toBe(false);
  expect(await ids()).toEqual(['a', 'b', 'c', 'd']);
  await acknowledgeDetection(daemon, scope);
  const all = await acknowledgeDetection(daemon, { ...scope, actor: undefined, seen: 99 });
  expect(
    (await readMutes(daemon)).map(({ id }) => id),
    'of all actors',
  ).toEqual([all]);
  const { rows } = await mutedPool.query(
    'select muted_until <= now() as "isOver", up_to_position::integer as to from detection_mutes where id = $1',
    [all],
  );
  expect(rows, 'over, for an orgtrail that does not know it').toEqual([{ isOver: true, to: 4 }]);
  await unmuteDetection(daemon, all, 'noor');
  for (const wrong of [{ detection: 'collector_token' }, { reason: ' ' }, { by: '' }]) {
    await expect(acknowledgeDetection(daemon, { ...scope, ...wrong }), JSON.stringify(wrong)).rejects.toThrow();
  }
});

test('the database refuses what may not be muted, mutes without a reason or a person, and changes by hand', async () => {
  for (const wrong of [
    { detection: 'collector_token' },
    { detection: "x'" },
    { reason: ' ' },
    { by: '' },
    { forDays: -1 },
  ]) {
    await expect(muteDetection(daemon, { ...wanted, ...wrong }), JSON.stringify(wrong)).rejects.toThrow();
  }
  for (const sql of [
    "insert into detection_mutes (detection, reason, created_by) values ('x', 'y', 'z')",
    'update detection_mutes set ended_at = now()',
    'delete from detection_mutes',
  ]) {
    await expect(daemon.query(sql), sql).rejects.toThrow(/permission denied/);
  }
  await mutedPool.query(
    "insert into detection_mutes (detection, reason, created_by) select 'x' || n, 'y', 'z' from generate_series(1, 1000) n",
  );
  await expect(muteDetection(daemon, wanted)).rejects.toThrow(/a thousand mutes/);
});

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const entry = (id: string, agoMs: number, action: object, more: object = {}): string =>
  entryText(id, nowMs - agoMs, {
    action: { result: 'success', time: new Date(nowMs - agoMs).toISOString(), ...action },
    ...more,
  });

const created = { type: 'create', description: 'Create API Token' };
const wide = { policies: [{ resources: { 'com.cloudflare.api.account.zone.*': '*' } }] };
const mira = { actor: { id: 'mira', email: 'mira@example.com' } };

const ago = (ms: number): string => new Date(nowMs - ms).toISOString();

const patient: FindingLimits = { firstMs: 600_000, lookMs: 600_000 };

const list = (more: Partial<AskedFindings> = {}, limits = patient) =>
  listFindings(pool, askedFindings(nowMs - DAY_MS, more), undefined, limits);

const counted = (counts: readonly { readonly detection: string; readonly found: number }[]) =>
  counts
    .map(({ detection, found }) => `${detection} ${found}`)
    .sort()
    .join(', ');

const named = async (more: Partial<AskedFindings> = {}) =>
  (await list(more)).findings.map(({ id, detection }) => `${id} ${detection}`);

const listAs = (showMuted = false) => listFindings(daemon, askedFindings(Date.now() - 3_600_000, { showMuted }));
const ids = async (showMuted = false) => (await listAs(showMuted)).findings.map(({ id }) => id).sort();

const wanted = { detection: 'api_token_changed', actor: undefined, reason: 'rotation', forDays: 7, by: 'jane' };

const countOf = async (table: string) =>
  (await mutedPool.query(`select count(*)::integer as n from ${table}`)).rows[0].n;
