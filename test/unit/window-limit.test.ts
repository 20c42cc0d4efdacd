import { expect, test } from 'vitest';
import { WindowLimit } from '../../src/sync/window-limit.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const opened = () => {
  const clock = { ms: 0 };
  return { clock, limit: new WindowLimit({ nowMs: () => clock.ms }) };
};

test('nothing speaks against any width until one has been refused', () => {
  const { limit } = opened();
  expect(limit.widestMs).toBeUndefined();
  limit.served(DAY_MS, 10);
  expect(limit.widestMs).toBeUndefined();
});

test('half of what was refused is worth trying, or what has been served', () => {
  const { limit } = opened();
  limit.refused(400 * DAY_MS);
  expect(limit.widestMs).toBe(200 * DAY_MS);
  limit.refused(200 * DAY_MS);
  expect(limit.widestMs).toBe(100 * DAY_MS);
  limit.served(150 * DAY_MS, 10);
  expect(limit.widestMs).toBe(150 * DAY_MS);
});

test('what is no wider than what has been served says nothing: it is one source’s own trouble', () => {
  const { limit } = opened();
  limit.served(90 * DAY_MS, 10);
  limit.refused(HOUR_MS);
  expect(limit.widestMs).toBeUndefined();
  limit.refused(90 * DAY_MS);
  expect(limit.widestMs).toBeUndefined();
});

test('a wider window that is served later ends the limit', () => {
  const { limit } = opened();
  limit.refused(90 * DAY_MS);
  limit.served(90 * DAY_MS, 10);
  expect(limit.widestMs).toBeUndefined();
});

test('a refusal counts for an hour', () => {
  const { clock, limit } = opened();
  limit.refused(90 * DAY_MS);
  clock.ms = HOUR_MS - 1;
  expect(limit.widestMs).toBe(45 * DAY_MS);
  clock.ms = HOUR_MS;
  expect(limit.widestMs).toBeUndefined();
});

test('a width that has not been served is waited for in proportion to what others took, one that has been as long as any', () => {
  const { limit } = opened();
  expect(limit.patienceMs(DAY_MS)).toBe(2_500);
  limit.served(DAY_MS, 3_000);
  limit.served(HOUR_MS, 200);
  expect(limit.patienceMs(DAY_MS)).toBeUndefined();
  expect(limit.patienceMs(2 * DAY_MS)).toBe(12_000);
});
