import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrgtrailError, reasonOf, SearchError } from '../../errors.ts';
import type { CliContext } from '../cli-context.ts';
import { eventTable } from '../output/event-table.ts';
import { written } from '../output/written.ts';
import type { SearchClient, ShownArrivals } from './search-client.ts';

/** When the other side does not answer. */
const RETRY_AFTER_MS = 2_000;

interface Following {
  /** Behind which position to begin; undefined: at the end. */
  readonly after: number | undefined;
  readonly ndjson: boolean;
  readonly width: number | undefined;
}

/**
 * Prints new matches in the order in which they are stored, until it is stopped. What was printed is not printed again, and what is stored
 * while nothing answers is printed later. Throws if positions are those of another database from some moment on.
 */
export const followSearch = async (
  client: SearchClient,
  { after: first, ndjson, width }: Following,
  { stdout, stderr, signal }: CliContext,
): Promise<void> => {
  const aborted = once(signal, 'abort');
  const table = eventTable(width);
  let after = first;
  let feedId: string | undefined;
  if (!ndjson) stdout.write(`${table.header()}\n`);
  while (!signal.aborted) {
    try {
      const found = await client.arrivals(after, signal);
      requireSame(found, after, feedId);
      feedId = found.feedId;
      const lines = ndjson ? found.lines : found.events.map(table.row);
      // A reader that does not read must not hold up a stop.
      if (lines.length > 0) await Promise.race([written(stdout, `${lines.join('\n')}\n`), aborted]);
      after = found.until;
      if (after >= found.head) await client.waitBeyond(after, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!passes(error)) throw error;
      stderr.write(`orgtrail: no answer, trying again: ${reasonOf(error)}\n`);
      await sleep(RETRY_AFTER_MS, undefined, { signal }).catch(() => {});
    }
  }
};

const passes = (error: unknown): boolean => {
  if (error instanceof OrgtrailError)
    return error.code === 'database_unreachable' || error.code === 'daemon_unreachable';
  return !(error instanceof SearchError) || error.reason === 'timeout';
};

const requireSame = (found: ShownArrivals, after: number | undefined, feedId: string | undefined): void => {
  if (feedId !== undefined && found.feedId !== feedId)
    throw new OrgtrailError('usage', 'this is another database than before', { hint: 'start again without --after' });
  if (after !== undefined && found.head < after)
    throw new OrgtrailError('usage', `the position ${after} is beyond the end, ${found.head}`, {
      hint: 'it belongs to another database, or to a time before a restore: start again without --after',
    });
};
