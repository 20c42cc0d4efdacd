import { readFileSync } from 'node:fs';
import { OrgtrailError, SearchError } from '../../base/errors.ts';
import { type EventWords, foundFiles, writeEventLine, writeProofLine } from '../../evidence/bundle/records.ts';
import { sha256 } from '../../evidence/bytes.ts';
import type { ProvenUnder } from '../../evidence/export/prove.sql.ts';
import { linesOf } from '../../evidence/files/folder-reader.ts';
import { verifierFile } from '../../evidence/files/folder-writer.ts';
import type { FoundReader } from '../../evidence/verify/verify-found.ts';
import { type FoundEvent, incompleteBecause, rfc3339Of, type SearchCoverage } from '../answer.ts';
import type { SearchSource } from '../ports.ts';
import { fixTimes, printSearch, type Search } from '../query/search.ts';
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
 * Writes the events of a search, as many as fit, each with its proof under the last signed checkpoint, and what may be missing. The caller verifies it.
 * Throws SearchError `refused` for archived months, OrgtrailError `evidence_fails` if an event is not the one that was signed, `usage` if the
 * account may not read the log.
 */
export const writeSearchBundle = async (files: BundleFiles, parts: SearchBundleParts): Promise<SearchBundle> => {
  const { source, reading, nowMs } = parts;
  const search = fixTimes(reading.search, nowMs);
  if (search.archive === true) throw new SearchError('refused', NO_ARCHIVED);
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search, MAX_NAMED);
  const holes = await source.holes(search, MAX_NAMED);
  const found = await writeEvents(files, parts, search);
  const { positions, leftOut } = found;
  if (leftOut !== undefined) await refuseDropped(source, search, coverage);
  const empty =
    positions.length === 0 && leftOut === undefined ? await source.explain(search, reading.given, true) : undefined;
  const page = { events: [], more: false, reached: undefined };
  const incomplete = incompleteBecause(search, page, coverage, empty);
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

/** What is read to its end looks at this by itself. Throws SearchError `timeout`: of a month that was dropped meanwhile, newer events may be missing. */
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

/** As the leaf says them: a bundle has no word beside an event that is not signed. */
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
): Promise<{ readonly under: ProvenUnder | undefined; readonly unsigned: number }> => {
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

/** A file that is being written; it copies what it is given. */
interface BundleFile {
  write(bytes: Uint8Array): void;
  end(): void;
}

/** Where a bundle is written to: a folder, or memory. */
interface BundleFiles {
  open(path: string): BundleFile;
  write(path: string, bytes: Uint8Array): void;
  /** Of all that is written, by path, in hexadecimal digits. */
  readonly hashes: ReadonlyMap<string, string>;
}

/** A bundle in memory, for an answer that is whole or does not begin. Throws SearchError `refused` beyond so many bytes. */
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

  /** In the order in which they were written. */
  get files(): ReadonlyMap<string, readonly Buffer[]> {
    return this.#files;
  }

  open(path: string): BundleFile {
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
