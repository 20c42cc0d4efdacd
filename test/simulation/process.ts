import { ApiError } from '../../src/base/errors.ts';
import type { Time } from '../../src/base/time.ts';
import { noIntervals } from '../../src/ingest/planning/planner.ts';
import type { KindPolicy, SourceKey } from '../../src/ingest/planning/source.ts';
import { createDaemon, type SyncDaemon } from '../../src/ingest/sync/daemon.ts';
import type { SyncContext, SyncObserver } from '../../src/ingest/sync/ports.ts';
import { syncOnce } from '../../src/ingest/sync/sync-once.ts';
import { WindowLimit } from '../../src/ingest/sync/window-limit.ts';
import { DatabaseError } from './database/store.ts';
import type { Actor } from './scheduler.ts';
import type { Simulation } from './simulation.ts';

/** What sync is given of its surroundings. */
export type Process = SimulatedProcess;

/** One process of orgtrail: the daemon, or a command that syncs once. May crash, be paused, or be stopped. */
export class SimulatedProcess implements Actor {
  readonly name: string;
  readonly host: string;
  readonly owner: string;
  readonly simulation: Simulation;
  readonly abort = new AbortController();
  /** Under which it reads. */
  readonly filters: readonly (readonly [string, string])[];
  dead = false;
  stopping = false;
  ended = false;
  pausedUntilMs = 0;
  #daemon: SyncDaemon | undefined;
  #tick: Promise<void> | undefined;
  readonly #monotonicStartMs: number;

  constructor(simulation: Simulation, number: number) {
    const { dice, nowMs } = simulation.scheduler;
    this.simulation = simulation;
    this.name = `p${number}`;
    this.host = dice.pick(['h1', 'h2']);
    this.owner = `${this.host}/${number}`;
    this.filters =
      simulation.world.filtersVary && simulation.faulty && dice.chance(0.5) ? [['action_type.not', 'view']] : [];
    if (this.filters.length > 0) simulation.checker.reached('filter changed');
    this.#monotonicStartMs = nowMs - dice.between(0, 1_000_000);
  }

  /** Its own clock: from any start, and never back. */
  monotonicMs(): number {
    return this.simulation.scheduler.nowMs - this.#monotonicStartMs;
  }

  get filterHash(): string {
    return this.filters.length === 0 ? 'none' : 'no-views';
  }

  get running(): boolean {
    return !this.dead && !this.ended;
  }

  get isDaemon(): boolean {
    return this.#daemon !== undefined;
  }

  startDaemon(): void {
    const { world } = this.simulation;
    const { signal } = this.abort;
    const stopping = () => this.stopping;
    const onError = (error: unknown) => this.#expectFault(error);
    this.#daemon = createDaemon(this.#context({}), { tickMs: world.tickMs, signal, stopping, onError });
    this.#runTick();
  }

  /** The command `sync`, or `backfill` where there is a window. */
  startOnce(window: SyncContext['window']): void {
    const { checker, database, scheduler } = this.simulation;
    const due: SourceKey[] = [];
    let plannedMs = 0;
    const context = this.#context({
      window,
      intervals: () => noIntervals,
      kinds: this.#kinds((nowMs) => {
        plannedMs = nowMs;
      }),
      observer: { ...this.#observer(), jobsPlanned: (event) => due.push(...event.due) },
    });
    const options = { signal: this.abort.signal, stopping: () => this.stopping, retries: 2 };
    syncOnce(context, options)
      .then((report) => {
        scheduler.note(() => `${this.name} has synced: ${report.failed.length} failed, ${report.held.length} held`);
        if (!report.finished) return;
        const left = new Set([...report.failed, ...report.held].map(({ id }) => id));
        // Planned a moment before the horizon was last asked for.
        const readMs = plannedMs - 1_050;
        const untilMs = window === undefined ? readMs : Math.min(window.untilMs, readMs);
        const wanted = { fromMs: window?.sinceMs ?? this.simulation.world.horizonMs, toMs: untilMs };
        for (const { id } of due.filter((each) => !left.has(each.id))) {
          checker.checkRead(database, id, this.filterHash, wanted);
        }
        if (left.size === 0) checker.reached(window === undefined ? 'sync completed' : 'backfill completed');
      })
      .catch((error: unknown) => this.#expectFault(error))
      .finally(() => {
        this.ended = true;
      });
  }

  /** As at SIGTERM: begins nothing new, and ends when what is under way has ended. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    this.stopping = true;
    daemon?.clear();
    await this.#tick;
    daemon?.clear();
    await daemon?.idle();
    this.ended = daemon !== undefined || this.ended;
  }

  /** As at SIGKILL: nothing of it ever runs again. */
  crash(how: string): void {
    this.simulation.scheduler.note(() => `${this.name} crashes (${how})`);
    this.dead = true;
    this.simulation.replace();
  }

  /** As SIGSTOP, and SIGCONT after a while. */
  pause(durationMs: number): void {
    const { scheduler, checker, world } = this.simulation;
    scheduler.note(() => `${this.name} is paused for ${durationMs} ms`);
    if (durationMs > world.leaseMs) checker.reached('pause longer than a lease');
    this.pausedUntilMs = scheduler.nowMs + durationMs;
  }

  /** Decides whether it dies at the moment of receiving something: what was answered is then never acted on. */
  mayCrash(at: 'an answer of Cloudflare' | 'an answer of the database'): boolean {
    const { world, scheduler, checker, faulty } = this.simulation;
    if (!faulty || !scheduler.dice.chance(world.processes.crashRate)) return false;
    checker.reached(`crash at ${at}`);
    this.crash(`at ${at}`);
    return true;
  }

  #runTick(): void {
    const { scheduler, tickMs } = this.simulation;
    if (this.stopping) return;
    this.#tick ??= this.#daemon
      ?.tick()
      .catch((error: unknown) => this.#expectFault(error))
      .finally(() => {
        this.#tick = undefined;
      });
    // All replicas tick at the same moments.
    const nextMs = (Math.floor(scheduler.nowMs / tickMs) + 1) * tickMs;
    scheduler.at(nextMs, 'tick', () => this.#runTick(), this);
  }

  #expectFault(error: unknown): void {
    if (error instanceof DatabaseError || error instanceof ApiError) return;
    const stack = error instanceof Error ? (error.stack ?? '') : '';
    this.simulation.checker.fail(`unexpected: ${String(error)} ${stack}`);
  }

  #context(more: Partial<SyncContext>): SyncContext {
    const { simulation } = this;
    const { world, scheduler } = simulation;
    const store = simulation.storeFor(this);
    return {
      api: simulation.cloudflare.connect(this),
      store,
      observer: this.#observer(),
      time: this.#time(),
      leaseMs: world.leaseMs,
      kinds: this.#kinds(),
      windows: new WindowLimit({ nowMs: () => this.monotonicMs() }),
      settleDelaysMs: world.settleDelaysMs,
      organizationIds: simulation.organizationIds,
      concurrency: world.concurrency,
      organizationListing: { restsUntilMs: 0, requests: 0, organizations: 0, detailsAfterMs: 0, askedById: new Set() },
      discoveryPace: {
        organizationsMs: () => 0,
        accountsMs: () => 0,
        accountsOfMs: () => 0,
        accountsOfAtOnce: () => Number.POSITIVE_INFINITY,
        detailsMs: () => 0,
      },
      intervals: () => world.intervals,
      tickMs: world.tickMs,
      random: scheduler.dice.next,
      scrub: store.scrub,
      ...more,
    };
  }

  #kinds(onHorizon: (nowMs: number) => void = () => {}): readonly KindPolicy[] {
    const horizonMs = (nowMs: number): number => {
      onHorizon(nowMs);
      return this.simulation.world.horizonMs;
    };
    return [{ kind: 'organization', filters: this.filters, filterHash: this.filterHash, horizonMs }];
  }

  #observer(): SyncObserver {
    const { checker, scheduler } = this.simulation;
    return {
      organizationChanged: ({ organizationId, change }) => {
        scheduler.note(() => `${this.name}: ${organizationId} ${change}`);
      },
      walkEnded: ({ source, lane, result }) => {
        scheduler.note(() => `${this.name}: ${lane} walk of ${source.id} ${result}`);
        if (result === 'lost') checker.reached('lease lost');
        if (result === 'proven') checker.reached('end in doubt proven');
        if (result === 'narrowed') checker.reached('window narrowed');
        if (lane === 'scrub' && (result === 'done' || result === 'proven')) checker.reached('window scrubbed');
      },
      pageCommitted: ({ source, lane, entries, stored }) =>
        scheduler.note(() => `${this.name}: ${lane} page of ${source.id}: ${entries} entries, ${stored} new`),
      windowNarrowed: ({ source, lane, claim, reason }) =>
        scheduler.note(
          () => `${this.name}: ${lane} window of ${source.id} (${claim.toMs - claim.fromMs} ms): ${reason}`,
        ),
      holeFound: ({ source, range, reason }) => {
        checker.reached('hole found');
        scheduler.note(
          () => `${this.name}: hole in ${source.id} at ${new Date(range.fromMs).toISOString()}: ${reason}`,
        );
      },
      sourceFailed: ({ source, lane, failure, backoffMs }) =>
        scheduler.note(() => `${this.name}: ${lane} of ${source.id} ${failure}, rests ${backoffMs} ms`),
      discoveryFailed: ({ error }) => scheduler.note(() => `${this.name}: listing failed: ${String(error)}`),
    };
  }

  #time(): Time {
    const { scheduler } = this.simulation;
    return {
      nowMs: () => this.monotonicMs(),
      sleep: (ms, signal) => {
        if (signal?.aborted === true) return Promise.reject(signal.reason);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const abort = () => {
          event.cancelled = true;
          reject(signal?.reason);
        };
        const wake = () => {
          scheduler.unlisten(abort);
          resolve();
        };
        const event = scheduler.after(Math.max(1, ms), 'timer', wake, this);
        if (signal !== undefined) scheduler.listen(signal, abort);
        return promise;
      },
    };
  }
}
