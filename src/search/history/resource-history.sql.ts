import type { Pool } from 'pg';
import { SearchError } from '../../errors.ts';
import { jsonbDefects, textDefects } from '../../ingest/entries/entry.ts';
import { isTimeout, readOnly } from '../../postgres/read-only.ts';
import { type FoundRow, foundColumns, toFoundEvent } from '../found-event.sql.ts';
import type { HistoryEvent, ResourceHistory } from './resource-history.ts';

const TIMEOUT_MS = 10_000;
/** A larger request or response is not given out: a page of events has to fit into memory. */
export const MAX_STATE_BYTES = 131_072;

const TOO_SLOW = 'the history takes too long: the database is busy, or very many events are of this kind; try again';

/** A text within a text, and a number or an escape that PostgreSQL refuses, cannot be taken apart by it. */
const partOf = (name: 'request' | 'response'): string =>
  `case when coalesce(e.defects && $3::text[], false) then null else e.raw #> '{resource,${name}}' end`;

// The time says which partition an event is in.
const historyStatement = `select ${foundColumns}, h.matched_by as "matchedBy",
    case when octet_length(part.request) <= $4 then part.request end as request,
    case when octet_length(part.response) <= $4 then part.response end as response,
    coalesce(greatest(octet_length(part.request), octet_length(part.response)) > $4, false) as "stateTooLarge"
  from (select * from orgtrail_history_of($1) order by action_time desc, position desc limit $2) h
  join audit_events e on e.position = h.position and e.action_time = h.action_time
  left join organizations o on o.id = e.organization_id
  cross join lateral (select (${partOf('request')})::text as request, (${partOf('response')})::text as response) part
  order by h.action_time desc, h.position desc`;

type HistoryRow = FoundRow & Omit<HistoryEvent, keyof FoundRow>;

/**
 * The newest `limit` events about the resource of an event; undefined if no event has that position. Throws SearchError `timeout`; rejects
 * if the database does not answer, and when `signal` aborts.
 */
export const readResourceHistory = async (
  pool: Pool,
  { position, limit, signal }: { readonly position: number; readonly limit: number; readonly signal?: AbortSignal },
): Promise<ResourceHistory | undefined> => {
  try {
    return await readOnly(
      pool,
      TIMEOUT_MS,
      async (client) => {
        const { rows: own } = await client.query<FoundRow>(
          `select ${foundColumns} from audit_events e left join organizations o on o.id = e.organization_id
           where e.position = $1`,
          [position],
        );
        if (own[0] === undefined) return undefined;
        const { rows } = await client.query<HistoryRow>(historyStatement, [
          position,
          limit + 1,
          [...textDefects, ...jsonbDefects],
          MAX_STATE_BYTES,
        ]);
        return {
          subject: toFoundEvent(own[0]),
          events: rows.slice(0, limit).map((row) => ({ ...row, ...toFoundEvent(row) })),
          more: rows.length > limit,
        };
      },
      signal,
    );
  } catch (error) {
    if (isTimeout(error)) throw new SearchError('timeout', TOO_SLOW, { cause: error });
    throw error;
  }
};
