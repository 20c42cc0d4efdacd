import type { RequestRecord } from './api/api-front.ts';
import type { SourceKind, SourceRef } from './entries/entry-text.ts';
import type { FaultName } from './faults/fault-catalogue.ts';
import type { FaultPatch, FaultState } from './faults/fault-plan.ts';
import type { TrueEntry } from './world/audit-log.ts';

export interface AppendOptions {
  /** The entries become visible this much later. Milliseconds, default 0. */
  readonly visibleAfterMs?: number;
  /** Stands in for an action.time that cannot be read. Milliseconds since the epoch, default now. */
  readonly actionTimeMs?: number;
}

export interface GenerateOptions {
  /** Time of the first entry. With it, entries are visible now, however late that is. Milliseconds since the epoch, default now. */
  readonly actionTimeMs?: number;
  /** From one entry to the next. Milliseconds, default 0: all at the same time. */
  readonly spacingMs?: number;
  /** The entries become visible this much later. Milliseconds. */
  readonly visibleAfterMs?: number;
  /** The text of each entry is filled up to this length (UTF-8). */
  readonly bytes?: number;
}

export interface SimulatorSummary {
  /** Milliseconds since the epoch, by the simulator's clock. */
  readonly nowMs: number;
  readonly requests: number;
  /** Entries of all organizations and accounts, the invisible ones included. */
  readonly entries: number;
  readonly faultsFired: Readonly<Partial<Record<FaultName, number>>>;
  readonly organizations: readonly OrganizationSummary[];
  readonly accounts: readonly AccountSummary[];
}

export interface OrganizationSummary {
  readonly id: string;
  readonly name: string;
  readonly parentId: string | null;
  /** The invisible ones included. */
  readonly entries: number;
  /** Late entries that cannot be seen yet. */
  readonly invisible: number;
  readonly refused: boolean;
  readonly accountIds: readonly string[];
  readonly userIds: readonly string[];
}

export interface AccountChange {
  readonly name?: string;
  readonly organizationId?: string | null;
}

export interface AccountSummary {
  readonly id: string;
  readonly name: string;
  /** Null: it stands alone. */
  readonly organizationId: string | null;
  /** The invisible ones included. */
  readonly entries: number;
  /** Late entries that cannot be seen yet. */
  readonly invisible: number;
  readonly refused: boolean;
  /** True: its users reach it through its organization alone. */
  readonly isImplicit: boolean;
  readonly zoneIds: readonly string[];
}

export interface TruthOptions {
  /** True: the invisible entries, too. */
  readonly all?: boolean;
  /** Only the logs of organizations, or of accounts. */
  readonly kind?: SourceKind;
}

/** A running simulator, seen from inside its process. The control API gives others the same. */
export interface Simulator {
  /** What to set CLOUDFLARE_BASE_URL to; no slash at the end. */
  readonly baseUrl: string;
  /** Base of the control API; no slash at the end. */
  readonly controlUrl: string;
  /** Ends everything: open connections are destroyed. Can be called again. */
  close(): Promise<void>;
  readonly faults: {
    /** Changes what the patch names; returns the settings as they then are. Throws RangeError on a bad patch. */
    set(patch: FaultPatch): FaultState;
    current(): FaultState;
    /** How often each fault has happened. */
    fired(): Partial<Record<FaultName, number>>;
  };
  /** Adds entries, each the exact JSON text of one element. Throws RangeError: no JSON, or no such source. A plain id is an organization's. */
  append(source: SourceRef | string, texts: readonly string[], options?: AppendOptions): void;
  /** Appends generated entries, with the faults of the data that are on. Throws RangeError: no such source. */
  generate(source: SourceRef | string, count: number, options?: GenerateOptions): void;
  /** Appends so many user entries, each under one id to all of these accounts. Throws RangeError: no such account. */
  generateUserEntries(accountIds: readonly string[], count: number, options?: GenerateOptions): void;
  /** True: the audit log answers 403; an account's API access is then switched off. Throws RangeError: no such source. */
  setRefused(source: SourceRef | string, refused: boolean): void;
  /** Gives an account another name, or another organization (null: none). Throws RangeError: no such account or organization. */
  changeAccount(accountId: string, change: AccountChange): void;
  /** Removes an account and its log. Throws RangeError: no such account. */
  removeAccount(accountId: string): void;
  /** Moves the simulator's clock. Milliseconds, absolute. */
  setClockOffset(offsetMs: number): void;
  /** Every entry visible by now of the organizations and accounts there are; a deleted one takes its log along. */
  truth(options?: TruthOptions): Iterable<TrueEntry>;
  summary(): SimulatorSummary;
  /** Requests to the simulated API since the start. */
  readonly requestCount: number;
  /** The latest 10,000 of them, oldest first. */
  requests(): RequestRecord[];
  /** Calls the listener for every later request, before its last byte is sent; returns what ends that. */
  onRequest(listener: (record: RequestRecord) => void): () => void;
}
