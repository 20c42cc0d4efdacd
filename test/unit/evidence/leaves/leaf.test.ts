import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type EventLeaf,
  holeLeaf,
  journalLeaf,
  rawFacts,
  readEventLeaf,
  writeEventLeaf,
} from '../../../../src/evidence/leaves/leaf.ts';
import { monthOf, saltOf } from '../../../../src/evidence/leaves/month-key.ts';
import { GrowingTree } from '../../../../src/evidence/tree/growing-tree.ts';
import { leafHash } from '../../../../src/evidence/tree/merkle.ts';

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

describe('the vectors', () => {
  test('of an event', () => {
    expect(hex(event.salt)).toBe(vectors.salt);
    expect(hex(writeEventLeaf(event))).toBe(vectors.leafData);
    expect(hex(leafHash(writeEventLeaf(event)))).toBe(vectors.leafHash);
    expect(readEventLeaf(Buffer.from(vectors.leafData, 'hex'))).toEqual(event);
  });

  test('of a hole, of both in a tree, of a statement', () => {
    expect(hex(leafHash(holeLeaf(43)))).toBe(vectors.holeHash);
    const tree = new GrowingTree();
    tree.append(leafHash(writeEventLeaf(event)));
    tree.append(leafHash(holeLeaf(43)));
    expect(hex(tree.root())).toBe(vectors.rootOfBoth);
    expect(hex(leafHash(journalLeaf('{"type":"test"}')))).toBe(vectors.journalLeafHash);
    expect(journalLeaf(Buffer.from('{"type":"\u00e9"}'))).toEqual(journalLeaf('{"type":"\u00e9"}'));
  });
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

describe('the leaf of an event', () => {
  test('is read back, whatever is in it', () => {
    fc.assert(
      fc.property(events, (one) => {
        expect(readEventLeaf(writeEventLeaf(one))).toEqual(one);
      }),
      { seed: 20_261_126 },
    );
    // A mark of byte order is a character like any other, and so is what stands for bytes that are no text.
    const marked = { ...event, id: '\ufeffe', sourceId: '\ufffd' };
    expect(readEventLeaf(writeEventLeaf(marked))).toEqual(marked);
  });

  test('is another one if anything of the event is other, also if a letter only moves to the next field', () => {
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

  test('without a time has the smallest integer for it', () => {
    const data = writeEventLeaf({ ...event, actionTimeUs: undefined });
    expect(hex(data.subarray(50, 58))).toBe('8000000000000000');
    expect(() => writeEventLeaf({ ...event, actionTimeUs: -(2n ** 63n) })).toThrow(RangeError);
  });

  test('that is cut, or has more behind it, is a fault', () => {
    const data = Buffer.from(vectors.leafData, 'hex');
    for (let length = 0; length < data.length; length += 1) {
      expect(() => readEventLeaf(data.subarray(0, length))).toThrow(/leaf is (cut off|not that of an event)/);
    }
    expect(() => readEventLeaf(Buffer.concat([data, Buffer.alloc(1)]))).toThrow('leaf has bytes left over');
  });

  test('with a position that is none, with bytes that are no text, or of another kind, is a fault', () => {
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

  test('that cannot be written is a bug', () => {
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
});

describe('the key of a month', () => {
  test('is that of the month of the action in UTC', () => {
    const at = (iso: string) => monthOf(BigInt(Date.parse(iso)) * 1_000n);
    expect(at('2026-01-31T23:59:59.999Z')).toBe('2026-01');
    expect(at('2026-02-01T00:00:00Z')).toBe('2026-02');
    expect(monthOf(-1n)).toBe('1969-12');
    expect(monthOf(0n)).toBe('1970-01');
    expect(at('0001-01-01T00:00:00Z')).toBe('0001-01');
    expect(at('9999-12-31T23:59:59.999Z')).toBe('9999-12');
    expect(monthOf(undefined)).toBe('-infinity');
  });

  test('gives each position another salt, and none with a key that is cut', () => {
    const key = Buffer.from(vectors.monthKey, 'hex');
    expect(saltOf(key, 43)).not.toEqual(saltOf(key, 42));
    expect(() => saltOf(key.subarray(1), 42)).toThrow(RangeError);
  });
});

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
