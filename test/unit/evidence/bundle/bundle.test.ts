import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LeafList, writeListedLeaf } from '../../../../src/evidence/bundle/layout.ts';
import {
  type EventWords,
  PayloadSplitter,
  rawOfLine,
  readProofLine,
  wordsOfLeaf,
  writeEventLine,
  writePayloadRecord,
  writeProofLine,
} from '../../../../src/evidence/bundle/records.ts';
import { readEventLeaf, writeEventLeaf } from '../../../../src/evidence/leaf.ts';
import { forAll } from '../../for-all.ts';

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((some) => Buffer.from(some));
const records = fc.array(fc.record({ leaf: bytes(40), raw: bytes(300) }), { maxLength: 20 });
/** Where a file is cut into pieces; the same buffer is used for each, as a reader may do. */
const cuts = fc.array(fc.nat(4_000), { maxLength: 30 });

test('the records of a file are the same, however it is cut into pieces', () =>
  forAll([records, cuts], 300, (written, ends) =>
    expect(read(Buffer.concat(written.map(writePayloadRecord)), ends)).toEqual(written),
  ));

test('a file that ends within a record is cut off', () => {
  const file = writePayloadRecord({ leaf: Buffer.from('leaf'), raw: Buffer.from('raw') });
  for (let length = 1; length < file.length; length += 1) {
    expect(() => read(file.subarray(0, length), [])).toThrow('payload is cut off');
  }
  expect(read(Buffer.alloc(0), [])).toEqual([]);
});

const leaf = writeEventLeaf({
  salt: Buffer.alloc(16, 1),
  position: 7,
  receivedAtUs: 1_767_323_045_000_006n,
  actionTimeUs: undefined,
  sourceKind: 'organization',
  sourceId: ',"raw":',
  organizationId: 'o',
  id: '"}',
  defects: ['a', 'b'],
  rawBytes: 2,
  rawSha256: Buffer.alloc(32, 2),
});

test('a line of an event gives back the exact content, whatever white space it has', () => {
  const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\r', '\t', '') });
  forAll([fc.json(), space, space], {}, (json, before, after) => {
    const raw = `${before}${json}${after}`;
    const line = writeEventLine(words, raw);
    expect(line).not.toMatch(/[\r\n]/);
    expect(rawOfLine(line, words)).toBe(raw);
  });
});

test('a line of an event says nothing that the leaf does not say', () => {
  expect(wordsOfLeaf(readEventLeaf(leaf))).toEqual(words);
  const line = writeEventLine(words, '{}');
  for (const other of [
    line.replace('"position":7', '"position":8'),
    line.replace('"id"', '"more":1,"id"'),
    line.replace('{"position"', '{ "position"'),
    line.replace('"raw":', '"raw_text":"[]","raw":'),
    line.replace('"raw":{}}', '"more":1}'),
    '',
  ]) {
    expect(() => rawOfLine(other, words), other).toThrow();
  }
});

test.each([
  [-62_198_755_200_000_000n, null],
  [253_402_300_800_000_000n, null],
  [-1n, '1969-12-31T23:59:59.999999Z'],
])('a line of an event has the time %s as %s', (actionTimeUs, said) => {
  const other = writeEventLeaf({ ...readEventLeaf(leaf), actionTimeUs });
  expect(wordsOfLeaf(readEventLeaf(other)).action_time).toBe(said);
});

test('a line of a proof is read as it was written, signed or not', () => {
  const signed = { leaf, hashes: [Buffer.alloc(32, 3), Buffer.alloc(32, 4)] };
  expect(readProofLine(writeProofLine({ position: 7, signed }))).toEqual({ position: 7, signed });
  expect(readProofLine(writeProofLine({ position: 7, signed: undefined }))).toEqual({
    position: 7,
    signed: undefined,
  });
});

test.each(['', '[]', '{}', '{"position":7}', '{"position":7,"leaf":"AA=="}', '{"position":7,"leaf":"","hashes":[]}'])(
  'a line of a proof is refused if it is %s',
  (line) => expect(() => readProofLine(line)).toThrow(),
);

test('a line of a proof is refused if its leaf is of another position', () => {
  const line = writeProofLine({ position: 8, signed: { leaf, hashes: [] } });
  expect(() => readProofLine(line)).toThrow('another position');
});

const read = (file: Buffer, ends: readonly number[]): { leaf: Buffer; raw: Buffer }[] => {
  const splitter = new PayloadSplitter();
  const found: { leaf: Buffer; raw: Buffer }[] = [];
  const room = Buffer.alloc(file.length);
  let at = 0;
  for (const end of [...ends.map((one) => Math.min(one, file.length)).sort((a, b) => a - b), file.length]) {
    const length = file.copy(room, 0, at, end);
    for (const { leaf, raw } of splitter.push(room.subarray(0, length)))
      found.push({ leaf: Buffer.from(leaf), raw: Buffer.from(raw) });
    at = end;
    room.fill(0xff);
  }
  splitter.end();
  return found;
};

const words: EventWords = {
  position: 7,
  received_at: '2026-01-02T03:04:05.000006Z',
  action_time: null,
  source_kind: 'organization',
  source_id: ',"raw":',
  organization_id: 'o',
  id: '"}',
  defects: ['a', 'b'],
};

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
