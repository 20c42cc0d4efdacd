import { describe, expect, test } from 'vitest';
import { idleLane } from '../../../src/ingest/planning/lane.ts';
import { claimSource, recordFailure, releaseDead, releaseSource } from '../../../src/ingest/sync/store/leases.sql.ts';
import { loadSources } from '../../../src/ingest/sync/store/sources.sql.ts';
import { committed } from '../../support/postgres/committed.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import {
  anyWalk,
  asCareful,
  commit,
  entryText,
  eventsOf,
  everything,
  FILTERS,
  LEASE_MS,
  newSource,
  organizationKind,
  pageOf,
  scopeOf,
  seconds,
  sourceOf,
  T0,
  takeLease,
  walking,
} from '../../support/postgres/store-fixture.ts';

const pool = poolOfTests();
const full = { state: walking(anyWalk('never')), claims: [seconds(0, 60)] };

describe('invariant 7: only the holder of the current lease epoch commits', () => {
  test.each([
    ['an older epoch', -1, 0],
    ['an older count of commits', 0, -1],
    ['a later count of commits', 0, 1],
  ])('%s writes nothing, also on the careful path', async (name, epoch, commitSeq) => {
    const { lease } = await committed(pool, await newSource(pool, name), [entryText('one')]);
    const stale = { ...lease, epoch: lease.epoch + epoch, commitSeq: lease.commitSeq + commitSeq };
    const before = await everything(pool);
    const page = pageOf([entryText('two')]);
    for (const each of [page, asCareful(page)])
      expect(await commit(pool, stale, each, full)).toEqual({ kind: 'fenced' });
    expect(await everything(pool)).toEqual(before);
  });

  test('another owner with the right numbers writes nothing, nor does one of a source that is not there', async () => {
    const lease = await newSource(pool, 'owners');
    const before = await everything(pool);
    expect(await commit(pool, { ...lease, owner: OTHER }, [entryText('x')], full)).toEqual({ kind: 'fenced' });
    expect(await commit(pool, { ...lease, id: 'nowhere' }, [entryText('x')], full)).toEqual({ kind: 'fenced' });
    expect(await everything(pool)).toEqual(before);
  });

  test('of two commits that race on the same lease, exactly one wins, and only its page is stored', async () => {
    // Two that are half way through, and two that have not begun.
    const head = 'select from feed_head for update';
    for (const [round, lock] of [head, ...Array<string>(4).fill('')].entries()) {
      const id = `race ${round}`;
      const lease = await newSource(pool, id);
      const racing = await withLock(pool, lock || `select from sources where id = '${id}' for update`, async () => {
        const commits = ['left', 'right'].map((side) =>
          commit(pool, lease, [entryText(`${side}-1`), entryText(`${side}-2`)], { state: walking(anyWalk(side)) }),
        );
        await waitingBackends(pool, 2);
        return commits;
      });
      const results = await Promise.all(racing);
      expect(results.map((result) => result.kind).sort()).toEqual(['committed', 'fenced']);
      const winner = results[0]?.kind === 'committed' ? 'left' : 'right';
      expect((await eventsOf(pool, id)).map((event) => event.id)).toEqual([`${winner}-1`, `${winner}-2`]);
      const { rows } = await pool.query("select state #>> '{walk,cursor}' as cursor from lanes where source_id = $1", [
        id,
      ]);
      expect(rows).toEqual([{ cursor: winner }]);
    }
  });

  test('a commit that waits while the lease goes to another process writes nothing', async () => {
    const lease = await newSource(pool, 'taken');
    await releaseSource(pool, lease);
    const holder = await pool.connect();
    await holder.query('begin');
    const taking = "update sources set lease_owner = $1, lease_epoch = lease_epoch + 1 where id = 'taken'";
    await holder.query(taking, [OTHER]);
    const late = commit(pool, lease, [entryText('late')], full);
    await waitingBackends(pool, 1);
    await holder.query('commit');
    holder.release();
    expect(await late).toEqual({ kind: 'fenced' });
    expect(await eventsOf(pool, 'taken')).toEqual([]);
  });
});

describe('invariant 7: leases', () => {
  test('a source is not given while another holds it, and is once the lease has run out', async () => {
    await releaseSource(pool, await newSource(pool, 'runs out'));
    const mine = await claim('runs out', ME);
    expect(mine).toBeDefined();
    expect(await claim('runs out', OTHER)).toBeUndefined();
    await pool.query("update sources set lease_until = clock_timestamp() where id = 'runs out'");
    const theirs = await claim('runs out', OTHER);
    expect(theirs?.lease).toMatchObject({ owner: OTHER, epoch: (mine?.lease.epoch ?? 0) + 1 });
    expect(await claim('runs out', ME)).toBeUndefined();
    if (mine === undefined) return;
    expect(await commit(pool, mine.lease, [entryText('late')], full)).toEqual({ kind: 'fenced' });
    await releaseSource(pool, mine.lease);
    expect(await isHeld('runs out'), 'a late release of an earlier epoch').toBe(true);
  });

  test('a lease that ran out and was not taken still commits, and is held again by that', async () => {
    await releaseSource(pool, await newSource(pool, 'slow'));
    const mine = await claim('slow', ME, 1);
    await pool.query("select pg_sleep_until(lease_until) from sources where id = 'slow'");
    if (mine === undefined) throw new Error('not given');
    expect(await commit(pool, mine.lease, [entryText('slow')])).toMatchObject({ stored: 1 });
    expect(await claim('slow', OTHER)).toBeUndefined();
  });

  test('the commit that ends a turn gives its lease back; one that is fenced gives back nothing', async () => {
    const first = await newSource(pool, 'ends');
    const last = await committed(pool, first, [entryText('last')], { ...full, endsTurn: true });
    expect(await isHeld('ends')).toBe(false);
    const theirs = await claim('ends', OTHER);
    expect(theirs?.lease).toMatchObject({ owner: OTHER, epoch: first.epoch + 1, commitSeq: first.commitSeq + 1 });
    const before = await everything(pool);
    expect(await commit(pool, last.lease, [entryText('late')], { ...full, endsTurn: true })).toEqual({
      kind: 'fenced',
    });
    expect(await everything(pool)).toEqual(before);
    expect(await isHeld('ends'), 'by the other one').toBe(true);
  });

  test('what the claim says of a source is what planning says of it', async () => {
    const lease = await newSource(pool, 'two ways');
    const holes = [{ range: { fromMs: T0, toMs: T0 + 1_000 }, pass: 1, reason: 'cut', message: 'why' }];
    const eventRate = { perHour: 1 / 3, recentPerHour: 0.1 };
    const held = await commit(pool, lease, [entryText('one')], { ...full, holes, eventRate, endsTurn: true });
    expect(held.kind).toBe('committed');
    const planned = await loadSources(pool, OTHER, organizationKind(), scopeOf());
    const claimed = await claim('two ways', OTHER);
    expect(claimed?.source).toEqual(planned.find(({ id }) => id === 'two ways'));
    expect(claimed?.source).toMatchObject({ eventRate, largestPage: 1, holes: [{ reason: 'cut' }] });
  });

  test('of many who claim at the same time, one gets it', async () => {
    await releaseSource(pool, await newSource(pool, 'crowd'));
    const claims = await Promise.all(Array.from({ length: 8 }, (_, index) => claim('crowd', `host/${index}/x`)));
    expect(claims.filter((claimed) => claimed !== undefined)).toHaveLength(1);
  });

  test('the leases of dead owners end, those of the others stay', async () => {
    for (const [id, owner] of [
      ['dead', 'host/9/dead'],
      ['alive', 'host/8/alive'],
    ] as const) {
      await releaseSource(pool, await newSource(pool, id));
      await claim(id, owner);
    }
    await releaseDead(pool, (owner) => owner === 'host/9/dead');
    expect(await isHeld('dead')).toBe(false);
    expect(await isHeld('alive')).toBe(true);
    expect(await claim('dead', ME)).toBeDefined();
    expect(await claim('alive', ME)).toBeUndefined();
    const both = await loadSources(pool, ME, organizationKind(), scopeOf(['dead', 'alive']));
    const elsewhere = Object.fromEntries(both.map(({ id, heldElsewhere }) => [id, heldElsewhere]));
    expect(elsewhere).toEqual({ dead: false, alive: true });
  });

  test('a failure is noted for the holder only, and for its lane alone; a commit that is over it forgets it', async () => {
    const laneOf = async (lane: string) => {
      const { rows } = await pool.query(
        `select failures, last_failure, last_error, next_attempt_at > clock_timestamp() as rests, state #>> '{walk,cursor}' as cursor
         from lanes where source_id = 'fails' and lane = $1`,
        [lane],
      );
      return rows[0];
    };
    const old = await newSource(pool, 'fails');
    const lease = await takeLease(pool, 'fails');
    const failure = { failure: 'timeout', message: 'no bytes', backoffMs: 60_000, filterHash: FILTERS };
    const failed = (failures: number) => ({ ...walking(anyWalk('on')), failures });
    await recordFailure(pool, old, { ...failure, lane: 'backfill', state: failed(1) });
    expect(await laneOf('backfill')).toBeUndefined();
    await recordFailure(pool, lease, { ...failure, lane: 'backfill', state: failed(1) });
    await recordFailure(pool, lease, { ...failure, lane: 'backfill', state: failed(2) });
    const resting = { failures: 2, last_failure: 'timeout', last_error: 'no bytes', rests: true, cursor: 'on' };
    expect(await laneOf('backfill')).toEqual(resting);
    const [state] = await loadSources(pool, ME, organizationKind(), scopeOf(['fails']));
    expect(state?.lanes).toEqual({ backfill: failed(2) });
    expect(state?.restMs.backfill).toBeGreaterThan(55_000);
    expect(state?.restMs.backfill).toBeLessThanOrEqual(60_000);

    const live = await committed(pool, lease, [entryText('well')]);
    expect(await laneOf('live')).toMatchObject({ failures: 0, last_failure: null, rests: null });
    expect(await laneOf('backfill'), 'the success of another lane').toEqual(resting);
    const narrower = await committed(pool, live.lease, [], { lane: 'backfill', state: failed(3) });
    const goesOn = { failures: 3, last_failure: 'timeout', last_error: 'no bytes', rests: null };
    expect(await laneOf('backfill'), 'it goes on, and is not over it').toMatchObject(goesOn);
    await commit(pool, narrower.lease, [entryText('well, too')], { lane: 'backfill', state: idleLane });
    const over = { failures: 0, last_failure: null, last_error: null, rests: null, cursor: null };
    expect(await laneOf('backfill')).toEqual(over);
  });
});

const ME = 'host/1/me';
const OTHER = 'host/2/other';

const claim = (id: string, owner: string, leaseMs = LEASE_MS) =>
  claimSource(pool, sourceOf(id), owner, leaseMs, FILTERS);

const isHeld = (id: string) =>
  firstValue<boolean | null>(
    pool,
    'select coalesce(lease_until > clock_timestamp(), false) from sources where id = $1',
    [id],
  );
