import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { writeManifest } from '../../../src/archive/manifest.ts';
import {
  fetchState,
  findState,
  keepState,
  POINTER_KEY,
  writeState,
} from '../../../src/archive/restore/state-object.ts';
import { type ArchiveWorld, january, openFileArchive, storeWith } from '../../support/archive/archive-world.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { firstValue, rowsOf, valuesOf } from '../../support/postgres/rows.ts';
import { commit, entryText, newSource, takeLease } from '../../support/postgres/store-fixture.ts';
import { keptLog } from '../../support/process/kept-log.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

/** Found out again, of a process alone, or what the account of a daemon may not read: docs/archive.md says so. */
const leftOut = [
  ...['lanes', 'api_budget', 'archive_thaws', 'archive_restores'],
  ...['access_log', 'access_tokens', 'console_sessions', 'console_session_proofs'],
  ...['evidence_anchors', 'evidence_asked', 'evidence_checkpoints', 'evidence_coverage', 'evidence_key_orders'],
  ...['evidence_log', 'evidence_month_keys', 'evidence_reads', 'evidence_sources', 'evidence_statements'],
  ...['evidence_tiles', 'evidence_verified'],
];
/** Nothing else is stored in a new database. */
const openEmpty = async () => {
  const made = await createTestDatabase();
  return { ...made, [Symbol.asyncDispose]: made.close };
};
const { folder: copy } = temporaryFolder();
const restoreInto = (world: Pick<ArchiveWorld, 'env'>, url: string, ...args: readonly string[]) =>
  runInProcess(['archive', 'restore', '--into', '--json', ...args], { ...world.env, DATABASE_URL: url });
const all = (pool: Pool, table: string, without = '') =>
  valuesOf<string>(
    pool,
    `select (to_jsonb(t) - string_to_array('${without}', ','))::text as row from ${table} t order by 1`,
  );
const textsOf = (pool: Pool) =>
  valuesOf<string>(
    pool,
    `select e::text from audit_events e union all select c::text from audit_event_changes c order by 1`,
  );

describe('a lost database', () => {
  test('each table of the schema is in the state, or is left out on purpose', async () => {
    await using world = await openFileArchive(1);
    await writeState({ pool: world.daemon, store: world.store });
    const { states } = JSON.parse(await readFile(join(world.directory, POINTER_KEY), 'utf8'));
    const head = { version: 1, states: [{ key: expect.stringMatching(/^v1\/state\/feed=.*\.ndjson\.zst$/) }] };
    expect({ version: 1, states }).toMatchObject(head);
    await using lost = await openEmpty();
    expect(await restoreInto(world, lost.url)).toMatchObject({ code: 0 });
    const tables = await valuesOf<string>(
      lost.pool,
      `select relname from pg_class where relkind in ('r', 'p') and not relispartition and relnamespace = 'public'::regnamespace order by 1`,
    );
    const stated = tables.filter((table) => !leftOut.includes(table));
    expect([...stated, ...leftOut].sort()).toEqual(tables);
    for (const table of stated.filter(
      (each) => !/^(audit_event.*|feed_head|retention_waits|position_jumps|findings|coverage.*|sinks)$/.test(each),
    ))
      expect([table, await all(lost.pool, table, 'dropped_at')]).toEqual([
        table,
        await all(world.owner, table, 'dropped_at'),
      ]);
  });

  test('has each byte of hostile texts, later contents, undated events and months that were dropped; what was lost since is explained', async () => {
    await using world = await openFileArchive();
    await world.change('january-3');
    const undated = entryText('undated', january).replace(/"time":\s*"[^"]*"/, '"time": "\\u2028 no time"');
    await commit(world.owner, await takeLease(world.owner, 'o'), [undated]);
    const before = await textsOf(world.owner);
    await world.archive('2024-01');
    await world.archive('2024-02');
    // February is dropped, January is held.
    await world.owner.query(
      `insert into holds (organization_id, before, reason) values ('o', '2024-02-01', E'case "7"\\n\\\\')`,
    );
    expect((await world.drop()).dropped).toMatchObject([{ month: '2024-02' }]);
    await writeState({ pool: world.daemon, store: world.store });
    await using lost = await openEmpty();
    const restored = await restoreInto(world, lost.url);
    expect(restored).toMatchObject({ code: 0 });
    expect(JSON.parse(restored.stdout)).toMatchObject({
      months: [{ month: '2024-01' }, { month: '2024-02', events: 1 }],
    });
    // The young one is read again.
    const young = await firstValue<string>(world.owner, `select e::text from audit_events e where id = 'young'`);
    expect(await textsOf(lost.pool)).toEqual(before.filter((text) => text !== young));
    expect(before.filter((text) => text.includes('undated'))).toHaveLength(1);
    expect(
      await rowsOf(
        lost.pool,
        `select to_char(month, 'YYYY-MM') as month, state, found_to < last_position as finds from archive_thaws`,
      ),
    ).toEqual([{ month: '2024-02', state: 'thawed', finds: true }]);
    const [position] = await valuesOf<number>(
      world.owner,
      `select position::float8 from audit_events where id = 'young'`,
    );
    expect(
      await rowsOf(
        lost.pool,
        'select from_position::float8 as after, to_position::float8 as upto from position_jumps order by 1 limit 1',
      ),
    ).toEqual([{ after: (position ?? 0) - 1, upto: position }]);
    // Held again, and nothing is dropped for a day.
    expect(await valuesOf(lost.pool, 'select reason from holds where released_at is null')).toEqual(['case "7"\n\\']);
    expect(await firstValue(lost.pool, `select orgtrail_drop_month('2024-01-01', '30 days')`)).toMatch(
      /^nothing is dropped before/,
    );
  });

  test('comes back without a month that is given up, whose time is read again; from the database that is asked for', async () => {
    await using world = await openFileArchive();
    await world.archive('2024-01');
    await world.archive('2024-02');
    await world.owner.query(`insert into coverage (source_kind, source_id, filter_hash, pass, ranges, proven)
      select 'organization', 'o', 'h', 7, r, r from (select '{[2023-12-15,2024-03-15)}'::tstzmultirange as r) r;
      insert into coverage_readings (source_kind, source_id, filter_hash, since, before, method, number, direction, found, read_from, read_to)
      values ('organization', 'o', 'h', '2023-12-15', '2024-03-15', 'pass', 1, 'asc', 0, now(), now())`);
    const { feed_id } = await writeState({ pool: world.daemon, store: world.store });
    await using other = await openEmpty();
    await other.pool.query('update feed_head set feed_id = gen_random_uuid()');
    await writeState({ pool: other.pool, store: world.store });
    await using lost = await openEmpty();
    expect(await restoreInto(world, lost.url)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('several databases archive into'),
    });
    for (const file of await world.objects('2024-01')) await rm(file);
    expect(await restoreInto(world, lost.url, '--feed', feed_id)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it is not there'),
    });
    expect(await restoreInto(world, lost.url, '--state', 'none', '--feed', feed_id)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('not from none'),
    });
    for (const args of [
      ['archive', 'run'],
      ['archive', 'thaw', '2024-02', '--for', '0s'],
      ['query', 'select 1'],
    ])
      expect(await runInProcess(args, { ...world.env, DATABASE_URL: lost.url })).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('this database is being restored from the archive, and is not whole yet'),
      });
    const restored = await restoreInto(world, lost.url, '--without', '2024-01');
    expect(JSON.parse(restored.stdout)).toMatchObject({
      feed_id,
      months: [{ month: '2024-02' }],
      read_again: expect.arrayContaining(['2024-01']),
    });
    const read =
      '{["2023-12-15 00:00:00+00","2024-01-01 00:00:00+00"),["2024-02-01 00:00:00+00","2024-03-15 00:00:00+00")}';
    await lost.pool.query("set timezone = 'UTC'");
    expect(await valuesOf(lost.pool, `select ranges::text from coverage where pass = 7 and proven = ranges`)).toEqual([
      read,
    ]);
    expect(
      await valuesOf(
        lost.pool,
        `select range_agg(tstzrange(since, before))::text from coverage_readings where filter_hash = 'h'`,
      ),
    ).toEqual([read]);
  });

  test('comes back with the objects that are newer than its state, also those that took the place of others; and by its manifest alone', async () => {
    await using world = await openFileArchive();
    const at = { pool: world.daemon, store: world.store };
    await world.archive('2024-01');
    const { feed_id } = await writeState(at);
    // Further than any jump of positions behind the state.
    await world.owner.query('update feed_head set position = 5000000');
    await world.addLate(7, 'late');
    await world.change('january-3');
    const altered = (await world.objects('2024-01'))[0] ?? '';
    const get = async (key: string) => (altered.endsWith(key) ? Buffer.from('altered') : await world.store.get(key));
    // Other bytes of the same rows, under another name.
    await world.archive('2024-01', { store: storeWith(world.store, { get }), maxRows: 30 });
    await world.archive('2024-02');
    await writeManifest(at);
    const before = (await textsOf(world.owner)).filter((text) => !text.includes(',young,'));
    const highest = await firstValue<number>(world.owner, 'select max(last_position)::float8 from archive_objects');
    const counted = `select key, events, organizations from archive_objects where superseded_at is null order by key`;
    const objects = await rowsOf(world.owner, counted);
    await world.owner.query(`insert into holds (reason) values ('later')`);
    for (const args of [[], ['--state', 'none', '--feed', feed_id]]) {
      await using lost = await openEmpty();
      // The second time from a copy at another address.
      await cp(world.directory, copy, { recursive: true });
      const env = args.length === 0 ? world.env : { ...world.env, ORGTRAIL_ARCHIVE: `file://${copy}` };
      expect(await restoreInto({ env }, lost.url, ...args)).toMatchObject({ code: 0 });
      expect(await textsOf(lost.pool)).toEqual(before);
      expect(await rowsOf(lost.pool, counted)).toEqual(objects);
      expect(await firstValue(lost.pool, 'select position::float8 >= $1 from feed_head', [highest])).toBe(true);
      const next = await takeLease(lost.pool, 'o').catch(() => newSource(lost.pool, 'o'));
      await commit(lost.pool, next, [entryText('new', january), entryText('january-1', january)]);
      expect(await valuesOf(lost.pool, 'select id from audit_events where position > $1', [highest])).toEqual(['new']);
    }
    expect(await restoreInto(world, world.env.DATABASE_URL, '--state', 'none')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('needs --feed'),
    });
  });

  test('holds: a state is written when they change, and names the ones before; what others overwrite is named again at the next look', async () => {
    await using world = await openFileArchive(3);
    const at = { pool: world.daemon, store: world.store };
    const first = await writeState(at);
    expect((await writeState(at, undefined, { ifRare: true })).key).toBe(first.key);
    await world.owner.query(`insert into holds (reason) values ('case 8');
      insert into access_log (kind, outcome, what, requests)
        select 'search', 'ok', jsonb_build_object('q', 'mira', 'large', string_agg(md5(n::text), '')), 1 from generate_series(1, 300000) n`);
    // Whatever each session is set to.
    await world.owner.query(`set timezone = 'Asia/Tokyo'`);
    const second = await writeState({ ...at, pool: world.owner }, undefined, { ifRare: true });
    expect(second.key).not.toBe(first.key);
    expect(await writeState(at, undefined, { ifRare: true })).toEqual(second);
    // The account of a daemon may not read the trail of access.
    const hasTrail = async ({ key }: { readonly key: string }) =>
      (await fetchState(world.store, { key })).lines.includes('mira');
    expect([await hasTrail(first), await hasTrail(await writeState(at)), await hasTrail(second)]).toEqual([
      false,
      false,
      true,
    ]);
    await world.owner.query(`update holds set released_at = now(), released_as = 'x'`);
    await using other = await openEmpty();
    await other.pool.query('update feed_head set feed_id = gen_random_uuid()');
    // The first is slow: what it names is older than what the second has.
    const begun = Promise.withResolvers<void>();
    const put: ArchiveWorld['store']['put'] = async (...args) => {
      begun.resolve();
      await sleep(args[0] === POINTER_KEY ? 0 : 500);
      return await world.store.put(...args);
    };
    const slow = writeState({ ...at, store: storeWith(world.store, { put }) });
    await begun.promise;
    await world.owner.query(`insert into holds (reason) values ('case 9')`);
    const before = await readFile(join(world.directory, POINTER_KEY));
    await Promise.all([slow, writeState(at), writeState({ ...at, pool: other.pool })]);
    // One of them may have named its own over the other's. A minute of looks later it is there again.
    const stop = new AbortController();
    let looks = 0;
    const sleepOf = async () => {
      looks += 1;
      if (looks === 1) await writeFile(join(world.directory, POINTER_KEY), before);
      if (looks === 13) stop.abort();
    };
    await keepState({ ...at, time: { sleep: sleepOf }, logger: keptLog().logger, signal: stop.signal });
    const theirs = await writeState({ ...at, pool: other.pool }, undefined, { ifRare: true });
    expect((await findState(world.store, { feedId: theirs.feed_id })).key).toBe(theirs.key);
    const { key: newest, lines } = await findState(world.store, { feedId: first.feed_id });
    expect(lines.toString()).toContain('case 9');
    // The newest is not there: an older one comes back if it is named.
    await rm(join(world.directory, newest));
    await using lost = await openEmpty();
    const refused = await restoreInto(world, lost.url, '--feed', first.feed_id);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(second.key) });
    expect(await restoreInto(world, lost.url, '--state', second.key)).toMatchObject({ code: 0 });
    expect(await valuesOf(lost.pool, 'select reason from holds where released_at is null')).toEqual(['case 8']);
    expect(await valuesOf(lost.pool, 'select route from access_log order by id')).toEqual([
      null,
      'archive restore --into',
    ]);
    // What others put in the place of the pointer.
    await writeFile(join(world.directory, POINTER_KEY), '<html>');
    expect(await restoreInto(world, world.env.DATABASE_URL)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is not what orgtrail writes'),
    });
    const { key } = await writeState(at);
    expect((await findState(world.store, {})).key).toBe(key);
  });

  test('is refused where the state is not what was written, and begins from nothing then', async () => {
    await using world = await openFileArchive(3);
    await using lost = await openEmpty();
    expect(await restoreInto(world, lost.url)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('has no state of a database'),
    });
    const at = { pool: world.daemon, store: world.store };
    await writeFile(join(world.directory, (await writeState(at)).key), 'other');
    expect(await restoreInto(world, lost.url)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it has other bytes (5 of them)'),
    });
    await world.archive('2024-01');
    await writeState(at);
    const manifest = await writeManifest(at);
    await writeFile(join(world.directory, manifest.key), '{"version":1,"objects":[]}');
    const stderr = expect.stringContaining(`${manifest.key} in ${world.store.name} is not what orgtrail writes`);
    expect(await restoreInto(world, lost.url)).toMatchObject({ code: 1, stderr });
    expect(await rowsOf(lost.pool, 'select from archive_restores')).toEqual([]);
    for (const args of [['--into', '2024-01'], [], ['2024-01', '--without', '2024-01']])
      expect(await runInProcess(['archive', 'restore', ...args], world.env)).toMatchObject({ code: 2 });
  });
});
