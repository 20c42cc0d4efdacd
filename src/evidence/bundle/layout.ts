import { EvidenceFault, HASH_BYTES, sha256, textOf, uint64 } from '../bytes.ts';
import { microsecondsOf } from '../journal/instants.ts';
import { readStrictJson } from '../journal/statement-text.ts';
import type { LogName } from '../notes/checkpoint.ts';
import { placePath, type TileId, tilePath } from '../tree/tiles.ts';

/*
 * What a bundle is: files that one can verify without orgtrail, by these names. A reader opens `.gz` for itself: names here are
 * without it.
 */

/** The files that are one each. */
export const bundleFiles = {
  readme: 'README.txt',
  policy: 'policy.txt',
  journalEntries: 'journal/entries.ndjson',
  journalReads: 'journal/reads.ndjson',
  /** Later contents of events, an object of JSON a line: `position`, `event_id`, `seen_at`, and `raw` as a text. */
  changes: 'changes.ndjson',
  /** The second verifier. */
  verifier: 'verify.py',
} as const;

/** Where later contents may be: the specification can be read in two ways. */
export const changesPaths = [bundleFiles.changes, 'journal/changes.ndjson'] as const;

/** Checkpoints of either log that were kept elsewhere, a file each. */
export const ANCHORS_FOLDER = 'anchors/';

/** Time stamps by RFC 3161, each (`.tsr`) beside the checkpoint of the journal that it is of. */
export const TIME_STAMPS_FOLDER = 'timestamps/';

/** `timestamps/1-00000000000000000033`: a checkpoint of the journal of this size that an authority has stamped. */
export const timeStampPath = (authority: number, size: number): string =>
  `${TIME_STAMPS_FOLDER}${authority}-${String(size).padStart(20, '0')}`;

/** Reads a bundle, wherever it is. Nothing is kept: each file is read once, tiles a few times. */
export interface BundleReader {
  /** Of all files, by `/`. */
  readonly paths: readonly string[];
  /** What is there and is no file: a link, a pipe. It is in no `paths`, and nothing reads it. */
  readonly others?: readonly string[];
  /** The SHA-256 of each file by its own name, in hexadecimal digits. Without it the files are read for it. */
  readonly hashes?: ReadonlyMap<string, string>;
  /** Undefined if there is no such file. */
  read(path: string): Buffer | undefined;
}

/* The folders of the two logs have their names: checkpoint and tiles are below, by the paths of tlog-tiles. */

/** `events/checkpoint` */
export const checkpointPath = (log: LogName): string => `${log}/checkpoint`;

/** `events/tile/0/x001/234` */
export const logTilePath = (log: LogName, tile: TileId): string => `${log}/${tilePath(tile)}`;

/** So many leaves share a file of payload. */
export const LEAVES_PER_PAYLOAD = 65_536;

/** `events/payload/000000.oev`: the file of leaf `index`. */
export const payloadPath = (index: number): string =>
  `events/payload/${String(Math.floor(index / LEAVES_PER_PAYLOAD)).padStart(6, '0')}.oev`;

/** `events/sources/x001/234`: the numbers of sources of a tile of level 0 (`writeTileSources`), cut like the tile. */
export const tileSourcesPath = ({ n, width }: TileId): string => `events/sources/${placePath(n, width)}`;

/** Of a file system, not of a bundle: `.DS_Store`. */
export const isHidden = (path: string): boolean => /(?:^|\/)\./.test(path);

/** What README.txt lists: a line for each file, as `sha256sum` writes it. */
export const writeManifest = (files: Iterable<readonly [path: string, bytes: Uint8Array]>): string =>
  writeManifestLines([...files].map(([path, bytes]) => [path, sha256(bytes).toString('hex')]));

/** The same, from the SHA-256 of each file in hexadecimal digits. */
export const writeManifestLines = (files: Iterable<readonly [path: string, sha256: string]>): string =>
  [...files].map(([path, hash]) => `${hash}  ${path}\n`).join('');

/** The path and the SHA-256 of each file that a README.txt lists. All other lines are for the reader. */
export const readManifest = (readme: Uint8Array): [path: string, sha256: string][] => {
  // A carriage return is a part of the name: sha256sum takes it so.
  const lines = Buffer.from(readme).toString().split('\n');
  return lines.flatMap((line): [path: string, sha256: string][] => {
    const [, hash, path] = /^([0-9a-f]{64}) {2}(.+)$/s.exec(line) ?? [];
    return hash === undefined || path === undefined ? [] : [[path, hash]];
  });
};

/** `events/time`: that it is there makes the bundle one of a time. */
export const BUNDLE_TIME_PATH = 'events/time';

/** `events/withheld/000000.leaves`: the leaves without content of those that payload is cut like, each its data after its length in two bytes. */
export const withheldPath = (index: number): string =>
  `events/withheld/${String(Math.floor(index / LEAVES_PER_PAYLOAD)).padStart(6, '0')}.leaves`;

/** The time that a bundle is of, [since, before), in RFC 3339 in UTC; null: from the beginning, or without end. */
export interface BundleTime {
  readonly since: string | null;
  readonly before: string | null;
}

export const writeBundleTime = ({ since, before }: BundleTime): string => `${JSON.stringify({ since, before })}\n`;

/** Throws an EvidenceFault for what is no time, for one that is empty, and for other fields. */
export const readBundleTime = (bytes: Uint8Array): BundleTime => {
  const value = (readStrictJson(textOf(bytes, 'it'), 'it') ?? {}) as Readonly<Record<string, unknown>>;
  const { since, before } = value;
  if (!isTimeOrNull(since) || !isTimeOrNull(before) || Object.keys(value).length !== 2)
    throw new EvidenceFault('it is not since and before');
  const [start, end] = boundsOf({ since, before });
  if (start >= end) throw new EvidenceFault('it is an empty time');
  return { since, before };
};

const INFINITE = 2n ** 80n;

const isTimeOrNull = (value: unknown): value is string | null =>
  value === null || (typeof value === 'string' && microsecondsOf(value) !== undefined);

/** In microseconds since 1970; an open end is beyond all times. */
export const boundsOf = ({ since, before }: BundleTime): [sinceUs: bigint, beforeUs: bigint] => [
  (since === null ? undefined : microsecondsOf(since)) ?? -INFINITE,
  (before === null ? undefined : microsecondsOf(before)) ?? INFINITE,
];

/** Whether an event is of a time, by when it happened. One without a time always is: none can say that it is not. */
export const isOfTime = (time: BundleTime): ((actionTimeUs: bigint | undefined) => boolean) => {
  const [since, before] = boundsOf(time);
  return (us) => us === undefined || (since <= us && us < before);
};

/** For people. */
export const bundleTimeText = ({ since, before }: BundleTime): string =>
  `${since ?? 'the beginning'} to ${before ?? 'the end'}`;

/** `events/leaves`: the leaves of a log that a bundle of one source discloses. That it is there makes the bundle one of one source. */
export const leafListPath = (log: LogName): string => `${log}/leaves`;

/** A leaf of such a list. */
interface ListedLeaf {
  readonly index: number;
  readonly hash: Uint8Array;
}

const RECORD_BYTES = 8 + HASH_BYTES;

/** The index in eight bytes, the leaf hash. */
export const writeListedLeaf = ({ index, hash }: ListedLeaf): Buffer => Buffer.concat([uint64(index), hash]);

/** Such a list as it was read: 40 bytes for each leaf, so that millions fit. */
export class LeafList {
  readonly #bytes: Buffer;

  /** Throws an EvidenceFault if it is cut off, or if indexes do not ascend. */
  constructor(bytes: Buffer) {
    if (bytes.length % RECORD_BYTES !== 0) throw new EvidenceFault('the list of leaves is cut off');
    this.#bytes = bytes;
    let before = -1;
    for (let place = 0; place < this.count; place += 1) {
      const index = this.indexAt(place);
      if (index <= before || !Number.isSafeInteger(index))
        throw new EvidenceFault(`leaf ${index} is listed after leaf ${before}`);
      before = index;
    }
  }

  get count(): number {
    return this.#bytes.length / RECORD_BYTES;
  }

  indexAt(place: number): number {
    return Number(this.#bytes.readBigUInt64BE(place * RECORD_BYTES));
  }

  /** A view. */
  hashAt(place: number): Buffer {
    return this.#bytes.subarray(place * RECORD_BYTES + 8, (place + 1) * RECORD_BYTES);
  }

  /** The place of a leaf; undefined if it is not listed. */
  placeOf(index: number): number | undefined {
    const place = this.countBelow(index);
    return place < this.count && this.indexAt(place) === index ? place : undefined;
  }

  /** How many listed leaves are before this index. */
  countBelow(index: number): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.indexAt(middle) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Without those from this index on. */
  below(index: number): LeafList {
    return new LeafList(this.#bytes.subarray(0, this.countBelow(index) * RECORD_BYTES));
  }
}
