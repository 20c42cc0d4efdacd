import { expect, test } from 'vitest';
import { startWalk } from '../../../../src/ingest/planning/walk.ts';
import { WindowLimit } from '../../../../src/ingest/sync/window-limit.ts';

test('nothing speaks against any width until one has been refused', () => {
  const { limit } = opened();
  expect(limit.widestMs).toBeUndefined();
  limit.served(DAY_MS, 10);
  expect(limit.widestMs).toBeUndefined();
});

test('half of what was refused is worth trying, or what has been served', () => {
  const { limit } = opened();
  refuse(limit, 400 * DAY_MS);
  expect(limit.widestMs).toBe(200 * DAY_MS);
  refuse(limit, 200 * DAY_MS);
  expect(limit.widestMs).toBe(100 * DAY_MS);
  limit.served(150 * DAY_MS, 10);
  expect(limit.widestMs).toBe(150 * DAY_MS);
});

test('what is no wider than what has been served says nothing: it is one source’s own trouble', () => {
  const { limit } = opened();
  limit.served(90 * DAY_MS, 10);
  refuse(limit, HOUR_MS);
  expect(limit.widestMs).toBeUndefined();
  refuse(limit, 90 * DAY_MS);
  expect(limit.widestMs).toBeUndefined();
});

test('a wider window that is served later ends the limit', () => {
  const { limit } = opened();
  refuse(limit, 90 * DAY_MS);
  limit.served(90 * DAY_MS, 10);
  expect(limit.widestMs).toBeUndefined();
});

test('one refused window alone, or several around the same time, may have something in it that cannot be read', () => {
  const { limit } = opened();
  limit.refused('a', { fromMs: 0, toMs: 8 * DAY_MS });
  limit.refused('a', { fromMs: 4 * DAY_MS, toMs: 8 * DAY_MS });
  expect(limit.widestMs).toBeUndefined();
  limit.refused('a', { fromMs: DAY_MS, toMs: 4 * DAY_MS });
  expect(limit.widestMs).toBe(2 * DAY_MS);
});

test('windows of one width that go on by half of it overlap: the third is clear of the first', () => {
  const { limit } = opened();
  limit.refused('a', { fromMs: 4 * HOUR_MS, toMs: 8 * HOUR_MS });
  limit.refused('a', { fromMs: 2 * HOUR_MS, toMs: 6 * HOUR_MS });
  expect(limit.widestMs).toBeUndefined();
  limit.refused('a', { fromMs: 0, toMs: 4 * HOUR_MS });
  expect(limit.widestMs).toBe(2 * HOUR_MS);
});

test('what is narrower than a minute is refused for what is in it', () => {
  const { limit } = opened();
  refuse(limit, 8_000);
  expect(limit.widestMs).toBe(60_000);
});

test('a refusal counts for ten minutes', () => {
  const { clock, limit } = opened();
  refuse(limit, 90 * DAY_MS);
  clock.ms = 600_000 - 1;
  expect(limit.widestMs).toBe(45 * DAY_MS);
  clock.ms = 600_000;
  expect(limit.widestMs).toBeUndefined();
});

test('a width that has not been served is waited for in proportion to what others took, one that has been as long as any', () => {
  const { limit } = opened();
  expect(limit.timeoutMs(DAY_MS)).toBe(2_500);
  limit.served(DAY_MS, 3_000);
  limit.served(HOUR_MS, 200);
  expect([limit.timeoutMs(DAY_MS), limit.timeoutMs(2 * DAY_MS)]).toEqual([undefined, 12_000]);
});

test('entries have been shown as far from both ends as they came', () => {
  const { limit } = opened();
  const ended = (fromMs: number, toMs: number) =>
    limit.ended(
      { kind: 'organization', id: 'a' },
      {
        ...startWalk('backfill', { fromMs: 1_000, toMs: 100 * DAY_MS }, { readAtMs: 200 * DAY_MS }),
        oldestMs: fromMs,
        newestMs: toMs,
      },
    );
  expect(limit.shownMs).toBe(0);
  // As the oldest part alone would be shown, and as the newest would.
  ended(DAY_MS, 7 * DAY_MS);
  expect(limit.shownMs).toBe(7 * DAY_MS);
  ended(90 * DAY_MS, 93 * DAY_MS);
  expect(limit.shownMs).toBe(93 * DAY_MS);
  ended(DAY_MS / 2, 100 * DAY_MS);
  expect(limit.shownMs).toBe(100 * DAY_MS + 1_000);
});

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const opened = () => {
  const clock = { ms: 0 };
  return { clock, limit: new WindowLimit({ nowMs: () => clock.ms }) };
};

/** To two sources. */
const refuse = (limit: WindowLimit, widthMs: number): void => {
  for (const source of ['a', 'b']) limit.refused(source, { fromMs: 0, toMs: widthMs });
};
