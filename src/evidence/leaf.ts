import { ByteReader, EvidenceFault, floorDivide, HASH_BYTES, sha256 } from './bytes.ts';
import { MAX_LEAF_BYTES } from './tree/tiles.ts';

/* A contract for as long as there is a tree: another version of a leaf gets other tags. Integers are big-endian. */

/** All of it as stored: typed columns follow from `raw`, and names of organizations change. */
export interface EventLeaf {
  /** Without the key of the month (`saltOf`), the hash of the leaf cannot be tested against guesses. */
  readonly salt: Uint8Array;
  /** Of the feed, from 1. Ascends with the index, with any gaps. */
  readonly position: number;
  /** Microseconds since 1970. */
  readonly receivedAtUs: bigint;
  /** Undefined: no time, `-infinity` in PostgreSQL. */
  readonly actionTimeUs: bigint | undefined;
  readonly sourceKind: string;
  readonly sourceId: string;
  /** Undefined: of an account alone. */
  readonly organizationId: string | undefined;
  readonly id: string;
  readonly defects: readonly string[];
  /** Of `raw::text` in UTF-8. */
  readonly rawBytes: number;
  readonly rawSha256: Uint8Array;
}

export const SALT_BYTES = 16;
export const tags = { event: 'orgtrail/event/v2\n', statement: 'orgtrail/statement/v2\n' } as const;
const eventTag = Buffer.from(tags.event);
const statementTag = Buffer.from(tags.statement);
/** What stands for `-infinity`: the smallest 64-bit integer. */
const NO_TIME = -(2n ** 63n);

/** A buffer for each field would cost more than the hashes. */
const room = Buffer.alloc(MAX_LEAF_BYTES);
room.write(tags.event);

/** Throws a RangeError for what a leaf cannot hold, which no stored event is. */
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

/** Gives the place behind it. */
const putText = (text: string, at: number): number => {
  if (!text.isWellFormed()) throw new RangeError('half of a surrogate pair has no UTF-8');
  const length = Buffer.byteLength(text);
  if (at + 2 + length + 4 + HASH_BYTES > MAX_LEAF_BYTES)
    throw new RangeError(`a leaf of more than ${MAX_LEAF_BYTES} bytes`);
  room.writeUInt16BE(length, at);
  room.write(text, at + 2);
  return at + 2 + length;
};

/** Throws an EvidenceFault for anything else. */
export const readEventLeaf = (data: Uint8Array): EventLeaf => {
  const reader = new ByteReader(data, 'leaf');
  if (!reader.bytes(Math.min(tags.event.length, data.length)).equals(eventTag)) {
    throw new EvidenceFault('leaf is not that of an event');
  }
  const [salt, position, receivedAtUs] = [reader.bytes(SALT_BYTES), reader.uint64(), reader.int64()];
  const actionTime = reader.int64();
  const [sourceKind, sourceId] = [reader.textWithLength(), reader.textWithLength()];
  const [organizationId, id, defects] = [reader.textWithLength(), reader.textWithLength(), reader.textWithLength()];
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

/** The text as stored, never serialized again, without a line end. */
export const statementLeaf = (text: string | Uint8Array): Buffer =>
  Buffer.concat([statementTag, typeof text === 'string' ? Buffer.from(text) : text]);

/** Of each month, dropped with it. */
const MONTH_KEY_BYTES = 32;

const saltInput = Buffer.alloc(MONTH_KEY_BYTES + 8);

/** The salt of an event's leaf: the first 16 bytes of SHA-256(month key ‖ position). */
export const saltOf = (monthKey: Uint8Array, position: number): Buffer => {
  if (monthKey.length !== MONTH_KEY_BYTES) throw new RangeError(`a month key of ${monthKey.length} bytes`);
  saltInput.set(monthKey);
  saltInput.writeBigUInt64BE(BigInt(position), MONTH_KEY_BYTES);
  return sha256(saltInput).subarray(0, SALT_BYTES);
};

const MS_PER_DAY = 86_400_000n;

/** Names the key of an event's salt by its partition of audit_events: `2026-01` in UTC, or `none`. */
export const monthOf = (actionTimeUs: bigint | undefined): string => {
  if (actionTimeUs === undefined) return NO_MONTH;
  const dayMs = floorDivide(actionTimeUs, 1_000n * MS_PER_DAY) * MS_PER_DAY;
  const [year = '', month = ''] = new Date(Number(dayMs)).toISOString().split(/(?<=\d)-/);
  return `${year}-${month}`;
};

/** Of events without a time. */
const NO_MONTH = 'none';

/* The leaves of each number are chained as well, so a reader of one source alone sees that none of them is missing. */

/** The number of the log itself. Sources are numbered from 1. */
export const LOG_NUMBER = 0;

export interface NumberChain {
  /** Events and statements. */
  readonly leaves: number;
  readonly events: number;
  readonly chain: Buffer;
}

/** Before the first leaf of a number: 32 zero bytes. */
export const chainStart: NumberChain = { leaves: 0, events: 0, chain: Buffer.alloc(HASH_BYTES) };

const input = Buffer.alloc(2 * HASH_BYTES);

/** The chain goes on with SHA-256(chain ‖ leaf hash). In place, since there are millions of leaves. */
export const addLeaf = (to: Growing<NumberChain>, leafHash: Uint8Array, isEvent: boolean): void => {
  to.leaves += 1;
  if (isEvent) to.events += 1;
  input.set(to.chain);
  input.set(leafHash, HASH_BYTES);
  to.chain = sha256(input);
};

export type Growing<T> = { -readonly [Field in keyof T]: T[Field] };
