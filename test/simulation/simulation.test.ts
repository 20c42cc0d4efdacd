import { expect, test } from 'vitest';
import { ApiError } from '../../src/base/errors.ts';
import { type Page, readPage } from '../../src/ingest/entries/page.ts';
import { startWalk } from '../../src/ingest/planning/walk.ts';
import { Dice } from './dice.ts';
import { runSeed } from './run-seed.ts';
import { VirtualScheduler } from './scheduler.ts';
import { Simulation } from './simulation.ts';

test('the same seed gives the same history, and another seed another one', async () => {
  const hashes = new Set<number>();
  for (let seed = 1; seed <= 40; seed += 1) {
    const first = await runSeed(seed);
    const second = await runSeed(seed, true);
    expect([second.hash, second.events, second.violation], `seed ${seed}`).toEqual([
      first.hash,
      first.events,
      first.violation,
    ]);
    expect([...second.counts]).toEqual([...first.counts]);
    hashes.add(first.hash);
  }
  expect(hashes.size).toBe(40);
});

test('pages are what the page reader makes of their text', () => {
  let compared = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const { world, cloudflare } = new Simulation(seed, false);
    const claim = { fromMs: world.horizonMs, toMs: world.startMs };
    const walk = startWalk('live', claim, { readAtMs: world.startMs, pageLimit: 50 });
    let page: Page | undefined;
    try {
      page = cloudflare.logOf('o0')?.answer(walk, [], false, () => false);
    } catch (error) {
      // The window is too wide for some, and in some there is poison.
      if (error instanceof ApiError) continue;
      throw error;
    }
    compared += 1;
    const info = JSON.stringify({ cursor: page?.nextCursor, count: page?.count });
    const read = readPage(`{"success":true,"result":${page?.entriesText},"result_info":${info}}`);
    // The columns are for the database, whose model reads the text. What tells pages apart is only there if the text was read.
    const left = { rows: undefined, fingerprint: undefined };
    expect({ ...page, ...left }).toEqual({ ...read, ...left });
  }
  expect(compared).toBeGreaterThan(200);
});

test('what a paused process missed comes all at once when it resumes; of a dead one nothing runs', async () => {
  const scheduler = new VirtualScheduler(new Dice(1), 0, false);
  const paused = { name: 'paused', dead: false, pausedUntilMs: 100 };
  const dead = { name: 'dead', dead: true, pausedUntilMs: 0 };
  const ran: string[] = [];
  const note = (what: string) => () => ran.push(`${what} at ${scheduler.nowMs}`);
  scheduler.after(10, 'first', note('first'), paused);
  scheduler.after(20, 'second', note('second'), paused);
  scheduler.after(30, 'never', note('never'), dead);
  scheduler.after(50, 'other', note('other'));
  scheduler.after(100, 'later', note('later'));
  expect(await scheduler.runUntil(() => false)).toBe(false);
  expect(ran[0]).toBe('other at 50');
  expect(ran.slice(1, 3).sort()).toEqual(['first at 100', 'second at 100']);
  expect(ran.slice(3)).toEqual(['later at 100']);
});

test('an event runs only when the last one has come to rest, however many promises it takes', async () => {
  const scheduler = new VirtualScheduler(new Dice(1), 0, false);
  let settled = 0;
  const chain = async () => {
    for (let link = 0; link < 1_000; link += 1) await undefined;
    settled += 1;
  };
  const seen: number[] = [];
  scheduler.after(1, 'chain', () => void chain());
  scheduler.after(1, 'chain', () => void chain());
  scheduler.after(2, 'look', () => seen.push(settled));
  await scheduler.runUntil(() => false);
  expect(seen).toEqual([2]);
});
