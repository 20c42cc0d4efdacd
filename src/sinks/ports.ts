import type { SinkCheckpoints } from '../evidence/anchors/stored-anchors.sql.ts';
import type { Copies } from '../feed/feed.ts';
import type { FeedEvents, FeedEventsRange } from '../feed/feed-events.sql.ts';
import type { FeedEvent } from '../formats/format.ts';
import type { FormatName } from '../formats/registry.ts';
import type { LeaseContext } from '../postgres/leases.ts';
import type { Sink } from './delivery.ts';
import type { FoundEvent, Severity } from './findings/finding.ts';

export interface SinkConfig {
  /** Its position is kept under it. */
  readonly name: string;
  readonly sink: Sink;
  readonly format: FormatName;
  readonly batchEvents: number;
  /** Raw entries of one delivery. Default: 4 MB. */
  readonly maxBytes?: number | undefined;
  readonly organizationIds: readonly string[] | undefined;
  readonly accountIds?: readonly string[] | undefined;
  readonly copies?: Copies | undefined;
  /** Skips events whose action is older. */
  readonly maxAgeMs?: number | undefined;
  /** A larger event becomes a dead letter. */
  readonly maxEventBytes?: number | undefined;
  /** Time that a delivery waits to be filled, from when its first event was stored. Default: none. */
  readonly maxIntervalMs?: number | undefined;
  /** Default: entries. */
  readonly stream?: SinkStream | undefined;
  /** Only findings of what happened since the sink was first known. */
  readonly startsNow?: boolean | undefined;
  /** Only findings of this severity and above. */
  readonly minSeverity?: Severity | undefined;
  /** Gets a record of each anchored checkpoint of the evidence. */
  readonly hasCheckpoints?: boolean | undefined;
}

interface SinkRange extends FeedEventsRange {
  readonly sink: string;
  readonly stream: SinkStream;
  readonly startsNow: boolean;
  readonly minSeverity?: Severity | undefined;
}

/** Findings of one position come together. */
export interface SinkEvents extends FeedEvents {
  readonly events: readonly (FeedEvent | FoundEvent)[];
}

export interface SinkTurn {
  readonly name: string;
  readonly epoch: number;
  /** Everything up to here is dealt with. */
  readonly position: number;
  /** End of a delivery that was begun, perhaps by another process. */
  readonly batchUntil: number | undefined;
  readonly failures: number;
  readonly refusedInRow: number;
}

/** Everything up to `until` is dealt with. */
export interface DeliveryResult {
  readonly until: number;
  readonly accepted: number;
  readonly deadLetters: readonly { readonly position: number; readonly reason: string }[];
  readonly refusedInRow: number;
  readonly skipped: number;
}

/** Methods that take a turn return false, without side effects, if its lease is superseded. */
export interface DeliveryStore {
  /** A turn, or the wait before the next claim if known. */
  claim(name: string): Promise<SinkTurn | { readonly waitMs: number | undefined }>;
  renew(turn: SinkTurn): Promise<boolean>;
  read(range: SinkRange): Promise<SinkEvents>;
  /** Before the first attempt: after a crash, the next worker sends exactly these events under the same id. */
  begin(turn: SinkTurn, until: number): Promise<boolean>;
  finish(turn: SinkTurn, result: DeliveryResult): Promise<boolean>;
  /** Nothing up to there is for this sink; `skipped` of them because they are too old. */
  skip(turn: SinkTurn, until: number, skipped: number): Promise<boolean>;
  /** Ends the turn and lets the sink rest. */
  fail(turn: SinkTurn, failure: { readonly reason: string; readonly afterMs: number }): Promise<boolean>;
  /** Notes a failure without a turn, and lets the sink rest; nothing while another replica delivers. */
  note(name: string, failure: { readonly reason: string; readonly afterMs: number }): Promise<void>;
  release(turn: SinkTurn): Promise<void>;
  /** The database will refuse the statement again, or an archive cannot be read. */
  isRefusal(error: unknown): boolean;
}

export interface DeliveryObserver {
  delivered?(
    event: Pick<DeliveryResult, 'accepted' | 'deadLetters'> & Readonly<{ sink: string; position: number }>,
  ): void;
  skipped?(event: { readonly sink: string; readonly events: number; readonly position: number }): void;
  /** Refused as a whole: smaller ones are tried. */
  split?(event: { readonly sink: string; readonly events: number }): void;
  failed?(event: Readonly<{ sink: string; reason: string; afterMs: number; misconfigured: boolean }>): void;
  /** Another replica or a replay took the sink: the outcome is not recorded. */
  lost?(event: { readonly sink: string }): void;
  caughtUp?(event: { readonly sink: string }): void;
  /** The database failed or refused a statement (or there is a bug): retried. */
  interrupted?(event: { readonly sink: string; readonly reason: string }): void;
  checkpointDelivered?(event: { readonly sink: string; readonly size: number }): void;
  /** Retried, while events go on. */
  checkpointFailed?(event: { readonly sink: string; readonly reason: string }): void;
}

export interface DeliveryContext extends LeaseContext {
  readonly store: DeliveryStore;
  readonly observer: DeliveryObserver;
  /** In [0, 1). */
  readonly random: () => number;
  /** Resolves once there is an event after this position; rejects on abort or if the database fails. */
  waitForNews(after: number, signal: AbortSignal): Promise<void>;
  /** Removes the secrets that a receiver was sent from what it says. */
  redact(text: string): string;
  readonly checkpoints?: SinkCheckpoints | undefined;
}

export const sinkStreams = ['entries', 'detections', 'alarms', 'searches'] as const;
export type SinkStream = (typeof sinkStreams)[number];

/** Of these, nothing is ever given up, and the position in `sinks` goes along with the feed. */
export const isOwnStream = (stream: SinkStream | undefined): stream is 'alarms' | 'searches' =>
  stream === 'alarms' || stream === 'searches';
