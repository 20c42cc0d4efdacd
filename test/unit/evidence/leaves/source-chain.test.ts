import { expect, test } from 'vitest';
import {
  chained,
  chainStart,
  NO_SOURCE,
  readTileSources,
  writeTileSources,
} from '../../../../src/evidence/leaves/source-chain.ts';

test('the chain of one leaf is that of the vectors', () => {
  // Made by the program in Python that made the vectors of leaves.
  const leaf = Buffer.from('63a58df296dfce028ffec9fc594bdf3b3ac4927a66636dabfe783d7bf509a3ed', 'hex');
  const one = chained(chainStart, leaf);
  expect(one.events).toBe(1);
  expect(Buffer.from(one.chain).toString('hex')).toBe(
    'bc63d6d1735f944b4c095d441fe6e96c3134046afdd42c902c016048759eb2fe',
  );
  expect(chainStart.chain).toEqual(Buffer.alloc(32));
});

test('leaves in another order, or fewer, give another chain', () => {
  const [a, b] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const inOrder = chained(chained(chainStart, a), b);
  expect(chained(chained(chainStart, b), a)).not.toEqual(inOrder);
  expect(chained(chainStart, b)).not.toEqual(inOrder);
  expect(inOrder.events).toBe(2);
});

test('the sources of a tile are two bytes each', () => {
  const numbers = [1, 2, NO_SOURCE, 65_535];
  const bytes = writeTileSources(numbers);
  expect(bytes.toString('hex')).toBe('000100020000ffff');
  expect(readTileSources(bytes, 4)).toEqual(numbers);
  expect(() => readTileSources(bytes, 5)).toThrow('sources of a tile have 8 bytes instead of 10');
  expect(() => writeTileSources([65_536])).toThrow(RangeError);
  expect(() => writeTileSources(Array.from({ length: 257 }, () => 1))).toThrow(RangeError);
});
