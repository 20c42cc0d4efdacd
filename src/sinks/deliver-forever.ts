import { reasonOf } from '../base/errors.ts';
import { sinkBackoffMs } from '../base/time.ts';
import { type KeptLease, LeaseLostError, LeaseRefused, leasedRun } from '../postgres/leases.ts';
import { deliverCheckpoint } from './deliver-checkpoint.ts';
import { createOutgoing, type DeliveryOutcome, type Outgoing, outcomeOfAll } from './delivery.ts';
import {
  askedPauseMs,
  type DeliveryFacts,
  type DeliverySizes,
  deadLettersOf,
  decideDelivery,
  deliverOneByOne,
  firstSizes,
  isIndivisible,
  isLastAttempt,
  needsAnother,
} from './delivery-decision.ts';
import {
  type DeliveryContext,
  type DeliveryResult,
  isOwnStream,
  type SinkConfig,
  type SinkEvents,
  type SinkTurn,
} from './ports.ts';

/** Raw entries of one delivery held in memory, unless a sink says otherwise. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Limits how late the end of another replica's turn is noticed. */
const MAX_WAIT_MS = 5_000;
const MIN_WAIT_MS = 20;
/** Limits how late a replay is noticed while there is no news or a delivery waits to be filled. */
const MAX_IDLE_MS = 2_000;
/** Readings within the longest wait of a delivery that fills: each reads all of it again. */
const READINGS_AT_LEAST = 20;
const DATABASE_PAUSE_MS = 1_000;
/** Before another event is tried: a receiver that the refused one has brought down is back by then. */
const BESIDE_PAUSE_MS = 1_000;
/** Other events tried until one is taken: few after an attempt that had none, since the receiver may take nothing at all. */
const OTHERS_TRIED = { most: 64, least: 4 } as const;
/** They are at most 2 to this power events behind it. */
const MAX_DISTANCE_POWER = 12;
const LAST_ATTEMPTS = 2;
const GOLDEN_RATIO = (1 + Math.sqrt(5)) / 2;
const MAX_REASON = 500;

export interface DeliveryStop {
  /** Aborts when a stop is requested: nothing new is begun. */
  readonly asked: AbortSignal;
  readonly hard: AbortSignal;
}

/** Delivers while this process has the turn, until asked to stop. Never rejects. Sinks share only CPU with each other and with ingestion. */
export const deliverForever = async (
  context: DeliveryContext,
  config: SinkConfig,
  stop: DeliveryStop,
): Promise<void> => {
  const worker: SinkWorker = {
    context,
    config,
    stop,
    sizes: firstSizes(config.batchEvents),
    refusals: 0,
    otherAt: 0,
    checkpointAtMs: 0,
  };
  const pause = (ms: number) => context.time.sleep(ms, stop.asked).catch(() => {});
  while (!stop.asked.aborted) {
    try {
      const ended = await takeTurn(worker);
      if (ended instanceof LeaseRefused) await pause(waitMs(ended.answer ?? context.leaseMs / 3));
      if (ended instanceof LeaseLostError) context.observer.lost?.({ sink: config.name });
    } catch (error) {
      if (stop.asked.aborted) return;
      await pause(await noteError(worker, error));
    }
  }
};

/** A statement that the database refuses is counted, logged and retried like a receiver that refuses. Returns the milliseconds to rest. */
const noteError = async (worker: SinkWorker, error: unknown): Promise<number> => {
  const { context, config, turn } = worker;
  const { observer, store } = context;
  const reason = plainReason(context, reasonOf(error));
  observer.interrupted?.({ sink: config.name, reason });
  if (!store.isRefusal(error)) return DATABASE_PAUSE_MS * (1 + context.random());
  worker.refusals += 1;
  const afterMs = sinkBackoffMs(Math.max(worker.refusals, (turn?.failures ?? 0) + 1), context.random());
  const failure = { reason, afterMs };
  const noted = turn === undefined ? store.note(config.name, failure) : store.fail(turn, failure).then(() => {});
  // With a turn, the database says how long it rests, as after every failure.
  return await noted.then(
    () => (turn === undefined ? afterMs : 0),
    () => afterMs,
  );
};

const waitMs = (ms: number): number => Math.max(MIN_WAIT_MS, Math.min(MAX_WAIT_MS, ms));

interface SinkWorker {
  readonly context: DeliveryContext;
  readonly config: SinkConfig;
  readonly stop: DeliveryStop;
  sizes: DeliverySizes;
  /** Of the statement that takes the turn, in a row. */
  refusals: number;
  /** Time of the next look for a checkpoint. */
  checkpointAtMs: number;
  /** An event that is not taken alone, and the attempts at it in a row after which another one was. */
  suspect?: { readonly position: number; readonly othersTaken: number } | undefined;
  /** Position of the farthest other event that was taken. */
  otherAt: number;
  turn?: SinkTurn | undefined;
}

/** Delivers until the lease is lost, a delivery fails, or a stop is asked for. A refused lease says how long to wait. */
const takeTurn = (worker: SinkWorker): Promise<undefined | LeaseRefused<number | undefined> | LeaseLostError> => {
  const { context, config, stop } = worker;
  const { store } = context;
  worker.turn = undefined;
  return leasedRun(context, {
    claim: async () => {
      const answer = await store.claim(config.name);
      worker.refusals = 0;
      return 'epoch' in answer ? answer : new LeaseRefused(answer.waitMs);
    },
    renew: (turn) => store.renew(turn),
    release: (turn) => store.release(turn),
    run: async (claimed, kept) => {
      worker.turn = claimed;
      let turn: SinkTurn | undefined = claimed;
      while (turn !== undefined && !stop.asked.aborted) {
        kept.throwIfLost();
        turn = await step(worker, turn, kept);
      }
      return undefined;
    },
  });
};

/** One delivery, or a wait for something to deliver. Returns the turn after it; undefined if it has ended. */
const step = async (worker: SinkWorker, turn: SinkTurn, kept: KeptLease): Promise<SinkTurn | undefined> => {
  const { context, config, stop } = worker;
  await offerCheckpoint(worker, kept);
  const part = await readEvents(worker, turn.position, turn.batchUntil, worker.sizes.ceiling);
  if (part.events.length > 0) {
    const restMs = mayWaitMs(config, turn, part);
    return restMs > 0 ? await waitForMore(worker, turn, restMs, kept) : await deliver(worker, turn, part, kept);
  }
  // Nothing is left to deliver, so the sink no longer fails.
  if (part.scannedTo > turn.position || turn.failures > 0) {
    const position = Math.max(part.scannedTo, turn.position);
    requireHeld(await context.store.skip(turn, position, part.tooOld));
    if (part.tooOld > 0) context.observer.skipped?.({ sink: config.name, events: part.tooOld, position });
    return { ...turn, position, batchUntil: undefined, failures: 0 };
  }
  context.observer.caughtUp?.({ sink: config.name });
  const over = AbortSignal.any([stop.asked, kept.lost, AbortSignal.timeout(MAX_IDLE_MS)]);
  await context.waitForNews(turn.position, over).catch((error: unknown) => {
    if (!over.aborted) throw error;
  });
  // A replay ends the turn: it is noticed here, even if there is nothing to deliver.
  if (!stop.asked.aborted && over.aborted) requireHeld(await context.store.renew(turn));
  return turn;
};

const readEvents = (
  { context, config }: SinkWorker,
  after: number,
  until: number | undefined,
  maxEvents: number,
): Promise<SinkEvents> =>
  context.store.read({
    after,
    until,
    organizationIds: config.organizationIds,
    accountIds: config.accountIds,
    copies: config.copies,
    maxAgeMs: config.maxAgeMs,
    maxEvents,
    maxBytes: config.maxBytes ?? MAX_BATCH_BYTES,
    sink: config.name,
    stream: config.stream ?? 'entries',
    startsNow: config.startsNow === true,
    minSeverity: config.minSeverity,
  });

const offerCheckpoint = async (worker: SinkWorker, kept: KeptLease): Promise<void> => {
  const { context, config, stop } = worker;
  const { checkpoints, observer, time } = context;
  if (checkpoints === undefined || config.hasCheckpoints !== true || time.nowMs() < worker.checkpointAtMs) return;
  const signal = AbortSignal.any([stop.hard, kept.lost]);
  const plain = (reason: string) => plainReason(context, reason);
  const pauseMs = await deliverCheckpoint({ sink: config, checkpoints, signal, plainReason: plain, observer });
  worker.checkpointAtMs = time.nowMs() + pauseMs;
};

/** Time that these events may still wait for others; 0: they go. A delivery begun before has waited. */
const mayWaitMs = ({ maxIntervalMs = 0 }: SinkConfig, turn: SinkTurn, part: SinkEvents): number =>
  turn.batchUntil !== undefined || part.isFull ? 0 : Math.max(0, maxIntervalMs - part.waitedMs);

/** Reads again only after the wait, not at each commit. */
const waitForMore = async (worker: SinkWorker, turn: SinkTurn, restMs: number, kept: KeptLease): Promise<SinkTurn> => {
  const { context, stop } = worker;
  const over = AbortSignal.any([stop.asked, kept.lost]);
  const { maxIntervalMs = 0 } = worker.config;
  let leftMs = Math.min(restMs, Math.max(MAX_IDLE_MS, maxIntervalMs / READINGS_AT_LEAST));
  while (leftMs > 0 && !stop.asked.aborted) {
    const pauseMs = Math.min(leftMs, MAX_IDLE_MS);
    await context.time.sleep(pauseMs, over).catch((error: unknown) => {
      if (!over.aborted) throw error;
    });
    if (!stop.asked.aborted) requireHeld(await context.store.renew(turn));
    leftMs -= pauseMs;
  }
  return turn;
};

const deliver = async (
  worker: SinkWorker,
  turn: SinkTurn,
  part: SinkEvents,
  kept: KeptLease,
): Promise<SinkTurn | undefined> => {
  const { context, config } = worker;
  const outgoing = await createOutgoing(part.events, config);
  if (worker.stop.asked.aborted) return undefined;
  const sentAtMs = context.time.nowMs();
  requireHeld(await context.store.begin(turn, part.scannedTo));
  kept.renewed(sentAtMs);
  const outcome = await attempt(worker, outgoing, kept);
  const begun = { ...turn, batchUntil: part.scannedTo };
  const { events } = outgoing;
  const facts = {
    ...turn,
    outcome,
    events: events.length,
    position: events[0]?.event.position,
    isIndivisible: isIndivisible(events),
    sizes: worker.sizes,
    batchEvents: config.batchEvents,
  };
  const mayGiveUp = !isOwnStream(config.stream);
  const othersTaken = mayGiveUp && needsAnother(facts) ? await tryOthers(worker, begun, askedPauseMs(facts), kept) : 0;
  // The receiver takes others now: what failed because it was away, or by chance, is taken now.
  let last = outcome;
  for (let n = 0; n < LAST_ATTEMPTS && isLastAttempt({ ...facts, outcome: last, othersTaken }); n += 1) {
    last = await attempt(worker, outgoing, kept, events.length > 1);
  }
  return await settle(worker, begun, { ...outgoing, skipped: part.tooOld }, { ...facts, outcome: last, othersTaken });
};

/**
 * Sends events behind the one that is not taken, each alone, until one is taken; it is sent again in its turn. While there are
 * enough, only those behind the last taken one count: a receiver that drops repeats takes that one even if it takes nothing new.
 * Returns the attempts in a row after which one was taken.
 */
const tryOthers = async (
  worker: SinkWorker,
  { batchUntil, failures }: SinkTurn & { readonly batchUntil: number },
  askedMs: number,
  kept: KeptLease,
): Promise<number> => {
  const { context, config, stop } = worker;
  const before = worker.suspect?.position === batchUntil ? worker.suspect.othersTaken : 0;
  worker.suspect = undefined;
  const pauseMs = Math.max(failures === 0 ? 0 : BESIDE_PAUSE_MS, askedMs);
  await context.time.sleep(pauseMs, AbortSignal.any([stop.asked, kept.lost])).catch(() => {});
  const most = failures === 0 || before > 0 ? OTHERS_TRIED.most : OTHERS_TRIED.least;
  const within = Math.max(most, 2 ** Math.min(failures + 2, MAX_DISTANCE_POWER));
  const behind = (after: number, until?: number) => readEvents(worker, after, until, within);
  const { events: untried } = await behind(Math.max(worker.otherAt, batchUntil));
  const isEnough = worker.otherAt <= batchUntil || untried.length >= OTHERS_TRIED.most;
  const parts = isEnough ? [untried] : [untried, (await behind(worker.otherAt - 1, worker.otherAt)).events];
  for (const other of parts.flatMap((part) => spreadOut(part, most, batchUntil + failures))) {
    if (stop.asked.aborted) return 0;
    const outgoing = await createOutgoing([other], config);
    const said = await attempt(worker, outgoing, kept);
    if (said.kind === 'failed' && said.because === 'receiver') return 0;
    if (outgoing.delivery === undefined || said.kind !== 'delivered' || said.refused.length > 0) continue;
    worker.suspect = { position: batchUntil, othersTaken: before + 1 };
    worker.otherAt = Math.max(worker.otherAt, other.position);
    return before + 1;
  }
  return 0;
};

/** At most `most`: the first, the last, and others at distances without a period, since what is not taken may have one. */
const spreadOut = <Item>(items: readonly Item[], most: number, seed: number): readonly Item[] => {
  const share = items.length / most;
  const places = Array.from({ length: most - 2 }, (_, n) =>
    Math.floor((n + 1 + (((seed + n) * GOLDEN_RATIO) % 1)) * share),
  );
  const chosen = new Set([0, ...places, items.length - 1]);
  return items.filter((_, index) => share <= 1 || chosen.has(index));
};

/** Throws LeaseLostError if the lease is lost meanwhile. */
const attempt = async (
  { context, config, stop }: SinkWorker,
  outgoing: Outgoing,
  kept: KeptLease,
  isFailedRefused = false,
): Promise<DeliveryOutcome> => {
  const { delivery } = outgoing;
  if (delivery === undefined) return outcomeOfAll(outgoing, { kind: 'delivered', refused: [] });
  const signal = AbortSignal.any([stop.hard, kept.lost]);
  let outcome: DeliveryOutcome;
  try {
    signal.throwIfAborted();
    const said = isFailedRefused ? undefined : await config.sink.deliver(delivery, signal);
    const isOneByOne = said === undefined || (said.kind === 'refused' && isIndivisible(delivery.events));
    const told = isOneByOne ? await deliverOneByOne(config.sink, delivery, signal, isFailedRefused) : said;
    const all = outcomeOfAll(outgoing, told);
    outcome = withPlainReasons(context, outgoing, all);
  } catch (error) {
    outcome = { kind: 'failed', reason: plainReason(context, reasonOf(error)) };
  }
  // A failure after the loss says nothing about the sink. A success may be recorded unless another replica has begun.
  if (outcome.kind === 'failed') kept.throwIfLost();
  return outcome;
};

/** Reasons are text of others: shown and stored short and without secrets. Each event is refused once. */
const withPlainReasons = (
  context: DeliveryContext,
  { events }: Outgoing,
  outcome: DeliveryOutcome,
): DeliveryOutcome => {
  if (outcome.kind !== 'delivered') return { ...outcome, reason: plainReason(context, outcome.reason) };
  const refused = new Map(
    outcome.refused
      .filter(({ index }) => events[index] !== undefined)
      .map(({ index, reason }) => [index, plainReason(context, reason)]),
  );
  return { kind: 'delivered', refused: [...refused].map(([index, reason]) => ({ index, reason })) };
};

const plainReason = (context: DeliveryContext, reason: string): string => {
  // PostgreSQL holds no NUL, and no half of a character.
  const text = context.redact(reason).replaceAll('\0', ' ').slice(0, MAX_REASON).toWellFormed();
  return text === '' ? 'no reason given' : text;
};

/** Records the outcome. Returns the turn after it; undefined if the turn has ended. */
const settle = async (
  worker: SinkWorker,
  turn: SinkTurn & { readonly batchUntil: number },
  { events, skipped }: Outgoing & { readonly skipped: number },
  facts: DeliveryFacts,
): Promise<SinkTurn | undefined> => {
  const { context, config, stop } = worker;
  const { observer, store } = context;
  const decision = decideDelivery(facts, context.random());
  // A delivery that was cut short by a stop is no failure of the sink.
  if (decision.kind === 'retry' && stop.hard.aborted) return undefined;
  worker.sizes = decision.sizes;
  if (decision.kind === 'retry') {
    requireHeld(await store.fail(turn, decision));
    observer.failed?.({ sink: config.name, ...decision });
    return undefined;
  }
  if (decision.kind === 'split') {
    observer.split?.({ sink: config.name, events: events.length });
    return turn;
  }
  const { refusedInRow, accepted } = decision;
  const deadLetters = deadLettersOf(events, decision.deadLetters, turn.batchUntil);
  const result: DeliveryResult = { until: turn.batchUntil, accepted, deadLetters, refusedInRow, skipped };
  requireHeld(await store.finish(turn, result));
  if (skipped > 0) observer.skipped?.({ sink: config.name, events: skipped, position: result.until });
  observer.delivered?.({ sink: config.name, accepted, deadLetters, position: result.until });
  return { ...turn, position: result.until, batchUntil: undefined, failures: 0, refusedInRow };
};

const requireHeld = (held: boolean): void => {
  if (!held) throw new LeaseLostError();
};
