import { expect, test } from 'vitest';
import { credibleNow, MAX_AHEAD_MS } from '../../../../src/ingest/planning/server-time.ts';
import { planningTime } from '../../../../src/ingest/sync/planning-time.ts';
import type { SyncContext } from '../../../../src/ingest/sync/ports.ts';

test.each<[string, number, number]>([
  ['the same time', 0, 0],
  ['half a minute ahead is believed', 30_000, 30_000],
  ['a minute ahead is believed', MAX_AHEAD_MS, MAX_AHEAD_MS],
  ['more is not: it may be any time, and that of the database is known', MAX_AHEAD_MS + 1, 0],
  ['an hour ahead is not', 3_600_000, 0],
  ['an hour behind is believed: it costs delay and nothing else', -3_600_000, -3_600_000],
])('credibleNow %s', (_, aheadMs, expectedMs) =>
  expect(credibleNow(DATABASE_MS + aheadMs, DATABASE_MS)).toBe(DATABASE_MS + expectedMs),
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

test('planningTime says how far the clocks differ, and believes no answer that is far ahead, of a listing as little as of a page', async () => {
  const aheadMs = 3_600_000;
  expect(await planned(aheadMs, 0)).toMatchObject({ aheadMs: 0, heard: [{ aheadMs }] });
  expect(await planned(undefined, aheadMs)).toMatchObject({ aheadMs: 0, heard: [{ aheadMs }] });
  expect(await planned(-aheadMs, 0)).toMatchObject({ aheadMs: -aheadMs, heard: [{ aheadMs: -aheadMs }] });
});

test('planningTime tells of coverage of the future that was taken back', async () =>
  expect((await planned(0, 0, 3)).heard).toEqual([{ rows: 3 }, { aheadMs: 0 }]));

const DATABASE_MS = Date.UTC(2026, 5, 1);
