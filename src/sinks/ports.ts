import type { SinkCheckpoints } from '../evidence/anchors/stored-anchors.sql.ts';
import type { Copies } from '../feed/feed.ts';
import type { FeedEvents, FeedEventsRange } from '../feed/feed-events.sql.ts';
import type { FeedEvent } from '../formats/format.ts';
import type { FormatName } from '../formats/registry.ts';
import type { LeaseContext } from '../postgres/leases.ts';
import type { Sink } from './delivery.ts';
import type { FoundEvent, Severity } from './findings/finding.ts';

/** A sink as it is configured. */
export interface SinkConfig {
  /** Under which its position is kept. */
  readonly name: string;
  readonly sink: Sink;
  readonly format: FormatName;
  /** Most events of one delivery. */
  readonly batchEvents: number;
  /** Most bytes of raw entries of one delivery. Default: 4 MB. */
  readonly maxBytes?: number | undefined;
  readonly organizationIds: readonly string[] | undefined;
  readonly accountIds?: readonly string[] | undefined;
  readonly copies?: Copies | undefined;
  /** Events whose action is older are skipped; none without it. */
  readonly maxAgeMs?: number | undefined;
  /** An event that takes more is not sent: it becomes a dead letter. */
  readonly maxEventBytes?: number | undefined;
  /** So long a delivery that is not full may wait for more, from when its first event was stored; at once without it. */
  readonly maxIntervalMs?: number | undefined;
  /** What it is sent; default: the entries of the logs. */
  readonly stream?: SinkStream | undefined;
  /** Of what detections find, only what happened since the sink was first known. */
  readonly startsNow?: boolean | undefined;
  /** Of what detections find, only what is of this severity and above. */
  readonly minSeverity?: Severity | undefined;
  /** It gets a record of each checkpoint of the evidence that is anchored. */
  readonly hasCheckpoints?: boolean | undefined;
}

/** What is read for one sink. */
interface SinkRange extends FeedEventsRange {
  readonly sink: string;
  readonly stream: SinkStream;
  readonly startsNow: boolean;
  readonly minSeverity?: Severity | undefined;
}

/** What was read: entries, or findings in their place. A position of findings may have more than one, which then come together. */
export interface SinkEvents extends FeedEvents {
  readonly events: readonly (FeedEvent | FoundEvent)[];
}

/** The right of this process to deliver to a sink, and where it is. */
export interface SinkTurn {
  readonly name: string;
  readonly epoch: number;
  /** All up to here is dealt with. */
  readonly position: number;
  /** A delivery up to here has been begun, maybe by another process. */
  readonly batchUntil: number | undefined;
  readonly failures: number;
  readonly refusedInRow: number;
}

/** The result of a whole delivery: all events up to a position are dealt with. */
export interface DeliveryResult {
  readonly until: number;
  readonly accepted: number;
  readonly deadLetters: readonly { readonly position: number; readonly reason: string }[];
  readonly refusedInRow: number;
  /** Events up to there that were too old. */
  readonly skipped: number;
}

/** Where positions are kept. Methods that take a lease return false, without side effects, if the lease has been superseded. */
export interface DeliveryStore {
  /** A turn; or how long to wait before the next claim, as far as that is known. */
  claim(name: string): Promise<SinkTurn | { readonly waitMs: number | undefined }>;
  renew(turn: SinkTurn): Promise<boolean>;
  read(range: SinkRange): Promise<SinkEvents>;
  /** Before the first attempt: after a crash, the next worker sends exactly these events again, under the same id. */
  begin(turn: SinkTurn, until: number): Promise<boolean>;
  finish(turn: SinkTurn, result: DeliveryResult): Promise<boolean>;
  /** Nothing up to there is for this sink; `skipped` events only because they are too old. */
  skip(turn: SinkTurn, until: number, skipped: number): Promise<boolean>;
  /** Ends the turn and lets the sink rest. */
  fail(turn: SinkTurn, failure: { readonly reason: string; readonly afterMs: number }): Promise<boolean>;
  /** Notes a failure without a turn, and lets the sink rest; nothing while another replica delivers. */
  note(name: string, failure: { readonly reason: string; readonly afterMs: number }): Promise<void>;
  release(turn: SinkTurn): Promise<void>;
  /** True for the error of a statement that the database will refuse the next time, too, and of an archive that cannot be read. */
  isRefusal(error: unknown): boolean;
}

/** Hears what happens, for log and metrics. */
export interface DeliveryObserver {
  delivered?(event: {
    readonly sink: string;
    readonly accepted: number;
    readonly deadLetters: DeliveryResult['deadLetters'];
    readonly position: number;
  }): void;
  /** Older than the sink may have them: they are not sent. */
  skipped?(event: { readonly sink: string; readonly events: number; readonly position: number }): void;
  /** Refused as a whole: smaller ones are tried. */
  split?(event: { readonly sink: string; readonly events: number }): void;
  failed?(event: {
    readonly sink: string;
    readonly reason: string;
    readonly afterMs: number;
    readonly misconfigured: boolean;
  }): void;
  /** Another replica or a replay has taken the sink: the outcome of the delivery is not recorded. */
  lost?(event: { readonly sink: string }): void;
  /** All events of the feed are dealt with. */
  caughtUp?(event: { readonly sink: string }): void;
  /** The database failed or refused a statement (or there is a bug): retried. */
  interrupted?(event: { readonly sink: string; readonly reason: string }): void;
  /** The record of a checkpoint was taken. */
  checkpointDelivered?(event: { readonly sink: string; readonly size: number }): void;
  /** It was not taken, or could not be read: retried, while events go on. */
  checkpointFailed?(event: { readonly sink: string; readonly reason: string }): void;
}

export interface DeliveryContext extends LeaseContext {
  readonly store: DeliveryStore;
  readonly observer: DeliveryObserver;
  /** In [0, 1). */
  readonly random: () => number;
  /** Resolves once there is an event after this position; rejects if the signal aborts or the database fails. */
  waitForNews(after: number, signal: AbortSignal): Promise<void>;
  /** Takes out of what a receiver says the secrets that it was sent. */
  redact(text: string): string;
  /** For sinks that get records of checkpoints. */
  readonly checkpoints?: SinkCheckpoints | undefined;
}

/** What a sink may be sent: entries of the logs, what the detections find in them, or what is wrong with orgtrail itself. */
export const sinkStreams = ['entries', 'detections', 'alarms'] as const;
export type SinkStream = (typeof sinkStreams)[number];
