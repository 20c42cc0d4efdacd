import { describe, expect, test } from 'vitest';
import { readDeltas } from '../../../src/archive/parquet/delta-numbers.ts';

/** 7 is the first of some numbers, in one block of 128 in four parts; the least difference is -2. */
const page = (count: number, ...widthsAndBits: readonly number[]) =>
  Buffer.from([0x80, 0x01, 4, count, 14, 3, ...widthsAndBits]);

describe('numbers as differences', () => {
  test('are the first one, and what is added to it', () => {
    // 1, 0, 3 and 2 more than the least difference, in two bits each; the rest of the part is filled up.
    const bytes = page(5, 2, 0, 0, 0, 0b10_11_00_01, 0, 0, 0, 0, 0, 0, 0, 99);
    expect(readDeltas(bytes, 0, 5)).toEqual({ numbers: Float64Array.from([7, 6, 4, 5, 5]), end: bytes.length - 1 });
  });

  test('are none, or one', () => {
    expect(readDeltas(Buffer.from([0x80, 0x01, 4, 0, 0]), 0, 0)?.numbers).toHaveLength(0);
    expect(readDeltas(Buffer.from([0x80, 0x01, 4, 1, 13]), 0, 1)?.numbers).toEqual(Float64Array.of(-7));
  });

  test('are left to another reader if they are not exact here', () => {
    expect(readDeltas(page(3, 46, 0, 0, 0, ...Array(184).fill(0)), 0, 3)).toBeUndefined();
    const large = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    expect(readDeltas(Buffer.from([0x80, 0x01, 4, 1, ...large]), 0, 1)).toBeUndefined();
  });

  test.each([
    ['another count', page(5, 0, 0, 0, 0), 'has 5 numbers'],
    ['a part that is cut', page(4, 2, 0, 0, 0), 'less numbers'],
    ['a block of nothing', Buffer.from([0, 0, 4, 0]), 'no numbers'],
    ['an end too early', Buffer.from([0x80, 0x01]), 'range'],
  ])('are refused: %s', (_, bytes, message) => {
    expect(() => readDeltas(bytes, 0, 4)).toThrow(message);
  });
});
