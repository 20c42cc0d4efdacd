import { readFeedHead } from '../../feed/head/feed-head.sql.ts';
import type { EventDetail } from '../found-event.ts';
import { instantOf } from './archived-columns.ts';
import type { ArchivedParts } from './archived-search.sql.ts';
import { readFoundRows } from './found-rows.sql.ts';

const MAX_CHANGES = 20;

/**
 * The archived event at a position with its later contents; undefined if there is none. Copies of it in other logs are not looked for, and the
 * events beside it are those of the database.
 */
export const readArchivedEvent = async (
  { pool, months }: Pick<ArchivedParts, 'pool' | 'months'>,
  position: number,
): Promise<EventDetail | undefined> => {
  for (const group of await months.groupsAt(position)) {
    const { position: positions } = await group.columns(['position']);
    const row = Array.from(positions, Number).indexOf(position);
    if (row === -1) continue;
    const picked = { group, row, time: group.firstTime, position };
    const [found] = await readFoundRows({ pool, months }, [picked], {
      maxBytes: Number.POSITIVE_INFINITY,
      signal: undefined,
    });
    if (found === undefined) continue;
    const changes = found.event.changed ? await months.changesOf(group.month, position) : [];
    const { rows } = await pool.query<{ previous: number | null; next: number | null }>(
      `select (select max(position) from audit_events where position < $1)::float8 as previous,
         (select min(position) from audit_events where position > $1)::float8 as next`,
      [position],
    );
    return {
      ...found,
      feedId: (await readFeedHead(pool)).feedId,
      changes: changes.slice(0, MAX_CHANGES).map(({ seenAt, rawText }) => ({ seenAt: instantOf(seenAt), rawText })),
      changesInAll: changes.length,
      copies: [],
      copiesInAll: 0,
      copyNumber: 0,
      previousPosition: rows[0]?.previous ?? null,
      nextPosition: rows[0]?.next ?? null,
    };
  }
  return undefined;
};
