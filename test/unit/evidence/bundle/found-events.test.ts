import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type EventWords,
  rawOfLine,
  readProofLine,
  wordsOfLeaf,
  writeEventLine,
  writeProofLine,
} from '../../../../src/evidence/bundle/found-events.ts';
import { readEventLeaf, writeEventLeaf } from '../../../../src/evidence/leaves/leaf.ts';

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

describe('a line of an event', () => {
  test('gives back the exact content, whatever white space it has', () => {
    const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\r', '\t', '') });
    fc.assert(
      fc.property(fc.json(), space, space, (json, before, after) => {
        const raw = `${before}${json}${after}`;
        const line = writeEventLine(words, raw);
        expect(line).not.toMatch(/[\r\n]/);
        expect(rawOfLine(line, words)).toBe(raw);
      }),
    );
  });

  test('says nothing that the leaf does not say', () => {
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
  ])('has the time %s as %s', (actionTimeUs, said) => {
    const other = writeEventLeaf({ ...readEventLeaf(leaf), actionTimeUs });
    expect(wordsOfLeaf(readEventLeaf(other)).action_time).toBe(said);
  });
});

describe('a line of a proof', () => {
  test('is read as it was written, signed or not', () => {
    const signed = { leaf, hashes: [Buffer.alloc(32, 3), Buffer.alloc(32, 4)] };
    expect(readProofLine(writeProofLine({ position: 7, signed }))).toEqual({ position: 7, signed });
    expect(readProofLine(writeProofLine({ position: 7, signed: undefined }))).toEqual({
      position: 7,
      signed: undefined,
    });
  });

  test.each(['', '[]', '{}', '{"position":7}', '{"position":7,"leaf":"AA=="}', '{"position":7,"leaf":"","hashes":[]}'])(
    'is refused if it is %s',
    (line) => expect(() => readProofLine(line)).toThrow(),
  );

  test('is refused if its leaf is of another position', () => {
    const line = writeProofLine({ position: 8, signed: { leaf, hashes: [] } });
    expect(() => readProofLine(line)).toThrow('another position');
  });
});

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
