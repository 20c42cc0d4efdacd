import { addRange, type Coverage } from '../../src/domain/coverage.ts';
import type { EventRate } from '../../src/domain/event-rate.ts';
import type {
  CommitResult,
  Lease,
  PageCommit,
  SourceFailure,
  SourceKey,
  SourceState,
} from '../../src/domain/source.ts';
import type { Lane, Walk } from '../../src/domain/walk.ts';
import { type DiscoveryResult, SimulatedOrganizations } from './database-organizations.ts';

interface SourceRow {
  readonly id: string;
  leaseOwner: string | undefined;
  leaseUntilMs: number | undefined;
  leaseEpoch: number;
  commitSeq: number;
  failures: number;
  lastFailure: string | undefined;
  nextAttemptAtMs: number | undefined;
  lastSuccessAtMs: number | undefined;
  readonly walks: Map<Lane, Walk>;
  coverage: Coverage[];
  eventRate: EventRate | undefined;
  readonly positions: Map<string, number>;
}

/** What the end of an outage ends, too. */
const OUTAGE_FAILURES = ['connection', 'timeout', 'server', 'unreadable', 'throttled', 'unauthorized'];

export interface StoredEvent {
  readonly position: number;
  readonly sourceId: string;
  readonly id: string;
}

/**
 * What the statements of src/store do, each in one atomic moment, on the clock of the database. A differential test
 * (test/integration/store/simulated-database.test.ts) holds it to the real ones.
 */
export class SimulatedDatabase {
  readonly nowMs: () => number;
  readonly organizations: SimulatedOrganizations;
  readonly sources = new Map<string, SourceRow>();
  readonly events: StoredEvent[] = [];

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
    this.organizations = new SimulatedOrganizations(nowMs);
  }

  syncSources(): void {
    for (const id of this.organizations.rows.keys()) {
      if (!this.sources.has(id)) this.sources.set(id, newRow(id));
    }
  }

  loadSources(owner: string, organizationIds: readonly string[] | undefined): readonly SourceState[] {
    const key = (row: SourceRow) => row.lastSuccessAtMs ?? Number.NEGATIVE_INFINITY;
    return [...this.sources.values()]
      .filter(({ id }) => this.organizations.stateOf(id) !== 'gone' && (organizationIds?.includes(id) ?? true))
      .sort((a, b) => key(a) - key(b) || (a.id < b.id ? -1 : 1))
      .map((row) => this.#stateOf(row, isHeld(row, this.nowMs()) && row.leaseOwner !== owner));
  }

  claimSource(source: SourceKey, owner: string, leaseMs: number): Pick<Lease, 'epoch' | 'commitSeq'> | undefined {
    const row = this.sources.get(source.id);
    if (row === undefined || (isHeld(row, this.nowMs()) && row.leaseOwner !== owner)) return undefined;
    row.leaseOwner = owner;
    row.leaseEpoch += 1;
    row.leaseUntilMs = this.nowMs() + leaseMs;
    return { epoch: row.leaseEpoch, commitSeq: row.commitSeq };
  }

  readSource(source: SourceKey): SourceState | undefined {
    const row = this.sources.get(source.id);
    return row === undefined ? undefined : this.#stateOf(row, false);
  }

  renewSource(lease: Lease, leaseMs: number): boolean {
    const row = this.#leased(lease);
    if (row === undefined || row.leaseOwner !== lease.owner) return false;
    row.leaseUntilMs = this.nowMs() + leaseMs;
    return true;
  }

  releaseSource(lease: Lease): void {
    const row = this.#leased(lease);
    if (row !== undefined) row.leaseUntilMs = undefined;
  }

  releaseDead(isDead: (owner: string) => boolean): void {
    for (const row of this.sources.values()) {
      if (row.leaseOwner !== undefined && isHeld(row, this.nowMs()) && isDead(row.leaseOwner)) {
        row.leaseUntilMs = undefined;
      }
    }
  }

  recordFailure(lease: Lease, failure: SourceFailure): void {
    const row = this.#leased(lease);
    if (row === undefined) return;
    row.failures = failure.failures;
    row.lastFailure = failure.failure;
    row.nextAttemptAtMs = this.nowMs() + failure.backoffMs;
  }

  recordDiscovery(owner: string, result: DiscoveryResult): void {
    if (!this.organizations.recordDiscovery(owner, result)) return;
    for (const row of this.sources.values()) {
      if (OUTAGE_FAILURES.includes(row.lastFailure ?? '')) row.nextAttemptAtMs = undefined;
    }
  }

  commitPage(commit: PageCommit, leaseMs: number): CommitResult {
    const { lease, lane, walk, page } = commit;
    const row = this.#leased(lease);
    if (row === undefined || row.leaseOwner !== lease.owner || row.commitSeq !== lease.commitSeq) {
      return { kind: 'fenced' };
    }
    row.commitSeq += 1;
    row.failures = 0;
    row.lastFailure = undefined;
    row.nextAttemptAtMs = undefined;
    row.lastSuccessAtMs = this.nowMs();
    row.leaseUntilMs = this.nowMs() + leaseMs;
    if (walk === undefined) row.walks.delete(lane);
    else row.walks.set(lane, walk);
    row.coverage = mergeClaims(row.coverage, commit.claims);
    row.eventRate = commit.eventRate ?? row.eventRate;
    const stored = this.#store(row, page.entriesText);
    return {
      kind: 'committed',
      lease: { ...lease, commitSeq: row.commitSeq },
      stored,
      duplicates: page.entries - stored,
      changed: 0,
      defective: 0,
      latenessSeconds: [],
      covered: [],
    };
  }

  #store(row: SourceRow, entriesText: string): number {
    let stored = 0;
    if (entriesText === '[]') return stored;
    for (const { id } of JSON.parse(entriesText) as readonly { readonly id: string }[]) {
      if (row.positions.has(id)) continue;
      const position = this.events.length + 1;
      row.positions.set(id, position);
      this.events.push({ position, sourceId: row.id, id });
      stored += 1;
    }
    return stored;
  }

  #leased(lease: Lease): SourceRow | undefined {
    const row = this.sources.get(lease.id);
    return row?.leaseEpoch === lease.epoch ? row : undefined;
  }

  #stateOf(row: SourceRow, heldElsewhere: boolean): SourceState {
    return {
      kind: 'organization',
      id: row.id,
      organizationId: row.id,
      failures: row.failures,
      refused: this.organizations.stateOf(row.id) === 'refused',
      restMs: Math.max(0, (row.nextAttemptAtMs ?? 0) - this.nowMs()),
      heldElsewhere,
      eventRate: row.eventRate,
      coverage: [...row.coverage],
      openWalks: [...row.walks.values()],
    };
  }
}

const newRow = (id: string): SourceRow => ({
  id,
  leaseOwner: undefined,
  leaseUntilMs: undefined,
  leaseEpoch: 0,
  commitSeq: 0,
  failures: 0,
  lastFailure: undefined,
  nextAttemptAtMs: undefined,
  lastSuccessAtMs: undefined,
  walks: new Map(),
  coverage: [],
  eventRate: undefined,
  positions: new Map(),
});

const isHeld = (row: Pick<SourceRow, 'leaseUntilMs'>, nowMs: number): boolean =>
  row.leaseUntilMs !== undefined && row.leaseUntilMs > nowMs;

const mergeClaims = (coverage: readonly Coverage[], claims: readonly Coverage[]): Coverage[] => {
  const passes = Math.max(coverage.length, claims.length);
  const merged = Array.from({ length: passes }, (_, pass) =>
    (claims[pass] ?? []).reduce(addRange, coverage[pass] ?? []),
  );
  // The table has no row for a pass that has never claimed anything.
  while (merged.at(-1)?.length === 0) merged.pop();
  return merged;
};
