import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from '../postgres/pool.ts';
import { type CataloguedObject, noteBounds, noteRead } from './catalogue.sql.ts';
import { differenceOf, type ObjectFacts } from './columns.ts';
import { readObject } from './manifest.ts';
import { factsOfParquet } from './parquet/parquet.ts';
import { type ObjectStore, withDirectory } from './store.ts';

/** Reads every object whole, compares it with the catalogue, and notes there what was found. */
export const verifyArchive = async (
  pool: Pool,
  store: ObjectStore,
  objects: readonly CataloguedObject[],
  options: {
    /** Also hashes all rows again, by DuckDB: it shows that the file can still be read. */
    readonly contents: boolean;
    readonly onObject: (verified: VerifiedObject) => void;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<readonly VerifiedObject[]> => {
  const { contents, onObject, signal } = options;
  const verified: VerifiedObject[] = [];
  for (const object of objects) {
    signal?.throwIfAborted();
    const fault = await faultOf(pool, store, object, contents, signal);
    await noteRead(pool, object.id, fault === undefined ? { sha256: object.sha256 } : { fault });
    const found = { object, fault };
    verified.push(found);
    onObject(found);
  }
  return verified;
};

interface VerifiedObject {
  readonly object: CataloguedObject;
  readonly fault: string | undefined;
}

const faultOf = async (
  pool: Pool,
  store: ObjectStore,
  object: CataloguedObject,
  contents: boolean,
  signal?: AbortSignal,
): Promise<string | undefined> => {
  const outcome = await readObject(store, object, signal);
  if ('fault' in outcome) return outcome.fault;
  if (!contents) return undefined;
  const facts = await factsOfObject(object, outcome.bytes);
  const difference = differenceOf(facts, object);
  if (difference !== undefined) return `it ${difference}`;
  await noteBounds(pool, object, facts);
  return undefined;
};

/** Of bytes with its SHA-256. */
const factsOfObject = async (object: CataloguedObject, bytes: Buffer): Promise<ObjectFacts> =>
  await withDirectory(async (directory) => {
    const file = join(directory, 'object.parquet');
    await writeFile(file, bytes);
    const { kind, events } = object;
    return await factsOfParquet(file, { kind, events, directory });
  });

/** For an object of an earlier version. */
export const learnBounds = async (pool: Pool, object: CataloguedObject, bytes: Buffer): Promise<void> => {
  if (!object.hasBounds) await noteBounds(pool, object, await factsOfObject(object, bytes));
};
