import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { quoted, withDuck } from '../../../src/archive/parquet/duckdb.ts';
import { copyLines } from '../../../src/archive/parquet/write-parquet.ts';
import type { ObjectLimits } from '../../../src/archive/ports.ts';
import { createDayWriter, type LakeObject } from '../../../src/archive/security-lake/day-writer.ts';
import {
  classOfLine,
  lakeClasses,
  ocsfColumns,
  writtenColumns,
} from '../../../src/archive/security-lake/ocsf-columns.ts';
import type { ObjectStore } from '../../../src/archive/store/ports.ts';
import { formatOcsf } from '../../../src/formats/ocsf/ocsf.ts';
import { asRead, withoutNulls } from '../../support/archive/lake-rows.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { anyEvent, anyEventRuns } from '../formats/any-event.ts';
import { sampleEvents } from '../formats/sample-events.ts';

const { folder: directory, file: writeFile } = temporaryFolder();

test('the columns of a class hold all that the format gives an event of it, whatever the entry has', async () => {
  const { seed, numRuns } = anyEventRuns;
  const lines = [...sampleEvents, ...fc.sample(anyEvent, { seed, numRuns })].map((event) => formatOcsf(event));
  for (const classUid of lakeClasses) {
    const own = lines.filter((line) => classOfLine(line) === classUid);
    expect(own.length).toBeGreaterThan(3);
    const target = join(directory, `${classUid}.parquet`);
    const file = writeFile(`${classUid}.ndjson`, own.map((line) => `${line}\n`).join(''));
    const sizes = { longestLineBytes: 1_000_000, largestGroupBytes: 1_000_000 };
    const columns = { columns: ocsfColumns(classUid), select: writtenColumns(classUid), metadata: { a: 'b' } };
    const format = { version: 1, zstdLevel: 1 } as const;
    await copyLines({ file, ...sizes }, target, { directory, ...columns, format });
    const rows = await withDuck({ memoryMb: 200, directory }, async (connection) =>
      (
        await connection.runAndReadAll(`select to_json(t)::varchar from read_parquet(${quoted(target)}) as t`)
      ).getRows(),
    );
    expect(rows.map(([row]) => withoutNulls(JSON.parse(String(row))))).toEqual(own.map(asRead));
  }
});

test('a large day is cut always at the same events, and the next day begins with a first object', async () => {
  const lines = sampleEvents.map((event) => formatOcsf(event)).filter((line) => classOfLine(line) === 6003);
  expect(lines.length).toBeGreaterThan(4);
  const objects = new Map<string, Buffer>();
  const store: ObjectStore = {
    name: 'memory',
    put: async (key, bytes) => {
      objects.set(key, Buffer.from(bytes));
      return { versionId: undefined, lockedUntilMs: undefined };
    },
    get: async (key) => objects.get(key),
    getRange: async () => undefined,
    close: async () => {},
  };
  const place = { stores: new Map([[6003, store]] as const), region: 'eu-central-1', accountId: 'external' };
  const write = async (limits: ObjectLimits): Promise<readonly LakeObject[]> => {
    const written: LakeObject[] = [];
    const writer = createDayWriter({
      place,
      directory,
      named: 'n',
      limits,
      onObject: (object) => written.push(object),
    });
    for (const line of lines.slice(0, 5)) await writer.add(6003, '20260131', line);
    await writer.add(3001, '20260131', 'of a class without a place');
    await writer.add(6003, '20260201', lines[0] ?? '');
    await writer.finish();
    return written;
  };
  const cut = await write({ maxRows: 2, maxTextBytes: 1_000_000 });
  expect(cut.map(({ key, events }) => [key.slice(key.indexOf('eventDay')), events])).toEqual([
    ['eventDay=20260131/n-0000.parquet', 2],
    ['eventDay=20260131/n-0001.parquet', 2],
    ['eventDay=20260131/n-0002.parquet', 1],
    ['eventDay=20260201/n-0000.parquet', 1],
  ]);
  expect((await write({ maxRows: 100, maxTextBytes: 1 })).map(({ events }) => events)).toEqual([1, 1, 1, 1, 1, 1]);
  expect((await write({ maxRows: 100, maxTextBytes: 1_000_000 })).map(({ events }) => events)).toEqual([5, 1]);
});
