import { closeSync, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { collectGarbage } from '../base/memory.ts';
import { S3Fault } from '../base/s3/errors.ts';
import type { Pool } from '../postgres/pool.ts';
import {
  type CataloguedObject,
  noteArchived,
  noteBlocks,
  noteBounds,
  noteRead,
  readCatalogue,
  readFacts,
  readFeedId,
} from './catalogue.sql.ts';
import { columnsOf, differenceOf, type ObjectFacts, type ObjectKind, objectKinds } from './columns.ts';
import { hashBlocks } from './history/object-ranges.ts';
import { readObject, sha256Of } from './manifest.ts';
import { type Between, copyRows, type Month, nextSpan } from './month-rows.sql.ts';
import { factsOfParquet, type ParquetVersion, ROWS_OF_GROUP, writeParquet } from './parquet/parquet.ts';
import { linesOfRows } from './parquet/rows-to-ndjson.ts';
import { type ObjectStore, type PutReceipt, withDirectory } from './store.ts';
import { learnBounds } from './verify-archive.ts';

/** Objects that were written now, and objects that were there and were read back. */
export interface ArchivedMonth {
  readonly month: Month;
  readonly written: number;
  readonly proven: number;
}

/**
 * Brings all of a month into the archive: reads back what the catalogue has of it, and writes what is missing, late events and what was lost or
 * altered included. Then the database lets the month be dropped, for an hour and as long as nothing is added. Safe to call from many processes at
 * once: the same rows become the same object. Rejects with an S3Fault if the bucket does not do its part.
 */
export const archiveMonth = async (
  archive: ArchiveContext,
  month: Month,
  signal?: AbortSignal,
): Promise<ArchivedMonth> => {
  const context = { ...archive, signal };
  let [written, proven] = [0, 0];
  const catalogue = await readCatalogue(context.pool, month);
  const own = catalogue.filter(({ archive, droppedAt }) => archive === context.store.name && droppedAt === null);
  for (const kind of objectKinds) {
    const kept: CataloguedObject[] = [];
    for (const object of own.filter((each) => each.kind === kind)) {
      signal?.throwIfAborted();
      if (await prove(context, object)) kept.push(object);
    }
    proven += kept.length;
    for (const between of gapsBetween(kept)) written += await writeObjects(context, { kind, month, between });
  }
  return { month, written, proven };
};

/** Its bytes are there, and say what the database holds. */
const prove = async (context: Context, object: CataloguedObject): Promise<boolean> => {
  const { pool, store, observer, trustsCatalogue, signal } = context;
  const { kind, month, firstPosition: first, lastPosition: last } = object;
  if (trustsCatalogue === true && object.fault === null) {
    return kind === 'events' || differenceOf(await readFacts(pool, { kind, month, first, last }), object) === undefined;
  }
  const outcome = await readObject(store, object, signal);
  if ('fault' in outcome) {
    await noteRead(pool, object.id, { fault: outcome.fault });
    observer?.faulty?.(object, outcome.fault);
    return false;
  }
  // Later contents of an event may have come since.
  if (differenceOf(await readFacts(pool, { kind, month, first, last }), object) !== undefined) return false;
  await learnBounds(pool, object, outcome.bytes);
  await noteRead(pool, object.id, { sha256: object.sha256 });
  observer?.proven?.(object);
  return true;
};

/** Where rows may be that are in none of these. */
export const gapsBetween = (kept: readonly Pick<CataloguedObject, 'firstPosition' | 'lastPosition'>[]): Between[] => {
  const gaps: Between[] = [];
  let after = 0;
  for (const { firstPosition, lastPosition } of kept) {
    if (firstPosition > after + 1) gaps.push({ after, before: firstPosition });
    after = lastPosition;
  }
  return [...gaps, { after, before: Number.MAX_SAFE_INTEGER }];
};

/** They decide what is in memory and in the temporary directory at once. */
export const objectLimits = {
  maxRows: 1_000_000,
  /** Usually a tenth of the text is in the object. */
  maxTextBytes: 112 * 1_048_576,
};

/**
 * Writes all rows between two positions as objects, in order, reads each back from the storage, and catalogues it, for which the database compares
 * what was read back with what it holds. Rejects if that is anything else: then neither that object nor one behind it is in the catalogue.
 *
 * Two objects are at work at once, in two steps by turns: one is sent and read back while the rows of the next are copied, and compared by the
 * database while the next becomes Parquet. So there are never the bytes of two of them, nor two of DuckDB.
 */
const writeObjects = async (context: Context, wanted: Wanted): Promise<number> =>
  await withDirectory(async (directory) => {
    let [written, after] = [0, wanted.between.after];
    let object: ObjectFile | undefined;
    do {
      context.signal?.throwIfAborted();
      const next = { ...wanted, between: { ...wanted.between, after } };
      const [stored, lines] = await both(
        object && storeObject(context, object, directory),
        writeLines(context, next, join(directory, 'rows.ndjson')),
      );
      const [, nextObject] = await both(
        stored && catalogueObject(context, stored),
        lines && writeObject(context, lines, directory),
      );
      if (stored !== undefined) written += 1;
      object = nextObject;
      after = lines?.lastPosition ?? after;
    } while (object !== undefined);
    return written;
  });

/** Waits for both even if one fails: neither may be at work on files that are removed meanwhile. */
const both = async <One, Other>(
  one: Promise<One> | undefined,
  other: Promise<Other> | undefined,
): Promise<[One | undefined, Other | undefined]> => {
  await Promise.allSettled([one, other]);
  return [await one, await other];
};

type ObjectFile = Awaited<ReturnType<typeof writeObject>>;

/** Lines become Parquet, and their file is gone. */
const writeObject = async ({ pool, parquetVersion }: Context, lines: ObjectLines, directory: string) => {
  const file = join(directory, 'object.parquet');
  const feedId = await readFeedId(pool);
  collectGarbage();
  const { kind } = lines;
  const metadata = describe(feedId, lines);
  await writeParquet(lines, file, { kind, feedId, directory, metadata, version: parquetVersion });
  await rm(lines.file);
  return { file, feedId, lines };
};

/** Into the storage, and back. Rejects if the storage gives anything else than what was sent. The file is gone then. */
const storeObject = async (context: Context, object: ObjectFile, directory: string) => {
  const sent = await sendFile(context, object);
  await rm(object.file);
  const { lines } = object;
  return { ...sent, lines, facts: await readBack(context, sent, lines, directory) };
};

/** The database compares what was read back with what it holds, and enters the object in the catalogue, or refuses it. */
const catalogueObject = async (
  { pool, store, observer }: Context,
  { key, bytes, sha256, receipt, blocks, facts, lines: { kind, month } }: Awaited<ReturnType<typeof storeObject>>,
): Promise<void> => {
  const id = await noteArchived(pool, { archive: store.name, key, kind, month, bytes, sha256, facts, receipt });
  await noteBlocks(pool, { id, sha256 }, blocks);
  await noteBounds(pool, { id, sha256 }, facts);
  observer?.written?.({ month, kind, key, events: facts.events, bytes });
};

const describe = (
  feedId: string,
  { kind, month, rows, firstPosition, lastPosition }: ObjectLines,
): Readonly<Record<string, string>> => ({
  feed_id: feedId,
  month,
  kind,
  first_position: String(firstPosition),
  last_position: String(lastPosition),
  events: String(rows),
});

/** A function of its own, so that the bytes are gone from memory while those that the storage has are read. */
const sendFile = async ({ store, signal }: Context, object: ObjectFile) => {
  const content = await readFile(object.file);
  const sha256 = sha256Of(content);
  const key = keyOf(object, sha256);
  const receipt = await receiptOf(store.put(key, content, signal));
  return { key, sha256, bytes: content.length, receipt, blocks: hashBlocks(content) };
};

/** A bucket may refuse to replace an object that an earlier attempt has left. Whether it is the same shows when it is read back. */
const receiptOf = async (put: Promise<PutReceipt>): Promise<PutReceipt> => {
  try {
    return await put;
  } catch (error) {
    if (!(error instanceof S3Fault && error.kind === 'exists')) throw error;
    return { versionId: undefined, lockedUntilMs: undefined };
  }
};

/** A part of the hash is in it: it is never that of an object with other bytes. */
const keyOf = ({ feedId, lines }: ObjectFile, sha256: string): string => {
  const [first, last] = [lines.firstPosition, lines.lastPosition].map((each) => String(each).padStart(16, '0'));
  return `v1/${lines.kind}/feed=${feedId}/month=${lines.month}/${first}-${last}-${sha256.slice(0, 12)}.parquet`;
};

type Expected = Pick<CataloguedObject, 'key' | 'sha256'>;

/** What counts is what the storage gives, not what was sent to it. */
const readBack = async (
  context: Context,
  expected: Expected,
  lines: ObjectLines,
  directory: string,
): Promise<ObjectFacts> => {
  const file = join(directory, 'read-back.parquet');
  await fetchObject(context, expected, file);
  const moreMemoryMb = Math.ceil((8 * lines.longestLineBytes + 2 * lines.largestGroupBytes) / 1_048_576);
  const facts = await factsOfParquet(file, { kind: lines.kind, events: lines.rows, directory, moreMemoryMb });
  await rm(file);
  return facts;
};

/** Its bytes leave the memory before they are read as rows. */
const fetchObject = async ({ store, signal }: Context, { key, sha256 }: Expected, file: string): Promise<void> => {
  const outcome = await readObject(store, { key, sha256 }, signal);
  if ('fault' in outcome) throw new Error(`${key} was written to ${store.name}, but ${outcome.fault}`);
  await writeFile(file, outcome.bytes);
};

interface Wanted {
  readonly kind: ObjectKind;
  readonly month: Month;
  readonly between: Between;
}

type ObjectLines = NonNullable<Awaited<ReturnType<typeof writeLines>>>;

/** Into a file that must not be there yet. Undefined: there are no rows. */
const writeLines = async (
  { pool, signal, limits = objectLimits }: Context,
  { kind, month, between }: Wanted,
  file: string,
) => {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    const out = linesOfRows(columnsOf[kind], descriptor);
    let [rows, after] = [0, between.after];
    while (rows < limits.maxRows && out.bytes() < limits.maxTextBytes) {
      const [maxRows, maxBytes] = [Math.min(ROWS_OF_GROUP, limits.maxRows - rows), limits.maxTextBytes - out.bytes()];
      const span = await nextSpan(pool, { kind, month, between: { after, before: between.before }, maxRows, maxBytes });
      if (span === undefined || (rows > 0 && span.bytes > maxBytes)) break;
      await copyRows(pool, { kind, month, after, upTo: span.lastPosition }, out.take, signal);
      out.endGroup();
      rows += span.rows;
      after = span.lastPosition;
    }
    out.endGroup();
    return rows === 0 ? undefined : { file, kind, month, ...out.written(), lastPosition: after };
  } finally {
    closeSync(descriptor);
  }
};

export interface ArchiveObserver {
  written?(object: {
    readonly month: Month;
    readonly kind: ObjectKind;
    readonly key: string;
    readonly events: number;
    readonly bytes: number;
  }): void;
  /** It still has the bytes that the catalogue says. */
  proven?(object: CataloguedObject): void;
  /** What it held is written again. */
  faulty?(object: CataloguedObject, fault: string): void;
}

export interface ArchiveContext {
  readonly pool: Pool;
  readonly store: ObjectStore;
  readonly observer?: ArchiveObserver;
  readonly limits?: Readonly<typeof objectLimits>;
  readonly parquetVersion?: ParquetVersion;
  /** For a month that is not dropped now: what is in the catalogue without a fault is not read back. */
  readonly trustsCatalogue?: boolean;
}

type Context = ArchiveContext & { readonly signal: AbortSignal | undefined };
