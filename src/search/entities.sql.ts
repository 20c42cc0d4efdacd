import type { Pool, PoolClient } from 'pg';
import { SearchError } from '../base/errors.ts';
import { jsonbDefects, textDefects } from '../ingest/entries/entry.ts';
import { isTimeout, readOnly } from '../postgres/queries.ts';
import {
  conditionsOf,
  nothingInTime,
  readNewest,
  type TimeSlice,
  withSpellings,
} from './conditions/search-conditions.sql.ts';
import { type EntityReport, type HistoryEvent, type NewsField, newsFields, type ResourceHistory } from './entities.ts';
import type { EventQuery } from './query/event-query.ts';
import { explained, type FoundRow, foundColumns, toFoundEvent } from './search-events.sql.ts';
import { groupingOf, withPlaces } from './summary/facets.sql.ts';

const MAX_EVENTS = 20_000;
const TIMEOUT_MS = 4_000;
/** For the first event of all, which is worth no more. */
const SEEN_MS = 400;
const NEWS = "interval '7 days'";
const MAX_SESSIONS = 20;
const MAX_NEWS = 8;

const utc = (expression: string): string => `to_char(${expression}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;

const expressions: Readonly<Record<Exclude<NewsField, 'country' | 'network'>, string>> = {
  ip: 'actor_ip_address',
  agent: 'raw_user_agent',
  token: 'coalesce(actor_token_name, actor_token_id)',
  actor: 'lower(coalesce(actor_email, actor_token_name, actor_id))',
  organization: 'organization_id',
  account: 'account_id',
  action: 'lower(action_type)',
  resource_type: 'lower(resource_type)',
};

/** `query`: the search for the entity, with a time. Rejects as a search does. */
export const readEntity = async (
  pool: Pool,
  query: EventQuery,
  nowMs: number,
  signal?: AbortSignal,
): Promise<EntityReport> => {
  try {
    const spelled = await withSpellings(pool, query, TIMEOUT_MS);
    const [seen, report] = await Promise.all([
      readSeen(pool, { ...spelled, since: undefined, before: undefined }, signal),
      readNewestReport(pool, spelled, nowMs, signal),
    ]);
    return { ...report, ...seen };
  } catch (error) {
    return explained(error);
  }
};

const readSeen = async (
  pool: Pool,
  query: EventQuery,
  signal: AbortSignal | undefined,
): Promise<Pick<EntityReport, 'firstSeen' | 'lastSeen'>> => {
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const read = (client: PoolClient) =>
    client.query<Pick<EntityReport, 'firstSeen' | 'lastSeen'>>(
      `select ${utc('min(action_time)')} as "firstSeen", ${utc('max(action_time)')} as "lastSeen"
       from audit_events where ${sql} and isfinite(action_time)`,
      [...values],
    );
  const seen = await readOnly(pool, SEEN_MS, read, signal).catch(nothingInTime);
  return seen?.rows[0] ?? { firstSeen: null, lastSeen: null };
};

type WindowReport = Omit<EntityReport, 'firstSeen' | 'lastSeen'>;

const readNewestReport = async (
  pool: Pool,
  query: EventQuery,
  nowMs: number,
  signal: AbortSignal | undefined,
): Promise<WindowReport> => {
  const deadlineMs = performance.now() + TIMEOUT_MS;
  const read = (slice: TimeSlice) => {
    const timeoutMs = Math.max(1, Math.round(deadlineMs - performance.now()));
    return readOnly(pool, timeoutMs, (client) => readReport(client, query, slice, nowMs), signal);
  };
  // The statements have the time limit: a report is about all events, or about the newest that it may look at.
  const options = { wanted: MAX_EVENTS + 1, nowMs, remainingMs: () => TIMEOUT_MS };
  const found = await readNewest(query, options, read, ({ looked, isSample }) => looked + Number(isSample));
  if (found === undefined) throw new Error('a part of the time was left out');
  return found.answer;
};

const readReport = async (
  client: PoolClient,
  query: EventQuery,
  slice: TimeSlice,
  nowMs: number,
): Promise<WindowReport> => {
  const { sql, values } = conditionsOf(query, undefined, slice);
  const now = `$${values.length + 1}::timestamptz`;
  const columns = newsFields.map((field) => `of_${field}`).join(', ');
  const statement = `
    with mine as materialized (
      select action_time, position, action_result, actor_ip_address,
        ${Object.entries(expressions)
          .map(([field, expression]) => `left(${expression}, 400) as of_${field}`)
          .join(', ')}
      from audit_events where ${sql} and isfinite(action_time)
      order by action_time desc, position desc limit ${MAX_EVENTS + 1}),
    marked as (
      select *, case when action_time - lag(action_time) over (order by action_time, position) <= interval '30 minutes'
        then 0 else 1 end as begins from mine),
    grouped as (select *, sum(begins) over (order by action_time, position) as session from marked),
    sessions as (
      select min(action_time) as first, max(action_time) as last, count(*) as events,
        count(*) filter (where lower(action_result) = 'failure') as failures,
        (array_agg(distinct actor_ip_address) filter (where actor_ip_address is not null))[1:5] as addresses
      from grouped group by session order by max(action_time) desc limit ${MAX_SESSIONS}),
    hours as (
      select extract(isodow from action_time at time zone 'UTC')::integer - 1 as day,
        extract(hour from action_time at time zone 'UTC')::integer as hour, count(*) as events
      from mine group by 1, 2),
    found as (
      select case grouping(${columns}) ${newsFields.map((field, at) => `when ${groupingOf([at], newsFields.length)} then '${field}'`).join(' ')} end as field,
        coalesce(${columns}) as value, min(action_time) as first, count(*) as events
      from (select mine.*, place.country as of_country, place.network as of_network from mine ${withPlaces}) placed group by grouping sets (${newsFields.map((field) => `(of_${field})`).join(', ')})
      having coalesce(${columns}) is not null and min(action_time) >= ${now} - ${NEWS}),
    news as (
      select f.*, coalesce(o.name, a.name) as name, row_number() over (partition by field order by events desc, value) as rank
      from found f
      left join organizations o on f.field = 'organization' and o.id = f.value
      left join accounts a on f.field = 'account' and a.id = f.value)
    select (select count(*) from mine)::integer as looked, (select ${utc('min(action_time)')} from mine) as "lookedSince",
      coalesce((select min(action_time) from mine) < ${now} - ${NEWS}, false) as "canTellNews",
      coalesce((select json_agg(json_build_object('first', ${utc('first')}, 'last', ${utc('last')}, 'events', events,
        'failures', failures, 'addresses', coalesce(addresses, '{}')) order by last desc) from sessions), '[]') as sessions,
      coalesce((select json_agg(json_build_array(day, hour, events)) from hours), '[]') as hours,
      coalesce((select json_agg(json_build_object('field', field, 'value', value, 'name', name, 'events', events,
        'first', ${utc('first')}) order by field, events desc, value) from news where rank <= ${MAX_NEWS}), '[]') as news`;
  const { rows } = await client.query<ReportRow>(statement, [...values, new Date(nowMs).toISOString()]);
  const { looked = 0, lookedSince = null, canTellNews = false, sessions = [], hours = [], news = [] } = rows[0] ?? {};
  const byHour = Array.from({ length: 7 }, () => new Array<number>(24).fill(0));
  for (const [day, hour, events] of hours) (byHour[day] as number[])[hour] = events;
  return {
    ...{ looked: Math.min(looked, MAX_EVENTS), isSample: looked > MAX_EVENTS, lookedSince, sessions, hours: byHour },
    ...{ news: canTellNews ? news : [], canTellNews },
  };
};

interface ReportRow extends Omit<WindowReport, 'isSample' | 'hours'> {
  readonly hours: readonly (readonly [day: number, hour: number, events: number])[];
}

const TIMEOUT_MS_2 = 10_000;
/** Larger requests and responses are not given out: a page of events has to fit into memory. */
export const MAX_STATE_BYTES = 131_072;

const TOO_SLOW = 'the history takes too long: the database is busy, or very many events are of this kind; try again';

/** PostgreSQL cannot take apart a text within a text, nor one with a number or an escape that it refuses. */
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

/** The newest events about the resource of an event; undefined if no event has that position. Throws SearchError `timeout`. */
export const readResourceHistory = async (
  pool: Pool,
  { position, limit, signal }: { readonly position: number; readonly limit: number; readonly signal?: AbortSignal },
): Promise<ResourceHistory | undefined> => {
  try {
    return await readOnly(
      pool,
      TIMEOUT_MS_2,
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
