import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GrowingTree } from '../../../../src/evidence/tree/growing-tree.ts';
import { consistencyRanges, hashOfRange, rootOfPrefix } from '../../../../src/evidence/tree/proofs.ts';
import { leafHash, MAX_LEAF_BYTES, nodeHash } from '../../../../src/evidence/tree/tiles.ts';
import { isConsistent } from '../../../support/evidence/consistency.ts';
import { naiveConsistency, naiveLeaf, naiveRoot } from '../../../support/evidence/naive-tree.ts';
import { forAll } from '../../for-all.ts';

const data = Array.from({ length: 70_000 }, (_, index) => Buffer.from(`leaf ${index}`));

test('the tree of x/mod/sumdb has the same roots while it grows', () => {
  const wanted = new Map<number, string>(bySumdb.roots);
  const tree = new GrowingTree();
  const firstRoots = createHash('sha256');
  for (const leaf of data) {
    tree.append(leafHash(leaf));
    if (tree.size <= 600) firstRoots.update(tree.root());
    const root = wanted.get(tree.size);
    if (root !== undefined) expect(tree.root().toString('hex')).toBe(root);
  }
  expect(firstRoots.digest('hex')).toBe(bySumdb.firstRoots);
});

test('proofs of consistency and roots of prefixes, from tiles, are those of RFC 6962', () => {
  const hashes = data.slice(0, 600).map(naiveLeaf);
  const tree = new GrowingTree();
  for (const hash of hashes) tree.append(hash);
  const tiles = new Map(tree.takeTiles().map((tile) => [`${tile.level}/${tile.n}`, tile.hashes]));
  const readTile = ({ level, n }: { level: number; n: number }) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0);
  forAll([fc.integer({ min: 1, max: 600 })], { seed: 20_261_126, numRuns: 60 }, (from) => {
    const proof = consistencyRanges(from, 600).map((range) => hashOfRange(range, 600, readTile));
    expect(proof).toEqual(naiveConsistency(from, hashes));
    const [root, whole] = [rootOfPrefix(from, 600, readTile), tree.root()];
    expect(root).toEqual(naiveRoot(hashes.slice(0, from)));
    expect(isConsistent({ size: from, root }, { size: 600, root: whole }, proof)).toBe(true);
    expect(isConsistent({ size: from, root: whole }, { size: 600, root: whole }, proof)).toBe(from === 600);
  });
});

test('a growing tree stopped and gone on from its tiles at any sizes is the same tree', () => {
  const few = data.slice(0, 1_000);
  const hashes = few.map(naiveLeaf);
  forAll([fc.array(fc.nat(300), { maxLength: 6 })], { seed: 20_261_126, numRuns: 60 }, (steps) => {
    const tiles = new Map<string, Buffer>();
    let tree = new GrowingTree();
    for (const step of steps) {
      tree = new GrowingTree(tree.size, ({ level, n }) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0));
      for (const hash of hashes.slice(tree.size, tree.size + step)) tree.append(hash);
      for (const { level, n, width, hashes: packed } of tree.takeTiles()) {
        expect(packed).toHaveLength(width * 32);
        tiles.set(`${level}/${n}`, packed);
      }
      expect(tree.takeTiles()).toEqual([]);
      expect(tree.root()).toEqual(naiveRoot(hashes.slice(0, tree.size)));
    }
  });
});

test('a growing tree hands out tiles that later leaves do not change', () => {
  const tree = new GrowingTree();
  tree.append(Buffer.alloc(32, 1));
  const [tile] = tree.takeTiles();
  for (let leaf = 0; leaf < 300; leaf += 1) tree.append(Buffer.alloc(32, 2));
  expect(tile?.hashes).toEqual(Buffer.alloc(32, 1));
});

test('a growing tree does not go on from a tile that is missing or too short', () => {
  expect(() => new GrowingTree(5)).toThrow('tile 0 of level 0 is missing');
  const short = () => Buffer.alloc(4 * 32);
  expect(() => new GrowingTree(5, short)).toThrow('tile 0 of level 0 has 128 bytes instead of 160');
  expect(() => hashOfRange({ start: 0, end: 4 }, 5, short)).toThrow('has 128 bytes instead of 160');
});

test('the empty tree, a leaf and a node are those of RFC 6962', () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  // Published with RFC 6962's reference implementation (certificate-transparency, merkle_tree_test).
  expect(hex(new GrowingTree().root())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(hex(leafHash(Buffer.alloc(0)))).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
  expect(hex(nodeHash(leafHash(Buffer.alloc(0)), leafHash(Buffer.from([0]))))).toBe(
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  );
  expect(() => leafHash(Buffer.alloc(MAX_LEAF_BYTES + 1))).toThrow(RangeError);
});

/*
 * Derived with golang.org/x/mod/sumdb/tlog (Debian's golang-golang-x-mod-dev), which is the code behind sum.golang.org, over the
 * leaves `leaf 0` to `leaf 69999`: TreeHash.
 */
const bySumdb = {
  roots: [
    [1, '1bb97dcc21635d47e2663efdfd0a174686d98dd701352dd2cd06e8b43fd3d305'],
    [2, 'fc5f6b88ff8554f75bb2f9e6f39c31b1936d44b69276edf7b1205a955b9761e3'],
    [3, 'd4f92c8fbb89720eb3b55677c7d7efaddfeb10d11a1a84a0ba8f1a23337faa95'],
    [255, 'd71592a219d4067663eede247f9b54c3f9e0290682d55de09b495b07f1de41c9'],
    [256, 'cf5effdb11d0927a2edf53b0e73c7837f659414e00537da5d90eb5c4c49ff274'],
    [257, '855b936aa00cb98b5114484249ad39d78a6be93623e26c01e8e487dc02184a5a'],
    [65_535, 'b592480df20f0dd456e39db9cdb0a1fa85f3617ec2d30cffc52760c38776f393'],
    [65_536, 'e100ba54d69a91012fc13b7890feac78d6996a097268b6f735d17311c7402a60'],
    [65_537, '689b22742cab2adeb36ba622ff2736336464858f5de4a2c02f33bf163e7dca5f'],
    [70_000, 'da0532ff7b2ee56f4067110fc964e9f27b5959f9527bfff3fa501aa7584deaf3'],
  ],
  /** SHA-256 over the roots of sizes 1 to 600. */
  firstRoots: '9f3960575e414944a8d2b8cc85fb150999e06b9df0f065755387e3fe841cb68e',
} as const;
