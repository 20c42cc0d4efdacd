import {
  addRange,
  type Coverage,
  intersect,
  isEmpty,
  isWithin,
  type Range,
} from '../../../src/ingest/planning/coverage.ts';
import type { LaneState } from '../../../src/ingest/planning/lane.ts';
import { SCRUB_PASS } from '../../../src/ingest/planning/scrub.ts';
import type {
  CommitResult,
  EventRate,
  LaneFailure,
  Lease,
  PageCommit,
  SourceKey,
  SourceState,
} from '../../../src/ingest/planning/source.ts';
import type { Lane } from '../../../src/ingest/planning/walk.ts';
import type { StoredTime } from '../../../src/ingest/sync/store/sources.sql.ts';
import { type DiscoveryResult, SimulatedOrganizations } from './database-organizations.ts';

interface LaneRow {
  state: LaneState;
  lastFailure: string | undefined;
  nextAttemptAtMs: number | undefined;
}

export interface HoleRow {
  readonly range: Range;
  readonly pass: number;
  readonly reason: string;
  readonly attempts: number;
  readonly nextAttemptAtMs: number;
}

/** What is known of a source under one filter set. */
export interface FilteredRow {
  readonly lanes: Map<Lane, LaneRow>;
  coverage: Coverage[];
  holes: HoleRow[];
  readBefore: Coverage;
  noted: { readonly ranges: Coverage; readonly atMs: number } | undefined;
}

export interface SourceRow {
  readonly id: string;
  leaseOwner: string | undefined;
  leaseUntilMs: number | undefined;
  leaseEpoch: number;
  commitSeq: number;
  lastAttemptAtMs: number | undefined;
  largestPage: number;
  eventRate: EventRate | undefined;
  readonly filtered: Map<string, FilteredRow>;
  readonly positions: Map<string, number>;
}

/** What the end of an outage ends, too. */
const OUTAGE_FAILURES = ['connection', 'timeout', 'server', 'unreadable', 'throttled', 'unauthorized'];
const HOUR_MS = 3_600_000;
const MAX_AHEAD_MS = 60_000;

export interface StoredEvent {
  readonly position: number;
  readonly sourceId: string;
  readonly id: string;
}

/**
 * What the statements of src/ingest do, each in one atomic moment, on the clock of the database. A differential test
 * (test/long/commit/simulated-database.test.ts) holds it to the real ones.
 */
export class SimulatedDatabase {
  readonly nowMs: () => number;
  readonly organizations: SimulatedOrganizations;
  readonly sources = new Map<string, SourceRow>();
  readonly events: StoredEvent[] = [];
  /** Positions of events that were taken out by hand: readers have seen them. */
  readonly removed = new Set<number>();

  constructor(nowMs: () => number, goneAfterMs?: number) {
    this.nowMs = nowMs;
    this.organizations = new SimulatedOrganizations(nowMs, goneAfterMs);
  }

  syncSources(): void {
    for (const id of this.organizations.rows.keys()) {
      if (!this.sources.has(id)) this.sources.set(id, newRow(id));
    }
  }

  loadSources(
    owner: string,
    filterHash: string,
    organizationIds: readonly string[] | undefined,
  ): readonly SourceState[] {
    const key = (row: SourceRow) => row.lastAttemptAtMs ?? Number.NEGATIVE_INFINITY;
    return [...this.sources.values()]
      .filter(({ id }) => this.organizations.stateOf(id) !== 'gone' && (organizationIds?.includes(id) ?? true))
      .sort((a, b) => key(a) - key(b) || (a.id < b.id ? -1 : 1))
      .map((row) => this.#stateOf(row, filterHash, isHeld(row, this.nowMs()) && row.leaseOwner !== owner));
  }

  readTime(): StoredTime {
    const { serverTimeMs, lastSuccessAtMs } = this.organizations.discovery;
    const databaseMs = this.nowMs();
    const known = serverTimeMs !== undefined && lastSuccessAtMs !== undefined;
    return { databaseMs, serverMs: known ? serverTimeMs + databaseMs - lastSuccessAtMs : undefined };
  }

  /** Returns how many rows claimed the future. */
  trimFuture(delaysMs: readonly number[]): number {
    let trimmed = 0;
    for (const row of this.sources.values()) {
      for (const filtered of row.filtered.values()) {
        const pastMs = this.nowMs() + MAX_AHEAD_MS + 1_000;
        filtered.readBefore = until(filtered.readBefore, pastMs);
        if (filtered.noted) filtered.noted = { ...filtered.noted, ranges: until(filtered.noted.ranges, pastMs) };
        filtered.coverage = filtered.coverage.map((ranges, pass) => {
          const untilMs = this.nowMs() + MAX_AHEAD_MS + 1_000 - (delaysMs[pass] ?? 0);
          if ((ranges.at(-1)?.toMs ?? Number.NEGATIVE_INFINITY) <= untilMs) return ranges;
          trimmed += 1;
          return until(ranges, untilMs);
        });
      }
    }
    return trimmed;
  }

  claimSource(source: SourceKey, owner: string, leaseMs: number): Pick<Lease, 'epoch' | 'commitSeq'> | undefined {
    const row = this.sources.get(source.id);
    if (row === undefined || (isHeld(row, this.nowMs()) && row.leaseOwner !== owner)) return undefined;
    row.leaseOwner = owner;
    row.leaseEpoch += 1;
    row.leaseUntilMs = this.nowMs() + leaseMs;
    return { epoch: row.leaseEpoch, commitSeq: row.commitSeq };
  }

  readSource(source: SourceKey, filterHash: string): SourceState | undefined {
    const row = this.sources.get(source.id);
    return row === undefined ? undefined : this.#stateOf(row, filterHash, false);
  }

  renewSource(lease: Lease, leaseMs: number): boolean {
    const row = this.#leased(lease);
    if (row === undefined || row.leaseOwner !== lease.owner || row.leaseUntilMs === undefined) return false;
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

  recordFailure(lease: Lease, failure: LaneFailure): void {
    const row = this.#leased(lease);
    if (row === undefined) return;
    row.lastAttemptAtMs = this.nowMs();
    filteredOf(row, failure.filterHash).lanes.set(failure.lane, {
      state: failure.state,
      lastFailure: failure.failure,
      nextAttemptAtMs: this.nowMs() + failure.backoffMs,
    });
  }

  recordDiscovery(owner: string, result: DiscoveryResult): void {
    if (!this.organizations.recordDiscovery(owner, result)) return;
    for (const row of this.sources.values()) {
      for (const { lanes } of row.filtered.values()) {
        for (const lane of lanes.values()) {
          if (OUTAGE_FAILURES.includes(lane.lastFailure ?? '')) lane.nextAttemptAtMs = undefined;
        }
      }
    }
  }

  commitPage(commit: PageCommit, leaseMs: number): CommitResult {
    const { lease, lane, state, page, filterHash, holes = [] } = commit;
    const row = this.#leased(lease);
    if (row === undefined || row.leaseOwner !== lease.owner || row.commitSeq !== lease.commitSeq) {
      return { kind: 'fenced' };
    }
    row.commitSeq += 1;
    row.lastAttemptAtMs = this.nowMs();
    row.leaseUntilMs = commit.endsTurn === true ? undefined : this.nowMs() + leaseMs;
    row.largestPage = Math.max(row.largestPage, commit.largestPage ?? page.entries);
    row.eventRate = commit.eventRate ?? row.eventRate;
    const filtered = filteredOf(row, filterHash);
    if (state !== undefined) {
      const before = filtered.lanes.get(lane);
      const lastFailure = state.failures > 0 ? before?.lastFailure : undefined;
      filtered.lanes.set(lane, { state, lastFailure, nextAttemptAtMs: undefined });
    }
    const claims = commit.claims.map((ranges) => until(ranges, this.nowMs() + MAX_AHEAD_MS));
    filtered.coverage = mergeClaims(filtered.coverage, claims);
    filtered.holes = filtered.holes.filter(({ range, pass }) => {
      const ofScrub = lane === 'scrub' && pass === SCRUB_PASS;
      const claimed = claims[ofScrub ? 0 : pass] ?? [];
      const read = ofScrub || claimed.length === 0 ? claimed : (filtered.coverage[pass] ?? []);
      return !read.some((each) => isWithin(range, each));
    });
    for (const hole of holes) this.#noteHole(filtered, hole);
    if (commit.reading !== undefined) this.#noteReadBefore(filtered, lane, commit.reading.againAfterMs);
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

  #noteReadBefore(filtered: FilteredRow, lane: Lane, afterMs: number): void {
    const nowMs = this.nowMs();
    const { noted, readBefore } = filtered;
    const isOfHistory = readBefore.length === 0 && lane === 'backfill';
    if (noted !== undefined && !isOfHistory) {
      if (noted.atMs > nowMs - afterMs) return;
      filtered.readBefore = noted.ranges;
    }
    filtered.noted = { ranges: filtered.coverage[0] ?? [], atMs: nowMs };
  }

  #noteHole(filtered: FilteredRow, { range, pass, reason }: NonNullable<PageCommit['holes']>[number]): void {
    const nowMs = this.nowMs();
    const within = filtered.holes.filter((each) => each.pass === pass && isWithin(each.range, range));
    filtered.holes = filtered.holes.filter((each) => !within.includes(each));
    const before = Math.max(0, ...within.map(({ attempts }) => attempts));
    const dueAtMs = Math.min(...within.map(({ nextAttemptAtMs }) => nextAttemptAtMs));
    const isDue = within.length === 0 || dueAtMs <= nowMs;
    const attempts = isDue ? before + 1 : before;
    const restMs = HOUR_MS * Math.min(168, 2 ** Math.min(before, 8));
    filtered.holes.push({ range, pass, reason, attempts, nextAttemptAtMs: isDue ? nowMs + restMs : dueAtMs });
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

  /** False where it is not there. */
  remove(sourceId: string, id: string): boolean {
    const positions = this.sources.get(sourceId)?.positions;
    const position = positions?.get(id);
    if (position === undefined) return false;
    positions?.delete(id);
    this.removed.add(position);
    return true;
  }

  #leased(lease: Lease): SourceRow | undefined {
    const row = this.sources.get(lease.id);
    return row?.leaseEpoch === lease.epoch ? row : undefined;
  }

  #stateOf(row: SourceRow, filterHash: string, heldElsewhere: boolean): SourceState {
    const nowMs = this.nowMs();
    const { lanes, coverage, holes, readBefore } = filteredOf(row, filterHash);
    return {
      kind: 'organization',
      id: row.id,
      organizationId: row.id,
      refused: this.organizations.stateOf(row.id) === 'refused',
      heldElsewhere,
      eventRate: row.eventRate,
      largestPage: row.largestPage,
      coverage: [...coverage],
      readBefore,
      lanes: Object.fromEntries([...lanes].map(([lane, { state }]) => [lane, state])),
      restMs: Object.fromEntries(
        [...lanes].map(([lane, { nextAttemptAtMs }]) => [lane, Math.max(0, (nextAttemptAtMs ?? 0) - nowMs)]),
      ),
      holes: holes.map(({ nextAttemptAtMs, attempts: _, ...hole }) => ({ ...hole, due: nextAttemptAtMs <= nowMs })),
    };
  }
}

/** Made when it is first asked for. */
export const filteredOf = (row: Pick<SourceRow, 'filtered'>, filterHash: string): FilteredRow => {
  const known = row.filtered.get(filterHash);
  if (known !== undefined) return known;
  const fresh: FilteredRow = {
    lanes: new Map(),
    coverage: [],
    holes: [],
    readBefore: [],
    noted: undefined,
  };
  row.filtered.set(filterHash, fresh);
  return fresh;
};

const newRow = (id: string): SourceRow => ({
  id,
  leaseOwner: undefined,
  leaseUntilMs: undefined,
  leaseEpoch: 0,
  commitSeq: 0,
  lastAttemptAtMs: undefined,
  largestPage: 0,
  eventRate: undefined,
  filtered: new Map(),
  positions: new Map(),
});

const isHeld = (row: Pick<SourceRow, 'leaseUntilMs'>, nowMs: number): boolean =>
  row.leaseUntilMs !== undefined && row.leaseUntilMs > nowMs;

const until = (ranges: Coverage, untilMs: number): Coverage =>
  ranges
    .map((range) => intersect(range, { fromMs: Number.NEGATIVE_INFINITY, toMs: untilMs }))
    .filter((range) => !isEmpty(range));

const mergeClaims = (coverage: readonly Coverage[], claims: readonly Coverage[]): Coverage[] => {
  const passes = Math.max(coverage.length, claims.length);
  const merged = Array.from({ length: passes }, (_, pass) =>
    (claims[pass] ?? []).reduce(addRange, coverage[pass] ?? []),
  );
  // The table has no row for a pass that has never claimed anything.
  while (merged.at(-1)?.length === 0) merged.pop();
  return merged;
};
