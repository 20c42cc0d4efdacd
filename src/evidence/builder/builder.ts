import { randomBytes } from 'node:crypto';
import { OrgtrailError } from '../../base/errors.ts';
import type { AnchoredCheckpoint } from '../anchor.ts';
import { readEventRow } from '../append/event-row.ts';
import type { KeyOrder, KeyState } from '../append/keys-in-force.ts';
import { LogInMemory } from '../append/log.ts';
import { stateClock, stateDue } from '../append/new-statements.ts';
import { EvidenceFault } from '../bytes.ts';
import type { StatementOf } from '../journal/statement.ts';
import { LOG_NUMBER } from '../leaf.ts';
import { type Checkpoint, writeOrigin } from '../notes/checkpoint.ts';
import { type CoverageOptions, CoverageTurns } from './coverage-schedule.ts';
import type { EvidenceStore } from './evidence-store.sql.ts';
import { KnownCheckpoints } from './known-checkpoints.ts';
import type { Claim, EvidenceObserver, GrowthResult, LogSigner, StoredLog } from './ports.ts';
import { hexOf, isSignedAs, type Signing, signCheckpoint, signingAt, stateKey } from './signing-keys.ts';

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
  readonly readAnchors?: (log: StoredLog) => Promise<readonly AnchoredCheckpoint[]>;
  /** Events of one commit. */
  readonly chunk?: number;
  readonly makeKey?: () => Buffer;
  /** Undefined: states no coverage. */
  readonly coverage?: CoverageOptions | undefined;
}

const CHUNK = 5_000;
const MAYBE_LOST =
  'the database failed over or was restored, and a checkpoint that was signed before may be lost with what was lost';
/** The same object for as long as the lease lasts without a break. */
export interface HeldClaim extends Claim {
  /** Throws if the lease is lost: nothing may be signed then. */
  throwIfLost(): void;
}

/** `done`: all is signed. `stopped`: an operator must act. `stale`: what is stored has changed, maybe by another holder of the lease. */
export interface StepResult {
  readonly kind: 'more' | 'done' | 'stopped' | 'stale';
  /** Each event up to it has its leaf. */
  readonly position: number;
  readonly size: number;
  /** Of the feed before the step; undefined if the step was given up before it looked. */
  readonly head?: number;
}

/**
 * A step does one commit, and signs. Between any two of its statements the process may end, the database restart, another
 * process do the same: what was given out is never contradicted, since each commit compares the size in the database.
 */
export class Builder {
  readonly #options: BuilderOptions;
  readonly #known = new KnownCheckpoints();
  readonly #coverage: CoverageTurns | undefined;
  readonly #own: readonly LogSigner[];
  #keys: KeyState | undefined;
  #note: string | undefined;
  #memory: LogInMemory | undefined;
  /** As far as they are in memory. */
  #holds: readonly StatementOf<'hold'>[] = [];
  /** A rotation is ordered: a process with the new key must get the lease. */
  isToYield = false;
  #stating: KeyOrder | undefined;

  constructor(options: BuilderOptions) {
    this.#options = options;
    this.#own = [options.signer, ...(options.nextSigner === undefined ? [] : [options.nextSigner])];
    this.#coverage = options.coverage && new CoverageTurns(options.coverage);
  }

  /** Until more coverage can be stated; undefined if there is none. */
  get busyForMs(): number | undefined {
    return this.#coverage?.busyForMs;
  }

  /**
   * The log, made if there is none. Throws OrgtrailError `configuration` for another origin, or if this process has not the key
   * that signs: it must not take the lease from one that has it.
   */
  async open(): Promise<StoredLog> {
    const { store, base } = this.#options;
    if ((await store.readLog()) === undefined) await store.open(base);
    const log = await store.readLog();
    if (log === undefined) throw new Error('the log was not made');
    requireOrigin(log, base);
    this.#keys = await store.readKeys();
    this.#signing(log);
    return log;
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
    const { store } = this.#options;
    const log = await store.readLog();
    if (log === undefined) throw new Error('the log of the evidence is gone');
    const { state, size, position } = log;
    const stopped: StepResult = { kind: 'stopped', size, position };
    if (state === 'behind') return stopped;
    if (log.fault !== undefined) throw new EvidenceFault(`what is stored is not what was signed: ${log.fault}`);
    if (log.isEnded && (log.signedSize === size || state === 'halted')) return stopped;
    const memory = await this.#remember(claim, log);
    if (memory === undefined) return stopped;
    memory.at = log.at;
    if (log.isEnded) return (await this.#sign(claim, memory)) ? stopped : { ...stopped, kind: 'stale' };
    const heldBack = await this.#coverage?.look(store, claim, log, memory);
    if (heldBack !== undefined) {
      await store.noteHeldBack(claim, heldBack);
      this.#options.observer.coverageHeldBack?.(heldBack);
    }
    const grown = await this.#grow(claim, log, memory, signs);
    const now = { size: memory.size, position: grown.position };
    if (grown.result === 'stopped' || grown.result === 'moved') return { kind: 'more', size, position };
    if (grown.result === 'stale') {
      this.#memory = undefined;
      return { kind: 'stale', size, position };
    }
    // Another key signs from here on: all is read again before anything is signed.
    if (this.#memory === undefined) return { kind: 'more', ...now };
    const isAtHead = grown.position >= log.head;
    // A log behind another first states all that happened before: else leaves would seem to be missing.
    if (log.number > 1 && log.signedSize === undefined && grown.owes) return { kind: 'more', ...now };
    if (isAtHead || signs) {
      if (!(await this.#sign(claim, memory))) return { kind: 'stale', ...now };
    }
    const isIdle = grown.result === undefined && isAtHead && this.#coverage?.isPending(memory) !== true;
    return { kind: isIdle ? 'done' : 'more', ...now, head: log.head };
  }

  /** What is in memory, if that is what is stored; else loads it, and compares it with all that is known. Undefined: it stopped. */
  async #remember(claim: HeldClaim, log: StoredLog): Promise<LogInMemory | undefined> {
    const { store } = this.#options;
    const memory = this.#memory;
    const isCurrent = log.isHere && memory?.size === log.size && memory.root().equals(log.root) && !memory.isChanged;
    const wasComplete = this.#known.isComplete(claim);
    if (isCurrent && wasComplete && !this.#known.hasNews) return memory;
    if (log.feedOfHead !== log.feedId)
      throw new EvidenceFault(`the feed is ${log.feedOfHead}, and the log is of another`);
    if (!wasComplete) this.learn((await this.#options.readAnchors?.(log)) ?? []);
    const loaded = await store.load(log);
    this.#keys = await store.readKeys();
    // Of a lost or stolen key, only the anchors are known from elsewhere.
    if (this.#signing(log).signers.length === 0 && wasComplete)
      this.learn((await this.#options.readAnchors?.(log)) ?? []);
    const contradiction = await this.#known.contradiction(log, store.readTiles);
    if (contradiction !== undefined) return await this.#stopped(claim, contradiction.state, contradiction.reason);
    if (!log.isHere && !(await this.#goOn(claim, wasComplete))) return await this.#stopped(claim, 'behind', MAYBE_LOST);
    if (loaded.checkpoint !== undefined) this.#known.learn(loaded.checkpoint);
    this.#note = loaded.checkpoint?.note;
    if (loaded.isHere) this.#known.complete(claim);
    const inMemory = new LogInMemory(loaded, this.#options.makeKey ?? (() => randomBytes(MONTH_KEY_BYTES)));
    if (!inMemory.root().equals(log.root)) throw new EvidenceFault('the tiles of the log do not give its root');
    this.#holds = await store.readHolds();
    this.#memory = inMemory;
    return inMemory;
  }

  /** On another server: only if no other process can have signed what is lost, and all that is known holds there. */
  async #goOn(claim: HeldClaim, wasComplete: boolean): Promise<boolean> {
    claim.throwIfLost();
    if (!wasComplete || !(await this.#options.store.goOnHere(claim))) return false;
    this.#options.observer.wentOn?.();
    return true;
  }

  #signing({ origin, at }: StoredLog): Signing {
    if (this.#keys === undefined) throw new Error('the keys were not read');
    const signing = signingAt(this.#own, this.#keys, origin, at);
    if (signing.lacks !== undefined && !this.isToYield) this.#options.observer.keyMissing?.(signing.lacks);
    this.isToYield = signing.lacks !== undefined;
    return signing;
  }

  /** As much as one commit holds. `owes`: there may be more to state of what happened. */
  async #grow(claim: Claim, log: StoredLog, memory: LogInMemory, signs: boolean) {
    const { store, observer, chunk = CHUNK } = this.#options;
    const { size: from, position: before } = log;
    this.#stating = undefined;
    if (from === 0) this.#begin(memory, log);
    // What is stated with it must not come before it.
    const clock = from > 0 ? log.clock : undefined;
    if (clock !== undefined) stateClock(memory, clock);
    this.#coverage?.state(memory, before);
    // While it catches up, looking for what is to be stated would take longer than the leaves.
    const isLooked = signs || log.head - before <= chunk;
    const stated = memory.size;
    if (isLooked && from > 0) await this.#stateDue(log, memory);
    const owes = !isLooked || memory.size > stated || from === 0;
    const position = await this.#appendEvents(log, memory);
    if (memory.size === from && position === before) return { result: undefined, position, owes };
    const appended = memory.take();
    const growth = { epoch: claim.epoch, from, to: memory.size, root: memory.root(), position, ...appended };
    const result: GrowthResult = await store.grow(growth);
    if (result !== 'grown' || this.#stating !== undefined) this.#memory = undefined;
    if (result === 'grown') {
      observer.grown?.({ leaves: memory.size - from, statements: appended.statements.length });
      if (clock !== undefined) observer.clockStated?.(clock);
      if (this.#stating !== undefined) observer.keyStated?.(this.#stating);
    }
    return { result, position, owes };
  }

  #begin(memory: LogInMemory, { number, base, feedId, adoptedPosition }: StoredLog): void {
    const { signer, version } = this.#options;
    const said = { format: 2, number, base, feed_id: feedId, key: hexOf(signer), version } as const;
    const first = { previous: null, carried: 0, lost_holds: [], adopted_position: adoptedPosition };
    memory.state('begin', LOG_NUMBER, String(number), { ...said, ...first, reason: 'begun', by: 'orgtrail' });
  }

  async #stateDue(log: StoredLog, memory: LogInMemory): Promise<void> {
    const { store } = this.#options;
    this.#keys = await store.readKeys();
    const { toState } = this.#signing(log);
    const old = this.#keys.history.at(-1);
    if (toState !== undefined && old !== undefined) {
      stateKey(memory, toState, old.type === 'key' ? old.new : old.key);
      this.#stating = toState;
    }
    this.#holds = stateDue(memory, await store.readDue(log.position), this.#holds);
  }

  /** Resolves with the position up to which each event has its leaf then. */
  async #appendEvents({ position, head: last }: StoredLog, memory: LogInMemory): Promise<number> {
    const { store, chunk = CHUNK } = this.#options;
    const head = this.#coverage?.cap(memory, last) ?? last;
    if (position >= head) return position;
    let [events, at] = [0, position];
    await store.copyEvents(position, head, chunk, (row) => {
      const event = readEventRow(row);
      if (event.position <= at) throw new EvidenceFault(`there are two events at position ${event.position}`);
      memory.append(event);
      events += 1;
      at = event.position;
    });
    return events < chunk ? head : at;
  }

  /** False: what is stored has changed, or must not be given out. */
  async #sign(claim: HeldClaim, memory: LogInMemory): Promise<boolean> {
    const { store, observer } = this.#options;
    const stored = await store.readLog();
    if (stored?.isHere !== true) return false;
    const { origin, size, root, signedSize } = stored;
    if (memory.size !== size || !memory.root().equals(root)) return false;
    const { signers } = this.#signing(stored);
    if (signers.length === 0) return false;
    const state = stored.position < stored.adoptedPosition ? 'building' : 'ok';
    // Reached only if what halted it is over.
    if (state !== stored.state) await store.noteState(claim, state, undefined);
    if (signedSize === size && isSignedAs(this.#note, origin, signers)) return true;
    claim.throwIfLost();
    const checkpoint = { origin, size, root };
    const note = await signCheckpoint(checkpoint, signers);
    if (!(await this.#keep(claim, checkpoint, note))) return false;
    this.#note = note;
    observer.signed?.({ ...checkpoint, note });
    return true;
  }

  /** Without an answer of the database, the checkpoint may be stored, and read by others. */
  async #keep(claim: Claim, checkpoint: Checkpoint, note: string): Promise<boolean> {
    const isKept = await this.#options.store.noteCheckpoint(claim, checkpoint, note).catch((error: unknown) => {
      this.#known.learn(checkpoint);
      throw error;
    });
    if (isKept) this.#known.learn(checkpoint);
    return isKept;
  }

  async #stop(claim: Claim, state: StoredLog['state'], reason: string): Promise<StepResult> {
    await this.#stopped(claim, state, reason);
    return { kind: 'stopped', size: 0, position: 0 };
  }

  async #stopped(claim: Claim, state: StoredLog['state'], reason: string): Promise<undefined> {
    await this.#options.store.noteState(claim, state, reason);
    this.#options.observer.stopped?.(state, reason);
  }
}

/** Throws OrgtrailError `configuration` if the settings give the log another name. */
export const requireOrigin = ({ feedId, number, origin }: StoredLog, base: string): void => {
  const expected = writeOrigin({ base, feedId, number });
  if (origin === expected) return;
  throw new OrgtrailError('configuration', `the evidence of this database is of ${origin}, not of ${expected}`, {
    hint: 'set ORGTRAIL_EVIDENCE_ORIGIN to what the log began with: a log has one name',
  });
};
