import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { gapsBetween } from '../../../src/archive/archive-month.ts';
import { columnsOf, differenceOf } from '../../../src/archive/columns.ts';
import { linesOfRows } from '../../../src/archive/parquet/rows-to-ndjson.ts';
import { objectsInDirectory, parseArchive } from '../../../src/archive/store.ts';
import type { BinaryRow } from '../../../src/postgres/copy.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

test('gaps between objects are all that no object has', () => {
  expect(gapsBetween([])).toEqual([{ after: 0, before: end }]);
  expect(gapsBetween([{ firstPosition: 1, lastPosition: 9 }])).toEqual([{ after: 9, before: end }]);
  expect(
    gapsBetween([
      { firstPosition: 5, lastPosition: 9 },
      { firstPosition: 10, lastPosition: 12 },
      { firstPosition: 20, lastPosition: 20 },
    ]),
  ).toEqual([
    { after: 0, before: 5 },
    { after: 12, before: 20 },
    { after: 20, before: end },
  ]);
});

test.each([
  ['s3://bucket/prefix?region=auto', { kind: 's3', name: 's3://bucket/prefix' }],
  ['file:///mnt/archive/', { kind: 'file', name: 'file:///mnt/archive', directory: '/mnt/archive' }],
  ['file:/mnt/archive', { kind: 'file', name: 'file:///mnt/archive' }],
])('the address of an archive %s', (text, target) => expect(parseArchive(text)).toMatchObject(target));

test.each(['', 'https://bucket', 'file://relative', 'file:///', 's3://key:secret@bucket'])(
  'the address of an archive cannot be %j',
  (text) => {
    const fault = parseArchive(text);
    expect(fault).toEqual(expect.any(String));
    expect(fault).not.toContain('secret@');
  },
);

test('every fact of a stretch counts', () => {
  const facts = { events: 2, firstPosition: 1, lastPosition: 3, idsSha256: 'a', rawSha256: 'b', columnsSha256: 'c' };
  expect(differenceOf(facts, facts)).toBeUndefined();
  const changes = [{ events: 3 }, { firstPosition: 2 }, { lastPosition: 4 }];
  const hashes = [{ idsSha256: 'x' }, { rawSha256: 'x' }, { columnsSha256: 'x' }];
  for (const change of [...changes, ...hashes]) expect(differenceOf({ ...facts, ...change }, facts)).toMatch(/^has /);
});

const root = temporaryFolder().folder;
const storeIn = (directory: string) => objectsInDirectory({ kind: 'file', name: `file://${directory}`, directory });

test('objects below a directory are written and read, whole and in part; what is not there is not there', async () => {
  const store = storeIn(root);
  await store.put('a/b', Buffer.from('0123456789'));
  expect((await store.get('a/b'))?.toString()).toBe('0123456789');
  expect((await store.getRange('a/b', { from: 2, to: 5 }))?.toString()).toBe('234');
  expect(await store.getRange('a/b', { from: 8, to: 11 })).toBeUndefined();
  expect([await store.get('a/c'), await store.getRange('a/c', { from: 0, to: 1 })]).toEqual([undefined, undefined]);
  expect(await readdir(join(root, 'a'))).toEqual(['b']);
});

test('objects below a directory are not looked for, nor written, where the directory is not mounted', async () => {
  const store = storeIn(join(root, 'not-mounted'));
  const says = 'the directory does not exist: make it, or mount the disk that it is on';
  await expect(store.put('a', Buffer.from('x'))).rejects.toThrow(says);
  await expect(store.get('a')).rejects.toThrow(says);
  await expect(store.getRange('a', { from: 0, to: 1 })).rejects.toThrow(says);
  expect(await readdir(root)).not.toContain('not-mounted');
});

test('objects below a directory are not waited for where a pipe stands in the place of one', async () => {
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(root, 'pipe')]);
  const store = storeIn(root);
  await expect(store.get('pipe')).rejects.toThrow('is not a file');
  await expect(store.getRange('pipe', { from: 0, to: 1 })).rejects.toThrow('is not a file');
});

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
  const written = text.trimEnd().split('\n');
  const seen_at = Date.UTC(2025, 2, 1) * 1_000 + 1;
  const row = { change_id: -1, source_kind: 'organization', source_id: 'o', seen_at, raw_sha256: '\t\u001f\n' };
  const expected = raws.map((raw, index) => ({ position: 2 ** 33 + index, ...row, raw }));
  expect(written.map((line) => JSON.parse(line))).toEqual(expected);
  const bytes = Buffer.byteLength(text);
  expect(lines.bytes()).toBe(bytes);
  const longestLineBytes = Math.max(...text.split('\n').map((line) => Buffer.byteLength(line) + 1));
  expect(lines.written()).toEqual({ rows: 3, firstPosition: 2 ** 33, longestLineBytes, largestGroupBytes: bytes });
});

test('refuse a number that JavaScript does not have exactly', () => {
  const lines = linesOfRows(columns, -1);
  expect(() => lines.take(rowOf([2n ** 60n, 1n, '', '', '', 0n, '', '']))).toThrow('too large');
});

const end = Number.MAX_SAFE_INTEGER;
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

const SEEN_AT = 794_102_400_000_001n;
