import { expect, test } from 'vitest';
import { coalesced } from '../../../src/limits/coalesced.ts';

/** Readings that end when they are told to, before they begin or later, and how many have begun. */
const numbered = () => {
  const readings = Array.from({ length: 5 }, () => Promise.withResolvers<number>());
  let begun = 0;
  const read = coalesced(() => {
    begun += 1;
    return readings[begun - 1]?.promise ?? Promise.reject(new Error('too many'));
  });
  return { readings, read, begun: () => begun };
};

test('calls that come while one is under way share one that begins after it', async () => {
  const { readings, read, begun } = numbered();
  const first = read();
  const later = [read(), read(), read()];
  expect(begun()).toBe(1);
  readings[0]?.resolve(1);
  expect(await first).toBe(1);
  readings[1]?.resolve(2);
  expect(await Promise.all(later)).toEqual([2, 2, 2]);
  const alone = read();
  readings[2]?.resolve(3);
  expect(await alone).toBe(3);
  expect(begun()).toBe(3);
});

test('one that fails fails for those who share it, and the next one is made', async () => {
  const { readings, read } = numbered();
  const first = read();
  const second = read();
  readings[0]?.reject(new Error('broken'));
  await expect(first).rejects.toThrow('broken');
  readings[1]?.resolve(2);
  expect(await second).toBe(2);
});
