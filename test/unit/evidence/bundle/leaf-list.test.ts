import { expect, test } from 'vitest';
import { LeafList, writeListedLeaf } from '../../../../src/evidence/bundle/layout.ts';

const hash = (number: number): Buffer => Buffer.alloc(32, number);
const bytesOf = (...indexes: readonly number[]): Buffer =>
  Buffer.concat(indexes.map((index) => writeListedLeaf(index, hash(index % 256))));

test('has what was written, and finds each leaf', () => {
  const list = new LeafList(bytesOf(0, 3, 4, 2 ** 40));
  expect([list.count, list.indexAt(3), list.hashAt(1)]).toEqual([4, 2 ** 40, hash(3)]);
  expect([0, 1, 3, 4, 5, 2 ** 40].map((index) => list.placeOf(index))).toEqual([0, undefined, 1, 2, undefined, 3]);
  expect([0, 1, 4, 5].map((index) => list.countBelow(index))).toEqual([0, 1, 2, 3]);
  expect([0, 4, 2 ** 41].map((size) => list.below(size).count)).toEqual([0, 2, 4]);
});

test.each([
  ['cut off', bytesOf(1, 2).subarray(0, -1), 'cut off'],
  ['twice the same', bytesOf(1, 1), 'leaf 1 is listed after leaf 1'],
  ['descending', bytesOf(2, 1), 'leaf 1 is listed after leaf 2'],
  ['too large an index', Buffer.alloc(40, 0xff), 'is listed after leaf -1'],
])('refuses one that is %s', (_name, bytes, message) => expect(() => new LeafList(bytes)).toThrow(message));
