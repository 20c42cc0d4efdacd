import { expect, test } from 'vitest';
import type { Comparison } from '../../../src/cli/demo/compare-with-truth.sql.ts';
import { progressLine } from '../../../src/cli/demo/demo-progress.ts';
import { judge, verdictText } from '../../../src/cli/demo/demo-verdict.ts';
import type { Status } from '../../../src/status/status.sql.ts';

test('the line of progress says how many logs are up to date, and once all are, of how many organizations and accounts they are', () => {
  expect(progressLine(undefined, settings, 900)).toBe('starting · 900ms');
  expect(progressLine(statusOf([2, 3, 900]), settings, 4_000)).toBe('2 of 3 logs up to date · 30,412 events · 4s');
  expect(progressLine(statusOf([2, 3, 4]), settings, 64_000)).toBe(
    '2 organizations, 1 account up to date · 30,412 events · 1m 4s',
  );
});

const exact: Comparison = {
  organizationsExpected: 30,
  organizationsStored: 30,
  accountsExpected: 60,
  accountsStored: 60,
  expected: 5_000,
  stored: 5_000,
  missing: 0,
  extra: 0,
  duplicates: 0,
  positionsMissing: 0,
  missingEntries: [],
};

test.each([
  [{ missing: 1_488 }, 1_488, 'catching up'],
  [{ missing: 1_488, organizationsStored: 12 }, 1_488, 'catching up'],
  [{ missing: 1_488 }, 1_487, 'wrong'],
  [{ missing: 1, extra: 1 }, 1, 'wrong'],
  [{ duplicates: 1 }, 0, 'wrong'],
  [{ positionsMissing: 1 }, 0, 'wrong'],
  [{ organizationsStored: 31 }, 0, 'wrong'],
  [{ missing: 1_488, accountsStored: 12 }, 1_488, 'catching up'],
  [{ accountsStored: 61 }, 0, 'wrong'],
] as const)('%j, %i of them not collected yet: %s', (difference, uncollected, outcome) =>
  expect(judge({ ...exact, ...difference }, uncollected)).toBe(outcome),
);

test('what is still missing is said in numbers, and that what is stored is right', () => {
  const comparison = { ...exact, missing: 1_488 };
  expect(verdictText({ outcome: 'catching up', comparison })).toMatch(
    /\nStill catching up: 1,488 events are not collected yet\. Nothing is wrong with what is stored\.\n$/,
  );
  expect(verdictText({ outcome: 'wrong', comparison })).toMatch(/\nThe database does NOT match what was served\.\n$/);
});

const settings = { tickMs: 2_000, apiBudget: 100_000 };

const statusOf = (lags: readonly number[]) =>
  ({
    position: 30_412,
    sources: lags.map((lagSeconds, n) => ({
      kind: n === 2 ? 'account' : 'organization',
      refused: false,
      failures: 0,
      holes: 0,
      lagSeconds,
      gapSeconds: lagSeconds,
      sinceLastEventSeconds: 3,
    })),
  }) as unknown as Status;
