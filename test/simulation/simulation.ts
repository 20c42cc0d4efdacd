import type { Range } from '../../src/ingest/planning/coverage.ts';
import type { CommitResult, Lease, PageCommit, SourceKey } from '../../src/ingest/planning/source.ts';
import { OVERLAP_MS } from '../../src/ingest/planning/walk.ts';
import { Checker } from './checker.ts';
import { type AskedWindow, SimulatedCloudflare } from './cloudflare.ts';
import { SimulatedDatabase } from './database/database.ts';
import { createSimulatedStore, type SimulatedStore } from './database/store.ts';
import { Dice } from './dice.ts';
import { type Entry, matchesFilters } from './entries.ts';
import { withOddity } from './oddities.ts';
import { type Process, SimulatedProcess } from './process.ts';
import { VirtualScheduler } from './scheduler.ts';
import { drawWorld, type World } from './world.ts';

const HOUR_MS = 3_600_000;
/** What is younger than a plan is not asked for. */
const OLDEST_PLAN_MS = 300_000;
/** A second that is read part by part has nothing that tells. */
const LEAST_TOLD_MS = 2_000;
/** Shorter than the real one: no fault of a world lasts for longer than five minutes. */
const GONE_AFTER_MS = 60_000;

/** One world with its processes; what happens in it is drawn from its seed. */
export class Simulation {
  readonly world: World;
  readonly scheduler: VirtualScheduler;
  readonly checker: Checker;
  readonly database: SimulatedDatabase;
  readonly cloudflare: SimulatedCloudflare;
  readonly processes: SimulatedProcess[] = [];

  constructor(seed: number, tracing: boolean) {
    const dice = new Dice(seed);
    this.world = withOddity(drawWorld(dice), seed);
    this.scheduler = new VirtualScheduler(dice, this.world.startMs, tracing);
    this.checker = new Checker(this.world, this.scheduler);
    this.database = new SimulatedDatabase(() => this.scheduler.nowMs - this.world.databaseBehindMs, GONE_AFTER_MS);
    this.cloudflare = new SimulatedCloudflare(this.world, this.scheduler, this.checker, (asked) =>
      this.#isKnownToGoOn(asked),
    );
  }

  get faulty(): boolean {
    return this.scheduler.nowMs < this.world.faultsUntilMs;
  }

  get databaseIsAway(): boolean {
    const { nowMs } = this.scheduler;
    return this.world.database.away.some(({ fromMs, toMs }) => nowMs >= fromMs && nowMs < toMs);
  }

  /** Once all is quiet, ticks only cost time. */
  get tickMs(): number {
    const { tickMs, settleDelaysMs } = this.world;
    return this.faulty ? tickMs : Math.max(tickMs, 60_000, Math.floor((settleDelaysMs.at(-1) ?? 0) / 4));
  }

  get organizationIds(): readonly string[] | undefined {
    const { allowList, organizations } = this.world;
    return allowList ? organizations.map(({ id }) => id) : undefined;
  }

  get daemons(): readonly SimulatedProcess[] {
    return this.processes.filter((process) => process.running && process.isDaemon);
  }

  /** Begins: processes start one after the other, and it is drawn what will befall them. */
  begin(): void {
    const { scheduler, world } = this;
    const { dice } = scheduler;
    const faultsMs = world.faultsUntilMs - world.startMs;
    const during = (what: string, run: () => void) => scheduler.after(dice.between(0, faultsMs - 1), what, run);
    this.startDaemon();
    for (let more = 1; more < world.replicas; more += 1) {
      scheduler.after(dice.pick([0, dice.between(0, 60_000)]), 'start', () => this.startDaemon());
    }
    for (let run = 0; run < world.onceRuns; run += 1) during('start', () => this.#startOnce());
    const { crashes, pauses, stops } = world.processes;
    const some = (use: (process: Process) => void) => {
      const running = this.processes.filter((process) => process.running && process.pausedUntilMs <= scheduler.nowMs);
      if (running.length > 0) use(dice.pick(running));
    };
    for (let each = 0; each < crashes; each += 1) {
      during('crash', () =>
        some((process) => {
          this.checker.reached('crash in between');
          process.crash('in between');
        }),
      );
    }
    for (let each = 0; each < pauses; each += 1) {
      during('pause', () => some((process) => process.pause(this.#drawPause())));
    }
    for (let each = 0; each < world.redactions; each += 1) during('redaction', () => this.#redact());
    for (let each = 0; each < stops; each += 1) during('stop', () => some((process) => this.#stop(process)));
    scheduler.at(world.faultsUntilMs, 'faults end', () => {
      for (const process of this.daemons) if (process.filters.length > 0) process.crash('to start without filters');
      if (this.daemons.length === 0) this.startDaemon();
    });
    const readTail = () => {
      this.checker.readTail(this.database);
      scheduler.after(dice.between(1_000, 120_000), 'tail', readTail);
    };
    readTail();
  }

  /** Cloudflare takes back an entry that has been collected. */
  #redact(): void {
    const { events } = this.database;
    if (events.length === 0) return;
    this.checker.reached('entry redacted');
    this.cloudflare.redact(this.scheduler.dice.pick(events).id);
  }

  startDaemon(): void {
    const process = this.#newProcess();
    process.startDaemon();
  }

  /** Another one starts after a crash: soon, or not before the faults end. */
  replace(): void {
    const { scheduler } = this;
    if (!this.faulty || scheduler.dice.chance(0.9)) {
      scheduler.after(scheduler.dice.between(0, 60_000), 'restart', () => {
        if (this.daemons.length < this.world.replicas) this.startDaemon();
      });
    }
  }

  storeFor(process: Process): SimulatedStore {
    return createSimulatedStore(this, process);
  }

  claim(process: Process, source: SourceKey): Pick<Lease, 'epoch' | 'commitSeq'> | undefined {
    const { database, checker } = this;
    const row = database.sources.get(source.id);
    const ranOut = (row?.leaseUntilMs ?? Number.POSITIVE_INFINITY) <= database.nowMs();
    const stolen = ranOut && row?.leaseOwner !== process.owner;
    const claimed = database.claimSource(source, process.owner, this.world.leaseMs);
    if (claimed === undefined) return undefined;
    if (stolen) checker.reached('lease stolen');
    checker.claimed(source.id, process.owner, claimed.epoch);
    return claimed;
  }

  commit(commit: PageCommit): CommitResult {
    const { database, checker } = this;
    const result = database.commitPage(commit, this.world.leaseMs);
    checker.committed(commit, result, database);
    return result;
  }

  /** What is stored, unless some of it may not match the filter set. */
  storedIn(sourceId: string, { fromMs, toMs }: Range, filterHash: string): readonly Entry[] {
    const row = this.database.sources.get(sourceId);
    const ofOthers = [...(row?.filtered ?? [])].some(
      ([hash, { coverage }]) => hash !== filterHash && coverage.some((ranges) => ranges.length > 0),
    );
    if (row === undefined || ofOthers) return [];
    const entries = this.world.organizations.find(({ id }) => id === sourceId)?.entries ?? [];
    return entries.filter(({ id, timeMs }) => timeMs >= fromMs && timeMs < toMs && row.positions.has(id));
  }

  /**
   * Whether it can be told that an answer about this window is short: the window ends in time that has been read, what is unread lies before, and
   * the next stored entry is no further away than half of what the unread part is wide.
   */
  #isKnownToGoOn({ organizationId, filterHash, filters, window }: AskedWindow): boolean {
    const row = this.database.sources.get(organizationId);
    const filtered = row?.filtered.get(filterHash);
    const read = filtered?.coverage[0]?.find(({ fromMs, toMs }) => window.toMs > fromMs && window.toMs <= toMs);
    if (read === undefined || (filtered?.holes.length ?? 0) > 0) return false;
    const widthMs = read.fromMs - window.fromMs - OVERLAP_MS;
    if (widthMs < LEAST_TOLD_MS) return false;
    const untilMs = Math.min(read.toMs, this.scheduler.nowMs - OLDEST_PLAN_MS, read.fromMs + widthMs / 2);
    const beyond = { fromMs: read.fromMs, toMs: untilMs };
    // One that was taken back is looked for, and believed to be gone.
    const [next] = this.storedIn(organizationId, beyond, filterHash);
    if (next === undefined || this.cloudflare.isRedacted(next.id) || !matchesFilters(next, filters)) return false;
    return next.timeMs >= this.world.horizonMs + HOUR_MS + 60_000;
  }

  /** A process knows of those of its own host that are dead. */
  releaseDead(process: Process): void {
    this.database.releaseDead((owner) => {
      const dead = this.#isKnownDead(owner, process);
      if (dead) this.checker.reached('lease of a dead process released');
      return dead;
    });
  }

  releaseDeadDiscovery(process: Process): boolean {
    const released = this.database.organizations.releaseDeadDiscovery((owner) => this.#isKnownDead(owner, process));
    if (released) this.checker.reached('listing of a dead process released');
    return released;
  }

  #isKnownDead(owner: string, process: Process): boolean {
    const other = this.processes.find((each) => each.owner === owner);
    return other !== undefined && other.host === process.host && !other.running;
  }

  claimDiscovery(process: Process, restMs: number): boolean {
    const { organizations } = this.database;
    const { leaseOwner, leaseUntilMs } = organizations.discovery;
    const mine = organizations.claimDiscovery(process.owner, this.world.leaseMs, restMs);
    const before = this.processes.find((each) => each.owner === leaseOwner);
    if (mine && leaseUntilMs !== undefined && before?.dead === true) {
      this.checker.reached('discovery taken over from a dead process');
    }
    return mine;
  }

  /** Takes some of the entries of long ago out of the store, if the world has it so: the scrub lane must find them. Returns how many. */
  removeByHand(): number {
    const { scheduler, world, database, checker } = this;
    const ofLongAgo = world.organizations.flatMap(({ id, entries }) =>
      entries
        .filter(({ timeMs }) => timeMs >= world.horizonMs && timeMs < scheduler.nowMs - 2 * HOUR_MS)
        .map((entry) => ({ sourceId: id, entry })),
    );
    const chosen = scheduler.dice.shuffled(ofLongAgo).slice(0, world.scrub?.removed ?? 0);
    for (const { sourceId, entry } of chosen) {
      if (database.remove(sourceId, entry.id)) checker.removed(database, sourceId, entry);
    }
    return chosen.length;
  }

  #newProcess(): SimulatedProcess {
    const process = new SimulatedProcess(this, this.processes.length);
    this.processes.push(process);
    return process;
  }

  #startOnce(): void {
    const { dice } = this.scheduler;
    const { horizonMs, faultsUntilMs } = this.world;
    const sinceMs = dice.between(horizonMs, faultsUntilMs - 60_000);
    const window = { sinceMs, untilMs: dice.between(sinceMs + 1, faultsUntilMs) };
    this.#newProcess().startOnce(dice.chance(0.5) ? window : undefined);
  }

  #stop(process: SimulatedProcess): void {
    this.scheduler.note(() => `${process.name} is asked to stop`);
    void process.stop().then(() => {
      this.checker.reached('graceful stop');
      this.replace();
    });
  }

  #drawPause(): number {
    const { dice } = this.scheduler;
    return Math.floor(this.world.leaseMs * dice.pick([0.1, 0.5, 1, 1, 2, 2.5]) * (0.9 + dice.next() / 5));
  }
}
