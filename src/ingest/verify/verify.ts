import { ApiError } from '../../base/errors.ts';
import { laneBackoffMs } from '../../base/time.ts';
import { idsOf, type Page } from '../entries/page.ts';
import { gapsIn, type Range } from '../planning/coverage.ts';
import { OTHER_LIMIT } from '../planning/proof.ts';
import { type SourceKey, type SourceState, sortLateEntries } from '../planning/source.ts';
import { afterEnd, afterPage, startWalk, suspectedFrom, type Walk } from '../planning/walk.ts';
import { kindOf } from '../sources/registry.ts';
import { kindPolicyOf } from '../sync/plan-jobs.ts';
import type { SyncContext } from '../sync/ports.ts';
import { blameOf, orApiError, UnprovenError } from '../sync/run/page-exchange.ts';
import { type DoubtfulWalk, proveWith } from '../sync/run/prove.ts';
import { Findings, type SourceVerification, type VerifyOptions } from './comparison.ts';
import type { VerifyStore } from './verify-store.sql.ts';

export interface VerifyContext extends SyncContext {
  readonly verifyStore: VerifyStore;
}

export interface VerifyScope {
  readonly nowMs: number;
  readonly sources: readonly SourceState[];
  /** Listed (or named) and not known to the store: nothing of them is stored. */
  readonly unknown: readonly string[];
  /** Organizations that the store does not know were not looked for. */
  readonly listingRefused: boolean;
}

/** Throws ApiError if Cloudflare cannot be asked. */
export const findScope = async (context: SyncContext, signal: AbortSignal): Promise<VerifyScope> => {
  const { api, store, organizationIds, kinds } = context;
  const wanted = kinds.some((kind) => kindOf(kind).owner === 'organization');
  const { listed, refused } = await listedIds(context, signal, wanted);
  const nowMs = api.nowMs();
  if (nowMs === undefined) throw new ApiError('unreadable', 'no response of the API carries a Date header');
  const sources = await store.loadSources();
  if (!wanted) return { nowMs, sources, unknown: [], listingRefused: false };
  const known = new Set(sources.filter((source) => kindOf(source).owner === 'organization').map(({ id }) => id));
  const unknown = [...new Set([...listed, ...(organizationIds ?? [])])].filter((id) => !known.has(id));
  return { nowMs, sources, unknown, listingRefused: refused };
};

/** Without `all`, its first page alone, which says what time it is. */
const listedIds = async ({ api, organizationIds }: SyncContext, signal: AbortSignal, all: boolean) => {
  const listed = new Set<string>();
  try {
    for await (const page of api.listOrganizations({ ids: organizationIds }, signal)) {
      for (const { id } of page) listed.add(id);
      if (!all) break;
    }
  } catch (error) {
    if (!(error instanceof ApiError) || error.failure !== 'refused') throw error;
    return { listed, refused: true };
  }
  return { listed, refused: false };
};

/** Several sources at a time. Throws when the database fails or the signal aborts; what Cloudflare does is in the
 * results. */
export const verifySources = async (
  context: VerifyContext,
  sources: readonly SourceState[],
  options: VerifyOptions,
): Promise<readonly SourceVerification[]> => {
  const results: SourceVerification[] = [];
  const waiting = [...sources];
  const worker = async (): Promise<void> => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      const result = await verifySource(context, source, options);
      results.push(result);
      options.onSource(result);
    }
  };
  await Promise.all(Array.from({ length: context.concurrency }, worker));
  return results;
};

/** A section that holds more than this many times its share is halved. */
const OVERFULL = 5;
const MIN_SECTION_MS = 1_000;
/** An API may find nothing in a wider window, if it has not been seen to. */
const WIDEST_SECTION_MS = 31 * 86_400_000;
const MAX_RETRY_WAIT_MS = 10_000;

type MutableVerification = { -readonly [Key in keyof SourceVerification]: SourceVerification[Key] };

/**
 * Each section is read to a credible end, as the daemon does, but from its other side and with another page size, so
 * that it shares no mistake with the first reading. What is missing or changed was served, so broken paging cannot make
 * it up; what looks extra is asked for once more, and in parts beside what was served. Never throws for what Cloudflare does.
 */
const verifySource = async (
  context: VerifyContext,
  source: SourceState,
  options: VerifyOptions,
): Promise<SourceVerification> => {
  const { window } = options;
  const result: MutableVerification = {
    source,
    findings: new Findings(),
    otherFilters: 0,
    unreadMs: gapsIn(window, source.coverage[0] ?? []).reduce((sum, gap) => sum + gap.toMs - gap.fromMs, 0),
    comparedUntilMs: window.fromMs,
    failure: undefined,
  };
  const { findings } = result;
  const longestMs = await sectionLengthMs(context, source, options);
  let lengthMs = longestMs;
  let failures = 0;
  while (result.comparedUntilMs < window.toMs && result.failure === undefined) {
    const fromMs = result.comparedUntilMs;
    const section = { fromMs, toMs: Math.min(window.toMs, fromMs + lengthMs) };
    const outcome = await attempt(() => verifySection(context, options, result, section));
    if (outcome === 'done') {
      result.comparedUntilMs = section.toMs;
      findings.endSection();
      failures = 0;
      lengthMs = Math.min(longestMs, lengthMs * 2);
      continue;
    }
    const fault = typeof outcome === 'string' ? undefined : outcome;
    if (fault !== undefined) failures += 1;
    if (outcome === 'stopped') result.failure = 'stopped before its end';
    else if (fault !== undefined && (failures > options.retries || isLasting(fault))) result.failure = fault.message;
    // What has been found until here is so.
    if (result.failure !== undefined) findings.endSection();
    else findings.dropSection();
    lengthMs = Math.max(MIN_SECTION_MS, Math.ceil((section.toMs - section.fromMs) / 2));
    if (fault !== undefined && result.failure === undefined) await rest(context, failures, options.signal);
  }
  return result;
};

const rest = async ({ time, random }: VerifyContext, failures: number, signal: AbortSignal): Promise<void> =>
  await time.sleep(Math.min(laneBackoffMs(failures, random()), MAX_RETRY_WAIT_MS), signal);

type Fault = ApiError | UnprovenError | SourceHeldError;

const attempt = async <T>(work: () => Promise<T>): Promise<T | Fault> => {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ApiError || error instanceof UnprovenError || error instanceof SourceHeldError) return error;
    throw error;
  }
};

const isLasting = (fault: Fault): boolean =>
  fault instanceof SourceHeldError ||
  (fault instanceof ApiError && ['refused', 'unauthorized', 'not_found'].includes(fault.failure));

/** Sections are sized by what is stored, evenly spread; one that turns out too large is halved. */
const sectionLengthMs = async (
  context: VerifyContext,
  source: SourceState,
  { window, sectionEntries }: VerifyOptions,
): Promise<number> => {
  const stored = await context.verifyStore.countStored(source, window);
  const wholeMs = window.toMs - window.fromMs;
  const sections = Math.max(1, stored / sectionEntries);
  const widestMs = Math.max(WIDEST_SECTION_MS, context.windows.shownMs);
  return Math.max(MIN_SECTION_MS, Math.min(widestMs, Math.ceil(wholeMs / sections)));
};

const verifySection = async (
  context: VerifyContext,
  options: VerifyOptions,
  result: MutableVerification,
  section: Range,
): Promise<'done' | 'stopped' | 'too_large'> => {
  const { source, findings } = result;
  const { verifyStore } = context;
  // What is stored from here on by others may have appeared after its page was read.
  const head = await verifyStore.headPosition();
  const divisible = section.toMs - section.fromMs > MIN_SECTION_MS;
  const mostEntries = divisible ? OVERFULL * options.sectionEntries : Number.POSITIVE_INFINITY;
  const reading = { context, options, result, section, mostEntries, largestPage: source.largestPage };
  context.windows.sawPage(source.largestPage);
  for (const { cutEntries } of Object.values(source.lanes)) context.windows.sawCut(cutEntries);
  const comparedBefore = findings.compared;
  const outcome = await readAll(reading, section);
  if (outcome !== 'done') return outcome;
  let extra = await verifyStore.findUnserved(source, section, findings.seen, head);
  if (extra.within === undefined) return 'done';
  if (options.filtered && (await verifyStore.hasOtherFilters(source))) {
    result.otherFilters += extra.entries;
    return 'done';
  }
  // Shown neither there nor by a walk of their own time: only then do they count.
  const again = await readAll({ ...reading, mostEntries: Number.POSITIVE_INFINITY }, extra.within);
  if (again !== 'done') return again;
  extra = await verifyStore.findUnserved(source, section, findings.seen, head);
  // The answer may have been cut: those of the halves lack less, or nothing.
  if (extra.entries > 0 && divisible && findings.compared > comparedBefore) return 'too_large';
  findings.addExtra(extra);
  return 'done';
};

interface Reading {
  readonly context: VerifyContext;
  readonly options: VerifyOptions;
  readonly result: MutableVerification;
  readonly section: Range;
  readonly mostEntries: number;
  largestPage: number;
}

const suspicion = ({ largestPage, context }: Reading): number => suspectedFrom(largestPage, context.windows.cutFrom);

/** Throws ApiError and UnprovenError. */
const readAll = async (reading: Reading, range: Range): Promise<'done' | 'stopped' | 'too_large'> => {
  const { context, options, result } = reading;
  const comparedBefore = result.findings.compared;
  const unproven = (walk: Walk, why: string): 'too_large' => {
    if (range.toMs - range.fromMs <= MIN_SECTION_MS) throw new UnprovenError(walk, why);
    return 'too_large';
  };
  let lastIds: ReadonlySet<string> | undefined;
  let walk = startWalk('settle', range, { readAtMs: options.nowMs, direction: 'desc', pageLimit: OTHER_LIMIT });
  for (;;) {
    if (options.stopping()) return 'stopped';
    const page = await orApiError(context.api.fetchPage(result.source, walk, options.signal));
    if (page instanceof ApiError) {
      const again = afterFailedPage(walk, page);
      if (again === undefined) {
        const end = afterEnd(walk, suspicion(reading));
        const isRead = end.kind === 'doubtful' && (await isWhole(reading, { ...end, lastIds }));
        return isRead ? 'done' : unproven(walk, 'its cursor is refused');
      }
      walk = again;
      continue;
    }
    const step = afterPage(walk, page, suspicion(reading));
    if (page.entries > 0) lastIds = idsOf(page);
    await comparePage(reading, page);
    reading.largestPage = Math.max(reading.largestPage, page.entries);
    context.windows.sawPage(page.entries);
    if (step.kind === 'done') {
      context.windows.ended(result.source, step.walk);
      return 'done';
    }
    if (step.kind === 'broken') throw new UnprovenError(step.walk, step.fault.replaceAll('_', ' '));
    if (step.kind === 'doubtful') {
      return (await isWhole(reading, { ...step, lastIds })) ? 'done' : unproven(step.walk, 'its end is in doubt');
    }
    if (result.findings.compared - comparedBefore > reading.mostEntries) return 'too_large';
    walk = step.walk;
  }
};

/**
 * The walk to ask for again; undefined if its cursor is refused. Throws the error if it says nothing about the walk.
 */
const afterFailedPage = (walk: Walk, error: ApiError): Walk | undefined => {
  const blame = blameOf(error, walk);
  if (blame === 'size' && walk.pageLimit > 1) {
    const pageLimit = Math.max(1, Math.floor(walk.pageLimit / 8));
    const { lane, claim, readAtMs, direction } = walk;
    return startWalk(lane, claim, { readAtMs, direction, pageLimit });
  }
  if (blame !== 'walk' || walk.cursor === undefined) throw error;
  return walk.failures > 0 ? undefined : { ...walk, failures: walk.failures + 1 };
};

/** Other questions about the same time bring nothing that has not been compared. */
const isWhole = async (reading: Reading, doubtful: DoubtfulWalk): Promise<boolean> => {
  const { context, options, result } = reading;
  const take = async (page: Page): Promise<number> => {
    const before = result.findings.compared;
    await comparePage(reading, page);
    return result.findings.compared - before;
  };
  const fetch = (asked: Walk) => orApiError(context.api.fetchPage(result.source, asked, options.signal));
  const prover = {
    fetch,
    take,
    storedBeside: async () => [],
    suspectedFrom: suspicion(reading),
    cutFrom: context.windows.cutFrom,
    hasEndlessTails: context.windows.hasEndlessTails(result.source),
  };
  return await proveWith(prover, doubtful);
};

const comparePage = async ({ context, options, result, section }: Reading, page: Page): Promise<void> => {
  if (page.entries === 0) return;
  const { source, findings } = result;
  const compare = () => context.verifyStore.comparePage(source, page, options.window, section);
  const found = await compare();
  findings.add(found);
  const differs = [found.here, found.beside, found.timeless].some(
    (part) => part.missing.length + part.changed.length > 0,
  );
  if (options.fix && differs) {
    await repairPage(context, source, page, options);
    findings.addRepaired(found, await compare());
  }
  options.onPage(source, page.entries, findings);
};

/** Longer than a lease, so that a dead holder is outlived. */
const HELD_POLL_MS = 500;
const LEASE_WAIT_TIMEOUT_MS = 90_000;

class SourceHeldError extends Error {
  override readonly name = 'SourceHeldError';

  constructor() {
    super('another orgtrail held it all the time: it could not be repaired');
  }
}

/** Through the daemon's own statement: what is missing is added, other content is recorded; claims nothing, and leaves
 * the lanes as they are. Holds the lease for this one page, so that the live tail goes on. Throws SourceHeldError. */
const repairPage = async (
  context: SyncContext,
  source: SourceKey,
  page: Page,
  options: { readonly signal: AbortSignal },
): Promise<void> => {
  const { time, observer } = context;
  const untilMs = time.nowMs() + LEASE_WAIT_TIMEOUT_MS;
  for (;;) {
    const result = await commitUnderLease(context, source, page);
    if (result?.kind === 'committed') {
      const late = sortLateEntries(result.covered, 'settle', context.settleDelaysMs.length);
      observer.pageCommitted?.({ ...result, source, lane: 'settle', entries: page.entries, late });
      return;
    }
    if (time.nowMs() >= untilMs) throw new SourceHeldError();
    await time.sleep(HELD_POLL_MS, options.signal);
  }
};

const commitUnderLease = async ({ store, kinds }: SyncContext, source: SourceKey, page: Page) => {
  const claimed = await store.claim(source);
  if (claimed === undefined) return undefined;
  const { lease } = claimed;
  try {
    const nothing = { state: undefined, claims: [], eventRate: undefined };
    return await store.commit({
      lease,
      page,
      filterHash: kindPolicyOf({ kinds }, source).filterHash,
      lane: 'settle',
      ...nothing,
    });
  } finally {
    // It runs out by itself; the fault itself shows at the next statement.
    await store.release(lease).catch(() => {});
  }
};
