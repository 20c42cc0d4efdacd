import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { collectGarbage } from '../../limits/collect-garbage.ts';
import { S3Fault } from '../../s3/s3-fault.ts';
import { noteArchived, noteBlocks, readFeedId } from '../catalogue.sql.ts';
import type { StretchFacts } from '../facts.ts';
import { hashBlocks } from '../history/blocks.ts';
import { factsOfParquet } from '../parquet/parquet-facts.ts';
import { writeParquet } from '../parquet/write-parquet.ts';
import type { ArchiveContext } from '../ports.ts';
import { readObject, sha256Of } from '../read-object.ts';
import type { ObjectStore, PutReceipt } from '../store/ports.ts';
import type { ObjectLines } from './object-lines.ts';

/** An object that is only here yet. */
export interface ObjectFile {
  readonly file: string;
  readonly feedId: string;
  readonly lines: ObjectLines;
}

interface SentObject {
  readonly key: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly receipt: PutReceipt;
  readonly blocks: ReturnType<typeof hashBlocks>;
}

/** An object that the storage has, and what it holds as the storage gave it back. Nothing believes in it yet. */
export interface StoredObject extends SentObject {
  readonly lines: ObjectLines;
  readonly facts: StretchFacts;
}

/** The first step: lines become Parquet, and their file is gone. */
export const writeObject = async (
  { pool, parquetVersion }: ArchiveContext,
  lines: ObjectLines,
  directory: string,
): Promise<ObjectFile> => {
  const file = join(directory, 'object.parquet');
  const feedId = await readFeedId(pool);
  collectGarbage();
  const { kind } = lines;
  await writeParquet(lines, file, {
    kind,
    feedId,
    directory,
    metadata: describe(feedId, lines),
    version: parquetVersion,
  });
  await rm(lines.file);
  return { file, feedId, lines };
};

/** The second: into the storage, and back. Rejects if it gives anything else than what was sent. The file is gone then. */
export const storeObject = async (
  context: ArchiveContext,
  object: ObjectFile,
  directory: string,
  signal?: AbortSignal,
): Promise<StoredObject> => {
  const sent = await sendFile(context.store, object, signal);
  await rm(object.file);
  const { lines } = object;
  return { ...sent, lines, facts: await readBack(context, { ...sent, lines, directory }, signal) };
};

/** The third: the database compares what was read back with what it holds, and enters the object in the catalogue, or refuses it. */
export const catalogueObject = async (
  { pool, store, observer }: ArchiveContext,
  { key, bytes, sha256, receipt, blocks, facts, lines: { kind, month } }: StoredObject,
): Promise<void> => {
  const id = await noteArchived(pool, { archive: store.name, key, kind, month, bytes, sha256, facts, receipt });
  await noteBlocks(pool, { id, sha256 }, blocks);
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

/** A function of its own, so that the bytes are not in memory any more while those that the storage has are read. */
const sendFile = async (store: ObjectStore, object: ObjectFile, signal?: AbortSignal): Promise<SentObject> => {
  const content = await readFile(object.file);
  const sha256 = sha256Of(content);
  const key = keyOf(object, sha256);
  const receipt = await receiptOf(store.put(key, content, signal));
  return { key, sha256, bytes: content.length, receipt, blocks: hashBlocks(content) };
};

/** A bucket may refuse to replace an object that an attempt before has left there. Whether it is the same shows when it is read back. */
const receiptOf = async (put: Promise<PutReceipt>): Promise<PutReceipt> => {
  try {
    return await put;
  } catch (error) {
    if (!(error instanceof S3Fault && error.kind === 'exists')) throw error;
    return { versionId: undefined, lockedUntilMs: undefined };
  }
};

const DIGITS = 16;

/** Never that of an object with other bytes: a part of their hash is in it. */
const keyOf = ({ feedId, lines }: ObjectFile, sha256: string): string => {
  const [first, last] = [lines.firstPosition, lines.lastPosition].map((each) => String(each).padStart(DIGITS, '0'));
  return `v1/${lines.kind}/feed=${feedId}/month=${lines.month}/${first}-${last}-${sha256.slice(0, 12)}.parquet`;
};

interface Expected {
  readonly key: string;
  readonly sha256: string;
  readonly lines: ObjectLines;
  readonly directory: string;
}

/** What counts is what the storage gives, not what was sent to it: the facts are of that. */
const readBack = async ({ store }: ArchiveContext, expected: Expected, signal?: AbortSignal): Promise<StretchFacts> => {
  const { lines, directory } = expected;
  const file = join(directory, 'read-back.parquet');
  await fetchObject(store, expected, file, signal);
  const moreMemoryMb = Math.ceil((8 * lines.longestLineBytes + 2 * lines.largestGroupBytes) / 1_048_576);
  const facts = await factsOfParquet(file, { kind: lines.kind, events: lines.rows, directory, moreMemoryMb });
  await rm(file);
  return facts;
};

/** Into a file. Its bytes leave the memory before they are read as rows. */
const fetchObject = async (
  store: ObjectStore,
  { key, sha256 }: Pick<Expected, 'key' | 'sha256'>,
  file: string,
  signal?: AbortSignal,
): Promise<void> => {
  const outcome = await readObject(store, { key, sha256 }, signal);
  if ('fault' in outcome) throw new Error(`${key} was written to ${store.name}, but ${outcome.fault}`);
  await writeFile(file, outcome.bytes);
};
