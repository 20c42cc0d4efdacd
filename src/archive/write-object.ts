import { closeSync, openSync, writeSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noteArchived, noteBlocks, readFacts, readFeedId } from './catalogue.sql.ts';
import type { ObjectKind } from './columns.ts';
import { differenceOf, type StretchFacts } from './facts.ts';
import { hashBlocks } from './history/blocks.ts';
import { type Between, copyRows, type Month, nextSpan } from './month-rows.sql.ts';
import { factsOfParquet } from './parquet/parquet-facts.ts';
import { type LinesFile, ROWS_OF_GROUP, writeParquet } from './parquet/write-parquet.ts';
import type { ArchiveContext, ObjectLimits, WrittenObject } from './ports.ts';
import { readObject, sha256Of } from './read-object.ts';
import { withDirectory } from './temporary-directory.ts';

/** What is held in memory and in the temporary directory at once depends on it. */
export const objectLimits: ObjectLimits = { maxRows: 1_000_000, maxTextBytes: 256 * 1_048_576 };

interface Wanted {
  readonly kind: ObjectKind;
  readonly month: Month;
  readonly between: Between;
  readonly limits: ObjectLimits;
}

/**
 * Writes the first rows between two positions as one object, reads it back from the storage, compares that with the database and catalogues
 * it. Undefined: there are no such rows. Rejects if what was read back is anything else.
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
    const stretch = { kind, month, first: wanted.between.after + 1, last: lines.lastPosition };
    const facts = await readFacts(pool, stretch);
    const file = join(directory, 'object.parquet');
    const feedId = await readFeedId(pool);
    const metadata = { feed_id: feedId, month, kind, ...describeFacts(facts) };
    await writeParquet(lines, file, { kind, directory, metadata });
    await rm(lines.file);
    const bytes = await readFile(file);
    await rm(file);
    const sha256 = sha256Of(bytes);
    const key = keyOf({ kind, month, feedId, facts, sha256 });
    const receipt = await store.put(key, bytes, signal);
    await readBack(context, { kind, key, sha256, facts, lines, directory }, signal);
    const id = await noteArchived(pool, {
      archive: store.name,
      key,
      kind,
      month,
      bytes: bytes.length,
      sha256,
      facts,
      receipt,
    });
    await noteBlocks(pool, { id, sha256 }, hashBlocks(bytes));
    return { month, kind, key, events: facts.events, bytes: bytes.length, lastPosition: facts.lastPosition };
  });

/** The rows as a file; undefined: there are none. */
const writeLines = async (
  { pool }: ArchiveContext,
  { kind, month, between, limits }: Wanted,
  file: string,
  signal?: AbortSignal,
): Promise<(LinesFile & { readonly lastPosition: number }) | undefined> => {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    const out = lineWriter(descriptor);
    let [rows, after] = [0, between.after];
    while (rows < limits.maxRows && out.bytes() < limits.maxTextBytes) {
      const [maxRows, maxBytes] = [Math.min(ROWS_OF_GROUP, limits.maxRows - rows), limits.maxTextBytes - out.bytes()];
      const span = await nextSpan(pool, { kind, month, between: { after, before: between.before }, maxRows, maxBytes });
      if (span === undefined || (rows > 0 && span.bytes > maxBytes)) break;
      await copyRows(pool, { kind, month, after, upTo: span.lastPosition }, out.line, signal);
      out.endGroup();
      rows += span.rows;
      after = span.lastPosition;
    }
    out.endGroup();
    return rows === 0 ? undefined : { file, ...out.sizes(), lastPosition: after };
  } finally {
    closeSync(descriptor);
  }
};

const BUFFER_BYTES = 262_144;

/** Writes at once: what waits for the disk would be in memory meanwhile. */
const lineWriter = (descriptor: number) => {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  let [filled, total, groupStart, longestLineBytes, largestGroupBytes] = [0, 0, 0, 0, 0];
  const flush = () => {
    writeAll(descriptor, buffer.subarray(0, filled));
    filled = 0;
  };
  return {
    line: (bytes: Uint8Array) => {
      if (filled + bytes.length + 1 > BUFFER_BYTES) flush();
      if (bytes.length + 1 > BUFFER_BYTES) {
        writeAll(descriptor, bytes);
      } else {
        buffer.set(bytes, filled);
        filled += bytes.length;
      }
      buffer[filled] = 0x0a;
      filled += 1;
      total += bytes.length + 1;
      longestLineBytes = Math.max(longestLineBytes, bytes.length);
    },
    bytes: () => total,
    endGroup: () => {
      flush();
      largestGroupBytes = Math.max(largestGroupBytes, total - groupStart);
      groupStart = total;
    },
    sizes: () => ({ longestLineBytes, largestGroupBytes }),
  };
};

const writeAll = (descriptor: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
};

const describeFacts = (facts: StretchFacts): Readonly<Record<string, string>> => ({
  first_position: String(facts.firstPosition),
  last_position: String(facts.lastPosition),
  events: String(facts.events),
  ids_sha256: facts.idsSha256,
  raw_sha256: facts.rawSha256,
  columns_sha256: facts.columnsSha256,
});

const DIGITS = 16;

/** Never that of an object with other bytes: a part of their hash is in it. */
const keyOf = ({
  kind,
  month,
  feedId,
  facts,
  sha256,
}: {
  kind: ObjectKind;
  month: Month;
  feedId: string;
  facts: StretchFacts;
  sha256: string;
}): string => {
  const [first, last] = [facts.firstPosition, facts.lastPosition].map((each) => String(each).padStart(DIGITS, '0'));
  return `v1/${kind}/feed=${feedId}/month=${month}/${first}-${last}-${sha256.slice(0, 12)}.parquet`;
};

interface Expected {
  readonly kind: ObjectKind;
  readonly key: string;
  readonly sha256: string;
  readonly facts: StretchFacts;
  readonly lines: LinesFile;
  readonly directory: string;
}

/** What counts is what the storage gives, not what was sent to it. */
const readBack = async ({ store }: ArchiveContext, expected: Expected, signal?: AbortSignal): Promise<void> => {
  const { kind, key, directory, lines } = expected;
  const outcome = await readObject(store, expected, signal);
  if ('fault' in outcome) throw new Error(`${key} was written to ${store.name}, but ${outcome.fault}`);
  const file = join(directory, 'read-back.parquet');
  await writeFile(file, outcome.bytes);
  const moreMemoryMb = Math.ceil((8 * lines.longestLineBytes + 2 * lines.largestGroupBytes) / 1_048_576);
  const difference = differenceOf(await factsOfParquet(file, { kind, directory, moreMemoryMb }), expected.facts);
  if (difference !== undefined) throw new Error(`${key} was read back from ${store.name}, and ${difference}`);
};
