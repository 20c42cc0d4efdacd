import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { columnsOf } from '../../../src/archive/columns.ts';
import { linesOfRows } from '../../../src/archive/writing/lines-of-rows.ts';
import type { BinaryRow } from '../../../src/postgres/copy/binary-row.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { folder } = temporaryFolder();
const raws = ['{"a":"\\u0000 \\" é 😀"}', `{"large":"${'\u0001"\\'.repeat(100_000)}"}`, '{}'];

test('are JSON with every character, number and time, and nothing for null; also a row beyond the buffer', () => {
  const file = join(folder, 'rows.ndjson');
  const descriptor = openSync(file, 'wx');
  const lines = linesOfRows(columns, descriptor);
  raws.forEach((raw, index) => {
    lines.take(rowOf([BigInt(2 ** 33 + index), -1n, 'organization', 'o', null, SEEN_AT, raw, '\t\u001f\n']));
  });
  lines.endGroup();
  closeSync(descriptor);
  const text = readFileSync(file, 'utf8');
  expect(
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual(
    raws.map((raw, index) => ({
      position: 2 ** 33 + index,
      change_id: -1,
      source_kind: 'organization',
      source_id: 'o',
      seen_at: Date.UTC(2025, 2, 1) * 1_000 + 1,
      raw,
      raw_sha256: '\t\u001f\n',
    })),
  );
  const bytes = Buffer.byteLength(text);
  expect(lines.bytes()).toBe(bytes);
  const longestLineBytes = Math.max(...text.split('\n').map((line) => Buffer.byteLength(line) + 1));
  expect(lines.written()).toEqual({ rows: 3, firstPosition: 2 ** 33, longestLineBytes, largestGroupBytes: bytes });
});

test('refuse a number that JavaScript does not have exactly', () => {
  const lines = linesOfRows(columns, -1);
  expect(() => lines.take(rowOf([2n ** 60n, 1n, '', '', '', 0n, '', '']))).toThrow('too large');
});

const columns = columnsOf.changes;

/** As PostgreSQL sends it: a bigint or a time as 8 bytes, a text as it is. */
const rowOf = (values: readonly (bigint | string | null)[]): BinaryRow => {
  const fields = values.map((value) => {
    if (typeof value !== 'bigint') return value === null ? null : Buffer.from(value);
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    return bytes;
  });
  const [starts, lengths] = [new Int32Array(fields.length), new Int32Array(fields.length)];
  let at = 0;
  fields.forEach((field, index) => {
    starts[index] = at;
    lengths[index] = field?.length ?? -1;
    at += field?.length ?? 0;
  });
  return { bytes: Buffer.concat(fields.map((field) => field ?? Buffer.alloc(0))), starts, lengths };
};

/** 2025-03-01T00:00:00.000001Z, in microseconds since 2000. */
const SEEN_AT = 794_102_400_000_001n;
