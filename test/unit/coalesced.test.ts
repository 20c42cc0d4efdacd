import { expect, test } from 'vitest';
import { coalesced } from '../../src/coalesced.ts';

/** Readings that end when they are told to, and say which they were. */
const numbered = () => {
  const readings: PromiseWithResolvers<number>[] = [];
  const read = coalesced(() => {
    const reading = Promise.withResolvers<number>();
    readings.push(reading);
    return reading.promise;
  });
  return { readings, read };
};

test('calls that come while one is under way share one that begins after it', async () => {
  const { readings, read } = numbered();
  const first = read();
  const later = [read(), read(), read()];
  expect(readings.length).toBe(1);
  readings[0]?.resolve(1);
  expect(await first).toBe(1);
  readings[1]?.resolve(2);
  expect(await Promise.all(later)).toEqual([2, 2, 2]);
  const alone = read();
  readings[2]?.resolve(3);
  expect(await alone).toBe(3);
  expect(readings.length).toBe(3);
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
