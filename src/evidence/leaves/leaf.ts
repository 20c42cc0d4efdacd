import { ByteReader, uint64 } from '../bytes.ts';
import { sha256 } from '../crypto/sha256.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { MAX_LEAF_BYTES } from '../tree/merkle.ts';

/*
 * What the leaves of the two logs are made of. A contract for as long as there is a tree: leaves of version 1 are never written
 * otherwise; another version gets other tags. Integers are big-endian, text is UTF-8.
 */

/** What a leaf says of an event. All of it as it is stored: typed columns follow from `raw`, and names of organizations change. */
export interface EventLeaf {
  /** Makes that the hash of the leaf cannot be tested against guesses once the key of the month is gone (`saltOf`). */
  readonly salt: Uint8Array;
  /** From 1; the leaf has index position - 1. */
  readonly position: number;
  /** Microseconds since 1970. */
  readonly receivedAtUs: bigint;
  /** Undefined if the entry has no time, which PostgreSQL has as `-infinity`. */
  readonly actionTimeUs: bigint | undefined;
  readonly sourceKind: string;
  readonly sourceId: string;
  /** Undefined if the event belongs to an account alone. */
  readonly organizationId: string | undefined;
  readonly id: string;
  readonly defects: readonly string[];
  /** Of `raw::text` in UTF-8: its length, and its SHA-256, which is that of the exported file. */
  readonly rawBytes: number;
  readonly rawSha256: Uint8Array;
}

export const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** What begins the data of each kind of leaf. */
export const tags = {
  event: 'orgtrail/event/v1\n',
  hole: 'orgtrail/hole/v1\n',
  journal: 'orgtrail/journal/v1\n',
} as const;
const eventTag = Buffer.from(tags.event);
/** What stands for `-infinity`: the smallest 64-bit integer. */
const NO_TIME = -(2n ** 63n);

/** Room for one leaf: a buffer for each field would cost more than the hashes. */
const room = Buffer.alloc(MAX_LEAF_BYTES);
room.write(tags.event);

/** The data of an event's leaf. Throws a RangeError for what a leaf cannot hold, which no stored event is. */
export const writeEventLeaf = (event: EventLeaf): Buffer => {
  if (event.salt.length !== SALT_BYTES || event.rawSha256.length !== HASH_BYTES)
    throw new RangeError('salt or hash cut');
  if (event.actionTimeUs === NO_TIME) throw new RangeError('no time is given as undefined');
  if (!Number.isSafeInteger(event.position)) throw new RangeError(`${event.position} is no safe integer`);
  let at = tags.event.length;
  room.set(event.salt, at);
  at = room.writeBigUInt64BE(BigInt(event.position), at + SALT_BYTES);
  at = room.writeBigInt64BE(event.receivedAtUs, at);
  at = room.writeBigInt64BE(event.actionTimeUs ?? NO_TIME, at);
  at = putText(event.sourceKind, at);
  at = putText(event.sourceId, at);
  at = putText(event.organizationId ?? '', at);
  at = putText(event.id, at);
  at = putText(event.defects.join(), at);
  at = room.writeUInt32BE(event.rawBytes, at);
  room.set(event.rawSha256, at);
  return Buffer.from(room.subarray(0, at + HASH_BYTES));
};

/** UTF-8 after its length in two bytes; gives the place behind it. */
const putText = (text: string, at: number): number => {
  if (!text.isWellFormed()) throw new RangeError('half of a surrogate pair has no UTF-8');
  const length = Buffer.byteLength(text);
  if (at + 2 + length + 4 + HASH_BYTES > MAX_LEAF_BYTES)
    throw new RangeError(`a leaf of more than ${MAX_LEAF_BYTES} bytes`);
  room.writeUInt16BE(length, at);
  room.write(text, at + 2);
  return at + 2 + length;
};

/** Reads what `writeEventLeaf` writes. Throws an EvidenceFault for anything else, bytes left over included. */
export const readEventLeaf = (data: Uint8Array): EventLeaf => {
  const reader = new ByteReader(data, 'leaf');
  if (!reader.bytes(Math.min(tags.event.length, data.length)).equals(eventTag)) {
    throw new EvidenceFault('leaf is not that of an event');
  }
  const salt = reader.bytes(SALT_BYTES);
  const position = reader.uint64();
  const receivedAtUs = reader.int64();
  const actionTime = reader.int64();
  const [sourceKind, sourceId, organizationId, id, defects] = Array.from({ length: 5 }, () =>
    reader.textWithLength(),
  ) as [string, string, string, string, string];
  const leaf: EventLeaf = {
    salt,
    position,
    receivedAtUs,
    actionTimeUs: actionTime === NO_TIME ? undefined : actionTime,
    sourceKind,
    sourceId,
    organizationId: organizationId === '' ? undefined : organizationId,
    id,
    defects: defects === '' ? [] : defects.split(','),
    rawBytes: reader.uint32(),
    rawSha256: reader.bytes(HASH_BYTES),
  };
  reader.end();
  return leaf;
};

/** The data of the leaf of a position whose event was dropped before it was hashed. */
export const holeLeaf = (position: number): Buffer => Buffer.concat([Buffer.from(tags.hole), uint64(position)]);

const holeInput = Buffer.concat([Buffer.of(0x00), holeLeaf(0)]);

/** The hash of `holeLeaf`, faster: a jump of positions leaves out millions. */
export const holeHash = (position: number): Buffer => {
  holeInput.writeBigUInt64BE(BigInt(position), holeInput.length - 8);
  return sha256(holeInput);
};

/** The data of the leaf of a statement: its text byte for byte as it is stored, never serialized again. */
export const journalLeaf = (text: string | Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(tags.journal), typeof text === 'string' ? Buffer.from(text) : text]);

/** What a leaf says of the payload of its event: fields of `EventLeaf`. */
export const rawFacts = (raw: Uint8Array): Pick<EventLeaf, 'rawBytes' | 'rawSha256'> => ({
  rawBytes: raw.length,
  rawSha256: sha256(raw),
});
