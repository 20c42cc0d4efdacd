import { gapsIn, type Range } from '../../src/domain/coverage.ts';
import type { CommitResult, PageCommit } from '../../src/domain/source.ts';
import { OVERLAP_MS, requestWindow, type Walk } from '../../src/domain/walk.ts';
import type { Reading } from './audit-log.ts';
import type { SimulatedDatabase, StoredEvent } from './database.ts';
import type { Actor, VirtualScheduler } from './scheduler.ts';
import type { Sometimes } from './sometimes.ts';
import type { World } from './world.ts';

interface SentRequest {
  readonly actor: Actor;
  readonly what: string;
}

/** Far more than any world needs in a minute, and far less than a loop without a pause makes. */
const MOST_CALLS_PER_MINUTE = 6_000;
const TRUSTS_ORDER_WITHIN_MS = 120_000;

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
  #callsInMinute = 0;
  readonly #tail: StoredEvent[] = [];
  readonly #trusted = new Set<string>();

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
    if (this.#callsInMinute > MOST_CALLS_PER_MINUTE) this.fail('a busy loop');
  }

  /** Nothing of the future is asked for. */
  pageAsked(walk: Walk): void {
    this.pagesAsked += 1;
    const beyondMs = requestWindow(walk).toMs - this.#scheduler.nowMs;
    if (beyondMs > 0) this.fail(`a request reaches ${beyondMs} ms into the future (an overlap is ${OVERLAP_MS} ms)`);
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

  /** Called in the moment in which the database has written. `reading`: what the claims rest on. */
  committed(commit: PageCommit, result: CommitResult, reading: Reading | undefined, database: SimulatedDatabase): void {
    const { lease, claims, walk, lane } = commit;
    if (result.kind === 'fenced') {
      this.reached('fenced write');
      return;
    }
    const holder = this.#holders.get(lease.id);
    if (holder?.owner !== lease.owner || holder.epoch !== lease.epoch) {
      this.fail(`${lease.owner} committed to ${lease.id}, which ${holder?.owner} holds`);
    }
    if (lane === 'settle' && result.stored > 0) this.reached('late entry found by a settle pass');
    if ((claims[0] ?? []).length > 0 && walk !== undefined) this.reached('early end of a walk');
    const stored = database.sources.get(lease.id)?.positions;
    for (const [pass, ranges] of claims.entries()) {
      for (const range of ranges) this.#checkClaim(lease.id, pass, range, reading, stored);
    }
  }

  /** What is claimed as read by a pass was visible, read and stored, as of the moment when its request was served. */
  #checkClaim(
    sourceId: string,
    pass: number,
    { fromMs, toMs }: Range,
    reading: Reading | undefined,
    stored: ReadonlyMap<string, number> | undefined,
  ): void {
    this.#scheduler.note(() => `     pass ${pass} of ${sourceId} claims ${iso(fromMs)} to ${iso(toMs)}`);
    if (reading === undefined) {
      this.fail(`pass ${pass} of ${sourceId} claims what nobody has read`);
      return;
    }
    const delayMs = pass === 0 ? 0 : (this.#world.settleDelaysMs[pass - 1] ?? 0);
    const beyondMs = toMs - (reading.readAtMs - delayMs);
    if (beyondMs > 0) this.fail(`pass ${pass} of ${sourceId} claims ${beyondMs} ms too much of the newest time`);
    for (const entry of this.#entriesOf(sourceId)) {
      const within = entry.timeMs >= fromMs && entry.timeMs < toMs && entry.visibleAtMs <= reading.readAtMs;
      if (!within || stored?.has(entry.id) === true) continue;
      // A walk that ends early within two minutes of its start trusts the order, unless it has seen it broken (decision 6).
      const trusts = !reading.orderBroken && toMs - fromMs <= TRUSTS_ORDER_WITHIN_MS;
      if (trusts && reading.displaced.has(entry)) {
        this.#trusted.add(entry.id);
        this.reached('entry out of order claimed unread');
      } else this.fail(`pass ${pass} of ${sourceId} claims the time of ${entry.id}, which is not stored`);
    }
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

  /** What a verb said it had read. */
  checkRead(database: SimulatedDatabase, sourceId: string, wanted: Range): void {
    const gap = gapsIn(wanted, database.sources.get(sourceId)?.coverage[0] ?? [])[0];
    if (gap !== undefined) this.fail(`a sync ended well, but ${sourceId} lacks ${iso(gap.fromMs)} to ${iso(gap.toMs)}`);
  }

  /** What every pass still lacks of the time before the faults ended; undefined where there is nothing. */
  missing(database: SimulatedDatabase): string | undefined {
    const { horizonMs, faultsUntilMs, settleDelaysMs, organizations } = this.#world;
    for (const { id, below } of organizations) {
      const source = database.sources.get(id);
      // Those below others are asked for once a day: one that failed is not asked for again in so short a time.
      if (source === undefined && below !== undefined) continue;
      if (source === undefined) return `${id} has no source`;
      if (database.organizations.stateOf(id) !== 'active') return `${id} is ${database.organizations.stateOf(id)}`;
      for (let pass = 0; pass <= settleDelaysMs.length; pass += 1) {
        const gap = gapsIn({ fromMs: horizonMs, toMs: faultsUntilMs }, source.coverage[pass] ?? [])[0];
        if (gap !== undefined) return `pass ${pass} of ${id} lacks ${iso(gap.fromMs)} to ${iso(gap.toMs)}`;
      }
    }
    return undefined;
  }

  /** At the end: all that appeared in time is stored, once each. */
  checkComplete(database: SimulatedDatabase): void {
    this.readTail(database);
    const lastDelayMs = this.#world.settleDelaysMs.at(-1) ?? 0;
    const keys = new Set(database.events.map(({ sourceId, id }) => `${sourceId}/${id}`));
    if (keys.size !== database.events.length) this.fail('an entry is stored twice');
    for (const [sourceId, { positions }] of database.sources) {
      for (const entry of this.#entriesOf(sourceId)) {
        if (positions.has(entry.id)) continue;
        if (entry.visibleAtMs - entry.timeMs > lastDelayMs) this.reached('entry later than all passes');
        else if (this.#trusted.has(entry.id)) this.reached('entry out of order lost');
        else this.fail(`${entry.id} of ${iso(entry.timeMs)}, visible from ${iso(entry.visibleAtMs)}, is lost`);
      }
    }
  }

  #entriesOf(sourceId: string) {
    return this.#world.organizations.find(({ id }) => id === sourceId)?.entries ?? [];
  }
}

const iso = (timeMs: number): string => new Date(timeMs).toISOString();
