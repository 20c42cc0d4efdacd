import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  chained,
  chainStart,
  type EventLeaf,
  holeLeaf,
  journalLeaf,
  monthOf,
  NO_SOURCE,
  rawFacts,
  readEventLeaf,
  readTileSources,
  saltOf,
  writeEventLeaf,
  writeTileSources,
} from '../../../../src/evidence/leaf.ts';
import { GrowingTree } from '../../../../src/evidence/tree/growing-tree.ts';
import { leafHash } from '../../../../src/evidence/tree/tiles.ts';
import { forAll } from '../../for-all.ts';

/* Made by a program in Python that shares nothing with this one, from the specification of the leaves. */
const vectors = {
  monthKey: '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
  salt: '79513579350efb53b172672fa2478769',
  raw: '{"action":{"time":"2026-01-10T00:00:00Z","type":"create"},"id":"e\u00e9-1"}',
  leafData:
    '6f7267747261696c2f6576656e742f76310a79513579350efb53b172672fa2478769000000000000002a0006474846222240000647fd52b2a000000c' +
    '6f7267616e697a6174696f6e0008303139633466363500083031396334663635000565c3a92d310000000000477a4d3162b42417fc578c7240fd5c50' +
    '39fb92fa62277c9efc1170f13192b089b9',
  leafHash: '63a58df296dfce028ffec9fc594bdf3b3ac4927a66636dabfe783d7bf509a3ed',
  holeHash: '9b276c2ef3da184a2cf8f2cd514e5fa09c443171bbef04e726090a91c43d276a',
  rootOfBoth: '2f12768bc07a9f1f1f01b20c0d74b86b018a9bcae7b8c83c90594b6eda593d6e',
  journalLeafHash: '3f6e7ab794a49f89d7ec91d3492a22497bfc0e28e77088af7d2441483fb6076c',
};

const event: EventLeaf = {
  salt: saltOf(Buffer.from(vectors.monthKey, 'hex'), 42),
  position: 42,
  receivedAtUs: 1_767_225_600_123_456n,
  actionTimeUs: 1_768_003_200_000_000n,
  sourceKind: 'organization',
  sourceId: '019c4f65',
  organizationId: '019c4f65',
  id: 'e\u00e9-1',
  defects: [],
  ...rawFacts(Buffer.from(vectors.raw)),
};

test('the vectors of an event', () => {
  expect(hex(event.salt)).toBe(vectors.salt);
  expect(hex(writeEventLeaf(event))).toBe(vectors.leafData);
  expect(hex(leafHash(writeEventLeaf(event)))).toBe(vectors.leafHash);
  expect(readEventLeaf(Buffer.from(vectors.leafData, 'hex'))).toEqual(event);
});

test('the vectors of a hole, of both in a tree, of a statement', () => {
  expect(hex(leafHash(holeLeaf(43)))).toBe(vectors.holeHash);
  const tree = new GrowingTree();
  tree.append(leafHash(writeEventLeaf(event)));
  tree.append(leafHash(holeLeaf(43)));
  expect(hex(tree.root())).toBe(vectors.rootOfBoth);
  expect(hex(leafHash(journalLeaf('{"type":"test"}')))).toBe(vectors.journalLeafHash);
  expect(journalLeaf(Buffer.from('{"type":"\u00e9"}'))).toEqual(journalLeaf('{"type":"\u00e9"}'));
});

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const time = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n });
const events: fc.Arbitrary<EventLeaf> = fc.record({
  salt: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
  position: fc.maxSafeNat(),
  receivedAtUs: time,
  actionTimeUs: fc.option(time, { nil: undefined }),
  sourceKind: text,
  sourceId: text,
  organizationId: fc.option(
    text.filter((name) => name !== ''),
    { nil: undefined },
  ),
  id: text,
  defects: fc.array(fc.constantFrom('id_missing', 'nul_character', 'invalid_utf8'), { maxLength: 3 }),
  rawBytes: fc.nat(4_294_967_295),
  rawSha256: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
});

test('a leaf is read back, whatever is in it', () => {
  forAll([events], { seed: 20_261_126 }, (one) => expect(readEventLeaf(writeEventLeaf(one))).toEqual(one));
  // A mark of byte order is a character like any other, and so is what stands for bytes that are no text.
  const marked = { ...event, id: '\ufeffe', sourceId: '\ufffd' };
  expect(readEventLeaf(writeEventLeaf(marked))).toEqual(marked);
});

test('a leaf is another one if anything of the event is other, also if a letter only moves to the next field', () => {
  const others: readonly Partial<EventLeaf>[] = [
    { salt: Buffer.alloc(16) },
    { position: 43 },
    { receivedAtUs: event.receivedAtUs + 1n },
    { actionTimeUs: event.receivedAtUs },
    { actionTimeUs: undefined },
    { sourceKind: 'account' },
    { sourceKind: 'organization0', sourceId: '19c4f65' },
    { organizationId: undefined },
    { id: '-1' },
    { defects: ['id_missing'] },
    { rawBytes: 70 },
    { rawSha256: Buffer.alloc(32) },
  ];
  const all = [event, ...others.map((other) => ({ ...event, ...other }))].map((one) => hex(writeEventLeaf(one)));
  expect(new Set(all).size).toBe(others.length + 1);
});

test('a leaf without a time has the smallest integer for it', () => {
  const data = writeEventLeaf({ ...event, actionTimeUs: undefined });
  expect(hex(data.subarray(50, 58))).toBe('8000000000000000');
  expect(() => writeEventLeaf({ ...event, actionTimeUs: -(2n ** 63n) })).toThrow(RangeError);
});

test('a leaf that is cut, or has more behind it, is a fault', () => {
  const data = Buffer.from(vectors.leafData, 'hex');
  for (let length = 0; length < data.length; length += 1) {
    expect(() => readEventLeaf(data.subarray(0, length))).toThrow(/leaf is (cut off|not that of an event)/);
  }
  expect(() => readEventLeaf(Buffer.concat([data, Buffer.alloc(1)]))).toThrow('leaf has bytes left over');
});

test('a leaf with a position that is none, with bytes that are no text, or of another kind, is a fault', () => {
  const changed = (at: number, byte: number) => {
    const data = Buffer.from(vectors.leafData, 'hex');
    data[at] = byte;
    return data;
  };
  expect(() => readEventLeaf(changed(34, 0xff))).toThrow('leaf has a number that is too large');
  expect(() => readEventLeaf(changed(60, 0xff))).toThrow('leaf is not UTF-8');
  expect(() => readEventLeaf(holeLeaf(42))).toThrow('leaf is not that of an event');
  expect(() => readEventLeaf(journalLeaf('{}'))).toThrow('leaf is not that of an event');
});

test('a leaf that cannot be written is a bug', () => {
  const refused: readonly Partial<EventLeaf>[] = [
    { salt: Buffer.alloc(15) },
    { rawSha256: Buffer.alloc(33) },
    { position: 2 ** 53 },
    { position: -1 },
    { id: 'x'.repeat(65_536) },
    { id: 'x'.repeat(65_500) },
    { id: '\ud800' },
    { rawBytes: 2 ** 32 },
  ];
  for (const one of refused) expect(() => writeEventLeaf({ ...event, ...one })).toThrow(RangeError);
});

test('the key of a month is that of the month of the action in UTC', () => {
  const at = (iso: string) => monthOf(BigInt(Date.parse(iso)) * 1_000n);
  expect([at('2026-01-31T23:59:59.999Z'), at('2026-02-01T00:00:00Z')]).toEqual(['2026-01', '2026-02']);
  expect([monthOf(-1n), monthOf(0n), at('0001-01-01T00:00:00Z')]).toEqual(['1969-12', '1970-01', '0001-01']);
  expect([at('9999-12-31T23:59:59.999Z'), monthOf(undefined)]).toEqual(['9999-12', '-infinity']);
});

test('the key of a month gives each position another salt, and none with a key that is cut', () => {
  const key = Buffer.from(vectors.monthKey, 'hex');
  expect(saltOf(key, 43)).not.toEqual(saltOf(key, 42));
  expect(() => saltOf(key.subarray(1), 42)).toThrow(RangeError);
});

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

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
