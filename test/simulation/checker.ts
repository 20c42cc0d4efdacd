import { addRange, type Coverage, gapsIn, type Range } from '../../src/ingest/planning/coverage.ts';
import { SHORT_ANSWER } from '../../src/ingest/planning/proof.ts';
import type { CommitResult, PageCommit } from '../../src/ingest/planning/source.ts';
import { OVERLAP_MS, requestWindow, type Walk } from '../../src/ingest/planning/walk.ts';
import {
  filteredOf,
  type HoleRow,
  type SimulatedDatabase,
  type SourceRow,
  type StoredEvent,
} from './database/database.ts';
import { type Entry, matchesFilters } from './entries.ts';
import { ODD_ORGANIZATION } from './oddities.ts';
import type { Actor, VirtualScheduler } from './scheduler.ts';
import type { Sometimes } from './sometimes.ts';
import type { World } from './world.ts';

interface SentRequest {
  readonly actor: Actor;
  readonly what: string;
}

/** Far more than any world needs in a minute, and far less than a loop without a pause makes. */
const MAX_CALLS_PER_MINUTE = 6_000;
/** A look far back reaches over more stored entries in part only. */
const MOST_LOOKED_BACK_OVER = 200;
/** The live lanes of all replicas ask every 15 to 30 seconds. */
const MAX_PAGES_PER_HOUR = 12_000;
/** A second that cannot be read is halved down to, and read part by part. */
const MAX_PAGES_PER_ENTRY = 150;
/** What the product believes a clock that is ahead. */
const MAX_AHEAD_MS = 61_000;

/** What must be true, whatever happens. Keeps the first violation; the run ends there. */
export class Checker {
  violation: string | undefined;
  readonly counts = new Map<Sometimes, number>();
  calls = 0;
  pagesAsked = 0;
  readonly #world: World;
  readonly #scheduler: VirtualScheduler;
  readonly #underWay = new Set<SentRequest>();
  readonly #holders = new Map<string, { readonly owner: string; readonly epoch: number }>();
  #minute = 0;
  readonly #pagesInHour = new Map<string, number>();
  #callsInMinute = 0;
  readonly #tail: StoredEvent[] = [];
  readonly #removed: {
    readonly sourceId: string;
    readonly id: string;
    readonly timeMs: number;
    /** Under way when it was removed, or when its time had last been read too recently to be part of a round. */
    round: number;
    readonly atMs: number;
  }[] = [];
  /** When the first page of the window that a lane is reading was served. */
  readonly #servedAt = new Map<string, number>();

  constructor(world: World, scheduler: VirtualScheduler) {
    this.#world = world;
    this.#scheduler = scheduler;
  }

  fail(text: string): void {
    this.#scheduler.note(() => `VIOLATION: ${text}`);
    this.violation ??= text;
  }

  /** Something rare has happened. */
  reached(what: Sometimes): void {
    this.#scheduler.note(() => `     (${what})`);
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** No loop without a pause. */
  called(): void {
    this.calls += 1;
    const minute = Math.floor(this.#scheduler.nowMs / 60_000);
    if (minute !== this.#minute) this.#callsInMinute = 0;
    this.#minute = minute;
    this.#callsInMinute += 1;
    if (this.#callsInMinute > MAX_CALLS_PER_MINUTE) this.fail('a busy loop');
  }

  /** Nothing of the future is asked for. */
  pageAsked(walk: Walk): void {
    this.pagesAsked += 1;
    const beyondMs = requestWindow(walk).toMs - this.#scheduler.nowMs;
    const ahead = this.#clocksMayBeAhead ? MAX_AHEAD_MS + 5_000 : 0;
    if (beyondMs > ahead)
      this.fail(`a request reaches ${beyondMs} ms into the future (an overlap is ${OVERLAP_MS} ms)`);
  }

  /** Where an API does not end, no more than so many pages of an organization are asked for in an hour. */
  pageOf(organizationId: string): void {
    const kind = this.#world.oddity?.kind;
    if (kind !== 'empty_has_cursor' && kind !== 'one_entry_again') return;
    const hour = `${organizationId}/${Math.floor(this.#scheduler.nowMs / 3_600_000)}`;
    const pages = (this.#pagesInHour.get(hour) ?? 0) + 1;
    this.#pagesInHour.set(hour, pages);
    const most = MAX_PAGES_PER_HOUR + MAX_PAGES_PER_ENTRY * this.#entriesOf(organizationId, 'none').length;
    if (pages > most) this.fail(`${pages} pages of ${organizationId} in an hour`);
  }

  /** One request for a source at a time, and one listing; but a process that is paused cannot take back its own. */
  requestBegins(actor: Actor, what: string): SentRequest {
    this.called();
    const request = { actor, what };
    for (const other of this.#underWay) {
      if (other.actor.dead) this.#underWay.delete(other);
      else if (other.what === what && what !== 'profile' && what !== 'organization' && what !== 'listing below') {
        if (other.actor.pausedUntilMs > this.#scheduler.nowMs) this.reached('request of a paused process overtaken');
        else this.fail(`${actor.name} and ${other.actor.name} have the same request under way: ${what}`);
      }
    }
    this.#underWay.add(request);
    return request;
  }

  requestEnds(request: SentRequest): void {
    this.#underWay.delete(request);
  }

  claimed(sourceId: string, owner: string, epoch: number): void {
    const last = this.#holders.get(sourceId)?.epoch ?? 0;
    if (epoch !== last + 1) this.fail(`epoch ${epoch} of ${sourceId} follows ${last}`);
    this.#holders.set(sourceId, { owner, epoch });
  }

  /** The first page of a window: what was visible now, a claim of that window must have stored. */
  pageServed(sourceId: string, filterHash: string, walk: Walk): void {
    if (walk.pages === 0 && walk.filters.length === 0) {
      this.#servedAt.set(servedKey(sourceId, filterHash, walk.claim), this.#scheduler.nowMs);
    }
  }

  /** Called in the moment in which the database has written. */
  committed(commit: PageCommit, result: CommitResult, database: SimulatedDatabase): void {
    const { lease, claims, lane, filterHash } = commit;
    if (result.kind === 'fenced') {
      this.reached('fenced write');
      return;
    }
    const holder = this.#holders.get(lease.id);
    if (holder?.owner !== lease.owner || holder.epoch !== lease.epoch) {
      this.fail(`${lease.owner} committed to ${lease.id}, which ${holder?.owner} holds`);
    }
    if (lane === 'settle' && result.stored > 0) this.reached('late entry found by a settle pass');
    const stored = database.sources.get(lease.id)?.positions;
    for (const [pass, ranges] of claims.entries()) {
      for (const range of ranges) this.#checkClaim(lease.id, filterHash, pass, range, stored);
    }
  }

  /** Claimed implies stored: all that was visible when the window was first read, or within the pass's delay of its time. */
  #checkClaim(
    sourceId: string,
    filterHash: string,
    pass: number,
    range: Range,
    stored: ReadonlyMap<string, number> | undefined,
  ): void {
    const { fromMs, toMs } = range;
    this.#scheduler.note(
      () => `     pass ${pass} of ${sourceId} (${filterHash}) claims ${iso(fromMs)} to ${iso(toMs)}`,
    );
    const { nowMs } = this.#scheduler;
    const delayMs = this.#delayOf(pass);
    const beyondMs = toMs - (nowMs - delayMs) - (this.#clocksMayBeAhead ? MAX_AHEAD_MS : 0);
    if (beyondMs > 0) this.fail(`pass ${pass} of ${sourceId} claims ${beyondMs} ms too much of the newest time`);
    const servedAtMs = this.#servedAt.get(servedKey(sourceId, filterHash, range)) ?? Number.NEGATIVE_INFINITY;
    const byMs = (entry: Entry) => Math.max(entry.timeMs + delayMs, servedAtMs);
    for (const entry of this.#entriesOf(sourceId, filterHash)) {
      const within = entry.timeMs >= fromMs && entry.timeMs < toMs && entry.visibleAtMs <= Math.min(nowMs, byMs(entry));
      if (!within || stored?.has(entry.id) === true) continue;
      // Taken out of the store when its window was being read.
      const removed = this.#removed.find((each) => each.sourceId === sourceId && each.id === entry.id);
      if (removed !== undefined && removed.atMs >= servedAtMs) continue;
      // A clock that is ahead claims up to a minute too early; the live lane looks back over it.
      if (this.#clocksMayBeAhead && entry.visibleAtMs > nowMs - MAX_AHEAD_MS) continue;
      this.fail(`pass ${pass} of ${sourceId} claims the time of ${entry.id}, which is not stored`);
    }
  }

  get #clocksMayBeAhead(): boolean {
    return this.#world.api.wrongDate !== undefined;
  }

  #delayOf(pass: number): number {
    return pass === 0 ? 0 : (this.#world.settleDelaysMs[pass - 1] ?? 0);
  }

  /** A reader that asks for what is behind its last position sees everything once, in order. */
  readTail(database: SimulatedDatabase): void {
    const last = this.#tail.at(-1)?.position ?? 0;
    for (const event of database.events.filter(({ position }) => position > last)) {
      if (event.position !== this.#tail.length + 1) this.fail(`the feed goes on with position ${event.position}`);
      this.#tail.push(event);
    }
    for (const [index, event] of database.events.entries()) {
      const seen = this.#tail[index];
      if (seen?.id !== event.id || seen.position !== event.position) this.fail(`position ${index + 1} has changed`);
    }
  }

  /** It has been removed from the store. */
  removed(database: SimulatedDatabase, sourceId: string, { id, timeMs }: Entry): void {
    const round = scrubRoundOf(database, sourceId);
    this.#scheduler.note(() => `${id} of ${sourceId} is removed by hand in round ${round}`);
    this.#removed.push({ sourceId, id, timeMs, round, atMs: this.#scheduler.nowMs });
  }

  /** Whether all that was removed is stored again. The round after that under way is the last one in which it may be found. */
  isStoredAgain(database: SimulatedDatabase): boolean {
    const missing = this.#removed.filter(({ sourceId, id }) => !database.sources.get(sourceId)?.positions.has(id));
    for (const each of missing) {
      const round = scrubRoundOf(database, each.sourceId);
      const source = database.sources.get(each.sourceId);
      const readBefore = source === undefined ? [] : filteredOf(source, 'none').readBefore;
      if (!readBefore.some(({ fromMs, toMs }) => each.timeMs >= fromMs && each.timeMs < toMs)) each.round = round;
      if (round > each.round + 1) this.fail(`${each.id} was removed, and a whole round has not found it`);
    }
    if (missing.length === 0 && this.#removed.length > 0) this.reached('what was removed by hand is stored again');
    return missing.length === 0;
  }

  /** What a command said it had read. */
  checkRead(database: SimulatedDatabase, sourceId: string, filterHash: string, wanted: Range): void {
    const gap = gapsIn(wanted, this.#readOrHole(database, sourceId, filterHash, 0))[0];
    if (gap !== undefined) this.fail(`a sync ended well, but ${sourceId} lacks ${iso(gap.fromMs)} to ${iso(gap.toMs)}`);
  }

  /** What every pass still lacks of the time before the faults ended; undefined where there is nothing. Holes count as read only in a
   * world in which something can never be read. */
  missing(database: SimulatedDatabase): string | undefined {
    const { horizonMs, faultsUntilMs, settleDelaysMs, organizations } = this.#world;
    for (const { id, below } of organizations) {
      const source = database.sources.get(id);
      // Those below others are asked for once a day: one that failed is not asked for again in so short a time.
      if (source === undefined && below !== undefined) continue;
      if (source === undefined) return `${id} has no source`;
      if (database.organizations.stateOf(id) !== 'active') return `${id} is ${database.organizations.stateOf(id)}`;
      for (let pass = 0; pass <= settleDelaysMs.length; pass += 1) {
        const read = this.hasLastingTrouble(id)
          ? this.#readOrHole(database, id, 'none', pass)
          : (filteredOf(source, 'none').coverage[pass] ?? []);
        const gap = gapsIn({ fromMs: horizonMs, toMs: faultsUntilMs }, read)[0];
        if (gap !== undefined) return `pass ${pass} of ${id} lacks ${iso(gap.fromMs)} to ${iso(gap.toMs)}`;
      }
    }
    return undefined;
  }

  /** Something of this organization can never be read, or never be told from what can. */
  #isPartlyUnreadable(id: string): boolean {
    const { deadCursors, cursors, largestPage, lastPage, order, pageCap, precisionMs, cursorFailure } = this.#world.api;
    const { oddity, filtersVary, redactions } = this.#world;
    // Nothing tells the last entry from others of its second, or the last page from others; nor a second that is left by itself.
    const isBlurredSecond = lastPage === 'empty_page' && precisionMs > 1 && order !== 'honest';
    const isBlurred = isBlurredSecond || (lastPage === 'refused' && (precisionMs > 1 || order === 'shuffled'));
    // Another second tells whether an error is about each last cursor. Filters and redactions may hide it.
    const soon = this.#entriesOf(id, 'none').filter(({ timeMs, visibleAtMs }) => visibleAtMs - timeMs < 60_000);
    const seconds = new Set(soon.map(({ timeMs }) => Math.floor(timeMs / 1_000)));
    const isHidden = filtersVary || redactions > 0 || seconds.size < 2;
    const isUntold = lastPage === 'refused' && cursorFailure === 'server' && isHidden;
    const isCutInSecond = pageCap === 1 && precisionMs > 1;
    const poisoned = this.#entriesOf(id, 'none').some(({ poison }) => poison !== undefined);
    const odd =
      oddity?.kind === 'one_entry_again' ||
      oddity?.kind === 'ignores_direction' ||
      (oddity?.kind === 'ignores_window' && oddity.lasting);
    const isOdd = odd && id === ODD_ORGANIZATION;
    return (
      poisoned ||
      deadCursors ||
      isBlurred ||
      isUntold ||
      isCutInSecond ||
      isOdd ||
      cursors === 'none' ||
      largestPage < 100
    );
  }

  /** Something of this organization can never be read, or never be proven. */
  hasLastingTrouble(id: string): boolean {
    return this.#isMiscounted || this.#isPartlyUnreadable(id);
  }

  /** Then nothing can be proven, and holes are as wide as time. */
  get #isMiscounted(): boolean {
    return this.#world.api.miscountBy !== 0;
  }

  #readOrHole(database: SimulatedDatabase, id: string, filterHash: string, pass: number): Coverage {
    const source = database.sources.get(id);
    if (source === undefined) return [];
    const { coverage, holes } = filteredOf(source, filterHash);
    return holes
      .filter((hole) => hole.pass <= pass)
      .map(({ range }) => range)
      .reduce(addRange, coverage[pass] ?? []);
  }

  /** At the end: all that appeared in time is stored, once each, but for what lies in a hole. Holes are a second at most, and something is in
   * each that cannot be read. */
  checkComplete(database: SimulatedDatabase): void {
    this.readTail(database);
    const lastDelayMs = this.#world.settleDelaysMs.at(-1) ?? 0;
    const inTimeMs = this.#clocksMayBeAhead ? lastDelayMs - MAX_AHEAD_MS : lastDelayMs;
    const kept = database.events.filter(({ position }) => !database.removed.has(position));
    const keys = new Set(kept.map(({ sourceId, id }) => `${sourceId}/${id}`));
    if (keys.size !== kept.length) this.fail('an entry is stored twice');
    for (const [sourceId, source] of database.sources) {
      const { holes } = filteredOf(source, 'none');
      for (const hole of holes) this.#checkHole(sourceId, hole);
      for (const entry of this.#entriesOf(sourceId, 'none')) {
        if (source.positions.has(entry.id)) continue;
        const around = holes.filter(({ range }) => entry.timeMs >= range.fromMs && entry.timeMs < range.toMs);
        // No later pass reads what none has claimed.
        const isLate = entry.visibleAtMs > entry.timeMs;
        const inHole = around.length > 0;
        if (around.some(({ reason }) => reason === SHORT_ANSWER)) continue;
        if (inHole && (isLate || this.#isPartlyUnreadable(sourceId))) continue;
        if (entry.visibleAtMs - entry.timeMs > inTimeMs && !this.#isLookedFor(source, entry))
          this.reached('entry later than all passes');
        else this.fail(`${entry.id} of ${iso(entry.timeMs)}, visible from ${iso(entry.visibleAtMs)}, is lost`);
      }
    }
  }

  /** What an index that fills after the start still lacks, and a look far back must find. */
  isFilled(database: SimulatedDatabase): boolean {
    if (this.#world.oddity?.kind !== 'fills_late') return true;
    for (const [sourceId, source] of database.sources) {
      const entries = this.#entriesOf(sourceId, 'none');
      if (entries.some((entry) => this.#isLookedFor(source, entry) && !source.positions.has(entry.id))) return false;
    }
    this.reached('index filled after the start');
    return true;
  }

  /** Whether a look far back reaches over it: it is no later than the index was filled, and nothing else is in the way. */
  #isLookedFor(source: SourceRow, { timeMs, visibleAtMs }: Entry): boolean {
    const { oddity, horizonMs, api } = this.#world;
    if (oddity?.kind !== 'fills_late' || visibleAtMs !== oddity.filledAtMs) return false;
    // A clock that was off tells the wrong time since the last look.
    if (api.windowLimit !== undefined || this.#clocksMayBeAhead || this.hasLastingTrouble(source.id)) return false;
    const isFew = this.#entriesOf(source.id, 'none').length <= MOST_LOOKED_BACK_OVER;
    return isFew && timeMs > horizonMs + 3_700_000 && filteredOf(source, 'none').holes.length === 0;
  }

  #checkHole(sourceId: string, { range: { fromMs, toMs }, reason }: HoleRow): void {
    if (this.#isMiscounted || reason === SHORT_ANSWER) return;
    if (!this.hasLastingTrouble(sourceId)) this.fail(`a hole in ${sourceId}, although everything can be read`);
    // Left by counts that were wrong for a while: where something can never be read, no run lasts until the hole is retried, after an hour.
    const { api, oddity } = this.#world;
    // Holes grow by windows whose answer was about an entry beside them.
    const isGrown = ['names_error', 'ignores_window', 'one_entry_again'].includes(oddity?.kind ?? '');
    if (api.wrongCountRate > 0 || isGrown) return;
    // What rounds down to the second is asked for with the second.
    for (let secondMs = fromMs; secondMs < toMs; secondMs += 1_000) {
      const near = this.#entriesOf(sourceId, 'none').some(
        ({ timeMs }) => timeMs >= secondMs - 1_001 && timeMs <= secondMs + 2_001,
      );
      if (!near) this.fail(`a hole in ${sourceId} at ${iso(secondMs)}, where there is nothing`);
    }
  }

  #entriesOf(sourceId: string, filterHash: string): readonly Entry[] {
    const entries = this.#world.organizations.find(({ id }) => id === sourceId)?.entries ?? [];
    return filterHash === 'none'
      ? entries
      : entries.filter((entry) => matchesFilters(entry, [['action_type.not', 'view']]));
  }
}

/** 0 before the first one. */
const scrubRoundOf = (database: SimulatedDatabase, sourceId: string): number => {
  const source = database.sources.get(sourceId);
  const state = source && filteredOf(source, 'none').lanes.get('scrub')?.state;
  // A round is begun by the first window that has been read; its walk may be open.
  return Math.max(state?.round?.number ?? 0, state?.walk?.round?.number ?? 0);
};

const servedKey = (sourceId: string, filterHash: string, { fromMs, toMs }: Range): string =>
  `${sourceId}/${filterHash}/${fromMs}/${toMs}`;

const iso = (timeMs: number): string => new Date(timeMs).toISOString();
