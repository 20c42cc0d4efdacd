import type { BinaryRow } from '../../postgres/copy/binary-row.ts';
import { field } from '../feed-row.ts';
import type { ArchivedEvent } from './ports.ts';

/** PostgreSQL counts microseconds from 2000-01-01. */
const EPOCH_MICROSECONDS = BigInt(Date.UTC(2000, 0, 1)) * 1_000n;
const FIELDS = Object.keys(field).length;
const LENGTH_BYTES = 4;
const INT64_BYTES = 8;

/** Makes rows of archived events as COPY would have sent them, one at a time: each is valid until the next is made. */
export class ArchivedRow {
  readonly #starts = new Int32Array(FIELDS);
  readonly #lengths = new Int32Array(FIELDS);
  #bytes = Buffer.alloc(65_536);
  #at = 0;

  of(event: ArchivedEvent): BinaryRow {
    const { defects } = event;
    this.#at = 0;
    this.#number(field.position, BigInt(event.position));
    this.#text(field.sourceKind, event.sourceKind);
    this.#text(field.sourceId, event.sourceId);
    this.#text(field.organizationId, event.organizationId);
    this.#text(field.id, event.id);
    this.#number(field.actionTime, event.actionTime - EPOCH_MICROSECONDS);
    this.#number(field.receivedAt, event.receivedAt - EPOCH_MICROSECONDS);
    this.#text(field.defects, defects === null ? null : Buffer.from(JSON.stringify(defects)));
    this.#text(field.accountId, event.accountId);
    this.#text(field.accountName, event.accountName);
    this.#text(field.zoneId, event.zoneId);
    this.#text(field.zoneName, event.zoneName);
    this.#text(field.raw, event.raw);
    // The row ends with its entry: readers search up to the end.
    return { bytes: this.#bytes.subarray(0, this.#at), starts: this.#starts, lengths: this.#lengths };
  }

  #number(index: number, value: bigint): void {
    const start = this.#begin(index, INT64_BYTES, INT64_BYTES);
    this.#bytes.writeBigInt64BE(value, start);
  }

  #text(index: number, value: Uint8Array | null): void {
    const start = this.#begin(index, value?.length ?? -1, value?.length ?? 0);
    // Only now: a large value has other bytes.
    if (value !== null) this.#bytes.set(value, start);
  }

  /** Writes the length, and returns where the value goes. */
  #begin(index: number, length: number, sizeBytes: number): number {
    const start = this.#at + LENGTH_BYTES;
    this.#at = start + sizeBytes;
    if (this.#at > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.#at);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.writeInt32BE(length, start - LENGTH_BYTES);
    this.#starts[index] = start;
    this.#lengths[index] = length;
    return start;
  }
}
