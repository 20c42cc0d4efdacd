import { closeSync, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noteArchived, noteBlocks, readFeedId } from './catalogue.sql.ts';
import { columnsOf, type ObjectKind } from './columns.ts';
import type { StretchFacts } from './facts.ts';
import { hashBlocks } from './history/blocks.ts';
import { linesOfRows } from './lines-of-rows.ts';
import { type Between, copyRows, type Month, nextSpan } from './month-rows.sql.ts';
import { factsOfParquet } from './parquet/parquet-facts.ts';
import { type LinesFile, ROWS_OF_GROUP, writeParquet } from './parquet/write-parquet.ts';
import type { ArchiveContext, ObjectLimits, WrittenObject } from './ports.ts';
import { readObject, sha256Of } from './read-object.ts';
import type { ObjectStore, PutReceipt } from './store/ports.ts';
import { withDirectory } from './temporary-directory.ts';

/** What is held in memory and in the temporary directory at once depends on it. */
export const objectLimits: ObjectLimits = { maxRows: 1_000_000, maxTextBytes: 128 * 1_048_576 };

interface Wanted {
  readonly kind: ObjectKind;
  readonly month: Month;
  readonly between: Between;
  readonly limits: ObjectLimits;
}

/** The lines of an object, and which rows they are. */
interface Lines extends LinesFile {
  readonly rows: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
}

/**
 * Writes the first rows between two positions as one object, reads it back from the storage, and catalogues it, whereby the database compares
 * what was read back with what it holds. Undefined: there are no such rows. Rejects if what was read back is anything else.
 */
export const writeObject = async (
  context: ArchiveContext,
  wanted: Wanted,
  signal?: AbortSignal,
): Promise<(WrittenObject & { readonly lastPosition: number }) | undefined> =>
  await withDirectory(async (directory) => {
    const { pool, store } = context;
    const { kind, month } = wanted;
    const lines = await writeLines(context, wanted, join(directory, 'rows.ndjson'), signal);
    if (lines === undefined) return undefined;
    const file = join(directory, 'object.parquet');
    const feedId = await readFeedId(pool);
    await writeParquet(lines, file, { kind, feedId, directory, metadata: describe(wanted, feedId, lines) });
    await rm(lines.file);
    const sent = await sendFile(store, file, (sha256) => keyOf(wanted, { feedId, lines, sha256 }), signal);
    await rm(file);
    const facts = await readBack(context, { ...sent, kind, lines, directory }, signal);
    const { key, bytes, sha256, receipt, blocks } = sent;
    const id = await noteArchived(pool, { archive: store.name, key, kind, month, bytes, sha256, facts, receipt });
    await noteBlocks(pool, { id, sha256 }, blocks);
    return { month, kind, key, events: facts.events, bytes, lastPosition: facts.lastPosition };
  });

interface SentObject {
  readonly key: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly receipt: PutReceipt;
  readonly blocks: ReturnType<typeof hashBlocks>;
}

/** A function of its own, so that the bytes are not in memory any more while those that the storage has are read. */
const sendFile = async (
  store: ObjectStore,
  file: string,
  keyFor: (sha256: string) => string,
  signal?: AbortSignal,
): Promise<SentObject> => {
  const content = await readFile(file);
  const sha256 = sha256Of(content);
  const key = keyFor(sha256);
  const receipt = await store.put(key, content, signal);
  return { key, sha256, bytes: content.length, receipt, blocks: hashBlocks(content) };
};

/** The rows as a file; undefined: there are none. */
const writeLines = async (
  { pool }: ArchiveContext,
  { kind, month, between, limits }: Wanted,
  file: string,
  signal?: AbortSignal,
): Promise<Lines | undefined> => {
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
    return rows === 0 ? undefined : { file, ...out.written(), lastPosition: after };
  } finally {
    closeSync(descriptor);
  }
};

const describe = (
  { kind, month }: Wanted,
  feedId: string,
  { rows, firstPosition, lastPosition }: Lines,
): Readonly<Record<string, string>> => ({
  feed_id: feedId,
  month,
  kind,
  first_position: String(firstPosition),
  last_position: String(lastPosition),
  events: String(rows),
});

const DIGITS = 16;

/** Never that of an object with other bytes: a part of their hash is in it. */
const keyOf = (
  { kind, month }: Wanted,
  { feedId, lines, sha256 }: { readonly feedId: string; readonly lines: Lines; readonly sha256: string },
): string => {
  const [first, last] = [lines.firstPosition, lines.lastPosition].map((each) => String(each).padStart(DIGITS, '0'));
  return `v1/${kind}/feed=${feedId}/month=${month}/${first}-${last}-${sha256.slice(0, 12)}.parquet`;
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

interface Expected {
  readonly kind: ObjectKind;
  readonly key: string;
  readonly sha256: string;
  readonly lines: Lines;
  readonly directory: string;
}

/** What counts is what the storage gives, not what was sent to it: the facts are of that. */
const readBack = async ({ store }: ArchiveContext, expected: Expected, signal?: AbortSignal): Promise<StretchFacts> => {
  const { kind, lines, directory } = expected;
  const file = join(directory, 'read-back.parquet');
  await fetchObject(store, expected, file, signal);
  const moreMemoryMb = Math.ceil((8 * lines.longestLineBytes + 2 * lines.largestGroupBytes) / 1_048_576);
  return await factsOfParquet(file, { kind, events: lines.rows, directory, moreMemoryMb });
};
