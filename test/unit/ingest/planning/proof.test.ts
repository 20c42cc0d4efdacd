import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../../src/base/errors.ts';
import { idsOf, type Page, readPage } from '../../../../src/ingest/entries/page.ts';
import type { Range } from '../../../../src/ingest/planning/coverage.ts';
import {
  besideOf,
  halvesOf,
  OTHER_LIMIT,
  otherSide,
  partsOf,
  secondsOf,
  walkOf,
} from '../../../../src/ingest/planning/proof.ts';
import {
  afterEnd,
  afterPage,
  requestWindow,
  startWalk,
  suspectedFrom,
  type Walk,
} from '../../../../src/ingest/planning/walk.ts';
import { proveWith } from '../../../../src/ingest/sync/run/prove.ts';
import { forAllAsync } from '../../for-all.ts';

const FROM_MS = Date.UTC(2026, 5, 1);
const CLAIM: Range = { fromMs: FROM_MS, toMs: FROM_MS + 60_000 };
const begun = startWalk('backfill', CLAIM, { readAtMs: CLAIM.toMs + 60_000 });

const times = fc.array(
  fc.record({
    atMs: fc.oneof(
      fc.integer({ min: 0, max: 59_999 }),
      fc.integer({ min: 0, max: 59 }).map((seconds) => seconds * 1_000),
      fc.integer({ min: 30_000, max: 32_000 }),
    ),
    ties: fc.constantFrom(1, 1, 2, 3, 5, 9, 12),
  }),
  { minLength: 1, maxLength: 48 },
);
const entries = times
  .map((bursts) => bursts.flatMap(({ atMs, ties }) => Array<number>(ties).fill(FROM_MS + atMs)))
  .map((all) => all.map((timeMs, id): Entry => ({ id, timeMs })))
  .chain((all) => fc.shuffledSubarray(all, { minLength: all.length }));
const apis: fc.Arbitrary<Api> = fc.record({
  entries,
  cap: fc.integer({ min: 50, max: 90 }),
  cut: fc.constantFrom('direction', 'oldest', 'oldest, turned', 'newest', 'storage', 'storage, by direction'),
  tiesTurn: fc.boolean(),
  precisionMs: fc.constantFrom(1, 1_000),
  inclusive: fc.boolean(),
  refusesCursors: fc.constant(false),
});

test('a doubt about an answer that speaks of a limit is not answered by another that does', async () => {
  const speaking = (page: Page): Page => ({ ...page, isPartial: true });
  for (const entries of [
    [],
    [
      { id: 1, timeMs: FROM_MS + 5_000 },
      { id: 2, timeMs: FROM_MS + 9_000 },
    ],
  ]) {
    const page = pageOf(entries);
    const step = afterPage(begun, speaking(page), 50);
    if (step.kind !== 'doubtful') throw new Error(step.kind);
    const proves = (answer: Page) =>
      proveWith(
        {
          fetch: async () => answer,
          take: async () => 0,
          suspectedFrom: 50,
          cutFrom: 50,
          hasEndlessTails: false,
          storedBeside: async () => [],
        },
        { ...step, lastIds: idsOf(page) },
      );
    const otherSideOf = pageOf(entries.toReversed());
    expect([await proves(otherSideOf), await proves(speaking(otherSideOf))]).toEqual([true, false]);
  }
});

describe('an API that cuts pages and says nothing', () => {
  test('whatever it sorts by, at any size from 50: what is taken for whole is whole (invariant 8)', async () => {
    await holds(apis, 3_000, (api, size) => ({ largestBefore: Math.min(size, api.cap), cutFrom: 0 }));
  });

  test('from one source alone, by the direction or without regard to it', async () => {
    const directed = apis.map((of): Api => ({ ...of, cut: of.cut === 'oldest' ? 'oldest' : 'direction' }));
    await holds(
      directed.filter(({ cap }) => cap !== 100),
      300,
      () => ({ largestBefore: 0, cutFrom: 1_000 }),
    );
  });

  test('at a size below those that are suspected: what does not come in the order that was asked for is not whole', async () => {
    const drawn = fc.tuple(apis, fc.integer({ min: 12, max: 49 }));
    let cut = 0;
    await forAllAsync([drawn], 1_000, async ([of, cap]) => {
      const api: Api = { ...of, cap, cut: 'newest' };
      const ascending = shown(api, begun);
      const order = [ascending[0]?.timeMs ?? 0, ascending.at(-1)?.timeMs ?? 0];
      fc.pre((order[0] ?? 0) > (order[1] ?? 0));
      const seen = new Set<string>();
      const taken = await isTakenForWhole(api, { largestBefore: 0, cutFrom: 1_000 }, seen);
      if (matching(api, begun).length > cap) cut += 1;
      if (taken !== 'unproven') expect(missingIn(api, seen)).toEqual([]);
    });
    expect(cut).toBeGreaterThan(60);
  });

  test('and a whole page of a suspicious size is proven, if it holds more than two seconds', async () => {
    const spread = apis.filter(({ entries: all }) => {
      const timesMs = all.map(({ timeMs }) => timeMs);
      return all.length >= 50 && Math.max(...timesMs) - Math.min(...timesMs) > 2_000;
    });
    await forAllAsync([spread], 500, async (of) => {
      const api: Api = { ...of, cap: 1_000, cut: 'direction' };
      fc.pre(matching(api, begun).length === api.entries.length);
      expect(await isTakenForWhole(api, { largestBefore: 0, cutFrom: 0 }, new Set())).toBe('proven');
    });
  });
});

test('a second that no filter splits is whole if it comes again in smaller pages, whatever ends pages and walks (invariant 8)', async () => {
  const drawn = fc.record({
    count: fc.integer({ min: 10, max: 300 }),
    cap: fc.integer({ min: 10, max: 300 }),
    most: fc.constantFrom(1, 2, 3, 4, Number.POSITIVE_INFINITY),
    losesCursorOf: fc.constantFrom('none', 'the cap', 'any'),
    heedsDirection: fc.boolean(),
    heedsLimit: fc.boolean(),
  });
  const counts = { whole: 0, cut: 0 };
  await forAllAsync([drawn], 2_000, async ({ count, cap, most, losesCursorOf, heedsDirection, heedsLimit }) => {
    const all = Array.from({ length: count }, (_, id) => ({ id, timeMs: FROM_MS + 5_400 }));
    const fetch = async (walk: Walk) => {
      const turned = heedsDirection && walk.direction === 'desc' ? all.toReversed() : all;
      const begin = Number(walk.cursor ?? 0);
      const size = Math.min(cap, heedsLimit ? walk.pageLimit : cap);
      const isLost = losesCursorOf === 'any' || (losesCursorOf === 'the cap' && size === cap);
      const isLast = begin + size >= count || isLost || walk.pages + 1 >= most;
      return pageOf(turned.slice(begin, begin + size), isLast ? undefined : `${begin + size}`);
    };
    const seen = new Set<string>();
    const take = async (page: Page) => -seen.size + [...idsOf(page)].reduce((ids, id) => ids.add(id), seen).size;
    const readAll = async (walk: Walk): Promise<boolean> => {
      const page = await fetch(walk);
      await take(page);
      const step = afterPage(walk, page, 10);
      if (step.kind === 'next') return await readAll(step.walk);
      if (step.kind !== 'doubtful') return false;
      const prover = {
        fetch,
        take,
        suspectedFrom: 10,
        cutFrom: 10,
        hasEndlessTails: false,
        storedBeside: async () => [],
      };
      return await proveWith(prover, { ...step, lastIds: idsOf(page), isUnsplit: true });
    };
    const isProven = await readAll(begun);
    if (isProven) expect(seen.size).toBe(count);
    const isHonest = losesCursorOf === 'none' && most === Number.POSITIVE_INFINITY && heedsLimit;
    if (isHonest && count < cap) expect(isProven).toBe(true);
    counts[isProven ? 'whole' : 'cut'] += 1;
  });
  expect(Math.min(counts.whole, counts.cut)).toBeGreaterThan(200);
});

const refusing = apis.map((of): Api => ({ ...of, refusesCursors: true }));

test('an API that refuses all cursors and goes in the direction that it is asked for: what is taken for whole is whole, whatever the size of pages', async () => {
  const drawn = fc
    .tuple(refusing, fc.integer({ min: 1, max: 40 }))
    .map(([of, cap]): Api => ({ ...of, cap, cut: 'direction', tiesTurn: true }));
  await holds(drawn, 300, () => ({ largestBefore: 0, cutFrom: 1_000 }));
});

test('an API that refuses all cursors whatever it sorts by: a page is only taken for whole if it is smaller than pages that are cut (invariant 8)', async () => {
  await holds(refusing, 300, (api, size) => ({ largestBefore: Math.min(size, api.cap), cutFrom: 0 }));
});

const read = (more: Partial<Walk> = {}): Walk => ({
  ...begun,
  pages: 1,
  entries: 12,
  lastPageEntries: 12,
  oldestMs: FROM_MS + 5_200,
  newestMs: FROM_MS + 25_700,
  ...more,
});
const window = requestWindow(begun);

test('what is asked all of the window, from the other side, with another limit and the same filters', () => {
  expect(otherSide(read())).toEqual({ window, direction: 'desc', limit: OTHER_LIMIT });
  expect([otherSide(read({ pageLimit: 125 })).limit, otherSide(read({ pageLimit: 1 })).limit]).toEqual([124, 1]);
  const walk = read({ direction: 'desc', filters: [['action_type', 'view']] });
  const asked = walkOf(otherSide(walk), walk);
  expect(asked).toMatchObject({ direction: 'asc', pageLimit: OTHER_LIMIT, filters: walk.filters });
  expect(requestWindow(asked), 'and no wider').toEqual(window);
});

test('what is asked both halves between the entries, which overlap; none of entries of one second', () => {
  const splitMs = FROM_MS + 16_000;
  expect(halvesOf(read())?.map((half) => half.window)).toEqual([
    { ...window, toMs: splitMs - 1 },
    { ...window, fromMs: splitMs - 1_001 },
  ]);
  expect(halvesOf(read({ oldestMs: FROM_MS + 5_000, newestMs: FROM_MS + 5_999 }))).toBeUndefined();
  expect(halvesOf(read({ oldestMs: undefined, newestMs: undefined }))).toBeUndefined();
});

test('what is asked what lies beside the second of entries of one time', () => {
  const atMs = FROM_MS + 5_200;
  expect(besideOf(read({ oldestMs: atMs, newestMs: atMs })).map((beside) => beside.window)).toEqual([
    { ...window, toMs: FROM_MS + 5_000 },
    { ...window, fromMs: FROM_MS + 6_000 },
  ]);
});

test('what is asked halves and seconds of a window that fails', () => {
  expect(partsOf(begun).map((part) => part.window)).toEqual([
    { ...window, toMs: FROM_MS + 30_000 },
    { ...window, fromMs: FROM_MS + 29_999 },
  ]);
  const second = startWalk('live', { fromMs: FROM_MS, toMs: FROM_MS + 1_000 }, { readAtMs: FROM_MS, narrow: true });
  expect(partsOf(second).map((part) => part.window)).toEqual([requestWindow(second)]);
  expect(secondsOf(begun).map((each) => each.window.fromMs - FROM_MS)).toEqual([0, 30_000, 59_000]);
  expect(secondsOf(second)).toHaveLength(1);
});

test.each<[Cut, number, boolean]>([
  ['direction', 200, true],
  ['direction', 60, false],
  ['oldest, turned', 60, false],
  ['newest', 60, false],
  ['storage, by direction', 60, false],
])(
  'a look at all of history, %s of %i at most, is whole only if nothing comes before its first entry or after its last',
  async (cut, cap, isWhole) => {
    const entries = Array.from({ length: 120 }, (_, id) => ({ id, timeMs: FROM_MS + 450 * id + 1_000 }));
    const api: Api = { entries, cap, cut, tiesTurn: true, precisionMs: 1, inclusive: true, refusesCursors: false };
    const look = startWalk('live', CLAIM, { readAtMs: CLAIM.toMs + 60_000, direction: 'desc' });
    const page = pageOf(shown(api, look));
    const lastIds = idsOf(page);
    const step = afterPage(look, page, suspectedFrom(0, 1_000));
    if (step.kind !== 'doubtful') throw new Error(`${step.kind} without a doubt`);
    expect(step.doubts).toEqual(['size']);
    const prover = {
      fetch: async (walk: Walk) => pageOf(shown(api, walk)),
      take: async (answer: Page) => [...idsOf(answer)].filter((id) => !lastIds.has(id)).length,
      suspectedFrom: suspectedFrom(lastIds.size, 1_000),
      cutFrom: 1_000,
      hasEndlessTails: false,
      storedBeside: async () => [],
    };
    expect(await proveWith(prover, { ...step, lastIds, isLook: true })).toBe(isWhole);
  },
);

test('an error behind an entry is the end only if the cursor of each last page fails so (invariant 8)', async () => {
  const drawn = fc.record({
    atMs: fc.constantFrom(1, 12).chain((max) => fc.array(fc.nat(max), { minLength: 2, maxLength: 12 })),
    unreadable: fc.option(fc.nat(11)),
    cap: fc.integer({ min: 1, max: 3 }),
    ignoresDirection: fc.boolean(),
  });
  let proven = 0;
  await forAllAsync([drawn], 1_000, async ({ atMs, unreadable, cap, ignoresDirection }) => {
    const all = atMs.toSorted((a, b) => a - b).map((at, id) => ({ id: `${id}`, timeMs: FROM_MS + 1_000 + 400 * at }));
    const fetch = async (walk: Walk): Promise<Page | ApiError> => {
      const inside = all.filter(
        ({ timeMs }) => timeMs >= requestWindow(walk).fromMs && timeMs <= requestWindow(walk).toMs,
      );
      if (!ignoresDirection && walk.direction === 'desc') inside.reverse();
      const begin = Number(walk.cursor ?? 0);
      const page = inside.slice(begin, begin + cap);
      const isEnd = page.length === 0;
      const fails = isEnd ? unreadable === null && begin > 0 : page.some(({ id }) => id === `${unreadable}`);
      return fails ? new ApiError('server', 'simulated') : pageOf(page, isEnd ? undefined : `${begin + cap}`);
    };
    const seen = new Set<string>();
    const take = async (page: Page) => -seen.size + [...idsOf(page)].reduce((ids, id) => ids.add(id), seen).size;
    let walk = begun;
    let lastIds: ReadonlySet<string> | undefined;
    for (let page = await fetch(walk); !(page instanceof ApiError); page = await fetch(walk)) {
      await take(page);
      if (page.nextCursor === undefined) return;
      lastIds = idsOf(page);
      walk = { ...afterPage(walk, page, 50).walk, cursor: page.nextCursor };
    }
    const storedBeside = async ({ newestMs = 0 }: Walk) => [all.find(({ timeMs }) => timeMs > newestMs + 999)];
    const prover = { fetch, take, storedBeside, suspectedFrom: 50, cutFrom: 50, hasEndlessTails: false };
    if (!(await proveWith(prover, { walk, doubts: ['cursor', 'failure'], lastIds }))) return;
    proven += 1;
    expect(all.filter(({ id }) => !seen.has(id))).toEqual([]);
  });
  expect(proven).toBeGreaterThan(50);
});

interface Entry {
  readonly id: number;
  readonly timeMs: number;
}

/** How an API chooses what a page shows if there is more: after sorting, at the end that the direction says or always at the same; or before sorting. */
type Cut = 'direction' | 'oldest' | 'oldest, turned' | 'newest' | 'storage' | 'storage, by direction';

interface Api {
  /** As they lie in the storage. */
  readonly entries: readonly Entry[];
  readonly cap: number;
  readonly cut: Cut;
  /** Of entries of one time, whether `desc` shows the last first. */
  readonly tiesTurn: boolean;
  /** To what the bounds of a window are rounded down. */
  readonly precisionMs: 1 | 10 | 1_000;
  readonly inclusive: boolean;
  /** Every page that has entries has a cursor, which is refused. */
  readonly refusesCursors: boolean;
}

const matching = ({ entries, precisionMs, inclusive }: Api, walk: Walk): Entry[] => {
  const { fromMs, toMs } = requestWindow(walk);
  const since = Math.floor(fromMs / precisionMs) * precisionMs;
  const before = Math.floor(toMs / precisionMs) * precisionMs;
  return entries.filter(({ timeMs }) =>
    inclusive ? timeMs >= since && timeMs <= before : timeMs > since && timeMs < before,
  );
};

/** What the one page of such an API shows: it has no cursors. */
const shown = (api: Api, walk: Walk): readonly Entry[] => {
  const size = Math.min(api.cap, walk.pageLimit);
  const stored = matching(api, walk);
  const sorted = stored.toSorted((a, b) => a.timeMs - b.timeMs || a.id - b.id);
  const reversed = api.tiesTurn ? sorted.toReversed() : stored.toSorted((a, b) => b.timeMs - a.timeMs || a.id - b.id);
  switch (api.cut) {
    case 'direction':
      return (walk.direction === 'asc' ? sorted : reversed).slice(0, size);
    case 'oldest':
      return sorted.slice(0, size);
    case 'oldest, turned':
      return walk.direction === 'asc' ? sorted.slice(0, size) : sorted.slice(0, size).toReversed();
    case 'newest':
      return reversed.slice(0, size);
    case 'storage':
      return stored.slice(0, size);
    case 'storage, by direction':
      return (walk.direction === 'asc' ? stored : stored.toReversed()).slice(0, size);
  }
};

const pageOf = (
  shownNow: readonly { readonly id: number | string; readonly timeMs: number }[],
  nextCursor?: string,
): Page =>
  readPage(
    JSON.stringify({
      success: true,
      result: shownNow.map(({ id, timeMs }) => ({ id: `${id}`, action: { time: new Date(timeMs).toISOString() } })),
      result_info: { cursor: nextCursor },
    }),
  );

/** Whether what a walk brought counts as all that there is, as a turn decides it. Fills `seen` with the ids of what came. */
const isTakenForWhole = async (
  api: Api,
  { largestBefore, cutFrom }: { readonly largestBefore: number; readonly cutFrom: number },
  seen: Set<string>,
): Promise<'done' | 'proven' | 'unproven'> => {
  const ask = (walk: Walk): Page => {
    const entries = shown(api, walk);
    return pageOf(entries, api.refusesCursors && entries.length > 0 ? `${requestWindow(walk).fromMs}` : undefined);
  };
  const page = ask(begun);
  for (const id of idsOf(page)) seen.add(id);
  const largestOfSource = Math.max(largestBefore, page.entries);
  const suspected = suspectedFrom(largestOfSource, Math.max(largestOfSource, cutFrom));
  let step = afterPage(begun, page, suspectedFrom(largestBefore, Math.max(largestBefore, cutFrom)));
  if (step.kind === 'next') step = afterEnd(step.walk, suspected);
  if (step.kind !== 'doubtful') return step.kind === 'done' ? 'done' : 'unproven';
  // A page that may have been cut is not the last one because its cursor is refused (walk-pages.ts).
  if (api.refusesCursors && step.doubts.includes('size')) return 'unproven';
  const prover = {
    fetch: async (walk: Walk) =>
      walk.cursor === undefined ? ask(walk) : new ApiError('bad_request', 'the cursor is refused'),
    take: async (taken: Page) => {
      const before = seen.size;
      for (const id of idsOf(taken)) seen.add(id);
      return seen.size - before;
    },
    suspectedFrom: suspected,
    cutFrom: Math.max(largestOfSource, cutFrom),
    hasEndlessTails: false,
    storedBeside: async () => [],
  };
  const lastIds = page.entries > 0 ? idsOf(page) : undefined;
  return (await proveWith(prover, { ...step, lastIds })) ? 'proven' : 'unproven';
};

const missingIn = (api: Api, seen: ReadonlySet<string>): readonly Entry[] =>
  matching(api, begun).filter(({ id }) => !seen.has(`${id}`));

/** What is taken for whole is whole, in each of these APIs; and each outcome is reached. */
const holds = async (
  drawn: fc.Arbitrary<Api>,
  numRuns: number,
  largestOf: (api: Api, drawn: number) => { readonly largestBefore: number; readonly cutFrom: number },
): Promise<void> => {
  const counts = { done: 0, proven: 0, unproven: 0, cut: 0 };
  await forAllAsync([drawn, fc.nat(50)], numRuns, async (api, size) => {
    const seen = new Set<string>();
    const shownFirst = new Set(shown(api, begun).map(({ id }) => `${id}`));
    if (missingIn(api, shownFirst).length > 0) counts.cut += 1;
    const taken = await isTakenForWhole(api, largestOf(api, size), seen);
    counts[taken] += 1;
    if (taken !== 'unproven') expect(missingIn(api, seen)).toEqual([]);
  });
  for (const what of ['proven', 'unproven', 'cut'] as const) expect(counts[what], what).toBeGreaterThan(numRuns / 50);
};
