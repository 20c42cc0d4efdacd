import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { ObjectKind } from '../../../src/archive/columns.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/duckdb.ts';
import { ROWS_OF_GROUP } from '../../../src/archive/parquet/write-parquet.ts';
import type { EnginesWorld } from './engines-world.ts';
import { differenceOf, type FileRow, fileColumns, storedRows } from './file-rows.ts';
import type { Findings } from './findings.ts';
import type { EngineReader } from './readers/engine-reader.ts';

const kinds: readonly ObjectKind[] = ['events', 'changes'];
const ROUNDS = 9;
const DUCK_MEMORY_MB = 1_000;

/** The objects of a month in the directory. */
const objectsOf = async (world: EnginesWorld, kind: ObjectKind, month: string): Promise<readonly string[]> => {
  const folder = join(world.directory, 'v1', kind, `feed=${world.feedId}`, `month=${month}`);
  const names = await readdir(folder).catch(() => []);
  return names.sort().map((name) => join(folder, name));
};

const readObjects = async (reader: EngineReader, kind: ObjectKind, paths: readonly string[]) => {
  const rows: FileRow[] = [];
  for (const path of paths) rows.push(...(await reader.rowsOf(path, fileColumns(kind))));
  return rows;
};

/** Compares every value of every object with PostgreSQL, by each reader. Returns how many rows there are. */
export const compareArchive = async (
  world: EnginesWorld,
  readers: readonly EngineReader[],
  findings: Findings,
): Promise<number> => {
  let compared = 0;
  for (const kind of kinds) {
    for (const month of world.months) {
      const paths = await objectsOf(world, kind, month);
      if (paths.length === 0) continue;
      const expected = await storedRows(world.pool, kind, month);
      compared += expected.length;
      for (const reader of readers) {
        const what = `${kind} of ${month}, ${expected.length} rows in ${reader.name}`;
        await findings.attempt(what, async () =>
          differenceOf(expected, await readObjects(reader, kind, paths), fileColumns(kind)),
        );
      }
    }
  }
  return compared;
};

/** How an object may be written. The last one is how it is, the first one how it was before decision 84. */
const variants = [
  { version: 'v1', level: 6 },
  { version: 'v1', level: 10 },
  { version: 'v2', level: 6 },
  { version: 'v2', level: 10 },
] as const;

/** What it takes to read every value once. */
interface ReadingCost {
  /** Of this process with all its threads, the median of some readings. */
  readonly cpuMs: number;
  /** The shortest of them: the machine has other work. */
  readonly bestMs: number;
}

export interface VariantResult {
  readonly version: 'v1' | 'v2';
  readonly level: number;
  readonly rows: number;
  readonly bytes: number;
  /** By the name of a reader; undefined: it does not read it, or reads something else. */
  readonly costs: ReadonlyMap<string, ReadingCost | undefined>;
}

/** Writes the largest object in other ways, and compares and times the readings of each. */
export const compareVariants = async (
  world: EnginesWorld,
  readers: readonly EngineReader[],
  findings: Findings,
): Promise<readonly VariantResult[]> => {
  const { path, month } = await largestObject(world);
  const expected = await storedRows(world.pool, 'events', month);
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-engines-variants-'));
  const results: VariantResult[] = [];
  try {
    for (const { version, level } of variants) {
      const copy = join(folder, `${version}-${level}.parquet`);
      await copyObject(path, copy, `parquet_version ${version}, compression_level ${level}`);
      const costs = new Map<string, ReadingCost | undefined>();
      for (const reader of readers) {
        const what = `${month} in version ${version.slice(1)} at level ${level} in ${reader.name}`;
        const fault = await findings.attempt(what, async () =>
          differenceOf(expected, await reader.rowsOf(copy, fileColumns('events')), fileColumns('events')),
        );
        costs.set(reader.name, fault === undefined ? await costOf(() => reader.readAll(copy)) : undefined);
      }
      results.push({ version, level, rows: expected.length, bytes: (await stat(copy)).size, costs });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return results;
};

const largestObject = async (world: EnginesWorld): Promise<{ readonly path: string; readonly month: string }> => {
  const all: { path: string; month: string; bytes: number }[] = [];
  for (const month of world.months) {
    for (const path of await objectsOf(world, 'events', month)) {
      all.push({ path, month, bytes: (await stat(path)).size });
    }
  }
  const [largest] = all.sort((a, b) => b.bytes - a.bytes);
  if (largest === undefined) throw new Error(`there is no object in ${basename(world.directory)}`);
  return largest;
};

const copyObject = async (from: string, to: string, options: string): Promise<void> =>
  await withDuck({ memoryMb: DUCK_MEMORY_MB, directory: tmpdir() }, async (connection) => {
    await connection.run(
      `copy (from read_parquet(${quoted(from)}, hive_partitioning = false)) to ${quoted(to)}
       (format parquet, compression zstd, row_group_size ${ROWS_OF_GROUP}, ${options})`,
    );
  });

const costOf = async (read: () => Promise<void>): Promise<ReadingCost> => {
  const cpu: number[] = [];
  let bestMs = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const [startedAt, before] = [performance.now(), process.cpuUsage()];
    await read();
    const { user, system } = process.cpuUsage(before);
    cpu.push((user + system) / 1_000);
    bestMs = Math.min(bestMs, performance.now() - startedAt);
  }
  return { cpuMs: cpu.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0, bestMs };
};
