import { expect, test } from 'vitest';
import { BufferPool } from '../../../src/limits/buffer-pool.ts';

test('hands out what was given back where it is large enough, each to one at a time', () => {
  const pool = new BufferPool();
  const first = pool.take(1_000);
  const second = pool.take(1_000);
  expect(second).not.toBe(first);
  expect(first.length).toBeGreaterThanOrEqual(1_000);
  pool.giveBack(first);
  expect(pool.take(2_000)).not.toBe(first);
  expect(pool.take(900)).toBe(first);
  expect(pool.take(900)).not.toBe(first);
});

test('keeps a few, and none that is very large', () => {
  const pool = new BufferPool();
  const large = pool.take(20_000_000);
  pool.giveBack(large);
  expect(pool.take(20_000_000) === large).toBe(false);
  const many = Array.from({ length: 50 }, () => pool.take(100));
  for (const buffer of many) pool.giveBack(buffer);
  const again = new Set(Array.from({ length: 50 }, () => pool.take(100)));
  expect(many.filter((buffer) => again.has(buffer)).length).toBe(32);
});

test('small ones that are kept make room for a larger one', () => {
  const pool = new BufferPool();
  for (const buffer of Array.from({ length: 32 }, () => pool.take(100))) pool.giveBack(buffer);
  const large = pool.take(5_000);
  pool.giveBack(large);
  expect(pool.take(5_000)).toBe(large);
});

test('keeps 32 MiB in all', () => {
  const pool = new BufferPool();
  const many = Array.from({ length: 8 }, () => pool.take(5_000_000));
  for (const buffer of many) pool.giveBack(buffer);
  const again = new Set(Array.from({ length: 8 }, () => pool.take(5_000_000)));
  expect(many.filter((buffer) => again.has(buffer)).length).toBe(5);
});

test('a small page leaves a large buffer to a large one', () => {
  const pool = new BufferPool();
  const [large, small] = [pool.take(1_000_000), pool.take(50_000)];
  for (const buffer of [large, small]) pool.giveBack(buffer);
  expect(pool.take(40_000) === small).toBe(true);
  expect(pool.take(900_000) === large).toBe(true);
});
