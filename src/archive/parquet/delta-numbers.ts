import { NumberCursor } from './number-cursor.ts';

/** Numbers that were written as differences, and where the bytes behind them begin. */
export interface DeltaNumbers {
  readonly numbers: Float64Array;
  readonly end: number;
}

/** Bits and what is left of a byte must fit into the 53 that a number has. */
const MAX_BITS = 45;

/**
 * The numbers of a page in Parquet's encoding DELTA_BINARY_PACKED: a first one, and blocks of differences, which are packed with as few bits as
 * each part of a block needs. Undefined: a number, or a difference, is too large to be read exactly here. Throws if there are not `count` of them.
 */
export const readDeltas = (bytes: Buffer, start: number, count: number): DeltaNumbers | undefined => {
  const cursor = new NumberCursor(bytes, start);
  const blockSize = cursor.unsigned();
  const parts = cursor.unsigned();
  const total = cursor.unsigned();
  if (total !== count) throw new Error(`a page has ${total} numbers, and says ${count}`);
  const numbers = new Float64Array(count);
  let value = cursor.signed();
  if (count > 0) numbers[0] = value;
  const partSize = blockSize / parts;
  if (!(partSize >= 1)) throw new Error('a block of no numbers');
  for (let done = 1; done < count; ) {
    const least = cursor.signed();
    const widths = bytes.subarray(cursor.at, cursor.at + parts);
    cursor.skip(parts);
    if (!Number.isSafeInteger(least) || widths.some((width) => width > MAX_BITS)) return undefined;
    for (let part = 0; part < parts && done < count; part += 1) {
      const width = widths[part] ?? 0;
      const size = (width * partSize) / 8;
      const end = Math.min(count, done + partSize);
      unpack(bytes.subarray(cursor.at, cursor.at + size), width, numbers.subarray(done, end));
      cursor.skip(size);
      for (; done < end; done += 1) {
        value += least + (numbers[done] ?? 0);
        numbers[done] = value;
      }
    }
  }
  return numbers.every(Number.isSafeInteger) ? { numbers, end: cursor.at } : undefined;
};

/** In place of the numbers. Arithmetic, since the operators of bits know 32 of them. */
const unpack = (packed: Buffer, width: number, into: Float64Array): void => {
  if (8 * packed.length < into.length * width) throw new Error('a page has less numbers than it says');
  if (width === 0) return;
  const range = 2 ** width;
  let [at, held, bits] = [0, 0, 0];
  for (let n = 0; n < into.length; n += 1) {
    while (bits < width) {
      held += (packed[at] ?? 0) * 2 ** bits;
      at += 1;
      bits += 8;
    }
    into[n] = held % range;
    held = Math.floor(held / range);
    bits -= width;
  }
};
