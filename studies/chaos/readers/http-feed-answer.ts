import type { IncomingHttpHeaders } from 'node:http';
import { lastLine } from '../../../src/feed/feed.ts';
import type { FeedPlan } from './http-feed-plan.ts';

/** A timer may fire a little early. */
const EARLY_MS = 100;

/** What the head of an answer promises. */
export interface FeedHead {
  readonly feedId: string;
  readonly nextPosition: number;
  readonly headPosition: number;
  readonly check: string | undefined;
}

export const headOf = (headers: IncomingHttpHeaders): FeedHead => ({
  feedId: String(headers['orgtrail-feed-id']),
  nextPosition: Number(headers['orgtrail-next-position']),
  headPosition: Number(headers['orgtrail-head-position']),
  check: headers['orgtrail-next-check']?.toString(),
});

/** What is wrong with a head. `reached`: what the reader had seen before it asked. */
export const faultsOfHead = (head: FeedHead, plan: FeedPlan, reached: number, feedId: string | undefined): string[] => {
  const { from, limit } = plan;
  const due = Math.min(head.headPosition, from.position + limit);
  return [
    ...(feedId === undefined || feedId === head.feedId
      ? []
      : [`feed ${head.feedId} answered, and ${feedId} was asked`]),
    ...(head.nextPosition === due ? [] : [`next position ${head.nextPosition} where ${due} was due (limit ${limit})`]),
    ...(head.headPosition >= reached ? [] : [`head position ${head.headPosition}, and ${reached} has been read`]),
    ...(due === 0 || head.check !== undefined ? [] : [`no check for position ${head.nextPosition}`]),
  ];
};

/** What a body that came to its proper end had. */
export interface WholeBody {
  /** Of its last event; where it had none, the position that was asked for. */
  readonly position: number;
  /** The line that is no event. */
  readonly last: string | undefined;
  /** What stood behind the last newline. */
  readonly rest: string;
  readonly tookMs: number;
}

/** What is wrong with a body that ended as if it were whole. */
export const faultsOfBody = (body: WholeBody, head: FeedHead, plan: FeedPlan): string[] => {
  const { position, last, rest, tookMs } = body;
  const expectedLast = plan.asksForLastLine
    ? lastLine({ ...head, position: head.nextPosition, dropped: 0 }).trimEnd()
    : undefined;
  const isEarly = head.nextPosition === plan.from.position && tookMs < plan.waitSeconds * 1_000 - EARLY_MS;
  return [
    ...(position === head.nextPosition
      ? []
      : [`a body ended cleanly at position ${position}, and its head said ${head.nextPosition}`]),
    ...(last === expectedLast ? [] : [`the last line was ${last}, due was ${expectedLast}`]),
    ...(rest === '' ? [] : [`a body ended cleanly in the middle of a line: ${rest.slice(0, 200)}`]),
    ...(isEarly ? [`an empty answer after ${Math.round(tookMs)} ms of ${plan.waitSeconds} s`] : []),
  ];
};
