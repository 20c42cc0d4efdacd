import { readFileSync } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import { crc32, createDeflateRaw } from 'node:zlib';
import { Zip, type ZipInputFile } from 'fflate';
import { OrgtrailError, SearchError } from '../../base/errors.ts';
import { type EventWords, foundFiles, writeEventLine, writeProofLine } from '../../evidence/bundle/records.ts';
import { sha256 } from '../../evidence/bytes.ts';
import { linesOf } from '../../evidence/files/folder-reader.ts';
import { verifierFile } from '../../evidence/files/folder-writer.ts';
import type { FoundReader } from '../../evidence/verify/verify-found.ts';
import { type FoundEvent, incompleteBecause, rfc3339Of, type SearchCoverage } from '../answer.ts';
import { fixTimes, printSearch, type Search } from '../query/search.ts';
import type { SearchSource } from '../search-source.ts';
import {
  bundleReadme,
  completenessJson,
  type LeftOut,
  MAX_NAMED,
  questionOf,
  type SearchBundle,
  type SearchBundleParts,
} from './readme.ts';

/**
 * Writes the events of a search, as many as fit, each with its proof under the last signed checkpoint, and what may be missing. The caller
 * verifies it. Throws SearchError `refused` for archived months, OrgtrailError `evidence_fails` if an event is not the one that was signed,
 * `usage` if the account may not read the log.
 */
export const writeSearchBundle = async (files: BundleFiles, parts: SearchBundleParts): Promise<SearchBundle> => {
  const { source, reading, nowMs } = parts;
  const search = fixTimes(reading.search, nowMs);
  if (search.archive === true) throw new SearchError('refused', NO_ARCHIVED);
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search, MAX_NAMED);
  const holes = await source.holes(search, MAX_NAMED);
  const derived = await source.underived(search);
  const found = await writeEvents(files, parts, search);
  const { positions, leftOut } = found;
  if (leftOut !== undefined) await refuseDropped(source, search, coverage);
  const empty =
    positions.length === 0 && leftOut === undefined ? await source.explain(search, reading.given, true) : undefined;
  const incomplete = incompleteBecause(coverage, { hasSince: search.since !== undefined, empty, derived });
  const completeness = { coverage, holes, empty, incomplete, leftOut };
  writeJson(files, foundFiles.completeness, completenessJson(completeness));
  const { under, unsigned } = await writeProofs(files, parts, positions);
  const question = questionOf(reading.search, nowMs, parts.origin);
  writeJson(files, foundFiles.query, {
    form: 'orgtrail search bundle 1',
    query: Object.fromEntries(printSearch(search)),
    given: reading.given,
    ...question,
    asked_at: new Date(nowMs).toISOString(),
    asked_by: parts.askedBy,
    orgtrail: parts.version,
    feed_id: found.feedId,
    until_position: found.untilPosition,
    events: positions.length,
    not_signed: unsigned,
    newest_left_out: leftOut ?? null,
    log: under === undefined ? null : { origin: under.origin, size: under.size, state: under.state },
  });
  const bundle = { events: positions.length, unsigned, completeness, under };
  files.write(foundFiles.verifier, readFileSync(verifierFile));
  files.write(foundFiles.readme, Buffer.from(bundleReadme(bundle, { ...parts, question }, files.hashes)));
  return bundle;
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

const writeJson = (files: BundleFiles, path: string, value: unknown): void =>
  files.write(path, Buffer.from(`${JSON.stringify(value, null, 2)}\n`));

const writeEvents = async (
  files: BundleFiles,
  { source, maxEvents, maxEventBytes, signal }: SearchBundleParts,
  search: Search,
) => {
  const positions: number[] = [];
  let bytes = 0;
  let head = { feedId: '', untilPosition: 0 };
  let leftOut: LeftOut | undefined;
  const file = files.open(foundFiles.events);
  for await (const { events, feedId, untilPosition } of source.found(search, signal)) {
    signal?.throwIfAborted();
    head = { feedId, untilPosition };
    for (const { event, rawText } of events) {
      const line = Buffer.from(`${writeEventLine(wordsOf(event), rawText)}\n`);
      if (positions.length === maxEvents || bytes + line.length > maxEventBytes) {
        leftOut = { position: event.position, action_time: rfc3339Of(event.sortTime) };
        break;
      }
      file.write(line);
      bytes += line.length;
      positions.push(event.position);
    }
    if (leftOut !== undefined) break;
  }
  file.end();
  return { positions, leftOut, ...head };
};

const NO_ARCHIVED = 'a bundle has no events that are in the archive alone: leave out archive';

/** As the leaf has them: a bundle has no other word about an event that is not signed. */
const wordsOf = (event: FoundEvent): EventWords => ({
  position: event.position,
  received_at: event.receivedAt,
  action_time: rfc3339Of(event.sortTime),
  source_kind: event.sourceKind,
  source_id: event.sourceId,
  organization_id: event.organizationId,
  id: event.id,
  // A leaf has them joined.
  defects: (event.defects ?? []).flatMap((defect) => defect.split(',')),
});

const writeProofs = async (
  files: BundleFiles,
  { evidence, signal }: SearchBundleParts,
  positions: readonly number[],
) => {
  const nothing = { under: undefined, unsigned: positions.length };
  const status = await evidence?.status();
  if (evidence === undefined || status === undefined || status.signedSize === null) return nothing;
  const file = files.open(foundFiles.proofs);
  let unsigned = 0;
  const under = await evidence.proveAll(
    positions,
    (proofs) => {
      unsigned += proofs.filter(({ signed }) => signed === undefined).length;
      file.write(Buffer.from(proofs.map((proof) => `${writeProofLine(proof)}\n`).join('')));
    },
    signal,
  );
  if (under === undefined) {
    throw new OrgtrailError('usage', 'the account of the database may not read the log of evidence', {
      hint: 'grant orgtrail_evidence to it',
    });
  }
  if (typeof under === 'string') throw new OrgtrailError('usage', 'no checkpoint is signed yet: try again');
  file.end();
  files.write(foundFiles.checkpoint, Buffer.from(under.note));
  files.write(foundFiles.policy, Buffer.from(under.policy));
  return { under, unsigned };
};

interface BundleFiles {
  open(path: string): { write(bytes: Uint8Array): void; end(): void };
  write(path: string, bytes: Uint8Array): void;
  /** By path, in hexadecimal digits. */
  readonly hashes: ReadonlyMap<string, string>;
}

/** For an answer that is whole or does not begin. Throws SearchError `refused` beyond so many bytes. */
export class MemoryFiles implements BundleFiles {
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

  open(path: string): ReturnType<BundleFiles['open']> {
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

  reader(): FoundReader {
    const piecesOf = (path: string) => this.#files.get(path) ?? [];
    return {
      paths: [...this.#files.keys()],
      hashes: this.#hashes,
      read: (path) => (this.#files.has(path) ? Buffer.concat(piecesOf(path)) : undefined),
      lines: (path) => linesOf(piecesOf(path)),
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
