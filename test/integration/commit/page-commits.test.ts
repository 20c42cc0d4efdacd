import { beforeAll, describe, expect, test } from 'vitest';
import { idleLane } from '../../../src/ingest/planning/lane.ts';
import type { CommitResult, PageCommit } from '../../../src/ingest/planning/source.ts';
import { commitPage } from '../../../src/ingest/sync/commit/commit-page.sql.ts';
import { type CommitPages, createPageCommits } from '../../../src/ingest/sync/commit/page-commits.sql.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import {
  anyWalk,
  commitOf,
  entryText,
  eventsOf,
  LEASE_MS,
  newSource,
  pageOf,
  seconds,
  T0,
  walking,
} from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { until } from '../../support/process/until.ts';
import { nested } from '../../support/sync/defective-entries.ts';

const database = databaseOfTests();
/** PostgreSQL refuses pages here that orgtrail takes for plain. */
const pool = forAllTests(() => createPool(database.url, 20, () => {}));
beforeAll(async () => {
  const name = new URL(database.url).pathname.slice(1);
  await database.pool.query(`alter database ${name} set max_stack_depth = '100kB'`);
});

let plugs = 0;
/** A busy machine takes seconds for a call: what waits must not go alone for that. */
const NEVER_SLOW_MS = LEASE_MS;

describe('pages of several sources that wait', () => {
  test('are stored in one transaction, in the order of their sources, with positions without a gap (invariant 6)', async () => {
    const ids = ['one-c', 'one-a', 'one-b'];
    const pages = await Promise.all(ids.map((id) => plain(id)));
    const results = await together(createPageCommits(pool, LEASE_MS, NEVER_SLOW_MS), pages);
    const done = { kind: 'committed', stored: 2, duplicates: 0 };
    expect(results.map((result) => result.status === 'fulfilled' && result.value)).toMatchObject([done, done, done]);
    expect(await transactionsOf(ids)).toBe(1);
    const [c, a, b] = await positionsOf(ids);
    const first = a?.[0] ?? 0;
    expect([...(a ?? []), ...(b ?? []), ...(c ?? [])]).toEqual([0, 1, 2, 3, 4, 5].map((n) => first + n));
  });

  test('leave each what it leaves alone: stored, known, changed, empty, fenced, refused by the database, unknown (invariants 1 and 7)', async () => {
    const pagesOf = async (prefix: string): Promise<readonly PageCommit[]> => {
      const known = await plain(`${prefix}known`);
      await commitPage(pool, known, LEASE_MS);
      const again = { ...known, lease: { ...known.lease, commitSeq: known.lease.commitSeq + 1 } };
      const stale = await plain(`${prefix}stale`);
      const twice = await plain(`${prefix}twice`, ['same', 'same']);
      const changed = pageOf([entryText('same'), entryText('same', T0, { other: 'content' })]);
      return [
        await plain(`${prefix}stored`),
        again,
        { ...stale, lease: { ...stale.lease, epoch: stale.lease.epoch - 1 } },
        { ...twice, page: changed },
        await refused(`${prefix}refused`),
        { ...(await plain(`${prefix}empty`)), page: pageOf([]), state: idleLane },
        { ...stale, lease: { ...stale.lease, id: `${prefix}nowhere` } },
      ];
    };
    const [grouped, single] = [await pagesOf('grouped-'), await pagesOf('single-')];
    const results = await together(createPageCommits(pool, LEASE_MS, NEVER_SLOW_MS), grouped);
    const expected: unknown[] = [];
    for (const page of single) {
      const [settled] = await Promise.allSettled([commitPage(pool, page, LEASE_MS)]);
      expected.push(outcomeOf(settled));
    }
    expect(results.map(outcomeOf)).toEqual(expected);
    expect(expected).toMatchObject([
      { stored: 2 },
      { stored: 0, duplicates: 2 },
      'fenced',
      { stored: 1, changed: 1 },
      { stored: 2, defective: 1 },
      { stored: 0, duplicates: 0 },
      'fenced',
    ]);
    for (const id of ['stored', 'known', 'stale', 'twice', 'refused', 'empty', 'nowhere']) {
      expect(await leftOf('grouped-', id), id).toEqual(await leftOf('single-', id));
    }
  });

  test('end their turns each by itself: one that is fenced, or fails, leaves its lease as it is', async () => {
    const ids = ['ends-a', 'ends-b', 'ends-c', 'ends-d'];
    const [a, b, c, d] = await Promise.all([plain('ends-a'), plain('ends-b'), plain('ends-c'), plain('ends-d')]);
    await pool.query("alter table audit_events add constraint no_end check (id <> 'ends-d-1')");
    const stale = { ...c, lease: { ...c.lease, epoch: c.lease.epoch - 1 } };
    const pages = [{ ...a, endsTurn: true }, b, { ...stale, endsTurn: true }, { ...d, endsTurn: true }];
    const settled = await together(createPageCommits(pool, LEASE_MS, NEVER_SLOW_MS), pages);
    await pool.query('alter table audit_events drop constraint no_end');
    const kinds = settled.map((each) => each.status === 'fulfilled' && each.value.kind);
    expect(kinds).toEqual(['committed', 'committed', 'fenced', false]);
    const { rows } = await pool.query<{ id: string }>(
      'select id from sources where id = any($1) and lease_until > clock_timestamp() order by id',
      [ids],
    );
    expect(rows.map(({ id }) => id)).toEqual(['ends-b', 'ends-c', 'ends-d']);
  });

  test('one fails: it alone, and it goes apart from the others until it is stored (invariant 10)', async () => {
    await pool.query("alter table audit_events add constraint no_poison check (id <> 'poison')");
    const commits = createPageCommits(pool, LEASE_MS, NEVER_SLOW_MS);
    const ids = ['apart-a', 'apart-b', 'apart-c'];
    const [a, poisoned, c] = await Promise.all([plain('apart-a'), plain('apart-b', ['poison']), plain('apart-c')]);
    const settled = await together(commits, [a, poisoned, c]);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((settled[1] as PromiseRejectedResult).reason).toMatchObject({ constraint: 'no_poison' });
    expect((await positionsOf(ids)).map(({ length }) => length)).toEqual([2, 0, 2]);

    const next = (page: PageCommit, id: string): PageCommit => ({
      ...page,
      lease: { ...page.lease, commitSeq: page.lease.commitSeq + 1 },
      page: pageOf([entryText(`${id}-next`)]),
    });
    const later = await together(commits, [next(a, 'a'), poisoned, next(c, 'c')]);
    expect(later.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await pool.query('alter table audit_events drop constraint no_poison');
    expect((await together(commits, [poisoned])).map(({ status }) => status)).toEqual(['fulfilled']);
  });

  test('the source of one is locked: the others do not wait for it (invariant 10)', async () => {
    const ids = ['locked-a', 'locked-b', 'locked-c'];
    const pages = await Promise.all(ids.map((id) => plain(id)));
    const commits = createPageCommits(pool, LEASE_MS, NEVER_SLOW_MS);
    const held = await withLock(pool, "select from sources where id = 'locked-a' for update", async () => {
      const waiting = await whileBusy(commits, () => pages.map(commits));
      expect(await Promise.all(waiting.slice(1))).toMatchObject([{ stored: 2 }, { stored: 2 }]);
      await waitingBackends(pool, 1);
      return { first: waiting[0] };
    });
    expect(await held.first).toMatchObject({ stored: 2 });
    expect((await positionsOf(ids)).map(({ length }) => length)).toEqual([2, 2, 2]);
  });

  test('the connection breaks: none is stored, each fails, and each can be sent again', async () => {
    const ids = ['broken-a', 'broken-b'];
    const pages = await Promise.all(ids.map((id) => plain(id)));
    const commits = createPageCommits(pool, LEASE_MS, NEVER_SLOW_MS);
    // Another transaction has begun to claim something of one of them.
    const claim = "insert into coverage select 'organization', 'broken-b', 'filters-in-force', 0";
    const lost = await withLock(pool, claim, async () => {
      const { ended } = await begun(commits, pages);
      await until('the statement for both is ended', async () => {
        const { rows } = await pool.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock' and query like '%with free as%'`,
        );
        return rows.length > 0;
      });
      return await ended;
    });
    expect(lost.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect((await positionsOf(ids)).flat()).toEqual([]);
    expect(await together(commits, pages)).toMatchObject([{ value: { stored: 2 } }, { value: { stored: 2 } }]);
  });
});

const HEAD = 'select from feed_head for update';

const plain = async (id: string, ids: readonly string[] = [`${id}-1`, `${id}-2`]): Promise<PageCommit> => {
  const page = pageOf(ids.map((each, n) => entryText(each, T0 + n * 1_000)));
  const state = walking(anyWalk(`after ${ids[0]}`));
  return commitOf(await newSource(pool, id), page, { state, claims: [seconds(0, 1), seconds(0, 0.5)] });
};

const refused = async (id: string): Promise<PageCommit> => {
  const deep = `{"id":"${id}-deep","action":{"type":"delete","time":"2026-01-10T00:00:00Z"},"n":${nested(4_000)}}`;
  return { ...(await plain(id)), page: pageOf([entryText(`${id}-1`), deep]) };
};

/** Has all calls under way while `begin` adds pages: these wait, and go together once the feed's head is free. */
const whileBusy = async <T>(commits: CommitPages, begin: () => T): Promise<T> => {
  const under = await Promise.all([1, 2].map(() => plain(`plug-${++plugs}`)));
  return await withLock(pool, HEAD, async () => {
    for (const each of under) void commits(each);
    await waitingBackends(pool, 2);
    return begin();
  });
};

const begun = async (commits: CommitPages, pages: readonly PageCommit[]) =>
  await whileBusy(commits, () => ({ ended: Promise.allSettled(pages.map(commits)) }));

const together = async (commits: CommitPages, pages: readonly PageCommit[]) => (await begun(commits, pages)).ended;

const transactionsOf = (ids: readonly string[]) =>
  firstValue<number>(
    pool,
    'select count(distinct xmin::text)::integer as count from audit_events where source_id = any($1)',
    [ids],
  );

const positionsOf = async (ids: readonly string[]) =>
  (await Promise.all(ids.map((id) => eventsOf(pool, id)))).map((events) => events.map(({ position }) => position));

/** What a commit has left of a source, but for times and positions; `prefix` is left out of all names. */
const leftOf = async (prefix: string, id: string) => {
  const events = await eventsOf(pool, `${prefix}${id}`);
  const { rows } = await pool.query(
    `select s.commit_seq::integer, s.largest_page, s.last_event_at,
       (select json_agg(json_build_array(l.lane, l.state, l.failures, l.found) order by l.lane) from lanes l where l.source_id = s.id) as lanes,
       (select json_agg(json_build_array(c.pass, c.ranges, c.proven) order by c.pass) from coverage c where c.source_id = s.id) as coverage,
       (select count(*)::integer from audit_event_changes e where e.source_id = s.id) as changes
     from sources s where s.id = $1`,
    [`${prefix}${id}`],
  );
  const left = [events.map(({ position: _, ...event }) => event), rows];
  return JSON.parse(JSON.stringify(left).replaceAll(prefix, '')) as unknown;
};

const outcomeOf = (settled: PromiseSettledResult<CommitResult> | undefined) => {
  if (settled?.status !== 'fulfilled') return settled;
  if (settled.value.kind === 'fenced') return 'fenced';
  const { lease, latenessSeconds, ...counts } = settled.value;
  return { ...counts, lateness: latenessSeconds.length, commitSeq: lease.commitSeq };
};
