import { randomBytes } from 'node:crypto';
import { OrgtrailError } from '../../base/errors.ts';
import type { AnchoredCheckpoint } from '../anchor.ts';
import type { KeyOrder, KeyState } from '../append/keys-in-force.ts';
import { LogsInMemory, nextChunk, readEventRow, unexplainedHole } from '../append/logs.ts';
import { clockEntry, dueEntries, type Moment, type NewEntry, newEntry, sourceEntry } from '../append/new-statements.ts';
import { EvidenceFault } from '../bytes.ts';
import { type Checkpoint, type LogName, writeOrigin } from '../notes/checkpoint.ts';
import { type CoverageOptions, CoverageTurns } from './coverage-schedule.ts';
import type { EvidenceStore } from './evidence-store.sql.ts';
import { type Contradiction, KnownCheckpoints } from './known-checkpoints.ts';
import type { Claim, EvidenceObserver, GrowthResult, LogSigner, StoredLogs } from './ports.ts';
import { entryOfOrder, isSignedAs, type Signing, signCheckpoint, signingAt, vkeysOf } from './signing-keys.ts';

const logNames = ['events', 'journal'] as const satisfies LogName[];
const MONTH_KEY_BYTES = 32;

export interface BuilderOptions {
  readonly store: EvidenceStore;
  readonly signer: LogSigner;
  /** Follows or followed the other: the journal says which of the two sign. */
  readonly nextSigner?: LogSigner | undefined;
  /** ORGTRAIL_EVIDENCE_ORIGIN. */
  readonly base: string;
  readonly version: string;
  readonly observer: EvidenceObserver;
  /** Read before anything is signed under a claim. */
  readonly readAnchors?: (logs: StoredLogs) => Promise<readonly AnchoredCheckpoint[]>;
  /** Events of one commit. */
  readonly chunk?: number;
  readonly makeKey?: () => Buffer;
  /** Undefined: states no coverage. */
  readonly coverage?: CoverageOptions | undefined;
}

const CHUNK = 5_000;
const MAYBE_LOST =
  'the database failed over or was restored, and a checkpoint that was signed before may be lost with what was lost';
/** Leaves of holes are made without reading anything. */
const HOLES = 65_536;

/** The same object for as long as the lease lasts without a break. */
export interface HeldClaim extends Claim {
  /** Throws if the lease is lost: nothing may be signed then. */
  throwIfLost(): void;
}

/** `done`: all is signed. `stopped`: an operator must act. `stale`: what is stored has changed, maybe by another holder of the lease. */
export interface StepResult {
  readonly kind: 'more' | 'done' | 'stopped' | 'stale';
  /** Of `events`. */
  readonly size: number;
  /** Of the feed before the step; undefined if the step was given up before it looked. */
  readonly head?: number;
}

/**
 * A step does one commit, and signs. Between any two of its statements the process may end, the database restart, another
 * process do the same: what was given out is never contradicted, since each commit compares the sizes in the database.
 */
export class Builder {
  readonly #options: BuilderOptions;
  readonly #known = new KnownCheckpoints();
  readonly #coverage: CoverageTurns | undefined;
  readonly #own: readonly LogSigner[];
  #keys: KeyState | undefined;
  #notes = new Map<LogName, string>();
  #memory: { readonly generation: number; readonly logs: LogsInMemory } | undefined;
  /** The journal may lag behind the tables. */
  #owes = true;
  /** A rotation is ordered: a process with the new key must get the lease. */
  isToYield = false;
  #stating: KeyOrder | undefined;

  constructor(options: BuilderOptions) {
    this.#options = options;
    this.#own = [options.signer, ...(options.nextSigner === undefined ? [] : [options.nextSigner])];
    this.#coverage =
      options.coverage &&
      new CoverageTurns(options.coverage, (sources) => options.observer.coverageHeldBack?.(sources));
  }

  /** Until more coverage can be stated; undefined if there is none. */
  get busyForMs(): number | undefined {
    return this.#coverage?.busyForMs;
  }

  /**
   * The newest generation, made if there is none. Throws OrgtrailError `configuration` for another origin, or if this process
   * has not the keys that sign: it must not take the lease from one that has them.
   */
  async open(): Promise<StoredLogs> {
    const { store, base } = this.#options;
    if ((await store.readLogs()) === undefined) await store.open(base);
    const logs = await store.readLogs();
    if (logs === undefined) throw new Error('the log was not made');
    requireOrigin(logs, base);
    this.#keys = await store.readKeys(logs.generation);
    this.#signing(logs);
    return logs;
  }

  /** Compared by the next step. */
  learn(found: readonly AnchoredCheckpoint[]): void {
    for (const each of found) this.#known.learnAnchored(each);
  }

  /** `signs`: also if there is more to do. */
  async step(claim: HeldClaim, signs = true): Promise<StepResult> {
    try {
      return await this.#step(claim, signs);
    } catch (error) {
      this.#memory = undefined;
      if (!(error instanceof EvidenceFault)) throw error;
      return await this.#stop(claim, 'halted', error.message);
    }
  }

  async #step(claim: HeldClaim, signs: boolean): Promise<StepResult> {
    const logs = await this.#options.store.readLogs();
    if (logs?.generation !== claim.generation) throw new Error('another generation of the evidence has begun');
    const { state, events } = logs;
    if (state === 'behind' || state === 'forked') return { kind: 'stopped', size: events.size };
    const isAllSigned = logNames.every((log) => logs[log].signedSize === logs[log].size);
    if (logs.isEnded && (isAllSigned || state === 'halted')) return { kind: 'stopped', size: events.size };
    const memory = await this.#remember(claim, logs);
    if ('kind' in memory) return memory;
    if (logs.isEnded) {
      return { kind: (await this.#sign(claim, memory)) ? 'stopped' : 'stale', size: events.size };
    }
    await this.#coverage?.look(this.#options.store, claim, logs, memory);
    const grown = await this.#grow(claim, logs, memory, signs);
    if (grown === 'stopped' || grown === 'moved') return { kind: 'more', size: events.size };
    if (grown === 'stale') {
      this.#memory = undefined;
      return { kind: 'stale', size: events.size };
    }
    const size = memory.sizeOf('events');
    if (this.#memory === undefined) return { kind: 'more', size };
    const isAtHead = size >= logs.head;
    // After a fork, the journal first states all that happened before: else leaves would seem to be missing.
    if (logs.generation > 1 && logs.journal.signedSize === undefined && this.#owes) return { kind: 'more', size };
    if (isAtHead || signs) {
      if (!(await this.#sign(claim, memory))) return { kind: 'stale', size };
    }
    const isIdle = grown === undefined && isAtHead && this.#coverage?.isPending(memory) !== true;
    return { kind: isIdle ? 'done' : 'more', size, head: logs.head };
  }

  /** What is in memory, if that is what is stored; else loads it, and compares it with all that is known. */
  async #remember(claim: HeldClaim, logs: StoredLogs): Promise<LogsInMemory | StepResult> {
    const { store } = this.#options;
    const memory = this.#memory;
    const isCurrent =
      memory?.generation === logs.generation &&
      logs.isHere &&
      logNames.every(
        (log) => memory.logs.sizeOf(log) === logs[log].size && memory.logs.rootOf(log).equals(logs[log].root),
      );
    const wasComplete = this.#known.isComplete(claim);
    if (isCurrent && wasComplete && !this.#known.hasNews) return memory.logs;
    if (!wasComplete) this.learn((await this.#options.readAnchors?.(logs)) ?? []);
    const loaded = await store.load(logs);
    this.#keys = await store.readKeys(logs.generation);
    // Of a lost or stolen key, only the anchors are known from elsewhere.
    if (this.#signing(logs).signers.length === 0 && wasComplete)
      this.learn((await this.#options.readAnchors?.(logs)) ?? []);
    const contradiction = await this.#known.contradiction(logs, store.readTiles);
    if (contradiction !== undefined) return await this.#stop(claim, contradiction.state, contradiction.reason);
    if (!logs.isHere && !(await this.#goOn(claim, wasComplete))) return await this.#stop(claim, 'forked', MAYBE_LOST);
    for (const checkpoint of loaded.checkpoints) this.#known.learn(checkpoint);
    this.#notes = new Map(loaded.checkpoints.map(({ log, note }) => [log, note]));
    if (loaded.isHere) this.#known.complete(claim);
    const inMemory = new LogsInMemory(loaded, this.#options.makeKey ?? (() => randomBytes(MONTH_KEY_BYTES)));
    for (const log of logNames) {
      if (!inMemory.rootOf(log).equals(logs[log].root))
        throw new EvidenceFault(`the tiles of ${log} do not give its root`);
    }
    this.#memory = { generation: logs.generation, logs: inMemory };
    return inMemory;
  }

  /** On another server: only if no other process can have signed what is lost, and all that is known holds there. */
  async #goOn(claim: HeldClaim, wasComplete: boolean): Promise<boolean> {
    claim.throwIfLost();
    if (!wasComplete || !(await this.#options.store.goOnHere(claim))) return false;
    this.#options.observer.wentOn?.();
    return true;
  }

  #signing({ events, journal, at }: StoredLogs): Signing {
    if (this.#keys === undefined) throw new Error('the keys were not read');
    const signing = signingAt(this.#own, this.#keys, [events.origin, journal.origin], at);
    if (signing.lacks !== undefined && !this.isToYield) this.#options.observer.keyMissing?.(signing.lacks);
    this.isToYield = signing.lacks !== undefined;
    return signing;
  }

  /** As much as one commit holds; undefined if there is nothing. */
  async #grow(claim: Claim, logs: StoredLogs, memory: LogsInMemory, signs: boolean): Promise<GrowthResult | undefined> {
    const { store, observer } = this.#options;
    const { origin, size, root } = logs.events;
    const moment: Moment = { at: logs.at, tree: { origin, size, root: root.toString('base64') } };
    // What is stated with it must not come before it.
    const clock = logs.journal.size > 0 ? logs.clock : undefined;
    const entries = clock === undefined ? [] : [clockEntry(clock, moment)];
    entries.push(...(this.#coverage?.take(memory, moment) ?? []));
    entries.push(...(await this.#dueEntries(logs, moment, signs)));
    await this.#appendEvents(logs, memory);
    entries.push(...(await this.#sourceEntries(memory, moment)));
    memory.state(entries);
    const { holes, ...appended } = memory.take();
    for (const hole of holes) {
      const unexplained = unexplainedHole([hole], await store.readExplanations(hole));
      if (unexplained === undefined) continue;
      throw new EvidenceFault(`position ${unexplained} has no event, and neither a drop nor a jump says why`);
    }
    const to = (log: LogName) => ({ size: memory.sizeOf(log), root: memory.rootOf(log) });
    if (to('events').size === size && entries.length === 0) return undefined;
    const { generation, epoch } = claim;
    const from = { events: size, journal: logs.journal.size };
    const growth = { generation, epoch, from, to: { events: to('events'), journal: to('journal') } };
    const result = await store.grow({ ...growth, ...appended, entries });
    if (result === 'grown') observer.grown?.({ events: to('events').size - size, statements: entries.length });
    if (result === 'grown' && clock !== undefined) observer.clockStated?.(clock);
    if (result === 'grown' && this.#stating !== undefined) observer.keyStated?.(this.#stating);
    // Other keys sign from here on: all is read again before anything is signed.
    if (result !== 'grown' || this.#stating !== undefined) this.#memory = undefined;
    return result;
  }

  /** While it catches up, looking for what is to be stated would take longer than the leaves. */
  async #dueEntries(logs: StoredLogs, moment: Moment, signs: boolean): Promise<NewEntry[]> {
    const { store, signer, version, chunk = CHUNK } = this.#options;
    const { generation, feedId, retention = null, adopted, events, journal } = logs;
    const isLooked = signs || logs.head - events.size <= chunk;
    const due = isLooked
      ? [...(await this.#keyEntries(logs, moment)), ...dueEntries(await store.readDue(generation), moment)]
      : [];
    this.#owes = !isLooked || due.length > 0;
    if (journal.size > 0) return due;
    const vkeys = vkeysOf([events.origin, journal.origin], signer);
    const genesis = { type: 'genesis', ...moment, version, feed_id: feedId, vkeys, retention, adopted } as const;
    return [newEntry('1', genesis), ...due];
  }

  async #keyEntries(logs: StoredLogs, moment: Moment): Promise<NewEntry[]> {
    const keys = await this.#options.store.readKeys(logs.generation);
    this.#keys = keys;
    this.#stating = undefined;
    const { toState } = this.#signing(logs);
    if (toState === undefined) return [];
    this.#stating = toState;
    return [entryOfOrder(toState, keys, moment)];
  }

  async #appendEvents({ events: { size }, head: last }: StoredLogs, memory: LogsInMemory): Promise<void> {
    const { store, chunk = CHUNK } = this.#options;
    const head = this.#coverage?.cap(memory, last) ?? last;
    if (size >= head) return;
    const { until, isHole } = nextChunk({ size, head, events: chunk, holes: HOLES }, await store.readJumps());
    if (!isHole) await store.copyEvents(size, until, (row) => memory.append(readEventRow(row)));
    memory.appendHoles(until);
  }

  async #sourceEntries({ newSources }: LogsInMemory, moment: Moment): Promise<NewEntry[]> {
    if (newSources.length === 0) return [];
    const organizations = await this.#options.store.readOrganizations(newSources);
    return newSources.map(({ number, kind, id }, index) =>
      sourceEntry({ number, kind, id, organization_id: organizations[index] ?? null }, moment),
    );
  }

  /** False: what is stored has changed, or must not be given out. */
  async #sign(claim: HeldClaim, memory: LogsInMemory): Promise<boolean> {
    const { store, observer } = this.#options;
    const stored = await store.readLogs();
    if (stored?.generation !== claim.generation || !stored.isHere) return false;
    const state = stored.events.size < stored.adopted ? 'building' : 'ok';
    const { signers } = this.#signing(stored);
    if (signers.length === 0) return false;
    // Reached only if what halted it is over.
    if (state !== stored.state) await store.noteState(claim, state, undefined);
    for (const log of logNames) {
      const { origin, size, root, signedSize } = stored[log];
      if (memory.sizeOf(log) !== size || !memory.rootOf(log).equals(root)) return false;
      const isSigned = isSignedAs(this.#notes.get(log), log, origin, signers);
      if (signedSize === size && isSigned) continue;
      claim.throwIfLost();
      const checkpoint = { origin, size, root };
      const note = await signCheckpoint(checkpoint, signers);
      if (!(await this.#keep(claim, log, checkpoint, note))) return false;
      this.#notes.set(log, note);
      observer.signed?.({ ...checkpoint, log, note });
    }
    return true;
  }

  /** Without an answer of the database, the checkpoint may be stored, and read by others. */
  async #keep(claim: Claim, log: LogName, checkpoint: Checkpoint, note: string): Promise<boolean> {
    const isKept = await this.#options.store.noteCheckpoint(claim, log, checkpoint, note).catch((error: unknown) => {
      this.#known.learn(checkpoint);
      throw error;
    });
    if (isKept) this.#known.learn(checkpoint);
    return isKept;
  }

  async #stop(claim: Claim, state: Contradiction['state'] | 'halted', reason: string): Promise<StepResult> {
    await this.#options.store.noteState(claim, state, reason);
    this.#options.observer.stopped?.(state, reason);
    return { kind: 'stopped', size: 0 };
  }
}

/** Throws OrgtrailError `configuration` if the settings give the logs another name. */
export const requireOrigin = ({ feedId, generation, events }: StoredLogs, base: string): void => {
  const expected = writeOrigin({ base, feedId, generation, log: 'events' });
  if (events.origin === expected) return;
  throw new OrgtrailError('configuration', `the evidence of this database is of ${events.origin}, not of ${expected}`, {
    hint: 'set ORGTRAIL_EVIDENCE_ORIGIN to what the log began with: a log has one name',
  });
};
