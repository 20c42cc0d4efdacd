import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PageFacts } from '../../../../src/ingest/entries/page.ts';
import type { Range } from '../../../../src/ingest/planning/coverage.ts';
import {
  type Answer,
  isLastInItsSecond,
  isReversed,
  OTHER_LIMIT,
  type ProofQuestion,
  proofQuestions,
  recountQuestions,
  reversedQuestion,
  walkOf,
} from '../../../../src/ingest/planning/proof.ts';
import { afterPage, mayBeCut, requestWindow, startWalk, type Walk } from '../../../../src/ingest/planning/walk.ts';

const FROM_MS = Date.UTC(2026, 5, 1);
const CLAIM: Range = { fromMs: FROM_MS, toMs: FROM_MS + 60_000 };
const begun = startWalk('backfill', CLAIM, { readAtMs: CLAIM.toMs + 60_000 });

interface Entry {
  readonly id: number;
  readonly timeMs: number;
}

/** How an API chooses what a page shows if there is more: after sorting, at the end that the direction says or always at the same; or before sorting. */
type Cut = 'direction' | 'oldest' | 'newest' | 'storage' | 'storage, by direction';

interface Api {
  /** As they lie in the storage. */
  readonly entries: readonly Entry[];
  readonly cap: number;
  readonly cut: Cut;
  /** Of entries of one time, whether `desc` shows the last first. */
  readonly tiesTurn: boolean;
  /** To what the bounds of a window are rounded down. */
  readonly precisionMs: 1 | 10 | 1_000;
  /** To what the times of entries are rounded down when they are printed; default: they are printed as they are. */
  readonly printedMs?: 1 | 1_000;
  readonly inclusive: boolean;
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
    case 'newest':
      return reversed.slice(0, size);
    case 'storage':
      return stored.slice(0, size);
    case 'storage, by direction':
      return (walk.direction === 'asc' ? stored : stored.toReversed()).slice(0, size);
  }
};

const factsOf = (entries: readonly Entry[], nextCursor?: string): PageFacts => ({
  entries: entries.length,
  timesMs: entries.map(({ timeMs }) => timeMs),
  nextCursor,
});

/** Whether what a walk brought counts as all that there is, as src/sync decides it. Fills `seen`. */
const isTakenForWhole = (api: Api, largestBefore: number, seen: Set<Entry>): 'done' | 'proven' | 'unproven' => {
  const page = shown(api, begun);
  for (const entry of page) seen.add(entry);
  const step = afterPage(begun, factsOf(page), largestBefore);
  if (step.kind === 'done') return 'done';
  const largestPage = Math.max(largestBefore, page.length);
  const proven = proofQuestions(step.walk)?.every((question) => {
    const walk = walkOf(question, step.walk);
    const answer = shown(api, walk);
    if (answer.some((entry) => !seen.has(entry))) return false;
    return afterPage(walk, factsOf(answer), largestPage).kind === 'done';
  });
  return proven === true ? 'proven' : 'unproven';
};

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
  cut: fc.constantFrom<Cut>('direction', 'oldest', 'newest', 'storage', 'storage, by direction'),
  tiesTurn: fc.boolean(),
  precisionMs: fc.constantFrom(1, 1_000),
  inclusive: fc.boolean(),
});

/** The same, of an API whose pages all have a cursor, but empty ones, and that refuses every cursor; as src/sync/turn/prove.ts asks. */
const isTakenForWholeByRefusal = async (api: Api, largestPage: number, seen: Set<Entry>): Promise<boolean> => {
  const page = shown(api, begun);
  for (const entry of page) seen.add(entry);
  if (page.length === 0 || mayBeCut(page.length, begun.pageLimit, largestPage)) return false;
  const printed = (timeMs: number) => Math.floor(timeMs / (api.printedMs ?? 1)) * (api.printedMs ?? 1);
  const facts = factsOf(page, 'refused');
  const { walk } = afterPage(begun, { ...facts, timesMs: facts.timesMs.map(printed) }, largestPage);
  const ask = async (question: ProofQuestion): Promise<Answer> => {
    const answer = shown(api, walkOf(question, walk));
    if (answer.some((entry) => !seen.has(entry))) return 'unproven';
    if (question.about === 'edge' || answer.length === 0) return 'nothing_new';
    if (question.about === 'whole') return page.every((entry) => answer.includes(entry)) ? 'nothing_new' : 'unproven';
    return answer.every(({ timeMs }) => printed(timeMs) < question.window.fromMs) ? 'earlier' : 'unproven';
  };
  for (const question of proofQuestions(walk) ?? []) {
    const answer = await ask(question);
    if (answer === 'earlier' ? !(await isLastInItsSecond(question, ask)) : answer !== 'nothing_new') return false;
  }
  return true;
};

describe('an API that cuts pages and says nothing, whatever it sorts by', () => {
  test('at any size from 50: what is taken for whole is whole', () => {
    const counts = { done: 0, proven: 0, unproven: 0, cut: 0 };
    fc.assert(
      fc.property(apis, fc.nat(50), (api, largestBefore) => {
        const seen = new Set<Entry>();
        const taken = isTakenForWhole(api, Math.min(largestBefore, api.cap), seen);
        const missing = matching(api, begun).filter((entry) => !seen.has(entry));
        counts[taken] += 1;
        if (missing.length > 0) counts.cut += 1;
        if (taken !== 'unproven') expect(missing).toEqual([]);
      }),
      { seed: 1, numRuns: 10_000 },
    );
    for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(500);
  });

  test('and a whole page of a suspicious size is proven, if it holds more than two seconds', () => {
    const spread = apis.filter(({ entries: all }) => {
      const timesMs = all.map(({ timeMs }) => timeMs);
      return all.length >= 50 && Math.max(...timesMs) - Math.min(...timesMs) > 2_000;
    });
    fc.assert(
      fc.property(spread, (of) => {
        const api = { ...of, cap: 1_000 };
        fc.pre(matching(api, begun).length === api.entries.length);
        expect(isTakenForWhole(api, 0, new Set())).toBe('proven');
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });
});

/** Times that are printed as they are, or to the second and filtered to the millisecond, to ten of them, or to the second. */
const printing: readonly Partial<Api>[] = [
  {},
  { printedMs: 1_000, precisionMs: 1 },
  { printedMs: 1_000, precisionMs: 10 },
  { printedMs: 1_000, precisionMs: 1_000 },
];

describe('an API that refuses all cursors', () => {
  test.each(printing)(
    'and goes in the direction that it is asked for: what is taken for whole is whole, whatever the size of pages (%o)',
    async (how) => {
      let proven = 0;
      await fc.assert(
        fc.asyncProperty(apis, fc.integer({ min: 1, max: 40 }), async (of, cap) => {
          const api: Api = { ...of, ...how, cap, cut: 'direction', tiesTurn: true };
          const seen = new Set<Entry>();
          if (!(await isTakenForWholeByRefusal(api, 1_000, seen))) return;
          proven += 1;
          expect(matching(api, begun).filter((entry) => !seen.has(entry))).toEqual([]);
        }),
        { seed: 1, numRuns: 5_000 },
      );
      expect(proven).toBeGreaterThan(200);
    },
  );

  test.each(printing)(
    'whatever it sorts by: a page is only taken for whole if it is smaller than pages that are cut (%o)',
    async (how) => {
      let proven = 0;
      await fc.assert(
        fc.asyncProperty(apis, fc.nat(50), async (of, largestBefore) => {
          const api: Api = { ...of, ...how };
          const seen = new Set<Entry>();
          const largestPage = Math.max(shown(api, begun).length, Math.min(largestBefore, api.cap));
          if (!(await isTakenForWholeByRefusal(api, largestPage, seen))) return;
          proven += 1;
          expect(matching(api, begun).filter((entry) => !seen.has(entry))).toEqual([]);
        }),
        { seed: 1, numRuns: 5_000 },
      );
      expect(proven).toBeGreaterThan(100);
    },
  );
});

describe('isLastInItsSecond', () => {
  const question: ProofQuestion = {
    about: 'rest',
    window: { fromMs: FROM_MS + 1, toMs: FROM_MS + 60_000 },
    direction: 'desc',
    limit: OTHER_LIMIT,
  };
  /** Of an API whose last entry is printed as of FROM_MS and lies so many milliseconds behind it; the bounds of a window are read to `precisionMs`. */
  const proves = async (lastMs: number, precisionMs = 1, more: readonly number[] = []) => {
    const asked: ProofQuestion[] = [];
    const result = await isLastInItsSecond(question, async (one) => {
      asked.push(one);
      const fromMs = Math.floor((one.window.fromMs - FROM_MS) / precisionMs) * precisionMs;
      if (more.some((ms) => ms >= fromMs)) return 'unproven';
      return lastMs >= fromMs ? 'earlier' : 'nothing_new';
    });
    return { result, asked: asked.length, first: asked[0]?.window.fromMs };
  };

  test.each([1, 2, 499, 500, 700, 998])(
    'finds the entry at %i ms by halves, after what lies behind its second',
    async (lastMs) => {
      const { result, asked, first } = await proves(lastMs);
      expect([result, first]).toEqual([true, FROM_MS + 1_000]);
      expect(asked).toBeLessThanOrEqual(11);
    },
  );

  test('proves nothing if something else comes, within the second or behind it', async () => {
    for (const other of [701, 999, 1_000, 30_000])
      expect((await proves(700, 1, [other])).result, `${other}`).toBe(false);
  });

  test('proves nothing if the entry is shown to the end of its second: perhaps the bounds are read to the second', async () => {
    expect((await proves(0, 1_000)).result).toBe(false);
    expect((await proves(999)).result).toBe(false);
  });
});

describe('a source that has a cap for itself, while others have sent larger pages', () => {
  test('the one question is enough if the cap goes by the direction, or the direction is ignored', () => {
    const counts = { proven: 0, cut: 0 };
    const directed = apis.map((of): Api => ({ ...of, cut: of.cut === 'oldest' ? 'oldest' : 'direction' }));
    fc.assert(
      fc.property(directed, (api) => {
        const page = shown(api, begun);
        const { walk } = afterPage(begun, factsOf(page), 50);
        const question = reversedQuestion(walk, 1_000);
        if (page.length === 100 || question === undefined) return;
        const answer = shown(api, walkOf(question, walk));
        // What brings anything new has proven the opposite; see prove.ts.
        const isNew = answer.some((entry) => !page.includes(entry));
        const whole = matching(api, begun).length === page.length;
        if (!whole) counts.cut += 1;
        if (isNew || !isReversed(factsOf(answer), walk)) return;
        counts.proven += 1;
        expect(whole).toBe(true);
      }),
      { seed: 1, numRuns: 5_000 },
    );
    for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(200);
  });

  test.each<[string, Partial<Walk>, number]>([
    ['as large as any page', { entries: 250 }, 250],
    ['as large as was asked for', { entries: 100, pageLimit: 100 }, 1_000],
    ['as large as a known cap', { entries: 100 }, 1_000],
    ['the last of several', { entries: 60, pages: 2 }, 1_000],
    ['with a cursor that was refused', { entries: 60, cursor: 'refused' }, 1_000],
  ])('a page %s needs more than that question', (_, more, largestOfAll) => {
    expect(reversedQuestion({ ...begun, pages: 1, entries: 60, ...more }, largestOfAll)).toBeUndefined();
  });

  test.each<[string, Partial<PageFacts>, boolean]>([
    ['in reverse', {}, true],
    ['in reverse, with equal times', { timesMs: [3, 3, 1] }, true],
    ['in the same order', { timesMs: [1, 2, 3] }, false],
    ['of one time: no order shows', { timesMs: [2, 2, 2] }, false],
    ['fewer', { entries: 2, timesMs: [3, 2] }, false],
    ['with more to come', { nextCursor: 'next' }, false],
    ['counted otherwise', { count: 4 }, false],
  ])('an answer %s: %s', (_, more, expected) => {
    const page: PageFacts = { entries: 3, timesMs: [3, 2, 1], nextCursor: undefined, ...more };
    expect(isReversed(page, { ...begun, pages: 1, entries: 3 })).toBe(expected);
  });
});

describe('recountQuestions', () => {
  test('ask for both halves, which meet on a full second and overlap', () => {
    const splitMs = FROM_MS + 30_000;
    const { fromMs, toMs } = requestWindow(begun);
    expect(recountQuestions(begun).map(({ window }) => window)).toEqual([
      { fromMs, toMs: splitMs },
      { fromMs: splitMs - 1, toMs },
    ]);
  });

  test('ask for a second as a whole, from its other side', () => {
    const claim = { fromMs: FROM_MS, toMs: FROM_MS + 1_000 };
    const second = startWalk('live', claim, { readAtMs: claim.toMs, narrow: true });
    const question = { about: 'rest', window: requestWindow(second), direction: 'desc', limit: OTHER_LIMIT };
    expect(recountQuestions(second)).toEqual([question]);
  });
});

describe('proofQuestions', () => {
  const read = (more: Partial<Walk>): Walk => ({
    ...begun,
    pages: 1,
    entries: 12,
    lastPageEntries: 12,
    oldestMs: FROM_MS + 5_200,
    newestMs: FROM_MS + 25_700,
    ...more,
  });
  const window = requestWindow(begun);

  test('ask for both halves of the window from the other side, which overlap', () => {
    const splitMs = FROM_MS + 16_000;
    expect(proofQuestions(read({}))).toEqual([
      { about: 'rest', window: { ...window, toMs: splitMs }, direction: 'desc', limit: OTHER_LIMIT },
      { about: 'rest', window: { ...window, fromMs: splitMs - 1 }, direction: 'desc', limit: OTHER_LIMIT },
    ]);
  });

  test('behind a refused cursor ask for the window again, for its edges, and for what lies beside the entries seen', () => {
    expect(proofQuestions(read({ cursor: 'refused' }))).toMatchObject([
      { about: 'whole', window },
      { about: 'edge', window: { fromMs: window.fromMs, toMs: FROM_MS + 6_000 } },
      { about: 'edge', window: { fromMs: FROM_MS + 25_699, toMs: window.toMs } },
      { about: 'rest', window: { fromMs: window.fromMs, toMs: FROM_MS + 5_199 } },
      { about: 'rest', window: { fromMs: FROM_MS + 25_701, toMs: window.toMs } },
    ]);
    const toTheEdge = read({ cursor: 'refused', newestMs: window.toMs });
    expect(proofQuestions(toTheEdge)?.filter(({ about }) => about === 'rest')).toHaveLength(1);
  });

  test.each<[string, Partial<Walk>, number]>([
    ['a walk of small pages', { pageLimit: 125 }, 124],
    ['a walk of the smallest pages', { pageLimit: 1 }, 1],
  ])('use another limit than %s', (_, more, limit) => {
    expect(proofQuestions(read(more))?.[0]).toMatchObject({ limit });
  });

  test('go in the other direction, with the same filters', () => {
    const walk = read({ direction: 'desc', filters: [['action_type', 'view']] });
    const [question] = proofQuestions(walk) ?? [];
    if (question === undefined) throw new Error('nothing was asked');
    expect(walkOf(question, walk)).toMatchObject({ direction: 'asc', pageLimit: OTHER_LIMIT, filters: walk.filters });
    expect(requestWindow(walkOf(question, walk)), 'and no wider').toEqual(question.window);
  });

  test.each<[string, Partial<Walk>]>([
    ['an empty last page', { lastPageEntries: 0 }],
    ['entries without any time in the window', { oldestMs: undefined, newestMs: undefined }],
    ['entries of one second', { oldestMs: FROM_MS + 5_000, newestMs: FROM_MS + 5_999 }],
  ])('there are none behind %s', (_, more) => {
    expect(proofQuestions(read(more))).toBeUndefined();
  });
});
