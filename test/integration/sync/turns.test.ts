import { createHash } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { ApiError } from '../../../src/base/errors.ts';
import { OTHER_LIMIT } from '../../../src/ingest/planning/proof.ts';
import type { PageCommit } from '../../../src/ingest/planning/source.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { type RecordedAnswer, startRecordingProxy } from '../../support/network/recording-proxy.ts';
import { firstValue, valuesOf } from '../../support/postgres/rows.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { auditRequests, openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

describe.concurrent('the lease of a turn', () => {
  test('goes back with its last commit: no statement is sent for it, and no source stays held', async () => {
    await using world = await openWorld();
    await using run = await world.open();
    const release = vi.spyOn(run.app.sync.store, 'release');
    const claim = vi.spyOn(run.app.sync.store, 'claim');
    expect(await run.sync()).toMatchObject({ failed: [], held: [], finished: true });
    expect(claim.mock.calls.length).toBeGreaterThan(3);
    expect(release).not.toHaveBeenCalled();
    expect(await heldSources(world)).toBe(0);
    await world.expectExactTruth();
  });

  test('goes back by a statement if the last commit fails; what was committed before stays', async () => {
    await using world = await openWorld({ organizations: 1 });
    await using run = await world.open();
    const { store } = run.app.sync;
    const release = vi.spyOn(store, 'release');
    const real = store.commit;
    const commit = vi.spyOn(store, 'commit').mockImplementation(async (given) => {
      if (given.endsTurn === true) throw new Error('the connection is broken');
      return await real(given);
    });
    await expect(run.sync()).rejects.toThrow('the connection is broken');
    expect(release).toHaveBeenCalled();
    expect(await heldSources(world)).toBe(0);
    commit.mockRestore();
    expect(await run.sync()).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
  });

  test('goes back by a statement if a page is asked for without an answer', async () => {
    await using world = await openWorld({ organizations: 1 });
    await using run = await world.open();
    const release = vi.spyOn(run.app.sync.store, 'release');
    world.simulator.faults.set({ refused: { count: 1_000 } });
    await run.cycle();
    expect(release).toHaveBeenCalled();
    expect(await heldSources(world)).toBe(0);
  });

  test('lost to another process before its last commit: that one is fenced, and leaves the lease to it', async () => {
    await using world = await openWorld({ organizations: 1 });
    await using run = await world.open();
    const { store } = run.app.sync;
    const real = store.commit;
    let stolen = 0;
    vi.spyOn(store, 'commit').mockImplementation(async (given) => {
      if (given.endsTurn === true && stolen++ === 0) {
        await world.database.pool.query(
          "update sources set lease_owner = 'other/1/thief', lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '30 minutes'",
        );
      }
      return await real(given);
    });
    const { held } = await run.sync({ retries: 0 });
    expect(held).toHaveLength(1);
    const { rows } = await world.database.pool.query(
      'select lease_owner, lease_until > clock_timestamp() as held from sources',
    );
    expect(rows).toEqual([{ lease_owner: 'other/1/thief', held: true }]);
  });
});

test('a page that comes again as proof, to the byte, is counted and not sent to the database', async () => {
  await using world = await openWorld(oneLargePage);
  const pages: { entries: number; duplicates: number }[] = [];
  await using run = await world.open(
    {},
    { pageCommitted: ({ entries, duplicates }) => pages.push({ entries, duplicates }) },
  );
  expect(await run.sync()).toMatchObject({ failed: [], finished: true });
  await world.expectExactTruth();
  const again = pages.filter(({ entries, duplicates }) => entries >= 50 && duplicates === entries);
  const { rows } = await world.database.pool.query<{ commits: number }>(
    'select commit_seq::integer as commits from sources',
  );
  expect(again.length, 'pages that prove').toBeGreaterThan(0);
  expect(rows).toEqual([{ commits: pages.length - again.length }]);
});

describe.concurrent('the only page of all of history, whose end is in doubt', () => {
  test('is committed together with what it proves', async () => {
    await using world = await openWorld(oneLargePage);
    await using run = await world.open();
    const { store, time } = run.app.sync;
    const commit = vi.spyOn(store, 'commit');
    const real = time.sleep;
    // An answer comes before what waits for it gives up, on a busy machine, too.
    vi.spyOn(time, 'sleep').mockImplementation((ms, signal) => real(ms * 1_000, signal));
    expect(await run.sync()).toMatchObject({ failed: [], finished: true });
    const commits = commitsOf(commit.mock.calls);
    expect(commits).toEqual(commits.map(({ entries }) => ({ entries, claims: true })));
    expect(commits.length).toBeGreaterThan(0);
    await world.expectExactTruth();
  });

  test('is committed by itself, without a claim, if the answer that would prove it takes long', async () => {
    await using world = await openWorld(oneLargePage);
    await using run = await world.open();
    const { api, store } = run.app.sync;
    const commit = vi.spyOn(store, 'commit');
    const real = api.fetchPage;
    const late = Promise.withResolvers<void>();
    vi.spyOn(api, 'fetchPage').mockImplementation(async (...asked) => {
      if (asked[1].pageLimit === OTHER_LIMIT) await late.promise;
      return await real(...asked);
    });
    const synced = run.sync();
    await until('the page is stored', async () => (await storedRows(world)) >= 50);
    expect(commitsOf(commit.mock.calls)).toContainEqual(expect.objectContaining({ claims: false }));
    late.resolve();
    expect(await synced).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
  });

  test('is committed by itself, without a claim, if the proof is refused, and is no page twice afterwards', async () => {
    await using world = await openWorld(oneLargePage);
    await using run = await world.open();
    const { api, store } = run.app.sync;
    const commit = vi.spyOn(store, 'commit');
    const real = api.fetchPage;
    const refusals = vi.spyOn(api, 'fetchPage').mockImplementation(async (...asked) => {
      if (asked[1].pageLimit === OTHER_LIMIT) throw new ApiError('refused', 'not now', { status: 403 });
      return await real(...asked);
    });
    await run.sync({ retries: 0 });
    expect(commitsOf(commit.mock.calls)).toEqual([expect.objectContaining({ claims: false })]);
    expect(await storedRows(world)).toBeGreaterThanOrEqual(50);
    refusals.mockRestore();
    await world.database.pool.query('update lanes set next_attempt_at = null');
    expect(await run.sync()).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
  });
});

test.each([
  ['is still served: no request more', false],
  ['Cloudflare has taken back: one question more, and what it ends is believed as without', true],
])('a window of history whose sentinel %s', async (_, isGone) => {
  const narrowed: string[] = [];
  const observer = { windowNarrowed: ({ reason }: { readonly reason: string }) => void narrowed.push(reason) };
  await using world = await openWorld({ organizations: 1, pageCap: 1_000 }, { ORGTRAIL_SETTLE: 'none' });
  await using run = await world.open({}, observer);
  await run.sync();
  const untilMs = await forgetHistory(world, 200);
  if (isGone) {
    // Nearer than any that is served.
    await world.database.pool.query(
      `update audit_events set id = 'gone', action_time = to_timestamp($1::float8 / 1000 + 1)
       where action_time = (select min(action_time) from audit_events)`,
      [untilMs],
    );
  }
  const from = world.simulator.requestCount;
  await run.sync();
  const asked = auditRequests(world.simulator, from).map(({ query }) => query);
  const ofHistory = asked.filter((query) => Date.parse(query.get('since') ?? '') < untilMs);
  expect(Date.parse(ofHistory[0]?.get('before') ?? ''), 'reaches over it').toBeGreaterThanOrEqual(untilMs + 2_000);
  // Of its second: a live poll that looks far back reaches over it as well.
  const questions = asked.filter((query) => Date.parse(query.get('before') ?? '') === untilMs + 2_001);
  expect(new Set(questions.map((query) => Date.parse(query.get('since') ?? '')))).toEqual(
    new Set(isGone ? [untilMs + 999] : []),
  );
  expect(narrowed).toEqual([]);
  const { missing, extra } = await world.compare();
  // The one that is called so.
  const ofGone = isGone ? 1 : 0;
  expect({ missing, extra }).toEqual({ missing: ofGone, extra: ofGone });
});

test('each walk that is claimed has a row that tells of all its answers, also one that took several turns, and its proof', async () => {
  // More pages than a turn has, and a log of one page that may be cut, which must be proven.
  await using world = await openWorld({ organizations: 27, entries: 6_000, pageCap: 60, distribution: 'zipf' });
  await using proxy = await startRecordingProxy(world.simulator.baseUrl);
  await openBuilder(world.database.pool, newSigner()).build();
  await using run = await world.open({ CLOUDFLARE_BASE_URL: proxy.baseUrl });
  expect(await run.sync()).toMatchObject({ failed: [], finished: true });
  const rows = await rowsOf(world);
  expectRecorded(rows, proxy.answers);
  expect(Math.max(...rows.map(({ pages }) => pages))).toBeGreaterThan(20);
  expect(rows.some(({ answers, pages }) => answers > pages)).toBe(true);
  expect(rows.every((row) => row.first_cf_ray !== null && row.last_date !== null)).toBe(true);
  expect(rows.reduce((sum, { entries }) => sum + entries, 0)).toBeGreaterThanOrEqual(6_000);
});

test('answers without a CF-Ray are recorded without one', async () => {
  await using world = await openWorld({ organizations: 1, entries: 100 });
  await using proxy = await startRecordingProxy(world.simulator.baseUrl);
  await openBuilder(world.database.pool, newSigner()).build();
  await using run = await world.open({ CLOUDFLARE_BASE_URL: proxy.baseUrl });
  proxy.strip('cf-ray');
  expect(await run.sync()).toMatchObject({ failed: [], finished: true });
  const rows = await rowsOf(world);
  expectRecorded(rows, proxy.answers);
  expect(rows.every(({ first_cf_ray: ray, first_date: date }) => ray === null && date !== null)).toBe(true);
});

test('unread time that nears the end of the retention: each plan says so, status and sync show it', async () => {
  await using world = await openWorld({ organizations: 2 }, { ORGTRAIL_HISTORY: '540d' });
  const [refused = ''] = world.simulator.summary().organizations.map(({ id }) => id);
  world.simulator.setRefused(refused, true);
  const near = new Map<string, number>();
  await using run = await world.open(
    {},
    {
      jobsPlanned: ({ nearRetention }) => {
        near.clear();
        for (const { source, slackMs } of nearRetention) near.set(source.id, slackMs);
      },
    },
  );
  await run.cycle();
  expect([...near.values()].map((slackMs) => slackMs / dayMs)).toEqual([expect.closeTo(8, 3), expect.closeTo(8, 3)]);
  await run.cycle();
  expect([...near.keys()], 'the other one has been read').toEqual([refused]);

  const status = await runInProcess(['status'], world.env);
  expect(status.stdout).toMatch(new RegExp(`^${refused} .* 540d( \\S+)? \\(lost in (8d|7d 23h)\\)`, 'm'));
  expect(status.stdout.match(/lost in/g), status.stdout).toHaveLength(1);
  const sync = await runInProcess(['sync'], world.env);
  expect(sync.code).toBe(1);
  expect(sync.stdout).toContain('1 organization with time not collected that Cloudflare deletes within 30d');
});

const heldSources = (world: SyncWorld) =>
  firstValue<number>(
    world.database.pool,
    'select count(*)::integer as held from sources where lease_until is not null',
  );

const oneLargePage = { organizations: 1, entries: 160, pageCap: 1_000 } as const;

const storedRows = ({ database }: SyncWorld) =>
  firstValue<number>(database.pool, 'select count(*)::integer as rows from audit_events');

/** Commits of entries of history. `claims`: whether something was claimed with them. */
const commitsOf = (calls: readonly (readonly [PageCommit])[]) =>
  calls.flatMap(([{ page, claims }]) =>
    page.entries >= 50 ? [{ entries: page.entries, claims: claims.some((ranges) => ranges.length > 0) }] : [],
  );

/** As if history older than the newest so many events had never been read. Returns when it ends, in milliseconds. */
const forgetHistory = async ({ database }: SyncWorld, kept: number): Promise<number> => {
  const untilMs = await firstValue<number>(
    database.pool,
    `select (extract(epoch from date_trunc('second', action_time)) * 1000 - 20000)::float8 as ms from audit_events
     order by action_time desc offset $1 limit 1`,
    [kept],
  );
  await database.pool.query('delete from audit_events where action_time < to_timestamp($1::float8 / 1000)', [untilMs]);
  await database.pool.query(
    "update coverage set ranges = ranges * tstzmultirange(tstzrange(to_timestamp($1::float8 / 1000), 'infinity'))",
    [untilMs],
  );
  return untilMs;
};

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

type ReadRow = Readonly<
  Record<'pages' | 'entries' | 'answers', number> &
    Record<'source_id' | 'bodies_sha256', string> &
    Record<'first_date' | 'first_cf_ray' | 'last_date' | 'last_cf_ray', string | null>
>;

const rowsOf = ({ database }: SyncWorld): Promise<ReadRow[]> =>
  valuesOf(
    database.pool,
    `select to_jsonb(r) || jsonb_build_object('bodies_sha256', encode(bodies_sha256, 'hex'))
     from evidence_reads r order by source_kind, source_id, number`,
  );

const instantOf = (date: string | null): string | null =>
  date === null ? null : new Date(date).toISOString().replace('.000Z', '+00:00');

/** What the record must say of these answers, of whose pages some were questions. */
const recordOf = (answers: readonly RecordedAnswer[]): Omit<ReadRow, 'source_id' | 'pages' | 'entries'> => ({
  answers: answers.length,
  first_date: instantOf(answers[0]?.date ?? null),
  first_cf_ray: answers[0]?.cfRay ?? null,
  last_date: instantOf(answers.at(-1)?.date ?? null),
  last_cf_ray: answers.at(-1)?.cfRay ?? null,
  bodies_sha256: answers
    .reduce<Buffer>((before, { body }) => sha256(before, sha256(body)), Buffer.alloc(32))
    .toString('hex'),
});

/** Asserts that the rows tell of all answers of the logs, in their order; returns how many rows there are. */
const expectRecorded = (rows: readonly ReadRow[], answers: readonly RecordedAnswer[]): void => {
  const left = Map.groupBy(
    answers.filter(({ path }) => path.includes('/logs/audit')),
    ({ path }) => path.split('/')[4] ?? '',
  );
  for (const { source_id: id, pages, entries, ...row } of rows) {
    expect(pages).toBeLessThanOrEqual(row.answers);
    expect(entries).toBeGreaterThanOrEqual(0);
    expect(row).toMatchObject(recordOf(left.get(id)?.splice(0, row.answers) ?? []));
  }
  expect([...left.values()].flat()).toEqual([]);
};

const dayMs = 86_400_000;
