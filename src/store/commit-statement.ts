import { jsonbDefects, textDefects } from '../domain/entry.ts';

/** Who takes the page apart: the database alone, or with what was read of each entry here. */
export type PageForm = 'plain' | 'careful';

/** Every entry is plain: PostgreSQL takes the array's exact text apart and reads each entry once. */
const plainPage = (page: string): string => `
  select n, e as raw, e::jsonb as j, null::text as known_id, null::text as known_time, null::text[] as defects
  from json_array_elements(${page}::json) with ordinality as x (e, n)`;

/** Some entry is defective: each comes with its exact text, what was read of it, and JSON that gives the columns. */
const carefulPage = (page: string): string => `
  select n, (e ->> 'raw')::json as raw, (e ->> 'columns')::jsonb as j, e ->> 'id' as known_id, e ->> 'time' as known_time,
    case when jsonb_array_length(e -> 'defects') > 0
      then array(select jsonb_array_elements_text(e -> 'defects')) end as defects
  from jsonb_array_elements(${page}::jsonb) with ordinality as x (e, n)`;

const columns = {
  action_type: '{action,type}',
  action_result: '{action,result}',
  action_description: '{action,description}',
  actor_id: '{actor,id}',
  actor_type: '{actor,type}',
  actor_context: '{actor,context}',
  actor_email: '{actor,email}',
  actor_ip_address: '{actor,ip_address}',
  actor_token_id: '{actor,token_id}',
  actor_token_name: '{actor,token_name}',
  raw_method: '{raw,method}',
  raw_uri: '{raw,uri}',
  raw_user_agent: '{raw,user_agent}',
  resource_id: '{resource,id}',
  resource_product: '{resource,product}',
  resource_type: '{resource,type}',
  resource_scope: '{resource,scope}',
} as const;

const columnNames = Object.keys(columns).join(', ');
const columnValues = Object.values(columns)
  .map((path) => `j #>> '${path}'`)
  .join(', ');

/** How the walk's row changes. A walk is not persisted before its first page, so going on may mean beginning. */
const walkGoesOn = `
  insert into walks as w (source_kind, source_id, lane, filter_hash, since, before, started_at, cursor, seq, pages,
    empty_pages, entries, last_time, in_order, page_limit, stalls, stalled_entries, lookback_ms)
  select kind, id, $8, $9, to_timestamp($18::float8 / 1000), to_timestamp($19::float8 / 1000),
    to_timestamp($20::float8 / 1000), $21, commit_seq, $22, $23, $24, to_timestamp($25::float8 / 1000), $26, $27, $28, $29, $30
  from fence
  on conflict (source_kind, source_id, lane) do update set filter_hash = excluded.filter_hash, since = excluded.since,
    before = excluded.before, started_at = excluded.started_at, cursor = excluded.cursor, seq = excluded.seq,
    pages = excluded.pages, empty_pages = excluded.empty_pages, entries = excluded.entries,
    last_time = excluded.last_time, in_order = excluded.in_order, page_limit = excluded.page_limit,
    stalls = excluded.stalls, stalled_entries = excluded.stalled_entries,
    lookback_ms = excluded.lookback_ms`;

const walkEnds =
  'delete from walks w using fence where w.source_kind = fence.kind and w.source_id = fence.id and w.lane = $8';

const sqlList = (names: readonly string[]): string => `array[${names.map((name) => `'${name}'`).join(', ')}]`;
const heldAsText = sqlList(textDefects);
const notJsonb = sqlList([...jsonbDefects, ...textDefects]);

/** The entries of a page with the id and the time that they are stored under. `page` is the parameter that holds it. */
export const pageEntries = (form: PageForm, page: string): string => `
  select n, raw, j, defects,
    coalesce(case when 'id_too_long' = any(defects) then 'sha256:' || encode(sha256(convert_to(known_id, 'UTF8')), 'hex')
      else known_id end, case when defects is null then j ->> 'id' end,
      'sha256:' || encode(sha256(convert_to(case when defects && ${heldAsText} then raw #>> '{}' else raw::text end,
        'UTF8')), 'hex')) as id,
    coalesce(case when defects is null then j #>> '{action,time}' else known_time end, '-infinity')::timestamptz as action_time
  from (${form === 'plain' ? plainPage(page) : carefulPage(page)}) as read`;

/** True where two contents of one entry differ in more than their form. `a` and `b` have `raw` and `defects`. */
export const contentDiffers = (a: string, b: string): string => `
  (${a}.raw::text <> ${b}.raw::text and case
    when ${a}.defects && ${notJsonb} or ${b}.defects && ${notJsonb} then true
    else ${a}.raw::jsonb <> ${b}.raw::jsonb end)`;

/**
 * Fence, entries, positions, walk and coverage in one statement. $1 kind, $2 source id, $3 organization, $4 page,
 * $5 epoch, $6 owner, $7 expected commit_seq, $8 lane, $9 filter hash, $10 lease ms, $11 latest time seen, $12 pass
 * numbers, $13 their ranges, $14 and $15 the times between which known entries are looked for, $16 and $17 the event rate (null: as it
 * was), $18-$30 the walk (where it goes on).
 *
 * - The dedupe asks by nested loop, once per entry: a hash join would read the whole index of the source. Its bounds keep
 *   it to a few partitions.
 * - The feed's head is locked last, after all parsing: sources wait for one another only while rows go in.
 * - "covered" sees the coverage of before this statement: all parts of it see the same snapshot.
 * - A statement that waited on the fence has an old snapshot; commit_seq, compared on the newest row, then differs,
 *   the fence is empty and nothing is written. Only for READ COMMITTED: elsewhere the wait ends in an error.
 */
const statement = (form: PageForm, walkChange: string): string => `
with fence as materialized (
  update sources set commit_seq = commit_seq + 1, failures = 0, next_attempt_at = null, last_failure = null,
    last_error = null, last_attempt_at = clock_timestamp(), last_success_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => $10::float8 / 1000),
    last_event_at = greatest(last_event_at,
      case when $11::float8 is not null then least(to_timestamp($11::float8 / 1000), clock_timestamp()) end),
    event_rate = coalesce($16::float8, event_rate), recent_event_rate = coalesce($17::float8, recent_event_rate)
  where kind = $1 and id = $2 and lease_epoch = $5 and lease_owner = $6 and commit_seq = $7
  returning kind, id, commit_seq),
walk as (${walkChange}),
claim as (
  insert into coverage as c (source_kind, source_id, filter_hash, pass, ranges)
  select kind, id, $9, claimed.pass, claimed.ranges::tstzmultirange
  from fence, unnest($12::integer[], $13::text[]) as claimed (pass, ranges)
  on conflict (source_kind, source_id, filter_hash, pass) do update set ranges = c.ranges + excluded.ranges),
page as materialized (
  ${pageEntries(form, '$4')}
  where exists (select from fence)),
firsts as materialized (select distinct on (id) * from page order by id, n),
compared as materialized (
  select f.n, f.id, known.position, case when known.position is null then f.raw else known.raw end as raw,
    case when known.position is null then f.defects else known.defects end as defects
  from firsts f
  left join lateral (
    select e.position, e.raw, e.defects from audit_events e
    where e.source_kind = $1 and e.source_id = $2 and e.id = f.id
      and (e.action_time between $14 and $15 or e.action_time = '-infinity') limit 1) known on true),
fresh as materialized (
  select f.*, row_number() over (order by f.n) as ordinal
  from firsts f join compared c using (n) where c.position is null),
head as (
  update feed_head set position = position + (select count(*) from fresh)
  where exists (select from fresh) returning position - (select count(*) from fresh) as base),
stored as (
  insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, ${columnNames},
    raw_cf_ray_id, raw_status_code, raw, defects)
  select $1, $2, $3, id, head.base + ordinal, action_time, ${columnValues},
    coalesce(j #>> '{raw,cf_ray_id}', j #>> '{raw,cf_rayid}'),
    case when j #>> '{raw,status_code}' ~ '^-?[0-9]{1,9}$' then (j #>> '{raw,status_code}')::integer end, raw, defects
  from fresh, head order by ordinal
  returning id, position, action_time),
differing as materialized (
  select distinct on (p.id, p.raw::text) p.id, p.raw, coalesce(c.position, s.position) as position
  from page p join compared c on c.id = p.id left join stored s on s.id = p.id
  where ${contentDiffers('p', 'c')}),
changed as (
  insert into audit_event_changes (source_kind, source_id, event_id, position, raw, raw_sha256)
  select $1, $2, id, position, raw, encode(sha256(convert_to(raw::text, 'UTF8')), 'hex') from differing
  on conflict (source_kind, source_id, event_id, raw_sha256) do nothing returning 1),
covered as (
  select before.pass, count(*)::integer as entries
  from stored cross join lateral (
    select max(pass) as pass from coverage
    where source_kind = $1 and source_id = $2 and filter_hash = $9 and ranges @> action_time) before
  where action_time > '-infinity' and before.pass is not null group by before.pass)
select (select count(*) from fence)::integer as fence, (select count(*) from page)::integer as entries,
  (select count(*) from stored)::integer as stored, (select count(*) from changed)::integer as changed,
  (select count(*) from fresh where defects is not null)::integer as defective,
  (select array_agg(extract(epoch from clock_timestamp() - action_time)::float8) from stored
    where $8 = 'live' and action_time > '-infinity') as lateness,
  (select json_agg(json_build_object('pass', pass, 'entries', entries)) from covered) as covered,
  (select pg_notify('orgtrail_feed', max(position)::text) from stored having count(*) > 0) as notified`;

/** The four forms of the statement, by how the page is read and what becomes of the walk. Used by commit-page.ts. */
export const commitStatements = {
  plain: { goesOn: statement('plain', walkGoesOn), ends: statement('plain', walkEnds) },
  careful: { goesOn: statement('careful', walkGoesOn), ends: statement('careful', walkEnds) },
} as const;
