import type { Pool, PoolClient } from 'pg';
import { reasonOf } from '../../base/errors.ts';
import { oneLine } from '../../formats/text.ts';
import { readOnly } from '../../postgres/queries.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import { asksForDetections, asksForPlaces } from '../../search/answer.ts';
import { conditionsOf, withSpellings } from '../../search/conditions/search-conditions.sql.ts';
import { lookUpAccount, lookUpOrganization } from '../../search/names/names.sql.ts';
import type { EventQuery } from '../../search/query/event-query.ts';
import { printSearch, readSearch, type Search } from '../../search/query/search.ts';
import { resolveNames } from '../../search/run-search.ts';
import { type FoundEvent, ownFinding } from './finding.ts';

const MAX_POSITIONS = 50_000;
const MIN_POSITIONS = 500;
const STEP_MS = 15_000;
/** Then what matched is noted; the rest comes next. */
const MAX_READINGS = 20;

interface DueSearch {
  readonly id: number;
  readonly search: string;
  readonly sink: string;
  /** RFC 3339. */
  readonly toldSince: string;
  readonly position: number;
  readonly head: number;
  /** What the rules find is noted up to here. */
  readonly findingHead: number;
  /** Addresses are looked up up to here; null: none ever was. */
  readonly placeHead: number | null;
}

/**
 * Asks each saved search that is due about what is new, and notes what matches, in one statement with the position: a replica that asks the same
 * notes nothing. `sinks`: those that are sent searches. Returns how many messages were noted.
 */
export const noteSearchMatches = async (pool: Pool, sinks: readonly string[]): Promise<number> => {
  let noted = 0;
  for (const due of await dueSearches(pool)) {
    try {
      if (!sinks.includes(due.sink)) throw new Error(`the daemon has no sink ${due.sink} with "events": "searches"`);
      if (await askSearch(pool, due)) noted += 1;
    } catch (error) {
      await pool.query('select orgtrail_note_tell_failure($1, $2)', [due.id, reasonOf(error)]);
    }
  }
  return noted;
};

/** None where the account has not been given the right yet (migrate --roles). */
const dueSearches = async (pool: Pool): Promise<readonly DueSearch[]> => {
  try {
    const { rows } = await pool.query<DueSearch>(`
      select t.search_id::float8 as id, s.search, t.sink, t.position::float8 as position, h.position::float8 as head,
        to_char(t.told_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "toldSince",
        coalesce((select f.position from finding_head f), 0)::float8 as "findingHead",
        (select p.position from place_head p)::float8 as "placeHead"
      from search_tells t join saved_searches s on s.id = t.search_id cross join feed_head h
      where t.position < h.position
        and coalesce(t.last_match_at + make_interval(secs => t.every_seconds) <= clock_timestamp(), true)
      order by t.asked_at nulls first`);
    return rows;
  } catch (error) {
    if (sqlState(error) === '42501') return [];
    throw error;
  }
};

/** False: nothing matched. Rejects if it could not be asked; what was asked until then is noted. */
const askSearch = async (pool: Pool, due: DueSearch): Promise<boolean> => {
  const { search, ...asked } = await readDue(pool, due);
  const { placeHead } = due;
  if (asksForPlaces(search) && placeHead === null) throw new Error('no addresses have been looked up (ORGTRAIL_GEOIP)');
  const head = Math.min(
    due.head,
    asksForDetections(search) ? due.findingHead : due.head,
    asksForPlaces(search) ? (placeHead ?? 0) : due.head,
  );
  let [until, positions] = [due.position, MAX_POSITIONS];
  let all: Matched | undefined;
  let fault: unknown;
  for (let n = 0; n < MAX_READINGS && until < head && fault === undefined; n += 1) {
    const to = Math.min(head, until + positions);
    try {
      all = both(all, await matchedIn(pool, { ...asked, after: until, to, hasDetections: asksForDetections(search) }));
      until = to;
    } catch (error) {
      if (positions <= MIN_POSITIONS) fault = error;
      positions = Math.max(MIN_POSITIONS, Math.floor(positions / 8));
    }
  }
  const match = all === undefined ? null : rowOf(all, search);
  const values = [due.id, due.position, until, match === null ? null : JSON.stringify(match)];
  const { rows } = await pool.query<{ noted: boolean }>(
    'select orgtrail_note_search_matches($1, $2, $3, $4) as noted',
    values,
  );
  if (fault !== undefined) throw fault;
  return match !== null && rows[0]?.noted === true;
};

/** Its times are left out: it is asked about what happens from now on. Throws if it cannot be read, or names nothing that exists. */
const readDue = async (pool: Pool, { search: saved, toldSince }: DueSearch) => {
  const names = {
    organization: (name: string) => lookUpOrganization(pool, name),
    account: (name: string) => lookUpAccount(pool, name),
  };
  const read = readSearch(Object.fromEntries(new URLSearchParams(saved)), Date.now());
  const { search: found, faults } = await resolveNames(names, read);
  const [fault] = faults;
  if (fault !== undefined) throw new Error(`the search cannot be asked: ${fault.field} ${fault.reason}`);
  const { since: _since, before: _before, archive: _archive, ...search } = found;
  const query: EventQuery = { ...search, since: undefined, before: undefined };
  return { search, query: await withSpellings(pool, query, STEP_MS), toldSince };
};

interface Matched {
  readonly events: number;
  readonly position: number;
  readonly firstTime: string | null;
  readonly lastTime: string | null;
  /** Of the newest. */
  readonly newest: Readonly<Record<'actor' | 'ip' | 'action' | 'type' | 'resource' | 'result', string | null>>;
}

const both = (earlier: Matched | undefined, later: Matched | undefined): Matched | undefined => {
  if (earlier === undefined || later === undefined) return earlier ?? later;
  const times = [earlier.firstTime, later.firstTime, earlier.lastTime, later.lastTime].filter((time) => time !== null);
  times.sort();
  const events = earlier.events + later.events;
  return { ...later, events, firstTime: times[0] ?? null, lastTime: times.at(-1) ?? null };
};

const utc = (time: string): string =>
  `case when isfinite(${time}) then to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end`;

/** What a rule found may be noted long after the event: a search for it is also asked about such events. An entry without a time may be of today. */
const matchedIn = async (
  pool: Pool,
  asked: Readonly<{ query: EventQuery; toldSince: string; after: number; to: number; hasDetections: boolean }>,
): Promise<Matched | undefined> => {
  const { query, toldSince, after, to, hasDetections } = asked;
  const { sql, values } = conditionsOf({ ...query, untilPosition: to }, undefined, { low: undefined, high: undefined });
  const [low, high] = [`$${values.length + 1}::bigint`, `$${values.length + 2}::bigint`];
  const found = `or position in (select f.event_position from findings f where f.position > ${low} and f.position <= ${high})`;
  const statement = `
    select count(*)::float8 as events, max(position)::float8 as position, ${utc('min(action_time)')} as "firstTime",
      ${utc('max(action_time)')} as "lastTime", (array_agg(json_build_object(
        'actor', coalesce(actor_email, actor_token_name, actor_id), 'ip', actor_ip_address, 'action', action_type,
        'type', resource_type, 'resource', resource_id, 'result', action_result) order by position desc))[1] as newest
    from audit_events where ${sql} and (position > ${low} ${hasDetections ? found : ''})
      and position <= ${high} and (action_time >= $${values.length + 3}::timestamptz or action_time = '-infinity')`;
  const read = (client: PoolClient) => client.query<Matched>(statement, [...values, after, to, toldSince]);
  const [row] = (await readOnly(pool, STEP_MS, read)).rows;
  return row === undefined || row.events === 0 ? undefined : row;
};

/** As a row of search_matches. */
const rowOf = ({ events, position, firstTime, lastTime, newest }: Matched, search: Search) => {
  const { actor, ip, action, type, resource, result } = newest;
  const did = [actor ?? 'no actor', action, type, resource, result === null ? null : `(${result})`];
  const said = did.filter((part) => part !== null && part !== '').join(' ');
  const summary = `${events === 1 ? '1 event matches' : `${events} events match, the newest`}: ${said}`;
  const link = printSearch(search);
  if (firstTime !== null && lastTime !== null) {
    link.set('since', firstTime);
    link.set('before', new Date(Date.parse(lastTime) + 1).toISOString());
  }
  const times = { first_time: firstTime, last_time: lastTime };
  const by = { actor, actor_ip_address: ip };
  return { events, position, ...times, ...by, link: link.toString(), summary: oneLine(summary) };
};

interface MatchRow extends Readonly<Record<'name' | 'link' | 'summary' | 'at' | 'feedId', string>> {
  readonly number: number;
  readonly events: number;
  readonly position: number;
  readonly firstTime: string | null;
  readonly lastTime: string | null;
  readonly actor: string | null;
  readonly ip: string | null;
}

/** Not delivered yet, as findings whose position is their number. */
export const readSearchMatches = async (
  pool: Pool,
  sink: string,
  range: { readonly after: number; readonly maxEvents: number },
): Promise<readonly FoundEvent[]> => {
  const { rows } = await pool.query<MatchRow>(
    `select number::float8, name, link, summary, ${utc('noted_at')} as at, (select feed_id from feed_head) as "feedId", events,
       position::float8, ${utc('first_time')} as "firstTime", ${utc('last_time')} as "lastTime", actor, actor_ip_address as ip
     from search_matches where sink = $1 and number > $2 and delivered_at is null order by number limit $3`,
    [sink, range.after, range.maxEvents],
  );
  return rows.map((row) => {
    const own = ownFinding(
      { position: row.number, feedId: row.feedId, sourceId: row.feedId, id: `search-${row.number}`, at: row.at },
      {
        detection: 'saved_search',
        severity: 'medium',
        search: { name: row.name, link: `/events?${row.link}` },
        summary: row.summary,
      },
    );
    const { events, position: eventPosition, firstTime, ip: actorIpAddress } = row;
    const facts = { events, eventPosition, firstTime, actor: row.actor ?? '', actorIpAddress };
    return { ...own, actionTime: row.lastTime ?? row.at, finding: { ...own.finding, ...facts } };
  });
};

export const hasSearchMatches = async (pool: Pool, sink: string, after: number): Promise<boolean> =>
  (await readSearchMatches(pool, sink, { after, maxEvents: 1 })).length > 0;
