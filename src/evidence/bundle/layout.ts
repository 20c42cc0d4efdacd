import type { LogName } from '../notes/origin.ts';
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
