import type { FeedRange } from '../feed.ts';

/** An event that retention has dropped from the database, as its archive has it. Texts are UTF-8. */
export interface ArchivedEvent {
  readonly position: number;
  readonly sourceKind: Uint8Array;
  readonly sourceId: Uint8Array;
  readonly organizationId: Uint8Array | null;
  readonly id: Uint8Array;
  /** In microseconds since 1970, as `receivedAt`. */
  readonly actionTime: bigint;
  readonly receivedAt: bigint;
  readonly defects: readonly string[] | null;
  readonly accountId: Uint8Array | null;
  readonly accountName: Uint8Array | null;
  readonly zoneId: Uint8Array | null;
  readonly zoneName: Uint8Array | null;
  readonly raw: Uint8Array;
}

/** A beginning of a range: all of it that is archived, up to and including `until`. */
interface ArchivedStretch {
  readonly until: number;
  /** In order of position. */
  readonly events: readonly ArchivedEvent[];
  /** What `countObjects` said of the range up to `until` before it was read. */
  readonly objects: number;
}

/** Of one reading of rows. */
export interface RowLimits {
  readonly maxEvents: number;
  /** Of raw texts: the archive reads no more of them, but one at least; the database says of a larger one how large it is. */
  readonly maxBytes: number;
}

/**
 * The events that retention has dropped and an archive has. A drop is in the archive as a whole or not at all. What cannot be believed or read
 * rejects with OrgtrailError `archive_unreadable`.
 */
export interface ArchivedEvents {
  read(range: FeedRange, limits: RowLimits, signal?: AbortSignal): Promise<ArchivedStretch>;
  /** As `read`, with positions alone: it reads less. */
  positions(
    range: FeedRange,
    maxEvents: number,
    signal?: AbortSignal,
  ): Promise<{ readonly until: number; readonly positions: readonly number[] }>;
  /** How many objects may have events after a position, up to another one: it changes when a month is dropped. */
  countObjects(after: number, until: number): Promise<number>;
  close(): Promise<void>;
}
