import { countPositions, readMissedEvents } from '../../feed/feed.sql.ts';
import { readFeedHead } from '../../feed/head/feed-head.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import { readSinkStatus, type SinkStatus } from '../sink-status.sql.ts';

/** What a replay of a sink would do. */
export interface ReplayPlan {
  readonly sink: SinkStatus;
  /** The last position that is not sent. */
  readonly after: number;
  /** Events after it, whether they have been sent before or not. */
  readonly toSend: number;
  /** Those that have been sent before. */
  readonly again: number;
  /** Those that would never be sent: the sink would go forward. */
  readonly left: number;
  /** At most so many of those to send are dropped by retention, and in no archive. */
  readonly gone: number;
}

/** Why there is no plan: no such sink, or a position that the feed does not have; with its end. */
export type NoReplay =
  | { readonly kind: 'no sink'; readonly sinks: readonly SinkStatus[] }
  | { readonly kind: 'no position'; readonly head: number };

/** Reads what `replaySink` would do, and changes nothing. `after` undefined: what was asked for is no position. */
export const planReplay = async (
  pool: Pool,
  name: string,
  { after, hasArchive }: { readonly after: number | undefined; readonly hasArchive: boolean },
): Promise<ReplayPlan | NoReplay> => {
  const sinks = await readSinkStatus(pool, undefined);
  const sink = sinks.find((each) => each.name === name);
  if (sink === undefined) return { kind: 'no sink', sinks };
  const head = (await readFeedHead(pool)).position;
  if (after === undefined || after > head) return { kind: 'no position', head };
  const skipped = await countPositions(pool, sink.position, after);
  return {
    sink,
    after,
    toSend: await countPositions(pool, after, head),
    again: Math.max(0, -skipped),
    left: Math.max(0, skipped),
    gone: (await readMissedEvents(pool, after, 0, { hasArchive }))?.events ?? 0,
  };
};
