import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { committed } from '../../support/postgres/committed.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import {
  anyWalk,
  commit,
  entryText,
  eventsOf,
  everything,
  newSource,
  seconds,
  T0,
  walking,
} from '../../support/postgres/store-fixture.ts';

const pool = poolOfTests();

describe('invariant 1: page, cursor, coverage and position commit together', () => {
  test('a commit leaves the entries, the cursor, the coverage, the position and the count of commits', async () => {
    const lease = await newSource(pool, 'all');
    const before = await headOf();
    const result = await commit(pool, lease, twoEntries('all'), {
      state: walking(anyWalk('cursor-1')),
      claims: [seconds(0, 1), seconds(0, 0.5)],
    });
    expect(result).toMatchObject({ kind: 'committed', stored: 2, duplicates: 0, changed: 0, defective: 0 });
    expect((await eventsOf(pool, 'all')).map((event) => event.position)).toEqual([before + 1, before + 2]);
    expect(await headOf()).toBe(before + 2);
    const { rows } = await pool.query(
      `select s.commit_seq::integer, l.lane, l.state #>> '{walk,cursor}' as cursor, array(select c.ranges::text from coverage c
         where c.source_id = s.id order by c.pass) as ranges
       from sources s join lanes l on l.source_id = s.id where s.id = 'all'`,
    );
    expect(rows).toEqual([
      {
        commit_seq: lease.commitSeq + 1,
        lane: 'live',
        cursor: 'cursor-1',
        ranges: [expect.stringMatching(/00:00:00\+\S+","\S+ 00:00:01/), expect.stringMatching(/00:00:00\.5/)],
      },
    ]);
  });

  test('a statement that fails at its last row leaves nothing', async () => {
    const lease = await newSource(pool, 'fails');
    await pool.query("alter table audit_events add constraint no_poison check (id <> 'poison')");
    try {
      const before = await everything(pool);
      await expect(
        commit(pool, lease, [...twoEntries('fails'), entryText('poison')], {
          state: walking(anyWalk('never')),
          claims: [seconds(0, 1)],
        }),
      ).rejects.toThrow('no_poison');
      expect(await everything(pool)).toEqual(before);
    } finally {
      await pool.query('alter table audit_events drop constraint no_poison');
    }
  });

  const locks = {
    'the source': "select from sources where id = 'LOCKED' for update",
    'its coverage': "select from coverage where source_id = 'LOCKED' for update",
    'its lane': "select from lanes where source_id = 'LOCKED' for update",
    'its hole': "select from coverage_holes where source_id = 'LOCKED' for update",
    'the head of the feed': 'select from feed_head for update',
    'the table of events': 'lock table audit_events in share mode',
  };
  const stops = { pg_cancel_backend: /canceling statement/, pg_terminate_backend: /terminat/ };
  for (const [place, lock] of Object.entries(locks)) {
    for (const [stop, message] of Object.entries(stops)) {
      test(`${stop} while the statement waits for ${place} leaves nothing, and the commit can be repeated`, async () => {
        const id = `${place} ${stop}`;
        const { lease } = await committed(pool, await newSource(pool, id), twoEntries(`${id} first`), {
          state: walking(anyWalk('cursor-1')),
          claims: [seconds(0, 1)],
          holes: [{ range: { fromMs: T0 + 1_000, toMs: T0 + 2_000 }, pass: 0, reason: 'server', message: 'no' }],
        });
        const before = await everything(pool);
        const next = { state: walking(anyWalk('cursor-2')), claims: [seconds(1, 2)] };
        await withLock(pool, lock.replace('LOCKED', id), async () => {
          const failure = expect(commit(pool, lease, twoEntries(`${id} second`), next)).rejects.toThrow(message);
          const [backend] = await waitingBackends(pool, 1);
          await pool.query(`select ${stop}($1)`, [backend]);
          await failure;
        });
        expect(await everything(pool)).toEqual(before);
        expect(await commit(pool, lease, twoEntries(`${id} second`), next)).toMatchObject({ stored: 2, duplicates: 0 });
      });
    }
  }

  test('nothing but the commit functions writes events, holes or the head of the feed; what else touches lanes, coverage and sinks is known', async () => {
    const directory = fileURLToPath(new URL('../../../src', import.meta.url));
    const texts: (readonly [name: string, text: string])[] = [];
    for (const file of await readdir(directory, { recursive: true })) {
      if (file.endsWith('.ts')) texts.push([file, await readFile(`${directory}/${file}`, 'utf8')]);
    }
    const { rows: functions } = await pool.query<{ name: string; body: string }>(
      "select proname as name, prosrc as body from pg_proc where pronamespace = 'public'::regnamespace",
    );
    texts.push(...functions.map(({ name, body }) => [name, body] as const));
    const writersOf = (table: string): readonly string[] => {
      const bySql = new RegExp(
        `(insert\\s+into|update|delete\\s+from|truncate|merge\\s+into)\\s+(only\\s+)?"?${table}\\b`,
        'i',
      );
      const declared = table.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
      const byBuilder = new RegExp(`\\.(insert|update|delete)\\(\\s*(\\w+\\.)?${declared}\\b`);
      return texts.flatMap(([name, text]) => (bySql.test(text) || byBuilder.test(text) ? [name] : [])).sort();
    };
    const own = 'orgtrail_commit_page_2';
    // Called by it alone.
    const reading = 'orgtrail_note_reading';
    // Called by that one alone.
    const again = 'orgtrail_note_read_again';
    // Into an empty database alone, by its owner.
    const restore = 'archive/restore/restores.sql.ts';
    expect(Object.fromEntries(written.map((table) => [table, writersOf(table)]))).toEqual({
      audit_events: [own],
      coverage_holes: [own],
      // Takes back what was claimed of the future.
      coverage: [restore, own, again, 'orgtrail_trim_coverage'],
      // A failure, under the fence; and the end of rests.
      lanes: [own, 'orgtrail_end_rests', 'orgtrail_fail_lane', reading],
      sinks: [
        restore,
        'orgtrail_begin_delivery',
        'orgtrail_claim_sink',
        'orgtrail_fail_delivery',
        'orgtrail_finish_delivery',
        'orgtrail_finish_delivery_and_skip',
        'orgtrail_note_sink_failure',
        // The owner's, and that of who has proven a token for it (docs/decisions/12).
        'orgtrail_order',
        'orgtrail_register_sinks',
        'orgtrail_register_sinks_with_ages',
        'orgtrail_release_sink',
        'orgtrail_release_sinks_of',
        'orgtrail_renew_sink',
        'orgtrail_skip_events',
        'orgtrail_skip_old_events',
      ],
      coverage_readings: [restore, reading],
      // Called by the last one alone; and what is no longer promised is deleted.
      evidence_reads: ['orgtrail_note_reads', 'orgtrail_thin_reads'],
      // The first one sets the position to what it is, for the trigger that compares timelines; the last two note the server and the time alone.
      feed_head: [restore, 'orgtrail_check_timeline', own, 'orgtrail_compare_server', 'orgtrail_note_alive'],
    });
  });
});

const written = [
  'audit_events',
  'coverage_holes',
  'coverage',
  'lanes',
  'coverage_readings',
  'evidence_reads',
  'sinks',
  'feed_head',
];

const headOf = () => firstValue<number>(pool, 'select position::float8 from feed_head');
const twoEntries = (name: string) => [entryText(`${name}-1`), entryText(`${name}-2`, T0 + 1_000)];
