import { type AcceptedCredential, defaultBudget, type RateBudget } from './api/credentials.ts';
import type { FaultPatch } from './faults/fault-plan.ts';

/** Everything has a default. */
export interface SimulatorOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  readonly host?: string;
  /** Same seed, options and `startMs`: the same bytes. Default 1. */
  readonly seed?: number;
  readonly organizations?: number;
  /** In all organizations together. Default 10,000. */
  readonly entries?: number;
  /** In each organization. Default 0. */
  readonly accounts?: number;
  /** In no organization. Default 0. */
  readonly standaloneAccounts?: number;
  /** In each account. Default 2. */
  readonly zones?: number;
  /** In all accounts together, a tenth of them copies of user entries. Default: `entries`, if there are accounts. */
  readonly accountEntries?: number;
  /** Milliseconds, default 90 days. */
  readonly historyMs?: number;
  /** End of the history. Milliseconds since the epoch, default now. */
  readonly startMs?: number;
  /** `zipf` (default): the n-th organization has n times fewer entries than the first. */
  readonly distribution?: 'zipf' | 'uniform';
  /** Every fourth organization is below another. Default true. */
  readonly subOrganizations?: boolean;
  /** False: organizations below others are listed only by `parent.id`. Default true. */
  readonly listsSubOrganizations?: boolean;
  readonly liveRate?: number;
  /** `all`, `none` (default), or a patch of the fault settings. */
  readonly faults?: 'all' | 'none' | FaultPatch;
  readonly credentials?: readonly AcceptedCredential[];
  /** As in OpenAPI: an organization, its profile and its accounts refuse tokens (403). Default false. */
  readonly keysOnly?: boolean;
  /** False: `GET /accounts` hides accounts reached through an organization alone. Default true. */
  readonly listsImplicitAccounts?: boolean;
  /** Per user or account's token; null: no limit. Default 1200 in 300 s, then a block of 300 s. */
  readonly budget?: RateBudget | null;
  /** Offset of the simulator's clock from `clock`. Milliseconds, default 0. */
  readonly clockOffsetMs?: number;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly clock?: () => number;
  /** Default true: an entry exactly at `since` is in the answer. */
  readonly sinceInclusive?: boolean;
  /** Default false: an entry exactly at `before` is not. */
  readonly beforeInclusive?: boolean;
  /** Limit of a page, below that of `limit`. */
  readonly pageCap?: number;
  /** Entries without a match before a short page and a cursor. Default 200,000. */
  readonly scanLimit?: number;
  /** Of `result_info.count`. Default `string`. */
  readonly countType?: 'string' | 'number';
  /** In `result_info`. Default `cursor`. */
  readonly cursorField?: 'cursor' | 'cursors.after';
}

const dayMs = 86_400_000;
const wholeNumbers = [
  'port',
  'seed',
  'organizations',
  'entries',
  'accounts',
  'standaloneAccounts',
  'zones',
  'accountEntries',
] as const;

/** Throws RangeError with the name of a bad option. */
export function resolveOptions(options: SimulatorOptions) {
  const clock = options.clock ?? Date.now;
  const { accounts = 0, standaloneAccounts = 0, organizations = 25, entries = 10_000 } = options;
  const accountCount = accounts * organizations + standaloneAccounts;
  const resolved = {
    port: 0,
    host: '127.0.0.1',
    seed: 1,
    organizations: 25,
    entries: 10_000,
    accounts: 0,
    standaloneAccounts: 0,
    zones: 2,
    historyMs: 90 * dayMs,
    startMs: Math.floor(clock() + (options.clockOffsetMs ?? 0)),
    distribution: 'zipf' as const,
    subOrganizations: true,
    listsSubOrganizations: true,
    liveRate: 0,
    faults: 'none' as const,
    credentials: undefined,
    keysOnly: false,
    listsImplicitAccounts: true,
    budget: defaultBudget,
    clockOffsetMs: 0,
    sinceInclusive: true,
    beforeInclusive: false,
    pageCap: undefined,
    scanLimit: 200_000,
    countType: 'string' as const,
    cursorField: 'cursor' as const,
    accountEntries: accountCount > 0 ? entries : 0,
    ...options,
    clock,
  };
  for (const name of wholeNumbers) {
    if (!Number.isInteger(resolved[name]) || resolved[name] < 0) throw new RangeError(`${name} must be an integer`);
  }
  for (const name of ['historyMs', 'liveRate'] as const) {
    if (!(resolved[name] >= 0)) throw new RangeError(`${name} must be 0 or more`);
  }
  if (resolved.entries > 0 && resolved.organizations === 0) throw new RangeError('entries need an organization');
  if (resolved.accountEntries > 0 && accountCount === 0) throw new RangeError('accountEntries need an account');
  return resolved;
}
