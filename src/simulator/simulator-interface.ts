import type { RequestRecord } from './api/request-log.ts';
import type { FaultName } from './faults/fault-catalogue.ts';
import type { FaultPatch, FaultState } from './faults/fault-plan.ts';
import type { TrueEntry } from './world/world.ts';

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
  /** Entries of all organizations, the invisible ones included. */
  readonly entries: number;
  readonly faultsFired: Readonly<Partial<Record<FaultName, number>>>;
  readonly organizations: readonly OrganizationSummary[];
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
  /** Adds entries, each the exact JSON text of one element. Throws RangeError: no JSON, or no such organization. */
  append(organizationId: string, texts: readonly string[], options?: AppendOptions): void;
  /** Appends generated entries, with the faults of the data that are on. Throws RangeError: no such organization. */
  generate(organizationId: string, count: number, options?: GenerateOptions): void;
  /** True: the audit log of the organization answers 403. Throws RangeError: no such organization. */
  setRefused(organizationId: string, refused: boolean): void;
  /** Moves the simulator's clock. Milliseconds, absolute. */
  setClockOffset(offsetMs: number): void;
  /** Every entry visible by now (`all`: the invisible ones, too) of the organizations there are; a deleted one takes its log along. */
  truth(options?: { readonly all?: boolean }): Iterable<TrueEntry>;
  summary(): SimulatorSummary;
  /** Requests to the simulated API since the start. */
  readonly requestCount: number;
  /** The latest 10,000 of them, oldest first. */
  requests(): RequestRecord[];
  /** Calls the listener for every later request, before its last byte is sent; returns what ends that. */
  onRequest(listener: (record: RequestRecord) => void): () => void;
}
