import { type AcceptedCredential, defaultBudget, type RateBudget } from './api/credentials.ts';
import type { FaultPatch } from './faults/fault-plan.ts';

const defaults = {
  /** 0: any free port. */
  port: 0,
  host: '127.0.0.1',
  /** Same seed, options and `startMs`: the same bytes. */
  seed: 1,
  organizations: 25,
  /** In all organizations together. */
  entries: 10_000,
  accounts: 0,
  /** In no organization. */
  standaloneAccounts: 0,
  zones: 2,
  historyMs: 90 * 86_400_000,
  /** `zipf`: the n-th organization has n times fewer entries than the first. */
  distribution: 'zipf' as 'zipf' | 'uniform',
  /** Every fourth organization is below another. */
  subOrganizations: true,
  /** False: organizations below others are listed only by `parent.id`. */
  listsSubOrganizations: true,
  /** Entries per second. */
  liveRate: 0,
  /** Hardly anything that detections find. */
  calm: false,
  faults: 'none' as 'all' | 'none' | FaultPatch,
  /** Undefined: any. */
  credentials: undefined as readonly AcceptedCredential[] | undefined,
  /** As in OpenAPI: an organization, its profile and its accounts refuse tokens (403). */
  keysOnly: false,
  /** False: `GET /accounts` hides accounts reached through an organization alone. */
  listsImplicitAccounts: true,
  /** Per user or account's token; null: no limit. */
  budget: defaultBudget as RateBudget | null,
  /** Offset of the simulator's clock from `clock`. Milliseconds. */
  clockOffsetMs: 0,
  /** Milliseconds since the epoch. */
  clock: () => Date.now(),
  /** An entry exactly at `since` is in the answer. */
  sinceInclusive: true,
  /** An entry exactly at `before` is in the answer. */
  beforeInclusive: false,
  /** Limit of a page, below that of `limit`. */
  pageCap: undefined as number | undefined,
};

export type SimulatorOptions = Partial<Readonly<typeof defaults>> & {
  /** In all accounts together, a tenth of them copies of user entries. Default: `entries`, if there are accounts. */
  readonly accountEntries?: number;
  /** End of the history. Milliseconds since the epoch, default now. */
  readonly startMs?: number;
};

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
  const { clock, clockOffsetMs, accounts, standaloneAccounts, organizations, entries } = { ...defaults, ...options };
  const accountCount = accounts * organizations + standaloneAccounts;
  const resolved = {
    ...defaults,
    startMs: Math.floor(clock() + clockOffsetMs),
    accountEntries: accountCount > 0 ? entries : 0,
    ...options,
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
