import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PayloadSplitter, writePayloadRecord } from '../../../../src/evidence/bundle/payload.ts';

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((some) => Buffer.from(some));
const records = fc.array(fc.record({ leaf: bytes(40), raw: bytes(300) }), { maxLength: 20 });
/** Where a file is cut into pieces; the same buffer is used for each, as a reader may do. */
const cuts = fc.array(fc.nat(4_000), { maxLength: 30 });

test('the records of a file are the same, however it is cut into pieces', () => {
  fc.assert(
    fc.property(records, cuts, (written, ends) => {
      expect(read(Buffer.concat(written.map(writePayloadRecord)), ends)).toEqual(written);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('a file that ends within a record is cut off', () => {
  const file = writePayloadRecord({ leaf: Buffer.from('leaf'), raw: Buffer.from('raw') });
  for (let length = 1; length < file.length; length += 1) {
    expect(() => read(file.subarray(0, length), [])).toThrow('payload is cut off');
  }
  expect(read(Buffer.alloc(0), [])).toEqual([]);
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
