import { ApiError } from '../../../base/errors.ts';
import { emptyPage, idsOf } from '../../entries/page.ts';
import type { Range } from '../../planning/coverage.ts';
import { type Filter, splitsOfSecond } from '../../planning/filters.ts';
import { afterHole, type Hole } from '../../planning/lane.ts';
import { afterEnd, afterPage, startWalk, type Walk } from '../../planning/walk.ts';
import { kindPolicyOf } from '../plan-jobs.ts';
import {
  blameOf,
  commitPart,
  fetchPage,
  finish,
  PageRefusedError,
  passOf,
  suspicion,
  type Turn,
} from './page-exchange.ts';
import { prove } from './prove.ts';

/** More pages than that of one second are a walk that does not end. */
const MAX_PAGES = 2_000;
/** If the first parts all fail, telling them apart by this field does not help. */
const FAILED_PARTS = 3;
/** The source's other lanes wait as long as parts hang. */
const MAX_TIMEOUTS = 6;

interface Reading {
  readonly turn: Turn;
  readonly claim: Walk['claim'];
  readonly splits: readonly (readonly (readonly Filter[])[])[];
  /** Cloudflare's time at the earliest answer. */
  readAtMs: number;
  /** Why parts could not be read. */
  readonly faults: string[];
  /** How many were not answered in time. */
  timeouts: number;
}

/**
 * Reads a second that cannot be read as a whole, part by part. If a part still fails, the second becomes a hole: stored with its reason, left
 * out of planning until it is retried, and never claimed. Throws ApiError if the API refuses to answer at all.
 */
export const readSecond = async (turn: Turn, walk: Walk, because: string): Promise<void> => {
  const { context, source } = turn;
  const { claim } = walk;
  const splits = splitsOfSecond(
    kindPolicyOf(context, source).filters,
    await context.store.resourceTypes(source, claim),
  );
  const reading: Reading = { turn, claim, splits, readAtMs: walk.readAtMs, faults: [], timeouts: 0 };
  await readPart(reading, [], 0);
  const { readAtMs, faults } = reading;
  if (faults.length === 0) return await finish(turn, { ...walk, readAtMs }, emptyPage, 'proven');
  const [reason = 'unknown'] = faults;
  await leaveHole(turn, { range: claim, pass: passOf(turn, claim), reason, message: because }, claim);
};

/** Goes on beside it. `claim`: the part of it that has been read now. */
export const leaveHole = async (turn: Turn, hole: Hole, claim: Range): Promise<void> => {
  const { context, job, source } = turn;
  await commitPart(turn, emptyPage, afterHole(turn.state, { range: claim }), {
    holes: [hole],
  });
  context.observer.walkEnded?.({ source, lane: job.lane, result: 'hole' });
  context.observer.holeFound?.({ source, ...hole });
};

/** Reads one part to its end; else its own parts. True if all of it was read. What fails like all beside it is not told apart further. */
const readPart = async (reading: Reading, filters: readonly Filter[], depth: number): Promise<boolean> => {
  const fault = await readToEnd(reading, filters);
  if (fault === undefined) return true;
  const parts = reading.splits[depth];
  if (parts === undefined) {
    reading.faults.push(fault);
    return false;
  }
  let read = 0;
  for (const [index, part] of parts.entries()) {
    const isHopeless = (index >= FAILED_PARTS && read === 0) || reading.timeouts >= MAX_TIMEOUTS;
    if (isHopeless) {
      reading.faults.push(fault);
      return false;
    }
    if (await readPart(reading, [...filters, ...part], depth + 1)) read += 1;
  }
  return read === parts.length;
};

/** Undefined if it came to a credible end; else why not. */
const readToEnd = async (reading: Reading, filters: readonly Filter[]): Promise<string | undefined> => {
  try {
    return await readPages(reading, filters);
  } catch (error) {
    if (error instanceof PageRefusedError) return error.error.failure;
    throw error;
  }
};

const readPages = async (reading: Reading, filters: readonly Filter[]): Promise<string | undefined> => {
  const { turn, claim } = reading;
  const { pageLimit } = turn.state;
  const { windows } = turn.context;
  let walk = startWalk(turn.job.lane, claim, { readAtMs: reading.readAtMs, narrow: true, pageLimit, filters });
  let lastIds: ReadonlySet<string> | undefined;
  while (walk.pages < MAX_PAGES) {
    const page = await fetchPage(turn, walk, { attemptMs: windows.partTimeoutMs });
    if (page instanceof ApiError) {
      if (blameOf(page, walk) === 'all') throw page;
      if (page.failure === 'timeout') reading.timeouts += 1;
      const end = walk.pages === 0 ? undefined : afterEnd(walk, suspicion(turn));
      const isWhole = end?.kind === 'doubtful' && (await prove(turn, { ...end, lastIds }));
      return isWhole ? undefined : page.failure;
    }
    const step = afterPage(walk, page, suspicion(turn));
    if (page.entries > 0) lastIds = idsOf(page);
    if (page.answer !== undefined) turn.asked.push(page.answer);
    await commitPart(turn, page, undefined);
    page.release?.();
    walk = step.walk;
    reading.readAtMs = Math.min(reading.readAtMs, walk.readAtMs);
    if (step.kind === 'broken') return step.fault;
    if (step.kind === 'done') return undefined;
    if (step.kind === 'doubtful') return (await prove(turn, { ...step, lastIds })) ? undefined : 'cut';
  }
  return 'too_many_pages';
};
