import { printFeedCursor } from '../../../src/feed/feed.ts';
import type { FormatName } from '../../../src/formats/registry.ts';
import type { Conduct } from './http-feed-request.ts';

/** A position from which the feed has been told to go on, with the check that came with it. */
export interface Known {
  readonly position: number;
  readonly check: string | undefined;
}

/** What is asked for, and how the reader behaves meanwhile. */
export interface FeedPlan extends Conduct {
  readonly from: Known;
  readonly limit: number;
  readonly format: FormatName;
  readonly waitSeconds: number;
  readonly asksForLastLine: boolean;
}

/** On a busy machine a replica takes its time; one that is stopped never answers. */
const TIMEOUT_MS = 2_000;
const BYTES_OF_AN_EVENT = 1_000;
/** More than fits into the buffers of a connection: a replica that is killed meanwhile has not sent it all. */
const MAX_EVENTS = 40_000;

/**
 * The next request of a reader that has seen everything up to `reached`: usually what is behind it, sometimes from an
 * earlier position of `known` on, as one would that has lost what it had.
 */
export const planRequest = (
  random: () => number,
  reached: Known,
  known: readonly Known[],
  formats: readonly FormatName[],
): FeedPlan => {
  const below = (end: number) => Math.floor(random() * end);
  const earlier = random() < 0.2 ? known[below(known.length)] : undefined;
  const limit = 1 + below([20, 2_000, MAX_EVENTS][earlier === undefined ? below(3) : 2] ?? 1);
  // Rather early: there may be less than asked for.
  const somewhere = () => 1 + Math.floor(random() ** 3 * Math.min(limit, 10_000) * BYTES_OF_AN_EVENT);
  const waitSeconds = below(3);
  const behaviour = random();
  return {
    from: earlier ?? reached,
    limit,
    format: random() < 0.75 ? (formats[0] ?? 'native') : (formats[below(formats.length)] ?? 'native'),
    waitSeconds,
    asksForLastLine: random() < 0.3,
    encoding: (['gzip', 'zstd'] as const)[below(8)] ?? 'identity',
    timeoutMs: waitSeconds * 1_000 + TIMEOUT_MS,
    ...(behaviour < (earlier === undefined ? 0.2 : 0.6) && {
      stall: { afterBytes: somewhere(), forMs: 200 + below(2_000) },
    }),
    ...(behaviour > 0.85 && { cutAfterBytes: somewhere() }),
  };
};

/** From `reached` on to the end, without any whims. */
export const plainRequest = (reached: Known): FeedPlan => ({
  from: reached,
  limit: 10_000,
  format: 'native',
  waitSeconds: 0,
  asksForLastLine: false,
  encoding: 'identity',
  timeoutMs: 30_000,
});

/** The path and query of the request: in turn by a cursor and by its parts. The feed id is known from the first answer on. */
export const pathOf = (plan: FeedPlan, feedId: string | undefined): string => {
  const { from, limit, format, waitSeconds, asksForLastLine } = plan;
  const query = new URLSearchParams({ limit: String(limit), format });
  if (waitSeconds > 0) query.set('wait', String(waitSeconds));
  if (feedId !== undefined && from.position % 2 === 0) {
    query.set('cursor', printFeedCursor({ ...from, feedId, dropped: 0 }));
  } else {
    query.set('after', String(from.position));
    if (feedId !== undefined) query.set('feed_id', feedId);
    if (from.check !== undefined) query.set('check', from.check);
  }
  if (asksForLastLine) query.set('last_line', 'true');
  return `/v1/events?${query}`;
};
