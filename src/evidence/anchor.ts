import { reasonOf } from '../base/errors.ts';
import { parseS3Address, type S3Address } from '../base/s3/address.ts';
import type { Checkpoint } from './notes/checkpoint.ts';
import { parseVerifierKey, signatureTypes, type VerifierKey } from './notes/signed-note.ts';
import type { Tile } from './tree/growing-tree.ts';
import type { TileId } from './tree/tiles.ts';

/** What is signed, and what an anchor has of it. */
export interface LogToAnchor {
  readonly number: number;
  readonly origin: string;
  readonly size: number;
  readonly note: string;
  /** Size of the newest checkpoint of this log at this anchor; 0: none. */
  readonly keptSize: number;
  /** Since that was last noted; null: never. */
  readonly keptSecondsAgo: number | null;
  /** Leaves whose full tiles and statements are at this anchor already. */
  readonly tilesSize: number;
}

interface Kept {
  /** What it answered: the version of an object, the signature line of a witness. */
  readonly receipt?: Buffer;
  readonly tilesSize: number;
}

export interface AnchorStore {
  /** The newest signed checkpoint; undefined: nothing is signed. */
  readSigned(anchor: string): Promise<LogToAnchor | undefined>;
  readTiles(tiles: readonly TileId[]): Promise<readonly Tile[]>;
  /** Texts of the statements from one index up to another. */
  readStatements(from: number, to: number): Promise<readonly string[]>;
  noteKept(log: LogToAnchor, anchor: string, kept: Kept): Promise<void>;
  noteFailure(log: LogToAnchor, anchor: string, error: string): Promise<void>;
}

/** What lies at an anchor of one log; nothing of it is verified. */
export interface AnchorHistory {
  /** By their names, ascending. */
  readonly sizes: readonly number[];
  read(index: number): Promise<Buffer>;
}

/** Keeps signed checkpoints outside the database. Everything of it may fail, for as long as it likes: building goes on. */
export interface Anchor {
  readonly name: string;
  readonly intervalMs: number;
  /** Newest first, nothing verified; none if the anchor cannot be read. By the number of the log. */
  newest(number: number): Promise<readonly Buffer[]>;
  /** All checkpoints, for an operator who can wait; absent if the anchor cannot be read. */
  history?(number: number): Promise<AnchorHistory>;
  /** Texts of statements as they were kept, in whatever order; absent: it keeps none. */
  statements?(number: number): Promise<readonly string[]>;
  /** Throws an EvidenceFault if another checkpoint of this size is there. */
  keepCheckpoint(log: LogToAnchor, store: AnchorStore): Promise<Kept>;
  /** Keeps the tiles and statements that it lacks, or a part of them; absent if it keeps none. */
  keepTiles?(log: LogToAnchor, store: AnchorStore, signal: AbortSignal): Promise<Kept>;
}

/** A checkpoint that lies at an anchor and is signed by the log. */
export interface AnchoredCheckpoint {
  readonly anchor: string;
  readonly checkpoint: Checkpoint;
  /** The same base and key, and another feed: the database began it a second time, or another one has this anchor. */
  readonly isOfOtherFeed?: boolean;
}

export interface AnchorObserver {
  kept?(anchor: string, log: LogToAnchor): void;
  failed?(anchor: string, reason: string): void;
}

/** A place outside the database that keeps checkpoints, as ORGTRAIL_EVIDENCE_ANCHORS names it. */
export type AnchorTarget = {
  /**
   * In the database, in metrics and in messages. Of an object store: bucket, prefix and endpoint, since the rest may change; of a witness:
   * with the name of its key, without the key.
   */
  readonly name: string;
} & (
  | { readonly kind: 'file'; readonly directory: string }
  | { readonly kind: 's3'; readonly address: S3Address }
  | { readonly kind: 'witness'; readonly url: string; readonly key: VerifierKey }
);

/** Reads ORGTRAIL_EVIDENCE_ANCHORS, by commas or lines. A string says why it cannot: the setting's name, then this. */
export const parseAnchors = (text: string): readonly AnchorTarget[] | string => {
  const names = text
    .split(/[,\n]/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const targets: AnchorTarget[] = [];
  for (const name of names) {
    const target = parseAnchor(name);
    if (typeof target === 'string') return target;
    if (targets.some((other) => other.name === target.name)) return `names ${target.name} twice`;
    targets.push(target);
  }
  return targets;
};

const parseAnchor = (text: string): AnchorTarget | string => {
  if (text.startsWith('witness:')) return parseWitness(text);
  if (text.startsWith('s3:')) return parseObjects(text);
  return parseDirectory(text);
};

/** Nothing of the text is repeated: it may have a credential by mistake. */
const parseObjects = (text: string): AnchorTarget | string => {
  const address = parseS3Address(text);
  return typeof address === 'string'
    ? `has an s3 anchor that cannot be used: it ${address}`
    : { kind: 's3', name: address.name, address };
};

const parseDirectory = (name: string): AnchorTarget | string => {
  const match = /^file:(?:\/\/)?(\/(?!\/)[^\0]*)$/.exec(name);
  const directory = match?.[1];
  return directory === undefined
    ? `has ${JSON.stringify(name)}: an anchor must be like file:/mnt/worm/orgtrail, with an absolute path, like s3://bucket/prefix, or like witness:https://witness.example.com+VKEY`
    : { kind: 'file', name, directory };
};

const parseWitness = (text: string): AnchorTarget | string => {
  const match = /^witness:(https?:\/\/[^+\s]+?)\/?\+(.+)$/.exec(text);
  const [, url, vkey] = match ?? [];
  if (url === undefined || vkey === undefined || !URL.canParse(url)) {
    return `has ${JSON.stringify(text)}: a witness must be like witness:https://witness.example.com+VKEY`;
  }
  try {
    const key = parseVerifierKey(vkey);
    if (key.type !== signatureTypes.cosignature) return `has a key of ${key.name} that is not one of a witness`;
    return { kind: 'witness', name: `witness:${url}+${key.name}`, url, key };
  } catch (error) {
    return `has a witness whose key cannot be read: ${reasonOf(error)}`;
  }
};

export const witnessesOf = (targets: readonly AnchorTarget[]): VerifierKey[] =>
  targets.flatMap((target) => (target.kind === 'witness' ? [target.key] : []));
