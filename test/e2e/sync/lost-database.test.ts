import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { expect, test } from 'vitest';
import { compareWithTruth } from '../../../src/cli/demo/verdict.sql.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { firstValue, rowsOf, valuesOf } from '../../support/postgres/rows.ts';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { until } from '../../support/process/until.ts';
import { storages, testBucket } from '../../support/s3/storages.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const DAY_MS = 86_400_000;
const exact = { missing: 0, extra: 0, duplicates: 0, positionsMissing: 0 };
/** Between the start of a process and its end, which takes some seconds. */
const KILLED_AFTER_MS = [600, 1_000, 1_400, 1_800, 2_400].map((ms) => ms + Math.round(400 * Math.random()));

const eventsOf = (pool: Pool, months: readonly string[]) =>
  rowsOf(
    pool,
    `select to_jsonb(e) - 'raw' as row, raw::text from audit_events e
     where to_char(action_time at time zone 'UTC', 'YYYY-MM') = any($1::text[]) order by position`,
    [months],
  );
const stateOf = (pool: Pool) =>
  rowsOf(
    pool,
    `select 'hold ' || id || reason || coalesce(released_at::text, '') as what from holds
     union all select 'organization ' || id || name from organizations
     union all select 'sink ' || name || position from sinks
     union all select 'object ' || id || key || sha256 from archive_objects
     union all select 'search ' || name || search from saved_searches order by 1`,
  );

test.each(storages.filter(({ missing }) => missing === undefined))(
  'a lost database comes back from its archive on $name, killed again and again: the same positions and bytes, holds in force, the rest read again, nothing twice',
  async ({ name: kind, start }) => {
    const storage = await start();
    await using _ = { [Symbol.asyncDispose]: storage.stop };
    const bucket = await testBucket(storage, 'lost');
    const archived = {
      ORGTRAIL_ARCHIVE: `s3://lost/prefix?endpoint=${storage.endpoint}`,
      ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: storage.accessKey,
      ORGTRAIL_ARCHIVE_S3_SECRET_KEY: storage.secretKey,
    };
    await using world = await openWorld(
      { entries: 900, historyMs: 200 * DAY_MS, pageCap: 300 },
      { ORGTRAIL_HISTORY: '250d', ...archived, ORGTRAIL_SETTLE: '10m' },
    );
    const { simulator, env, ownerEnv, database } = world;
    expect(await runOrgtrail(['sync'], env)).toMatchObject({ code: 0 });
    const all = await valuesOf<string>(
      database.pool,
      `select distinct to_char(action_time at time zone 'UTC', 'YYYY-MM') from audit_events order by 1`,
    );
    const months = all.slice(0, -2);
    expect(months.length).toBeGreaterThan(3);
    // Of the younger months, and late ones of an archived month.
    const archive = () => runOrgtrail(['archive', 'run', ...months.flatMap((month) => ['--month', month])], env);
    expect(await archive()).toMatchObject({ code: 0 });
    expect(await runOrgtrail(['hold', 'add', '--all-organizations', '--reason', 'case 7'], ownerEnv)).toMatchObject({
      code: 0,
    });
    await database.pool.query(`insert into sinks (name, kind, target, position) values ('siem', 'http', '', 400);
    insert into saved_searches (name, search) values ('mine', 'q=1')`);
    for (const { id } of simulator.summary().organizations) simulator.generate(id, 20);
    await world.setClocks(3 * DAY_MS);
    expect(await runOrgtrail(['sync'], env)).toMatchObject({ code: 0 });
    expect(await archive()).toMatchObject({ code: 0 });
    // Late ones of a month that is archived, which are in no object.
    const lateMonth = months[1] ?? '';
    for (const { id } of simulator.summary().organizations)
      simulator.generate(id, 7, { actionTimeMs: Date.parse(`${lateMonth}-10T00:00:00Z`), spacingMs: 1_000 });
    const whole = [210 * DAY_MS, 121_000].map((ago) => new Date(simulator.summary().nowMs - ago).toISOString());
    const verify = ['verify', '--since', whole[0] ?? '', '--before', whole[1] ?? '', '--json'];
    const { stdout } = await runOrgtrail([...verify, '--fix'], env);
    expect(JSON.parse(stdout)).toMatchObject({ fixedMissing: 21 });
    expect(await runOrgtrail(['archive', 'run', '--month', months[0] ?? ''], env)).toMatchObject({ code: 0 });
    const [stored, state] = [await eventsOf(database.pool, months), await stateOf(database.pool)];
    const events = stored.slice(0, -21);
    const head = await firstValue<number>(database.pool, 'select position::float8 from feed_head');
    const feedId = await firstValue<string>(database.pool, 'select feed_id::text from feed_head');

    await using lost = await createTestDatabase().then((made) => ({ ...made, [Symbol.asyncDispose]: made.close }));
    const owner = { ...ownerEnv, DATABASE_URL: lost.url };
    const daemon = { ...env, DATABASE_URL: lost.daemonUrl };
    const restore = ['archive', 'restore', '--into', '--json'];
    const thawed = () =>
      firstValue<number>(lost.pool, `select count(*)::integer from archive_thaws where state = 'thawed'`);

    expect(await runOrgtrail(restore, daemon)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('owns the schema'),
    });
    const [left] = await rowsOf<{ key: string; month: string }>(
      database.pool,
      `select key, to_char(month, 'YYYY-MM') as month from archive_objects where superseded_at is null order by month limit 1`,
    );
    const key = left?.key ?? '';
    const bytes = (await bucket.get(key))?.bytes ?? Buffer.alloc(0);
    await bucket.put(key, bytes.subarray(1));
    for (const foreign of ['v1/state/x', `${key}.1.parquet`, 'v1/state/feed=x/1.ndjson.zst'])
      await bucket.put(foreign, Buffer.from('of others'));
    // moto lets every key in.
    if (kind === 'radosgw')
      expect(await runOrgtrail(restore, { ...owner, ORGTRAIL_ARCHIVE_S3_SECRET_KEY: 'wrong' })).toMatchObject({
        code: 4,
        stderr: expect.stringContaining('the secret key is not that of the access key'),
      });
    for (const afterMs of KILLED_AFTER_MS) {
      const killed = startOrgtrail(restore, owner);
      await Promise.race([sleep(afterMs), killed.ended]);
      killed.child.kill('SIGKILL');
      await killed.ended;
    }
    const begun = startOrgtrail(restore, owner);
    await until('a month is back', async () => (await thawed()) > 0);
    begun.child.kill('SIGKILL');
    await begun.ended;
    // Nothing pretends to be whole.
    const refused = {
      code: 2,
      stderr: expect.stringContaining('is being restored from the archive, and is not whole yet'),
    };
    expect(await runOrgtrail(['sync'], daemon)).toMatchObject(refused);
    await expect(lost.pool.query('update feed_head set position = position + 1')).rejects.toThrow('is being restored');
    expect(await stateOf(lost.pool)).toEqual(state);

    // An object that is not what was written is named, and all other months are back.
    const damaged = await runOrgtrail(restore, owner);
    expect(damaged).toMatchObject({ code: 1, stdout: '' });
    expect(damaged.stderr).toContain(`${left?.month}: ${key} in ${bucket.address.name}: it has other bytes`);
    expect(await thawed()).toBe(months.length - 1);
    expect(await runOrgtrail(['sync'], daemon)).toMatchObject(refused);
    await bucket.put(key, bytes);

    // Of two at once one does it.
    const two = await Promise.all([runOrgtrail(restore, owner), runOrgtrail(restore, owner)]);
    const [restored, second] = two.sort((a, b) => Number(a.code) - Number(b.code));
    expect(second).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/is not empty|another process is restoring/),
    });
    expect(restored).toMatchObject({ code: 0, stderr: expect.stringContaining('positions jump') });
    expect(JSON.parse(restored?.stdout ?? '')).toMatchObject({
      feed_id: feedId,
      state: { position: head },
      months: months.map((month) => ({ month })),
      events: events.length,
      read_again: [lateMonth, ...all.slice(-2)],
      sinks: [{ name: 'siem', position: 400 }],
    });
    expect(await eventsOf(lost.pool, all)).toEqual(events);
    expect(await stateOf(lost.pool)).toEqual(state);
    expect(await rowsOf(lost.pool, 'select * from archive_thaws')).toEqual([]);
    expect(await runOrgtrail(restore, owner)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not empty'),
    });
    expect((await runOrgtrail(['status'], owner)).stdout).toMatch(
      /note: retention drops nothing before \S+: the database/,
    );
    const feed = await runOrgtrail(['feed', '--after', '0', '--limit', '100000'], daemon);
    expect(feed.stdout.trim().split('\n')).toHaveLength(events.length);

    expect(await runOrgtrail(['sync'], daemon)).toMatchObject({ code: 0 });
    expect(await compareWithTruth(lost.pool, simulator)).toMatchObject(exact);
    expect((await eventsOf(lost.pool, months)).slice(0, events.length)).toEqual(events);
    expect(
      await valuesOf(
        lost.pool,
        'select min(position)::float8 > $1 as above from audit_events where received_at > (select ended_at from archive_restores)',
        [head],
      ),
    ).toEqual([true]);
    expect(await runOrgtrail(verify, daemon)).toMatchObject({ code: 0 });
    expect(await runOrgtrail(['archive', 'verify', '--contents'], daemon)).toMatchObject({ code: 0 });
  },
);
