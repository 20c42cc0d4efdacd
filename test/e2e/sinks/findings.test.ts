import { expect, test } from 'vitest';
import {
  ATTACK_DETECTIONS,
  appendAttack,
  appendUsualSignIns,
  attackedAccount,
} from '../../../src/cli/demo/attack.sql.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { messengerSettings, startMessenger } from '../../support/sinks/http/people-receivers.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('an attack is told to Slack once for each finding, also through kill -9 and a restart; history tells no one', async () => {
  await using world = await openWorld({ organizations: 2, accounts: 2, entries: 300, pageCap: 100 });
  const { simulator } = world;
  const { pool } = world.database;
  await using slack = await startMessenger('slack', { oneIn: 900 });
  const chat = {
    ...messengerSettings('slack', slack.url),
    pause: '1s',
    batch_events: 2,
    console_url: 'https://o.example',
  };
  const env = { ...world.env, ORGTRAIL_SOURCES: 'organizations,accounts', ORGTRAIL_SINKS: JSON.stringify({ chat }) };
  const account = attackedAccount(simulator);
  appendUsualSignIns(simulator, account, Date.now());
  const stored = async () => (await world.compare()).missing === 0;
  const caughtUp = async () =>
    (
      await pool.query(
        'select from sinks s, feed_head h, finding_head f where s.position = h.position and f.position = h.position',
      )
    ).rowCount === 1;
  const findings = async () =>
    (
      await pool.query<{ detection: string }>('select detection from findings where actor = $1 order by 1', [
        'mira.petrov@demo-company.example',
      ])
    ).rows.map(({ detection }) => detection);

  {
    await using daemon = await startDaemonProcess(env);
    await until('all of history is stored', stored);
    await until('and dealt with', caughtUp);
    expect(await pool.query('select from findings')).not.toMatchObject({ rowCount: 0 });
    expect(slack.requests).toEqual([]);
    // Takes the first message in, and the process is killed before it receives an answer.
    slack.faults.push({ kind: 'stall', at: 'answer' });
    appendAttack(simulator, account, Date.now());
    await until('the first message has come', async () => slack.bodies.length > 0);
    daemon.process.child.kill('SIGKILL');
  }
  expect(slack.bodies).toHaveLength(1);

  await using daemon = await startDaemonProcess(env);
  await until('the attack is stored', stored);
  await until('and told', async () => new Set(slack.keys()).size >= ATTACK_DETECTIONS.length && (await caughtUp()));
  expect(await findings()).toEqual([...ATTACK_DETECTIONS]);
  const keys = slack.keys();
  const repeated = keys.length - new Set(keys).size;
  expect(new Set(keys).size).toBe(ATTACK_DETECTIONS.length);
  // What was under way when the process was killed, and nothing else, has come again: under the same keys.
  expect([slack.bodies[1], repeated > 0, repeated < ATTACK_DETECTIONS.length]).toEqual([slack.bodies[0], true, true]);
  expect(slack.breaches).toEqual([]);
  expect(slack.bodies[0]).toContain('<https://o.example/events/');
  const health = await daemon.health();
  expect(health.sinks).toMatchObject([{ name: 'chat', type: 'slack', state: 'ok', lag_events: 0, dead_letters: 0 }]);
  const list = await runInProcess(['sink', 'list'], world.ownerEnv);
  expect(list.stdout).toMatch(/\nchat +ok +slack /);
  expect(list.stdout).not.toContain('XXXXXXXX');
});

test('a saved search tells Slack of each match once, from two replicas and over kill -9', async () => {
  await using world = await openWorld({ organizations: 2, accounts: 2, entries: 300, pageCap: 100 });
  const { simulator } = world;
  const { pool } = world.database;
  await using slack = await startMessenger('slack');
  const team = { ...messengerSettings('slack', slack.url), events: 'searches', console_url: 'https://o.example' };
  const env = {
    ...world.env,
    ORGTRAIL_SOURCES: 'organizations,accounts',
    ORGTRAIL_LEASE: '10s',
    ORGTRAIL_SINKS: JSON.stringify({ team }),
  };
  const account = attackedAccount(simulator);
  const stored = async () => (await world.compare()).missing === 0;
  // A minute has passed.
  const sooner = () => pool.query("update search_tells set last_match_at = last_match_at - interval '1 minute'");
  const told = () => {
    const texts = new Map(slack.bodies.flatMap((body) => keysWithCounts(body)));
    return [...texts.values()].reduce((sum, count) => sum + count, 0);
  };
  const matching = async () =>
    (
      await pool.query(
        "select from audit_events where actor_email = 'mira.petrov@demo-company.example' and position > $1",
        [head],
      )
    ).rowCount;
  let head = 0;
  await using survivor = await startDaemonProcess(env);
  {
    await using daemon = await startDaemonProcess(env);
    await until('all of history is stored', stored);
    head = (await pool.query('select position::integer from feed_head')).rows[0].position;
    const tell = [
      'search',
      '--save',
      'Mira',
      '--tell',
      'team',
      '--every',
      '1m',
      'email:mira.petrov@demo-company.example',
    ];
    expect(await runInProcess(tell, { ...world.ownerEnv, ORGTRAIL_SINKS: env.ORGTRAIL_SINKS })).toMatchObject({
      code: 0,
    });
    slack.faults.push({ kind: 'stall', at: 'answer' });
    appendAttack(simulator, account, Date.now());
    await until('the first message has come', async () => slack.bodies.length > 0);
    const [{ lease_owner: owner } = { lease_owner: '' }] = (
      await pool.query("select lease_owner from sinks where name = 'team'")
    ).rows;
    const holder = [daemon, survivor].find(({ process: { child } }) => owner.includes(`/${child.pid}/`));
    expect(holder).toBeDefined();
    holder?.process.child.kill('SIGKILL');
    appendAttack(simulator, account, Date.now());
    await until('both attacks are stored', stored);
    await until('all of it is told', async () => {
      await sooner();
      return told() === (await matching());
    });
  }
  const keys = slack.keys();
  expect(keys.length - new Set(keys).size).toBeLessThanOrEqual(1);
  expect(await matching()).toBe(10);
  const listed = await runInProcess(['search', '--list-saved'], world.ownerEnv);
  expect(listed.stdout).toMatch(/Mira .* team: last match 20/);
  expect(slack.bodies[0]).toContain('<https://o.example/events?');
  expect(slack.breaches).toEqual([]);
});

/** Of each match in a message, its key and how many events it is about. */
const keysWithCounts = (body: string): readonly (readonly [string, number])[] => {
  const counts = [...body.matchAll(/\\n(\d+) events? match/g)].map(([, count]) => Number(count));
  return [...body.matchAll(/Key: ([\w-]{43})/g)].map(([, key = ''], at) => [key, counts[at] ?? 0]);
};

test('an organization that refuses opens one incident, whatever locks a stranger or a reader takes, and resolves it once it answers; what keeps an alarm from being sent is a failure of the sink', async () => {
  await using world = await openWorld({ organizations: 2, entries: 100 });
  const { simulator, database } = world;
  const { pool } = database;
  await migrateDatabase(pool, { roles: true });
  await using pagerduty = await startMessenger('pagerduty');
  const oncall = { ...messengerSettings('pagerduty', pagerduty.url), events: 'alarms' };
  const env = { ...world.env, ORGTRAIL_SINKS: JSON.stringify({ oncall }) };
  await using daemon = await startDaemonProcess(env);
  const [{ id } = { id: '' }] = simulator.summary().organizations;
  await using stranger = await createLogin(database);
  await using reader = await createLogin(database, ['orgtrail_reader']);
  const [advisory, locks] = [await stranger.pool.connect(), await reader.pool.connect()];
  try {
    await advisory.query(
      `select pg_advisory_lock(7045662113), pg_advisory_lock(hashtext('orgtrail_create_publications'))`,
    );
    await advisory.query("select pg_advisory_lock(hashtext(proname)) from pg_proc where proname like 'orgtrail%'");
    const { rows } = await pool.query<{ name: string }>(`select c.oid::regclass::text as name from pg_class c
      where c.relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace) and c.relkind in ('r', 'p')`);
    await locks.query('begin');
    const modes = ['access exclusive', 'share row exclusive', 'share update exclusive', 'row share', 'access share'];
    const taken = new Set<string>();
    for (const attempt of rows.flatMap(({ name }) => [
      ...modes.map((mode) => ({ mode, sql: `lock table ${name} in ${mode} mode nowait` })),
      { mode: 'row', sql: `select from ${name} for key share` },
    ])) {
      await locks.query('savepoint one');
      await locks.query(attempt.sql).then(
        () => taken.add(attempt.mode),
        () => locks.query('rollback to savepoint one'),
      );
    }
    expect([...taken]).toEqual(['access share']);
    simulator.setRefused(id, true);
    // Two minutes have passed.
    const age = "update alarms set seen_since = now() - interval '2 minutes' where alarm = 'access_lost'";
    await until('it is seen', async () => ((await pool.query(age)).rowCount ?? 0) > 0);
    await until('the incident is opened', async () => pagerduty.bodies.length === 1);
    simulator.setRefused(id, false);
    await pool.query('update lanes set next_attempt_at = null');
    await until('the incident is resolved', async () => pagerduty.bodies.length === 2);
  } finally {
    advisory.release(true);
    locks.release(true);
  }
  const [opened, resolved] = pagerduty.bodies.map((body) => JSON.parse(body));
  expect(opened).toMatchObject({ event_action: 'trigger', dedup_key: expect.stringMatching(/ access_lost$/) });
  expect(resolved).toMatchObject({ event_action: 'resolve', dedup_key: opened?.dedup_key });
  const failing = async () => {
    const health = await daemon.health();
    return { status: health.status, ...health.sinks[0] };
  };
  const old = "update alarm_cursors set noted_at = now() - interval '4 minutes'";
  await pool.query(old);
  await until('it is noted again', async () => (await failing()).state === 'ok');
  await pool.query('alter function orgtrail_note_alarms rename to orgtrail_note_no_alarms');
  await daemon.process.waitFor('alarms could not be noted');
  await pool.query(old);
  expect(await failing()).toMatchObject({
    status: 'failing',
    state: 'failing',
    dead_letters: 0,
    last_error: expect.stringContaining('alarms have not been noted'),
  });
  expect((await runInProcess(['status'], { ...world.ownerEnv, ...env })).stdout).toMatch(/oncall +failing/);
});
