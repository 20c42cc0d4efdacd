import { EvidenceFault, HASH_BYTES, sha256, textOf, uint64 } from '../bytes.ts';
import { microsecondsOf } from '../journal/instants.ts';
import { ALWAYS } from '../journal/ranges.ts';
import { readStrictJson } from '../journal/statement-text.ts';
import type { LogName } from '../notes/checkpoint.ts';
import { placePath, type TileId, tilePath } from '../tree/tiles.ts';

/* What a bundle is: files by these names, without `.gz`, which a reader opens for itself. */

export const bundleFiles = {
  readme: 'README.txt',
  policy: 'policy.txt',
  journalEntries: 'journal/entries.ndjson',
  journalReads: 'journal/reads.ndjson',
  /** Later contents of events, an object of JSON a line: `position`, `event_id`, `seen_at`, and `raw` as a text. */
  changes: 'changes.ndjson',
  verifier: 'verify.py',
} as const;

/** Where later contents may be: the specification can be read in two ways. */
export const changesPaths = [bundleFiles.changes, 'journal/changes.ndjson'] as const;

/** Checkpoints that were kept elsewhere. */
export const ANCHORS_FOLDER = 'anchors/';

/** Time stamps of RFC 3161 (`.tsr`), each beside its checkpoint of the journal. */
export const TIME_STAMPS_FOLDER = 'timestamps/';

/** `timestamps/1-00000000000000000033` */
export const timeStampPath = (authority: number, size: number): string =>
  `${TIME_STAMPS_FOLDER}${authority}-${String(size).padStart(20, '0')}`;

/** Reads a bundle, wherever it is. Nothing is kept: each file is read once, tiles a few times. */
export interface BundleReader {
  readonly paths: readonly string[];
  /** Links, pipes: in no `paths`, and never read. */
  readonly others?: readonly string[];
  /** SHA-256 in hex by the file's own name. Without it the files are read for it. */
  readonly hashes?: ReadonlyMap<string, string>;
  read(path: string): Buffer | undefined;
}

/** `events/checkpoint` */
export const checkpointPath = (log: LogName): string => `${log}/checkpoint`;

/** `events/tile/0/x001/234` */
export const logTilePath = (log: LogName, tile: TileId): string => `${log}/${tilePath(tile)}`;

/** Leaves that share a file of payload. */
export const LEAVES_PER_PAYLOAD = 65_536;

/** `events/payload/000000.oev` */
export const payloadPath = (index: number): string =>
  `events/payload/${String(Math.floor(index / LEAVES_PER_PAYLOAD)).padStart(6, '0')}.oev`;

/** `events/sources/x001/234`, cut like the tile of level 0. */
export const tileSourcesPath = ({ n, width }: TileId): string => `events/sources/${placePath(n, width)}`;

/** Files like `.DS_Store`. */
export const isHidden = (path: string): boolean => /(?:^|\/)\./.test(path);

/** The lines of README.txt that `sha256sum` reads. */
export const writeManifest = (files: Iterable<readonly [path: string, bytes: Uint8Array]>): string =>
  writeManifestLines([...files].map(([path, bytes]) => [path, sha256(bytes).toString('hex')]));

export const writeManifestLines = (files: Iterable<readonly [path: string, sha256: string]>): string =>
  [...files].map(([path, hash]) => `${hash}  ${path}\n`).join('');

/** All other lines of a README.txt are for the reader. */
export const readManifest = (readme: Uint8Array): [path: string, sha256: string][] => {
  // A carriage return is a part of the name: sha256sum takes it so.
  const lines = Buffer.from(readme).toString().split('\n');
  return lines.flatMap((line): [path: string, sha256: string][] => {
    const [, hash, path] = /^([0-9a-f]{64}) {2}(.+)$/s.exec(line) ?? [];
    return hash === undefined || path === undefined ? [] : [[path, hash]];
  });
};

/** Makes the bundle one of a time. */
export const BUNDLE_TIME_PATH = 'events/time';

/** `events/withheld/000000.leaves`: leaves without content, each after its length in two bytes, cut like payload. */
export const withheldPath = (index: number): string =>
  `events/withheld/${String(Math.floor(index / LEAVES_PER_PAYLOAD)).padStart(6, '0')}.leaves`;

/** [since, before), RFC 3339 in UTC; null: open. */
export interface BundleTime {
  readonly since: string | null;
  readonly before: string | null;
}

export const writeBundleTime = ({ since, before }: BundleTime): string => `${JSON.stringify({ since, before })}\n`;

/** Throws an EvidenceFault for no time, an empty one, or other fields. */
export const readBundleTime = (bytes: Uint8Array): BundleTime => {
  const value = (readStrictJson(textOf(bytes, 'it'), 'it') ?? {}) as Readonly<Record<string, unknown>>;
  const { since, before } = value;
  if (!isTimeOrNull(since) || !isTimeOrNull(before) || Object.keys(value).length !== 2)
    throw new EvidenceFault('it is not since and before');
  const [start, end] = boundsOf({ since, before });
  if (start >= end) throw new EvidenceFault('it is an empty time');
  return { since, before };
};

const isTimeOrNull = (value: unknown): value is string | null =>
  value === null || (typeof value === 'string' && microsecondsOf(value) !== undefined);

/** In microseconds since 1970; an open end is beyond all times. */
export const boundsOf = ({ since, before }: BundleTime): [sinceUs: bigint, beforeUs: bigint] => [
  (since === null ? undefined : microsecondsOf(since)) ?? -ALWAYS,
  (before === null ? undefined : microsecondsOf(before)) ?? ALWAYS,
];

/** By when an event happened. One without a time is of every time: none can say that it is not. */
export const isOfTime = (time: BundleTime): ((actionTimeUs: bigint | undefined) => boolean) => {
  const [since, before] = boundsOf(time);
  return (us) => us === undefined || (since <= us && us < before);
};

export const bundleTimeText = ({ since, before }: BundleTime): string =>
  `${since ?? 'the beginning'} to ${before ?? 'the end'}`;

/** `events/leaves`: makes the bundle one of one source, whose leaves it discloses. */
export const leafListPath = (log: LogName): string => `${log}/leaves`;

const RECORD_BYTES = 8 + HASH_BYTES;

export const writeListedLeaf = (index: number, hash: Uint8Array): Buffer => Buffer.concat([uint64(index), hash]);

/** 40 bytes for each leaf, so that millions fit. */
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

  hashAt(place: number): Buffer {
    return this.#bytes.subarray(place * RECORD_BYTES + 8, (place + 1) * RECORD_BYTES);
  }

  placeOf(index: number): number | undefined {
    const place = this.countBelow(index);
    return place < this.count && this.indexAt(place) === index ? place : undefined;
  }

  countBelow(index: number): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.indexAt(middle) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  below(index: number): LeafList {
    return new LeafList(this.#bytes.subarray(0, this.countBelow(index) * RECORD_BYTES));
  }
}
