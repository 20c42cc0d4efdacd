import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  consistencyRanges,
  inclusionRanges,
  isConsistent,
  rootByInclusion,
  rootOfPrefix,
  tilesOfRanges,
} from '../../../../src/evidence/tree/proofs.ts';
import { leafHash } from '../../../../src/evidence/tree/tiles.ts';
import { naiveConsistency, naiveInclusion, naiveLeaf, naiveRoot } from '../../../support/evidence/naive-tree.ts';
import { numberedLeaves, StoredTree } from '../../../support/evidence/stored-tree.ts';
import { forAll } from '../../for-all.ts';

const LARGEST = 1_400;
const data = numberedLeaves(LARGEST);
const hashes = data.map(naiveLeaf);
const stored = new StoredTree().append(data);
const sizes = fc
  .integer({ min: 1, max: LARGEST })
  .chain((size) => fc.record({ size: fc.constant(size), part: fc.nat(size - 1) }));

test('an inclusion proof is that of RFC 6962, and gives the root, at every size from one leaf to some', () => {
  for (let size = 1; size <= 40; size += 1) {
    for (let index = 0; index < size; index += 1) {
      const proof = stored.inclusion(index, size);
      expect(proof).toEqual(naiveInclusion(index, hashes.slice(0, size)));
      expect(rootByInclusion(index, size, leafHash(data[index] as Buffer), proof)).toEqual(rootOf(size));
    }
  }
});

test('an inclusion proof also where tiles are full, and where they are cut: the tiles of a larger tree serve', () =>
  forAll([sizes], { seed, numRuns: 80 }, ({ size, part: index }) => {
    const proof = stored.inclusion(index, size);
    expect(proof).toEqual(naiveInclusion(index, hashes.slice(0, size)));
    expect(rootByInclusion(index, size, hashes[index] as Buffer, proof)).toEqual(rootOf(size));
  }));

test('an inclusion proof with one bit changed, in another place, longer or shorter, gives another root or none', () =>
  forAll([sizes, fc.nat(), fc.nat(255)], { seed, numRuns: 60 }, ({ size, part: index }, which, bit) => {
    const proof = stored.inclusion(index, size);
    const root = rootOf(size);
    const by = (at: number, path: readonly Buffer[], leaf = hashes[index] as Buffer) =>
      rootByInclusion(at, size, leaf, path);
    const changed = proof.map((hash, at) => (at === which % proof.length ? flipped(hash, bit) : hash));
    if (proof.length > 0) expect(by(index, changed)).not.toEqual(root);
    expect(by(index, proof, flipped(hashes[index] as Buffer, bit))).not.toEqual(root);
    expect(by(index, [...proof, root])).toBeUndefined();
    if (proof.length > 0) expect(by(index, proof.slice(1))).toBeUndefined();
    if (size > 1) expect(by((index + 1) % size, proof)).not.toEqual(root);
    expect(by(size, proof)).toBeUndefined();
  }));

test('an inclusion proof hashes that are none are refused', () => {
  expect(rootByInclusion(0, 2, hashes[0] as Buffer, [Buffer.alloc(31)])).toBeUndefined();
  expect(rootByInclusion(-1, 2, hashes[0] as Buffer, [Buffer.alloc(32)])).toBeUndefined();
  expect(rootByInclusion(0.5, 2, hashes[0] as Buffer, [Buffer.alloc(32)])).toBeUndefined();
});

test('an inclusion proof of a leaf that is not there is a bug of the caller', () => {
  expect(() => inclusionRanges(5, 5)).toThrow(RangeError);
  expect(() => consistencyRanges(6, 5)).toThrow(RangeError);
});

test('a consistency proof is that of RFC 6962, and convinces, between all sizes from one leaf to some', () => {
  for (let to = 1; to <= 40; to += 1) {
    for (let from = 1; from <= to; from += 1) {
      const proof = stored.consistency(from, to);
      expect(proof).toEqual(naiveConsistency(from, hashes.slice(0, to)));
      expect(isConsistent({ size: from, root: rootOf(from) }, { size: to, root: rootOf(to) }, proof)).toBe(true);
    }
  }
});

test('a consistency proof also over full tiles; and convinces of no other roots', () =>
  forAll([sizes, fc.nat(), fc.nat(255)], { seed, numRuns: 80 }, ({ size: to, part }, which, bit) => {
    const from = { size: part + 1, root: rootOf(part + 1) };
    const whole = { size: to, root: rootOf(to) };
    const proof = stored.consistency(from.size, to);
    expect(proof).toEqual(naiveConsistency(from.size, hashes.slice(0, to)));
    expect(isConsistent(from, whole, proof)).toBe(true);
    expect(isConsistent({ ...from, root: flipped(from.root, bit) }, whole, proof)).toBe(false);
    expect(isConsistent(from, { ...whole, root: flipped(whole.root, bit) }, proof)).toBe(false);
    const changed = proof.map((hash, at) => (at === which % proof.length ? flipped(hash, bit) : hash));
    if (proof.length > 0) expect(isConsistent(from, whole, changed)).toBe(false);
    expect(isConsistent(from, whole, [...proof, whole.root])).toBe(false);
    if (from.size < to) expect(isConsistent(whole, from, proof)).toBe(false);
  }));

test('a consistency proof of an empty tree is empty: every tree goes on from it', () => {
  expect(stored.consistency(0, 7)).toEqual([]);
  expect(isConsistent({ size: 0, root: naiveRoot([]) }, { size: 7, root: rootOf(7) }, [rootOf(7)])).toBe(false);
  expect(isConsistent({ size: 0, root: naiveRoot([]) }, { size: 7, root: rootOf(7) }, [])).toBe(true);
  expect(isConsistent({ size: 0, root: naiveRoot([]) }, { size: 0, root: rootOf(1) }, [])).toBe(false);
  expect(isConsistent({ size: 0, root: rootOf(1) }, { size: 7, root: rootOf(7) }, [])).toBe(false);
});

test('the root of a prefix is had from the tiles of the larger tree, those that are named for it', () => {
  for (const from of [0, 1, 2, 255, 256, 257, 700, 1_024, LARGEST]) {
    const named = new Set(tilesOfRanges([{ start: 0, end: from }], LARGEST).map(({ level, n }) => `${level}/${n}`));
    const root = rootOfPrefix(from, LARGEST, (tile) => {
      expect(named).toContain(`${tile.level}/${tile.n}`);
      return stored.readTile(tile);
    });
    expect(root).toEqual(rootOf(from));
  }
  expect(() => rootOfPrefix(LARGEST + 1, LARGEST, stored.readTile)).toThrow(RangeError);
});

test('a proof takes few tiles, and says which before it is made', () => {
  const ranges = inclusionRanges(12_345_678, 20_000_000);
  expect(ranges).toHaveLength(25);
  expect(tilesOfRanges(ranges, 20_000_000)).toEqual([
    { level: 0, n: 48_225, width: 256 },
    { level: 1, n: 188, width: 256 },
    { level: 2, n: 0, width: 256 },
    { level: 2, n: 1, width: 49 },
    { level: 1, n: 305, width: 45 },
  ]);
});

const rootOf = (size: number) => naiveRoot(hashes.slice(0, size));
const seed = 20_261_126;

const flipped = (bytes: Buffer, bit: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[Math.floor(bit / 8)] = (copy[Math.floor(bit / 8)] ?? 0) ^ (1 << (bit % 8));
  return copy;
};
