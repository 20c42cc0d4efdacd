import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PageAnswer } from '../../../../src/ingest/entries/page.ts';
import { startWalk, type WalkAnswers } from '../../../../src/ingest/planning/walk.ts';
import {
  clampToDatabaseClock,
  MAX_AHEAD_MS,
  planningTime,
  type SyncContext,
} from '../../../../src/ingest/sync/ports.ts';
import { claimedReads, withAnswer } from '../../../../src/ingest/sync/run/page-exchange.ts';
import { forAll } from '../../for-all.ts';

test.each<[string, number, number]>([
  ['the same time', 0, 0],
  ['half a minute ahead is believed', 30_000, 30_000],
  ['a minute ahead is believed', MAX_AHEAD_MS, MAX_AHEAD_MS],
  ['more is not: it may be any time, and that of the database is known', MAX_AHEAD_MS + 1, 0],
  ['an hour ahead is not', 3_600_000, 0],
  ['an hour behind is believed: it costs delay and nothing else', -3_600_000, -3_600_000],
])('credibleNow %s', (_, aheadMs, expectedMs) =>
  expect(clampToDatabaseClock(DATABASE_MS + aheadMs, DATABASE_MS)).toBe(DATABASE_MS + expectedMs),
);

/** As of the answers that this process has had, and of what the database knows, in milliseconds ahead of its clock. */
const planned = async (answeredMs: number | undefined, storedMs: number | undefined, trimmed = 0) => {
  const heard: unknown[] = [];
  const at = (aheadMs: number | undefined) => (aheadMs === undefined ? undefined : DATABASE_MS + aheadMs);
  const context = {
    api: { nowMs: () => at(answeredMs) },
    store: { readTime: async () => ({ databaseMs: DATABASE_MS, serverMs: at(storedMs), trimmed }) },
    time: { nowMs: () => 42 },
    observer: {
      clocksCompared: (event: unknown) => heard.push(event),
      futureTrimmed: (event: unknown) => heard.push(event),
    },
  } as unknown as SyncContext;
  const time = await planningTime(context);
  return { aheadMs: time && time.nowMs - DATABASE_MS, clock: time?.clock, heard };
};

test('planningTime is that of the last answer; after a restart that of the last listing, as it has gone on since', async () => {
  expect(await planned(-200, 7)).toMatchObject({
    aheadMs: -200,
    clock: { databaseMs: DATABASE_MS, atMs: 42 },
    heard: [{ aheadMs: -200 }],
  });
  expect(await planned(undefined, -300)).toMatchObject({ aheadMs: -300, heard: [{ aheadMs: -300 }] });
  expect((await planned(undefined, undefined)).aheadMs).toBeUndefined();
});

test('planningTime says how far the clocks differ, and believes no answer that is far ahead, of a listing as little as of a page (invariant 8)', async () => {
  const aheadMs = 3_600_000;
  expect(await planned(aheadMs, 0)).toMatchObject({ aheadMs: 0, heard: [{ aheadMs }] });
  expect(await planned(undefined, aheadMs)).toMatchObject({ aheadMs: 0, heard: [{ aheadMs }] });
  expect(await planned(-aheadMs, 0)).toMatchObject({ aheadMs: -aheadMs, heard: [{ aheadMs: -aheadMs }] });
});

test('planningTime tells of coverage of the future that was taken back', async () =>
  expect((await planned(0, 0, 3)).heard).toEqual([{ rows: 3 }, { aheadMs: 0 }]));

const header = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const answers = fc.array(
  fc.record({
    dateMs: header(fc.integer({ min: 0, max: 4e9 }).map((second) => second * 1_000)),
    cfRay: header(fc.stringMatching(/^[0-9a-f]{16}-[A-Z]{3}$/)),
    body: fc.uint8Array({ maxLength: 40 }),
  }),
  { minLength: 1, maxLength: 12 },
);

const walk = startWalk('live', { fromMs: 1_000_000, toMs: 2_000_000 }, { readAtMs: 2_000_000 });

test('the answers of a walk are one hash: SHA-256 of the one before and that of the body, from 32 zero bytes on', () =>
  forAll([answers], {}, (given) => {
    const made = foldOf(given.map(answerOf));
    const expected = given.reduce<Buffer>((before, { body }) => sha256(before, sha256(body)), Buffer.alloc(32));
    expect(made?.sha256).toBe(expected.toString('hex'));
    expect(made).toMatchObject({
      count: given.length,
      firstDateMs: given[0]?.dateMs ?? null,
      firstCfRay: given[0]?.cfRay ?? null,
      lastDateMs: given.at(-1)?.dateMs ?? null,
      lastCfRay: given.at(-1)?.cfRay ?? null,
    });
  }));

test('the answers of a walk come to the same wherever a walk was put down, and whichever of them were questions', () =>
  forAll([answers, fc.nat()], {}, (given, at) => {
    const all = given.map(answerOf);
    const cut = at % (all.length + 1);
    const stored: WalkAnswers | undefined = foldOf(all.slice(0, cut));
    const loaded = stored && (JSON.parse(JSON.stringify(stored)) as WalkAnswers);
    const resumed = { ...walk, ...(loaded && { answers: loaded }) };
    expect(claimedReads(resumed, all.slice(cut))?.answers).toEqual(foldOf(all));
  }));

test('the answers of a walk make no record if none is known', () =>
  expect([withAnswer(undefined, undefined), claimedReads(walk, [])]).toEqual([undefined, undefined]));

const DATABASE_MS = Date.UTC(2026, 5, 1);
const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

const answerOf = ({ body, ...head }: { readonly body: Uint8Array } & Omit<PageAnswer, 'bodySha256'>): PageAnswer => ({
  ...head,
  bodySha256: sha256(body).toString('hex'),
});

const foldOf = (all: readonly PageAnswer[]): WalkAnswers | undefined =>
  all.reduce<WalkAnswers | undefined>(withAnswer, undefined);
