import type { Range } from '../domain/coverage.ts';
import type { Filter } from '../domain/filters.ts';
import { afterHole, type Hole } from '../domain/lane.ts';
import { emptyPage, idsOf } from '../domain/page.ts';
import { splitsOfSecond } from '../domain/second.ts';
import { afterPage, mayBeCut, startWalk, type Walk } from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { commitPart, fetchPage, suspicion } from './page-exchange.ts';
import { prove } from './prove.ts';
import { passOf } from './reading.ts';
import type { Turn } from './turn.ts';
import { blameOf } from './turn-errors.ts';
import { finish } from './walk-pages.ts';

/** More pages than that of one second are a walk that does not end. */
const MOST_PAGES = 2_000;

interface Reading {
  readonly turn: Turn;
  readonly claim: Walk['claim'];
  readonly splits: readonly (readonly (readonly Filter[])[])[];
  /** Cloudflare's time at the earliest answer. */
  readAtMs: number;
  /** Why parts could not be had. */
  readonly faults: string[];
}

/**
 * Reads a second that cannot be had as a whole, part by part. What still cannot be had makes it a hole: stored with its reason, left out
 * of planning until it is tried again, and never claimed. Throws ApiError if the API refuses to answer at all.
 */
export const readSecond = async (turn: Turn, walk: Walk, because: string): Promise<void> => {
  const { context, source } = turn;
  const { claim } = walk;
  const splits = splitsOfSecond(context.filters, await context.store.resourceTypes(source, claim));
  const reading: Reading = { turn, claim, splits, readAtMs: walk.readAtMs, faults: [] };
  await readPart(reading, [], 0);
  const { readAtMs, faults } = reading;
  if (faults.length === 0) return await finish(turn, { ...walk, readAtMs }, emptyPage, 'proven');
  const [reason = 'unknown'] = faults;
  await leaveHole(turn, { range: claim, pass: passOf(turn, claim), reason, message: because }, claim);
};

/** Goes on beside it. `claim`: the part of it that has been read now. */
export const leaveHole = async (turn: Turn, hole: Hole, claim: Range): Promise<void> => {
  const { context, job, source } = turn;
  await commitPart(turn, emptyPage, afterHole(turn.state, { ...hole, range: claim }, turn.progress.holes), {
    holes: [hole],
  });
  context.observer.walkEnded?.({ source, lane: job.lane, result: 'hole' });
  context.observer.holeFound?.({ source, ...hole });
};

/** Reads one part to its end; else its own parts. */
const readPart = async (reading: Reading, filters: readonly Filter[], depth: number): Promise<void> => {
  const fault = await readToEnd(reading, filters);
  if (fault === undefined) return;
  const parts = reading.splits[depth];
  if (parts === undefined) reading.faults.push(fault);
  else for (const part of parts) await readPart(reading, [...filters, ...part], depth + 1);
};

/** Undefined if it came to a credible end; else why not. */
const readToEnd = async (reading: Reading, filters: readonly Filter[]): Promise<string | undefined> => {
  const { turn, claim } = reading;
  const { pageLimit } = turn.state;
  let walk = startWalk(turn.job.lane, claim, { readAtMs: reading.readAtMs, narrow: true, pageLimit, filters });
  let lastIds: ReadonlySet<string> | undefined;
  while (walk.pages < MOST_PAGES) {
    const page = await fetchPage(turn, walk);
    if (page instanceof ApiError) {
      if (blameOf(page, walk) === 'all') throw page;
      return (await prove(turn, walk, lastIds)) ? undefined : page.failure;
    }
    const step = afterPage(walk, page, suspicion(turn));
    lastIds = mayBeCut(page.entries, pageLimit, suspicion(turn)) ? undefined : idsOf(page);
    await commitPart(turn, page, undefined);
    page.release?.();
    walk = step.walk;
    reading.readAtMs = Math.min(reading.readAtMs, walk.readAtMs);
    if (step.kind === 'broken') return step.fault;
    if (step.kind === 'done') return undefined;
    if (step.kind === 'doubtful') return (await prove(turn, walk)) ? undefined : 'cut';
  }
  return 'too_many_pages';
};
