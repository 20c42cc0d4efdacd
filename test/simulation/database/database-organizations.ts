import type { FoundOrganization, OrganizationChange } from '../../../src/ingest/planning/source.ts';
import type { LogNews } from '../../../src/ingest/sync/ports.ts';

const MISSES_UNTIL_ASKED = 2;
const DAY_MS = 86_400_000;
const GONE_AFTER_MS = 900_000;

interface OrganizationRow {
  readonly id: string;
  parentId: string | undefined;
  listedUnder: string | undefined;
  state: 'active' | 'refused' | 'gone';
  refusedSinceMs: number;
  missedListings: number;
  logAskedAtMs: number | undefined;
  logOpenAtMisses: number | undefined;
  profileReadAtMs: number | undefined;
  childrenListedAtMs: number | undefined;
}

export type DiscoveryResult = { readonly serverTimeMs: number } | { readonly error: string };

interface Listing {
  readonly complete: boolean;
  readonly within: readonly string[] | undefined;
  readonly under?: string | undefined;
}

/** The tables `organizations` and `discovery`: what src/ingest/sync/discovery/organizations.sql.ts and discovery-lease.ts do to them. */
export class SimulatedOrganizations {
  readonly rows = new Map<string, OrganizationRow>();
  readonly discovery: {
    leaseOwner: string | undefined;
    leaseUntilMs: number | undefined;
    lastAttemptAtMs: number | undefined;
    lastError: string | undefined;
    lastSuccessAtMs: number | undefined;
    serverTimeMs: number | undefined;
  } = {
    leaseOwner: undefined,
    leaseUntilMs: undefined,
    lastAttemptAtMs: undefined,
    lastError: undefined,
    lastSuccessAtMs: undefined,
    serverTimeMs: undefined,
  };
  readonly #nowMs: () => number;
  readonly #goneAfterMs: number;

  constructor(nowMs: () => number, goneAfterMs = GONE_AFTER_MS) {
    this.#nowMs = nowMs;
    this.#goneAfterMs = goneAfterMs;
  }

  stateOf(id: string): OrganizationRow['state'] | undefined {
    return this.rows.get(id)?.state;
  }

  recordListing(found: readonly FoundOrganization[], { complete, within, under }: Listing): OrganizationChange[] {
    const changes: OrganizationChange[] = [];
    const ids = new Set(found.map(({ id }) => id));
    for (const organization of found) {
      const { id, name, parentId } = organization;
      const row = this.rows.get(id);
      if (row === undefined) {
        this.rows.set(id, { ...newRow(id), parentId, listedUnder: under });
        changes.push({ organizationId: id, change: 'appeared' });
        continue;
      }
      if (row.state === 'gone') changes.push({ organizationId: id, change: 'restored' });
      if (name !== undefined && row.parentId !== parentId) changes.push({ organizationId: id, change: 'moved' });
      if (name !== undefined) row.parentId = parentId;
      if (row.state === 'gone') row.state = 'active';
      if (under === undefined) row.listedUnder = undefined;
      row.missedListings = 0;
      row.logAskedAtMs = undefined;
      row.logOpenAtMisses = undefined;
    }
    if (complete) this.#miss(ids, within, under);
    return changes;
  }

  #miss(found: ReadonlySet<string>, within: readonly string[] | undefined, under: string | undefined): void {
    for (const row of this.rows.values()) {
      const { id, state, listedUnder } = row;
      if (found.has(id) || state === 'gone' || within?.includes(id) === false) continue;
      const isBelowGone = under === undefined && this.stateOf(listedUnder ?? '') === 'gone';
      if (listedUnder !== under && !isBelowGone) continue;
      row.missedListings += 1;
    }
  }

  takeMissed(limit: number): readonly string[] {
    const nowMs = this.#nowMs();
    const askedAt = (row: OrganizationRow) => row.logAskedAtMs ?? Number.NEGATIVE_INFINITY;
    const due = [...this.rows.values()]
      .filter(({ state, missedListings, logOpenAtMisses, logAskedAtMs }) => {
        if (state === 'gone' || missedListings < MISSES_UNTIL_ASKED) return false;
        if (logOpenAtMisses === undefined || logOpenAtMisses > missedListings) return true;
        return missedListings >= 2 * logOpenAtMisses || (logAskedAtMs !== undefined && logAskedAtMs < nowMs - DAY_MS);
      })
      .sort((a, b) => askedAt(a) - askedAt(b) || (a.id < b.id ? -1 : 1))
      .slice(0, limit);
    for (const row of due) row.logAskedAtMs = nowMs;
    return due.map(({ id }) => id);
  }

  recordLogAnswer(id: string, answer: 'open' | 'refused'): LogNews | undefined {
    const row = this.rows.get(id);
    if (row === undefined || row.state === 'gone' || row.missedListings < MISSES_UNTIL_ASKED) return undefined;
    if (answer === 'open') {
      row.logOpenAtMisses = row.missedListings;
      row.state = 'active';
      return 'open';
    }
    if (row.state === 'active') return this.recordAccess(id, 'refused') ? 'refused' : undefined;
    if (row.refusedSinceMs >= this.#nowMs() - this.#goneAfterMs) return undefined;
    row.state = 'gone';
    return 'gone';
  }

  recordAccess(id: string, access: 'refused' | 'restored'): boolean {
    const row = this.rows.get(id);
    if (row?.state !== (access === 'refused' ? 'active' : 'refused')) return false;
    row.state = access === 'refused' ? 'refused' : 'active';
    if (access === 'refused') row.refusedSinceMs = this.#nowMs();
    return true;
  }

  withoutChildrenListed(limit: number): readonly string[] {
    for (const { parentId, listedUnder } of this.rows.values()) {
      if (parentId !== undefined && listedUnder === undefined) return [];
    }
    return this.#due('childrenListedAtMs', limit);
  }

  recordChildrenListed(id: string): void {
    const row = this.rows.get(id);
    if (row !== undefined) row.childrenListedAtMs = this.#nowMs();
  }

  withoutProfile(limit: number): readonly string[] {
    return this.#due('profileReadAtMs', limit);
  }

  recordProfile(id: string): void {
    const row = this.rows.get(id);
    if (row !== undefined) row.profileReadAtMs = this.#nowMs();
  }

  #due(at: 'profileReadAtMs' | 'childrenListedAtMs', limit: number): readonly string[] {
    const beforeMs = this.#nowMs() - DAY_MS;
    const key = (row: OrganizationRow) => row[at] ?? Number.NEGATIVE_INFINITY;
    return [...this.rows.values()]
      .filter((row) => row.state !== 'gone' && key(row) < beforeMs)
      .sort((a, b) => key(a) - key(b) || (a.id < b.id ? -1 : 1))
      .slice(0, limit)
      .map(({ id }) => id);
  }

  claimDiscovery(owner: string, leaseMs: number, restMs: number): boolean {
    const { discovery } = this;
    const nowMs = this.#nowMs();
    const free = discovery.leaseUntilMs === undefined || discovery.leaseUntilMs <= nowMs;
    const rested = discovery.lastAttemptAtMs === undefined || discovery.lastAttemptAtMs <= nowMs - restMs;
    const goesOn = discovery.leaseUntilMs !== undefined || discovery.lastError !== undefined;
    if (!(discovery.leaseOwner === owner && goesOn) && !(free && rested)) return false;
    discovery.leaseOwner = owner;
    discovery.leaseUntilMs = nowMs + leaseMs;
    return true;
  }

  releaseDeadDiscovery(isDead: (owner: string) => boolean): boolean {
    const { discovery } = this;
    const held = discovery.leaseUntilMs !== undefined && discovery.leaseUntilMs > this.#nowMs();
    if (!held || discovery.leaseOwner === undefined || !isDead(discovery.leaseOwner)) return false;
    discovery.leaseUntilMs = undefined;
    return true;
  }

  renewDiscovery(owner: string, leaseMs: number): boolean {
    if (this.discovery.leaseOwner !== owner) return false;
    this.discovery.leaseUntilMs = this.#nowMs() + leaseMs;
    return true;
  }

  /** True where it ends an outage. */
  recordDiscovery(owner: string, result: DiscoveryResult): boolean {
    const { discovery } = this;
    const failedBefore = discovery.lastError !== undefined;
    if (discovery.leaseOwner === owner) discovery.leaseUntilMs = undefined;
    discovery.lastAttemptAtMs = this.#nowMs();
    discovery.lastError = 'error' in result ? result.error : undefined;
    if ('error' in result) return false;
    discovery.serverTimeMs = result.serverTimeMs;
    discovery.lastSuccessAtMs = this.#nowMs();
    return failedBefore;
  }
}

const newRow = (id: string): OrganizationRow => ({
  id,
  parentId: undefined,
  listedUnder: undefined,
  state: 'active',
  refusedSinceMs: 0,
  missedListings: 0,
  logAskedAtMs: undefined,
  logOpenAtMisses: undefined,
  profileReadAtMs: undefined,
  childrenListedAtMs: undefined,
});
