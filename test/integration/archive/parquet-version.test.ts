import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parquetMetadata } from 'hyparquet';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ArchiveWorld, openArchiveWorld } from '../../support/archive/archive-world.ts';
import { rowsOfParquet } from '../../support/archive/read-objects.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';

let world: ArchiveWorld;
beforeEach(async () => {
  world = await openArchiveWorld();
});
afterEach(() => world?.[Symbol.asyncDispose]());

/** As the daemon's account does it. */
const archive = (args: readonly string[], version?: string) =>
  runOrgtrail(['archive', ...args], {
    DATABASE_URL: world.database.daemonUrl,
    ORGTRAIL_ARCHIVE: `file://${world.directory}`,
    ...(version === undefined ? {} : { ORGTRAIL_ARCHIVE_PARQUET: version }),
  });

const contentOf = async (month: string): Promise<Buffer> => {
  const names = await readdir(world.directory, { recursive: true });
  const name = names.find((each) => each.includes('events/') && each.includes(month) && each.endsWith('.parquet'));
  return await readFile(join(world.directory, name ?? 'no object'));
};

const encodingsOf = (content: Buffer): readonly string[] => {
  const file = content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength) as ArrayBuffer;
  const { row_groups: groups } = parquetMetadata(file);
  return groups.flatMap(({ columns }) => columns.flatMap(({ meta_data }) => meta_data?.encodings ?? []));
};

test('objects have the encodings of the version that is asked for, and are read beside those of the other one', async () => {
  const before = await world.rowsOf('2024-01');
  expect(await archive(['run', '--month', '2024-01'], '1')).toMatchObject({ code: 0, stderr: '' });
  expect(await archive(['run', '--month', '2024-02'])).toMatchObject({ code: 0, stderr: '' });
  const [first, second] = [await contentOf('2024-01'), await contentOf('2024-02')];
  expect(encodingsOf(first).filter((encoding) => encoding.startsWith('DELTA_'))).toEqual([]);
  expect(encodingsOf(second)).toContain('DELTA_LENGTH_BYTE_ARRAY');
  const rows = await rowsOfParquet(first);
  expect(rows.map(({ position, id, raw }) => ({ position: Number(position), id, raw }))).toEqual(before);
  expect(await archive(['verify', '--contents'])).toMatchObject({ code: 0, stderr: '' });
});

test('a version that there is not is refused, with those that there are', async () => {
  const ended = await archive(['run', '--month', '2024-01'], '3');
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain('ORGTRAIL_ARCHIVE_PARQUET');
  expect(ended.stderr).toContain('1 or 2');
});
