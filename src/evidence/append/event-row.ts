import { sha256 } from '../bytes.ts';
import type { EventLeaf } from '../leaf.ts';

/** A row of binary COPY: fields in the order of `eventFields`. */
export interface BinaryFields {
  readonly bytes: Buffer;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
}

/** Fields of a leaf, as SQL over audit_events. */
export const eventFields = [
  'position',
  'received_at',
  'action_time',
  'source_kind',
  'source_id',
  'organization_id',
  'id',
  `array_to_string(defects, ',')`,
  'raw::text',
] as const;

/** PostgreSQL counts microseconds from 2000 on. */
const EPOCH_US = 946_684_800_000_000n;
const MINUS_INFINITY = -(2n ** 63n);

/** Without the salt, which needs the key of the month. Copies what it takes. */
export const readEventRow = ({ bytes, starts, lengths }: BinaryFields): Omit<EventLeaf, 'salt'> => {
  const start = (field: number): number => starts[field] as number;
  const length = (field: number): number => lengths[field] as number;
  const text = (field: number): string =>
    length(field) < 0 ? '' : bytes.toString('utf8', start(field), start(field) + length(field));
  const actionTime = bytes.readBigInt64BE(start(2));
  const organizationId = text(5);
  const defects = text(7);
  const rawBytes = length(8);
  return {
    position: Number(bytes.readBigInt64BE(start(0))),
    receivedAtUs: bytes.readBigInt64BE(start(1)) + EPOCH_US,
    actionTimeUs: actionTime === MINUS_INFINITY ? undefined : actionTime + EPOCH_US,
    sourceKind: text(3),
    sourceId: text(4),
    organizationId: organizationId === '' ? undefined : organizationId,
    id: text(6),
    defects: defects === '' ? [] : [defects],
    rawBytes,
    rawSha256: sha256(bytes.subarray(start(8), start(8) + rawBytes)),
  };
};

/** The stored content, as a view: valid only as long as the row. */
export const rawOfRow = ({ bytes, starts, lengths }: BinaryFields): Buffer => {
  const start = starts[8] as number;
  return bytes.subarray(start, start + (lengths[8] as number));
};
