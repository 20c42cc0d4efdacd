import { pipeline, Readable } from 'node:stream';
import { crc32, createDeflateRaw } from 'node:zlib';
import { Zip, type ZipInputFile } from 'fflate';
import { SearchError } from '../../base/errors.ts';
import type { BundleReader } from '../../evidence/bundle/layout.ts';
import { sha256 } from '../../evidence/bytes.ts';
import type { ExportOptions } from '../../evidence/export/content.sql.ts';
import type { WriteBundle } from '../../evidence/export/export-bundle.ts';
import type { BundleWriter } from '../../evidence/export/writer.ts';
import { incompleteBecause, rfc3339Of, type SearchCoverage } from '../answer.ts';
import { fixTimes, printSearch, type Search, type SearchReading } from '../query/search.ts';
import type { SearchSource } from '../search-source.ts';
import {
  aboutSearch,
  COMPLETENESS,
  completenessJson,
  type LeftOut,
  MAX_NAMED,
  QUERY,
  questionOf,
  type SearchBundle,
} from './readme.ts';

export interface SearchBundleParts {
  readonly writeBundle: WriteBundle;
  readonly source: SearchSource;
  /** Without faults, organization and account as ids. */
  readonly reading: SearchReading;
  readonly askedBy: {
    readonly by: 'console' | 'command';
    /** Of a token, or of the account of the database; null: open on loopback. */
    readonly name: string | null;
  };
  readonly version: string;
  /** Whose keys count beside those that the log names. */
  readonly signedBy?: Pick<ExportOptions, 'publicKeys' | 'witnesses'>;
  /** The newest events, up to these limits; it says if older ones are left out. */
  readonly maxEvents: number;
  readonly maxEventBytes: number;
  /** Of the console that was asked, as `https://audit.example.com`. */
  readonly origin?: string;
  readonly nowMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the signed events of a search, as many as fit, as a bundle of evidence, and what may be missing. Throws SearchError `refused` for
 * archived months, OrgtrailError `evidence_fails` if an event is not the one that was signed, `usage` without a log of evidence.
 */
export const writeSearchBundle = async (
  writer: BundleWriter,
  parts: SearchBundleParts,
  read: () => BundleReader,
): Promise<SearchBundle> => {
  const { writeBundle, source, reading, nowMs, signal } = parts;
  const search = fixTimes(reading.search, nowMs);
  if (search.archive === true) throw new SearchError('refused', NO_ARCHIVED);
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search, MAX_NAMED);
  const holes = await source.holes(search, MAX_NAMED);
  const derived = await source.underived(search);
  const { positions, leftOut, ...head } = await findEvents(parts, search);
  if (leftOut !== undefined) await refuseDropped(source, search, coverage);
  const empty =
    positions.length === 0 && leftOut === undefined ? await source.explain(search, reading.given, true) : undefined;
  const incomplete = incompleteBecause(coverage, { hasSince: search.since !== undefined, empty, derived });
  const completeness = { coverage, holes, empty, incomplete, leftOut };
  const question = questionOf(reading.search, nowMs, parts.origin);
  const askedAt = new Date(nowMs).toISOString();
  writeJson(writer, COMPLETENESS, completenessJson(completeness));
  const finish = (events: number) => {
    const unsigned = positions.length - events;
    writeJson(writer, QUERY, {
      query: Object.fromEntries(printSearch(search)),
      given: reading.given,
      ...question,
      asked_at: askedAt,
      asked_by: parts.askedBy,
      orgtrail: parts.version,
      feed_id: head.feedId,
      until_position: head.untilPosition,
      events,
      not_signed: unsigned,
      newest_left_out: leftOut ?? null,
    });
    return aboutSearch({ events, unsigned, completeness }, question, askedAt);
  };
  const options = {
    ...parts.signedBy,
    search: { query: question.line, positions },
    finish,
    version: parts.version,
    signal,
  };
  const written = await writeBundle(writer, options, read);
  return { events: written.events, unsigned: positions.length - written.events, completeness, written };
};

/** Throws SearchError `timeout`: newer events may be of a month that was dropped meanwhile. (A search that is read to its end looks itself.) */
const refuseDropped = async (source: SearchSource, search: Search, before: SearchCoverage): Promise<void> => {
  const gone = (await source.droppedMonths(search)).filter((month) => !before.droppedMonths.includes(month));
  if (gone.length > 0)
    throw new SearchError('timeout', `${gone.join(', ')} was dropped without an archive while it was read: try again`);
  const archivedMonths = await source.archivedMonths(search);
  const dropped = archivedMonths.filter((month) => !before.archivedMonths.includes(month));
  if (dropped.length > 0)
    throw new SearchError('timeout', `${dropped.join(', ')} went into the archive while it was read: try again`);
};

const writeJson = (writer: BundleWriter, path: string, value: unknown): void =>
  writer.write(path, Buffer.from(`${JSON.stringify(value, null, 2)}\n`));

const findEvents = async ({ source, maxEvents, maxEventBytes, signal }: SearchBundleParts, search: Search) => {
  const positions: number[] = [];
  let bytes = 0;
  let head = { feedId: '', untilPosition: 0 };
  let leftOut: LeftOut | undefined;
  for await (const { events, feedId, untilPosition } of source.found(search, signal)) {
    signal?.throwIfAborted();
    head = { feedId, untilPosition };
    for (const { event, rawText } of events) {
      bytes += Buffer.byteLength(rawText);
      if (positions.length === maxEvents || bytes > maxEventBytes) {
        leftOut = { position: event.position, action_time: rfc3339Of(event.sortTime) };
        break;
      }
      positions.push(event.position);
    }
    if (leftOut !== undefined) break;
  }
  return { positions, leftOut, ...head };
};

const NO_ARCHIVED = 'a bundle has no events that are in the archive alone: leave out archive';

/** For an answer that is whole or does not begin. Throws SearchError `refused` beyond so many bytes. */
export class MemoryFiles implements BundleWriter {
  readonly #files = new Map<string, Buffer[]>();
  readonly #hashes = new Map<string, string>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get hashes(): ReadonlyMap<string, string> {
    return this.#hashes;
  }

  get files(): ReadonlyMap<string, readonly Buffer[]> {
    return this.#files;
  }

  open(path: string): ReturnType<BundleWriter['open']> {
    const pieces: Buffer[] = [];
    this.#files.set(path, pieces);
    return {
      write: (bytes) => {
        this.#bytes += bytes.length;
        if (this.#bytes > this.#maxBytes) throw new SearchError('refused', tooLarge(this.#maxBytes));
        pieces.push(Buffer.from(bytes));
      },
      end: () => void this.#hashes.set(path, sha256(Buffer.concat(pieces)).toString('hex')),
    };
  }

  write(path: string, bytes: Uint8Array): void {
    const file = this.open(path);
    file.write(bytes);
    file.end();
  }

  reader(): BundleReader {
    const piecesOf = (path: string) => this.#files.get(path) ?? [];
    const plain = async function* (path: string) {
      yield* piecesOf(path);
    };
    return {
      paths: [...this.#files.keys()],
      others: [],
      sha256: async (path) => this.#hashes.get(path) ?? '',
      pieces: plain,
    };
  }
}

const tooLarge = (bytes: number): string =>
  `the bundle would be larger than ${Math.floor(bytes / 1_048_576)} MB: search less, or write it with orgtrail search … --bundle FILE.zip`;

export interface ZipFile {
  /** ASCII. */
  readonly name: string;
  readonly pieces: AsyncIterable<Buffer> | Iterable<Buffer>;
}

/** What a zip without ZIP64 can say, of each file and of all together. */
export const MAX_ZIP_BYTES = 0xffff_ffff;
const DEFLATED = 8;
/** Made by Unix, so that the modes count. */
const UNIX = 3;
const READABLE_FILE = (0o100644 << 16) >>> 0;

/** Piece by piece, deflated outside of this thread. What breaks off has no end, and does not open. Throws RangeError beyond 4 GiB. */
export async function* writeZip(files: Iterable<ZipFile>, atMs: number): AsyncGenerator<Buffer, void, void> {
  const made: Uint8Array[] = [];
  const zip = new Zip((error, piece) => {
    if (error) throw error;
    made.push(piece);
  });
  // The package writes local times: these are UTC.
  const mtime = atMs + new Date(atMs).getTimezoneOffset() * 60_000;
  let offset = 0;
  const taken = function* () {
    for (const { buffer, byteOffset, length } of made.splice(0)) {
      offset += length;
      requireRoom(offset);
      yield Buffer.from(buffer, byteOffset, length);
    }
  };
  for (const { name, pieces } of files) {
    const file: ZipInputFile = {
      filename: name,
      compression: DEFLATED,
      os: UNIX,
      attrs: READABLE_FILE,
      mtime,
      crc: 0,
      size: 0,
    };
    zip.add(file);
    for await (const piece of deflated(pieces, file)) {
      file.ondata?.(null, piece as Buffer<ArrayBuffer>, false);
      yield* taken();
    }
    requireRoom(file.size);
    file.ondata?.(null, new Uint8Array(0), true);
  }
  zip.end();
  yield* taken();
}

const deflated = (pieces: ZipFile['pieces'], file: ZipInputFile): AsyncIterable<Buffer> => {
  const counted = async function* () {
    for await (const piece of pieces) {
      file.crc = crc32(piece, file.crc);
      file.size += piece.length;
      yield piece;
    }
  };
  return pipeline(
    Readable.from(counted(), { objectMode: true }),
    createDeflateRaw(),
    () => {},
  ) as AsyncIterable<Buffer>;
};

const requireRoom = (bytes: number): void => {
  if (bytes > MAX_ZIP_BYTES) throw new RangeError('a zip of more than 4 GiB');
};
