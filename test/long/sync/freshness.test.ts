import { expect, test } from 'vitest';
import { planJobs } from '../../../src/ingest/sync/plan-jobs.ts';
import { planningTime, type SyncContext } from '../../../src/ingest/sync/ports.ts';
import { RememberedSources } from '../../../src/ingest/sync/source-cache.ts';
import {
  auditRequests,
  openWorld,
  type SyncRun,
  type SyncWorld,
  stillClock,
  wholeCycle,
  workOffOnce,
} from '../../support/sync/sync-world.ts';

const ORGANIZATIONS = 24;
const options = { organizations: ORGANIZATIONS, entries: 24, clock: stillClock(), ownClock: true };

test('busy organizations are asked more often, silent ones within the bound; a restart and another replica know it, too', async () => {
  await using world = await openWorld(options, { ORGTRAIL_CONCURRENCY: '4' });
  const { ids, busy, tick } = ticking(world);
  const silent = ids.filter((id) => !busy.includes(id));
  const first = await world.open();
  await knowSources(world, first);
  const rounds: (readonly string[])[] = [];
  for (let n = 0; n < 24; n += 1) rounds.push(await tick(first));
  await first.close();
  const settled = rounds.slice(8);
  for (const id of busy) expect(timesAsked(settled, id), 'in turn it would be 4').toBeGreaterThanOrEqual(10);
  for (const id of silent) expect(longestPause(rounds, id)).toBeLessThanOrEqual(MAX_TICKS + 1);
  const leave = (settled.length * ORGANIZATIONS * TICK_MS) / EQUAL_MS;
  // Some ticks have more, for tails under way, which later ones make up for: as much as one round of all.
  expect(settled.flat().length, 'requests').toBeLessThanOrEqual(leave + ORGANIZATIONS);
  // Two replicas that have never sent a request, in turn.
  await using second = await world.open();
  await using third = await world.open();
  const later: (readonly string[])[] = [];
  for (let n = 0; n < 6; n += 1) later.push(await tick(n % 2 === 0 ? second : third));
  for (const id of busy) expect(timesAsked(later, id), 'in turn it would be 1 or 2').toBeGreaterThanOrEqual(3);
  for (const id of silent) expect(longestPause([...rounds, ...later], id)).toBeLessThanOrEqual(MAX_TICKS + 1);
  expect(await second.app.sync.store.loadSources()).toEqual(await third.app.sync.store.loadSources());
});

test('a sleeper that wakes is asked often from its first event on', async () => {
  await using world = await openWorld(options, { ORGTRAIL_CONCURRENCY: '4' });
  const { ids, tick } = ticking(world);
  const [sleeper = ''] = ids.slice(-1);
  await using run = await world.open();
  await knowSources(world, run);
  for (let n = 0; n < 8; n += 1) await tick(run);
  const rounds: (readonly string[])[] = [];
  for (let n = 0; n < 16; n += 1) {
    world.simulator.generate(sleeper, 3);
    rounds.push(await tick(run));
  }
  const woken = rounds.slice(rounds.findIndex((asked) => asked.includes(sleeper)) + 1);
  expect(woken.length).toBeGreaterThanOrEqual(16 - MAX_TICKS - 1);
  // In turn it would be every fourth tick.
  expect(timesAsked(woken, sleeper)).toBeGreaterThanOrEqual(woken.length / 2);
});

const TICK_MS = 30_000;
/** What the budget would let each be asked, in turn: every fourth tick. */
const EQUAL_MS = 4 * TICK_MS;
const MAX_TICKS = 8;
const BUSY = 2;

/** Goes through ticks by Cloudflare's clock, which the test moves; says by tick which organizations were asked. */
const ticking = (world: SyncWorld) => {
  const ids = world.simulator.summary().organizations.map(({ id }) => id);
  const busy = ids.slice(0, BUSY);
  const remembered = new Map<SyncRun, RememberedSources>();
  let ticks = 0;
  const tick = async (run: SyncRun): Promise<readonly string[]> => {
    ticks += 1;
    for (const id of busy) world.simulator.generate(id, 3);
    await world.setClocks(ticks * TICK_MS);
    const context: SyncContext = { ...run.app.sync, intervals: () => ({ liveMs: EQUAL_MS, settleMs: 1e12 }) };
    const asked = world.simulator.requestCount;
    const time = await planningTime(context);
    if (time === undefined) throw new Error('nothing has been listed');
    const kept = remembered.get(run) ?? new RememberedSources();
    remembered.set(run, kept);
    const { jobs } = await planJobs(context, { ...time, nowMs: world.simulator.summary().nowMs }, false, kept);
    expect(await workOffOnce(context, jobs, wholeCycle())).toEqual({ failed: [], held: [] });
    return auditRequests(world.simulator, asked).map(({ organizationId }) => organizationId);
  };
  return { ids, busy, tick };
};

/** As after days of running: an event in three days each. The first look of all, at an hour, says less. */
const knowSources = async (world: SyncWorld, run: SyncRun): Promise<void> => {
  await run.cycle();
  await world.database.pool.query('update sources set event_rate = 1 / 72.0, recent_event_rate = 0');
  // A source of some minutes looks far back often: at twice its age, in the end once a day.
  await world.database.pool.query(`update lanes set state = jsonb_set(state, '{lookBack,sinceMs}',
    to_jsonb((state #>> '{lookBack,sinceMs}')::bigint - 3 * 86400000)) where lane = 'live'`);
};

const timesAsked = (rounds: readonly (readonly string[])[], id: string): number =>
  rounds.flat().filter((each) => each === id).length;

/** In ticks. */
const longestPause = (rounds: readonly (readonly string[])[], id: string): number => {
  const at = rounds.flatMap((asked, n) => (asked.includes(id) ? [n] : []));
  return Math.max(...[...at, rounds.length].map((each, n) => each - (at[n - 1] ?? -1)));
};
