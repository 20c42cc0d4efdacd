import { describe, expect, test } from 'vitest';
import { endOfReadFrom } from '../../../../src/ingest/planning/coverage.ts';
import { RETENTION_MS, retentionSlackMs } from '../../../../src/ingest/planning/upstream-retention.ts';

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 5, 1);
const daysAgo = (days: number): number => nowMs - days * dayMs;

describe('the retention slack', () => {
  test.each([
    ['nothing is unread', [{ fromMs: daysAgo(600), toMs: nowMs }], 548, 548],
    ['nothing has been read, all of the retention is wanted', [], 548, 0],
    ['nothing has been read, 30 days are wanted', [], 30, 518],
    ['the oldest gap lies inside', [{ fromMs: daysAgo(548), toMs: daysAgo(500) }], 548, 48],
    ['an older gap is not wanted', [{ fromMs: daysAgo(30), toMs: daysAgo(10) }], 30, 538],
    ['a gap reaches behind the retention', [{ fromMs: daysAgo(540), toMs: nowMs }], 700, 0],
    ['a gap lies behind the retention', [{ fromMs: daysAgo(548), toMs: nowMs }], 700, 548],
  ])('%s', (_what, coverage, horizonDays, slackDays) => {
    expect(retentionSlackMs((fromMs) => endOfReadFrom(fromMs, coverage), daysAgo(horizonDays), nowMs)).toBe(
      slackDays * dayMs,
    );
  });

  test('is not known while the first reading is not', () => {
    expect(retentionSlackMs(() => undefined, daysAgo(548), nowMs)).toBeUndefined();
  });

  test('is counted from 18 months', () => {
    expect(RETENTION_MS / dayMs).toBe(548);
  });
});
