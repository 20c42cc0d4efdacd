import { sourceBackoffMs } from '../domain/backoff.ts';
import { gapsIn, type Range } from '../domain/coverage.ts';
import type { Page } from '../domain/page.ts';
import type { SourceState } from '../domain/source.ts';
import { Findings } from '../domain/verification.ts';
import { afterPage, startWalk, type Walk } from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { repairPage, SourceHeldError } from './repair-page.ts';
import { afterFailedPage, WalkFailedError } from './turn.ts';
import type { SourceVerification, VerifyContext, VerifyOptions } from './verify-ports.ts';

/** A section with so many times what it should hold is given up, and half of it is read. */
const OVERFULL = 5;
const SHORTEST_SECTION_MS = 1_000;
const LONGEST_RETRY_WAIT_MS = 10_000;

type MutableVerification = { -readonly [Key in keyof SourceVerification]: SourceVerification[Key] };

/**
 * Reads the window of one source again, section by section, and compares each page with the store by id. Each section is walked
 * to its end, as the daemon walks: what is missing or changed was served, so that broken paging cannot make it up; what looks
 * extra is asked for once more. Never throws for what Cloudflare does.
 */
export const verifySource = async (
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
    lengthMs = Math.max(SHORTEST_SECTION_MS, Math.ceil((section.toMs - section.fromMs) / 2));
    if (fault !== undefined && result.failure === undefined) await rest(context, failures, options.signal);
  }
  return result;
};

const rest = async ({ time, random }: VerifyContext, failures: number, signal: AbortSignal): Promise<void> =>
  await time.sleep(Math.min(sourceBackoffMs(failures, random()), LONGEST_RETRY_WAIT_MS), signal);

type Fault = ApiError | WalkFailedError | SourceHeldError;

const attempt = async <T>(work: () => Promise<T>): Promise<T | Fault> => {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ApiError || error instanceof WalkFailedError || error instanceof SourceHeldError) return error;
    throw error;
  }
};

const isLasting = (fault: Fault): boolean =>
  fault instanceof SourceHeldError ||
  (fault instanceof ApiError && ['refused', 'unauthorized', 'not_found'].includes(fault.failure));

/** As many entries as are stored are to be expected, evenly spread; a section that turns out too large is halved. */
const sectionLengthMs = async (
  context: VerifyContext,
  source: SourceState,
  { window, sectionEntries }: VerifyOptions,
): Promise<number> => {
  const stored = await context.verifyStore.countStored(source, window);
  const wholeMs = window.toMs - window.fromMs;
  const sections = Math.max(1, stored / sectionEntries);
  return Math.max(SHORTEST_SECTION_MS, Math.ceil(wholeMs / sections));
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
  const divisible = section.toMs - section.fromMs > SHORTEST_SECTION_MS;
  const mostEntries = divisible ? OVERFULL * options.sectionEntries : Number.POSITIVE_INFINITY;
  const reading = { context, options, result, section, mostEntries };
  const outcome = await readAll(reading, section);
  if (outcome !== 'done') return outcome;
  let extra = await verifyStore.findUnserved(source, section, findings.seen, head);
  if (extra.within === undefined) return 'done';
  if (options.filtered && (await verifyStore.hasOtherFilters(source))) {
    result.otherFilters += extra.entries;
    return 'done';
  }
  // A walk that began again by time may have stepped over an entry that is out of order: one of their own time has them.
  const again = await readAll({ ...reading, mostEntries: Number.POSITIVE_INFINITY }, extra.within);
  if (again !== 'done') return again;
  extra = await verifyStore.findUnserved(source, section, findings.seen, head);
  findings.addExtra(extra);
  return 'done';
};

interface Reading {
  readonly context: VerifyContext;
  readonly options: VerifyOptions;
  readonly result: MutableVerification;
  /** The part of the window that entries are counted for now. */
  readonly section: Range;
  readonly mostEntries: number;
}

/** Walks a range to its end and compares every page. Throws ApiError and WalkFailedError. */
const readAll = async (reading: Reading, range: Range): Promise<'done' | 'stopped' | 'too_large'> => {
  const { context, options, result } = reading;
  const seenCursors = new Set<string>();
  const comparedBefore = result.findings.compared;
  let walk = startWalk('settle', range, options.nowMs);
  for (;;) {
    if (options.stopping()) return 'stopped';
    if (walk.cursor !== undefined) seenCursors.add(walk.cursor);
    const page = await fetchPage(context, result.source, walk, options.signal);
    if (!(page instanceof ApiError)) await comparePage(reading, page);
    const step = page instanceof ApiError ? afterFailedPage(walk, page) : afterPage(walk, page, seenCursors);
    if (step.kind === 'done') return 'done';
    if (step.kind === 'failed') throw new WalkFailedError(step.fault, walk);
    if (result.findings.compared - comparedBefore > reading.mostEntries) return 'too_large';
    if (step.kind === 'again') seenCursors.clear();
    walk = step.walk;
  }
};

const fetchPage = async (
  { api }: VerifyContext,
  source: SourceState,
  walk: Walk,
  signal: AbortSignal,
): Promise<Page | ApiError> => {
  try {
    return await api.fetchPage(source.organizationId, walk, signal);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
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
