import type { RequestRecord } from './api/api-front.ts';
import type { SourceKind, SourceRef } from './entries/entry-text.ts';
import type { FaultName } from './faults/fault-catalogue.ts';
import type { FaultPatch, FaultState } from './faults/fault-plan.ts';
import type { TrueEntry } from './world/audit-log.ts';

export interface AppendOptions {
  /** Until entries are visible. Default 0. */
  readonly visibleAfterMs?: number | undefined;
  /** For an unreadable action.time. Milliseconds since the epoch, default now. */
  readonly actionTimeMs?: number | undefined;
}

export interface GenerateOptions {
  /** Of the first entry; entries are then visible now. Milliseconds since the epoch, default now. */
  readonly actionTimeMs?: number | undefined;
  /** Between entries. Default 0. */
  readonly spacingMs?: number | undefined;
  /** Until entries are visible. */
  readonly visibleAfterMs?: number | undefined;
  /** Pads each text to this length (UTF-8). */
  readonly bytes?: number | undefined;
}

export interface SimulatorSummary {
  /** Of the simulator's clock. Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly requests: number;
  /** With invisible ones. */
  readonly entries: number;
  readonly faultsFired: Readonly<Partial<Record<FaultName, number>>>;
  readonly organizations: readonly OrganizationSummary[];
  readonly accounts: readonly AccountSummary[];
}

/** `entries`: with invisible ones. `invisible`: late entries not visible yet. */
type LogSummary = Readonly<{ id: string; name: string; entries: number; invisible: number; refused: boolean }>;
type Members = Readonly<{ accountIds: readonly string[]; userIds: readonly string[] }>;
export type OrganizationSummary = LogSummary & Members & { readonly parentId: string | null };

export type AccountChange = Readonly<{ name?: string | undefined; organizationId?: string | null | undefined }>;

/** `organizationId` null: stands alone. `isImplicit`: reached by its users through its organization alone. */
export type AccountSummary = LogSummary &
  Readonly<{ organizationId: string | null; isImplicit: boolean; zoneIds: readonly string[] }>;

export interface TruthOptions {
  /** With invisible entries. */
  readonly all?: boolean;
  readonly kind?: SourceKind;
}

/** The control API gives other processes the same. */
export interface Simulator {
  /** For CLOUDFLARE_BASE_URL; no slash at the end. */
  readonly baseUrl: string;
  /** No slash at the end. */
  readonly controlUrl: string;
  /** Destroys open connections. Can be called again. */
  close(): Promise<void>;
  readonly faults: {
    /** Returns the new settings. Throws RangeError on a bad patch. */
    set(patch: FaultPatch): FaultState;
    current(): FaultState;
    fired(): Partial<Record<FaultName, number>>;
  };
  /** Exact JSON texts of elements. A plain id is an organization's. Throws RangeError for no JSON or an unknown source. */
  append(source: SourceRef | string, texts: readonly string[], options?: AppendOptions): void;
  /** With the faults of the data that are on. Throws RangeError for an unknown source. */
  generate(source: SourceRef | string, count: number, options?: GenerateOptions): void;
  /** Each under one id in all these accounts. Throws RangeError for an unknown account. */
  generateUserEntries(accountIds: readonly string[], count: number, options?: GenerateOptions): void;
  /** The audit log answers 403; an account's API access is off. Throws RangeError for an unknown source. */
  setRefused(source: SourceRef | string, refused: boolean): void;
  /** `organizationId` null: none. Throws RangeError for an unknown account or organization. */
  changeAccount(accountId: string, change: AccountChange): void;
  /** With its log. Throws RangeError for an unknown account. */
  removeAccount(accountId: string): void;
  /** Milliseconds, absolute. */
  setClockOffset(offsetMs: number): void;
  /** Visible entries; a deleted source takes its log along. */
  truth(options?: TruthOptions): Iterable<TrueEntry>;
  summary(): SimulatorSummary;
  /** Since the start. */
  readonly requestCount: number;
  /** The latest 10,000, oldest first. */
  requests(): RequestRecord[];
  /** Called before the last byte is sent; returns what ends that. */
  onRequest(listener: (record: RequestRecord) => void): () => void;
}
