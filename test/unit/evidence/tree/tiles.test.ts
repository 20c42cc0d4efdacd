import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  edgeOf,
  entryBundlePath,
  parseTilePath,
  readEntryBundle,
  tilePath,
  tilesOfLevel,
  writeEntryBundle,
} from '../../../../src/evidence/tree/tiles.ts';
import { tilesOfTree } from '../../../support/evidence/stored-tree.ts';
import { forAll } from '../../for-all.ts';

test.each([
  // The first is the example of c2sp.org/tlog-tiles; all are what golang.org/x/mod/sumdb/tlog writes, apart from its height.
  [{ level: 0, n: 1_234_067, width: 256 }, 'tile/0/x001/x234/067'],
  [{ level: 2, n: 5, width: 17 }, 'tile/2/005.p/17'],
  [{ level: 0, n: 999, width: 255 }, 'tile/0/999.p/255'],
  [{ level: 0, n: 1_000, width: 1 }, 'tile/0/x001/000.p/1'],
])('a tile path %o', (tile, path) => {
  expect(tilePath(tile)).toBe(path);
  expect(parseTilePath(path)).toEqual(tile);
});

test('a tile path of an entry bundle has no level', () => {
  expect(entryBundlePath({ n: 70, width: 256 })).toBe('tile/entries/070');
  expect(parseTilePath('tile/entries/x001/000.p/3')).toEqual({ level: 'entries', n: 1_000, width: 3 });
});

test('a tile path is read back, whatever tile it is', () => {
  const tile = fc.record({ level: fc.nat(63), n: fc.maxSafeNat(), width: fc.integer({ min: 1, max: 256 }) });
  forAll([tile], {}, (one) => expect(parseTilePath(tilePath(one))).toEqual(one));
});

test.each([
  'tile/64/000',
  'tile/00/000',
  'tile/-1/000',
  'tile/0/0',
  'tile/0/0000',
  'tile/0/x000/001',
  'tile/0/001/x002',
  'tile/0/000.p/0',
  'tile/0/000.p/256',
  'tile/0/000.p/01',
  'tile/0/x009/x007/x199/x254/x740/994',
  'tile/0/x999/x999/x999/x999/x999/x999',
  'tile/0/x999/x999/x999/x999/x999/999',
  '/tile/0/000',
  'tile/0/000\n',
  'tile/data/000',
  'tile/0/000/../001',
])('a tile path no other is one: %j', (path) => expect(() => parseTilePath(path)).toThrow('not the path of a tile'));

test('a tree has full tiles, and one partial at most at the end of a level', () => {
  // The two examples of the specification.
  expect(edgeOf(70_000).map(tilePath)).toEqual(['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1']);
  expect([...tilesOfTree(256)].map(tilePath)).toEqual(['tile/0/000', 'tile/1/000.p/1']);
  expect([...tilesOfLevel(257, 0)].map(entryBundlePath)).toEqual(['tile/entries/000', 'tile/entries/001.p/1']);
});

test('an entry bundle gives back what was put into it', () => {
  forAll([fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 })], {}, (leaves) =>
    expect(readEntryBundle(writeEntryBundle(leaves)).map((leaf) => [...leaf])).toEqual(leaves.map((leaf) => [...leaf])),
  );
  expect(writeEntryBundle([Buffer.from('ab'), Buffer.alloc(0)]).toString('hex')).toBe('000261620000');
  expect(() => writeEntryBundle([Buffer.alloc(65_536)])).toThrow(RangeError);
});

test('an entry bundle that is cut is a fault', () => {
  const bundle = writeEntryBundle([Buffer.from('one'), Buffer.from('two')]);
  for (let length = 1; length < bundle.length; length += 1) {
    if (length === 5) continue;
    expect(() => readEntryBundle(bundle.subarray(0, length))).toThrow('entry bundle ends within its entry');
  }
});
