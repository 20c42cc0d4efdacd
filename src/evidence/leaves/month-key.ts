import { sha256 } from '../crypto/sha256.ts';
import { SALT_BYTES } from './leaf.ts';

/** Random bytes, one for each month: dropped with the month. */
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

/**
 * Which key an event is salted with: the month of its `action_time` in UTC, as `2026-01`, or `-infinity` for all that have no time.
 * The months are those of the partitions of audit_events.
 */
export const monthOf = (actionTimeUs: bigint | undefined): string => {
  if (actionTimeUs === undefined) return '-infinity';
  const dayMs = floorDivide(actionTimeUs, 1_000n * MS_PER_DAY) * MS_PER_DAY;
  const [year = '', month = ''] = new Date(Number(dayMs)).toISOString().split(/(?<=\d)-/);
  return `${year}-${month}`;
};

/** Before 1970, too, a day begins with its midnight. */
const floorDivide = (value: bigint, by: bigint): bigint => value / by - (value % by < 0n ? 1n : 0n);
