import { jsonbDefects, textDefects } from '../domain/entry.ts';
import { textColumns } from '../domain/entry-columns.ts';

/** Who takes the page apart for comparing: the database alone, or with what was read of each entry here. */
export type PageForm = 'plain' | 'careful';

/**
 * Every entry is plain: PostgreSQL takes the array's exact text apart and reads each entry once (`offset 0`: else once for
 * each use of `j`).
 */
const plainPage = (page: string): string => `
  select n, e as raw, e::jsonb as j, null::text as known_id, null::text as known_time, null::text[] as defects
  from json_array_elements(${page}::json) with ordinality as x (e, n) offset 0`;

/** Some entry is defective: each comes with its exact text, what was read of it, and JSON that gives the columns. */
const carefulPage = (page: string): string => `
  select n, (e ->> 'raw')::json as raw, (e ->> 'columns')::jsonb as j, e ->> 'id' as known_id, e ->> 'time' as known_time,
    case when jsonb_array_length(e -> 'defects') > 0
      then array(select jsonb_array_elements_text(e -> 'defects')) end as defects
  from jsonb_array_elements(${page}::jsonb) with ordinality as x (e, n) offset 0`;

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

const columnNames = [...Object.keys(textColumns), 'raw_cf_ray_id', 'raw_status_code'];

/** How the page comes: in columns (see `PageRows`), or as a text of JSON for the database to read. */
export type CommitForm = 'rows' | PageForm;

/** The parameters behind the fixed ones that a form has for its page: of `rows`, $4 and these. */
const rowParameters = (first: number) => {
  const names = ['id', 'action_time', 'first_n', ...columnNames];
  const types = (name: string) => (name === 'first_n' || name === 'raw_status_code' ? 'integer[]' : 'text[]');
  return names.map((name, index) => ({ name, parameter: `$${first + index}::${types(name)}` }));
};

const FIRST_FREE = 18;
const unnested = (parameters: ReturnType<typeof rowParameters>): string =>
  parameters.map(({ name, parameter }) => `unnest(${parameter}) as ${name}`).join(', ');

const pageParameters = { rows: rowParameters(FIRST_FREE), plain: [], careful: [] } as const;

const pageOfJson = (form: PageForm): string => `
  select n, row_number() over (partition by id order by n) = 1 as first, id, action_time, raw, defects,
    ${Object.entries(textColumns)
      .map(([name, path]) => `j #>> '{${path.join(',')}}' as ${name}`)
      .join(', ')},
    coalesce(j #>> '{raw,cf_ray_id}', j #>> '{raw,cf_rayid}') as raw_cf_ray_id,
    case when j #>> '{raw,status_code}' ~ '^-?[0-9]{1,9}$' then (j #>> '{raw,status_code}')::integer end as raw_status_code
  from (${pageEntries(form, '$4')}) as read where exists (select from fence)`;

interface FormParts {
  /** The page as the statement decides on it: number (from 1, without gaps), id, whether it is the first of its id, defects. */
  readonly page: string;
  /** The same with all that is stored. Of `rows` read a second time from the parameters: kept between, it costs more. */
  readonly entries: string;
  /** The exact text of one row of `page`. */
  readonly rawOf: (alias: string) => string;
  /** The exact texts of all, by their number, if some are to be compared. */
  readonly raws: string;
}

const ofJson = (form: PageForm): FormParts => ({
  page: pageOfJson(form),
  entries: 'page',
  rawOf: (alias) => `${alias}.raw`,
  raws: '(select n, raw from page)',
});

const formParts: Readonly<Record<CommitForm, FormParts>> = {
  rows: {
    page: `
  select n, id, first_n = n as first, null::text[] as defects
  from (select generate_subscripts($4::json[], 1) as n,
      ${unnested(pageParameters.rows.filter(({ name }) => name === 'id' || name === 'first_n'))} from fence) as read`,
    entries: `(
    select n, id, action_time::timestamptz as action_time, raw, null::text[] as defects, ${columnNames.join(', ')}
    from (select generate_subscripts($4::json[], 1) as n, unnest($4::json[]) as raw,
        ${unnested(pageParameters.rows.filter(({ name }) => name !== 'first_n'))}
      from (select where (select entries from numbering) > 0) as wanted) as read)`,
    rawOf: (alias) => `($4::json[])[${alias}.n]`,
    raws: `(
    select generate_subscripts($4::json[], 1) as n, unnest($4::json[]) as raw
    from (select where exists (select from firsts)) as wanted)`,
  },
  plain: ofJson('plain'),
  careful: ofJson('careful'),
};

/**
 * How the walk's row changes. A walk is not persisted before its first page, so going on may mean beginning. Its 13 parameters
 * come last.
 */
const walkGoesOn = (first: number): string => {
  const at = (index: number) => `$${first + index}`;
  const time = (index: number) => `to_timestamp(${at(index)}::float8 / 1000)`;
  return `
  insert into walks as w (source_kind, source_id, lane, filter_hash, since, before, started_at, cursor, seq, pages,
    empty_pages, entries, last_time, in_order, page_limit, stalls, stalled_entries, lookback_ms)
  select kind, id, $8, $9, ${time(0)}, ${time(1)}, ${time(2)}, ${at(3)}, commit_seq, ${at(4)}, ${at(5)}, ${at(6)}, ${time(7)},
    ${at(8)}, ${at(9)}, ${at(10)}, ${at(11)}, ${at(12)}
  from fence
  on conflict (source_kind, source_id, lane) do update set filter_hash = excluded.filter_hash, since = excluded.since,
    before = excluded.before, started_at = excluded.started_at, cursor = excluded.cursor, seq = excluded.seq,
    pages = excluded.pages, empty_pages = excluded.empty_pages, entries = excluded.entries,
    last_time = excluded.last_time, in_order = excluded.in_order, page_limit = excluded.page_limit,
    stalls = excluded.stalls, stalled_entries = excluded.stalled_entries,
    lookback_ms = excluded.lookback_ms`;
};

const walkEnds =
  'delete from walks w using fence where w.source_kind = fence.kind and w.source_id = fence.id and w.lane = $8';

const storedBetween = (form: CommitForm, times: string): string => `
    select id, position, raw, defects from audit_events
    where source_kind = $1 and source_id = $2 and ${times}
      and id = any(${form === 'rows' ? pageParameters.rows[0]?.parameter : 'array(select id from page where first)'})`;

/**
 * Fence, entries, positions, walk and coverage in one statement. $1 kind, $2 source id, $3 organization, $4 page (of `rows`:
 * the exact texts), $5 epoch, $6 owner, $7 expected commit_seq, $8 lane, $9 filter hash, $10 lease ms, $11 latest time seen,
 * $12 pass numbers, $13 their ranges, $14 and $15 the times between which known entries are looked for, $16 and $17 the event
 * rate (null: as it was); from $18 the columns of `rows`, and then the walk (where it goes on).
 *
 * - The dedupe asks for all ids of the page at once, in one scan of each partition's unique index: a join would ask once per
 *   entry, which costs twice as much, or read the whole index of the source. Its bounds keep it to a few partitions.
 * - Which entries are new is decided on numbers and ids. The rest of an entry goes from the parameter into its row, without being sorted,
 *   joined or kept on the way: "numbering" tells by an array which position each has behind the head, 0 where it is known.
 * - The feed's head is locked last: sources wait for one another only while rows go in.
 * - "read_before" is the coverage of before this statement: all parts of it see the same snapshot.
 * - A statement that waited on the fence has an old snapshot; commit_seq, compared on the newest row, then differs,
 *   the fence is empty and nothing is written. Only for READ COMMITTED: elsewhere the wait ends in an error.
 */
const statement = (form: CommitForm, walkChange: string): string => `
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
page as materialized (${formParts[form].page}),
known as materialized (
  select distinct on (id) id, position, raw, defects
  from (${storedBetween(form, 'action_time between $14 and $15')} union all ${storedBetween(form, "action_time = '-infinity'")}) e
  order by id, position),
fresh as materialized (
  select n, is_fresh, is_fresh and defects is not null as defective, sum(is_fresh::integer) over (order by n) as ordinal
  from (select p.n, p.defects, p.first and k.id is null as is_fresh from page p left join known k on k.id = p.id) decided),
numbering as materialized (
  select array_agg(case when is_fresh then ordinal else 0 end order by n) as ordinals, max(ordinal) as entries from fresh),
head as (
  update feed_head set position = position + numbering.entries from numbering
  where numbering.entries > 0 returning position - numbering.entries as base),
stored as (
  insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, ${columnNames.join(', ')},
    raw, defects)
  select $1, $2, $3, id, (select base from head) + (select ordinals from numbering)[n], action_time, ${columnNames.join(', ')},
    raw, defects
  from ${formParts[form].entries} e where (select ordinals from numbering)[n] > 0
  returning id, position, action_time),
firsts as materialized (
  select id, position, raw, defects from known
  union all
  select f.id, s.position, ${formParts[form].rawOf('f')}, f.defects from (select distinct id from page where not first) again
    join page f on f.id = again.id and f.first join stored s on s.id = f.id),
differing as materialized (
  select distinct on (p.id, p.raw::text) p.id, p.raw, f.position
  from firsts f join (select n, page.id, page.defects, r.raw from page join ${formParts[form].raws} r using (n)) p on p.id = f.id
  where ${contentDiffers('p', 'f')}),
changed as (
  insert into audit_event_changes (source_kind, source_id, event_id, position, raw, raw_sha256)
  select $1, $2, id, position, raw, encode(sha256(convert_to(raw::text, 'UTF8')), 'hex') from differing
  on conflict (source_kind, source_id, event_id, raw_sha256) do nothing returning 1),
read_before as materialized (
  select pass, ranges from coverage where source_kind = $1 and source_id = $2 and filter_hash = $9),
covered as (
  select pass, count(*)::integer as entries
  from (select (select max(pass) from read_before where ranges @> action_time) as pass
    from stored where action_time > '-infinity') late
  where pass is not null group by pass)
select (select count(*) from fence)::integer as fence, (select count(*) from page)::integer as entries,
  (select count(*) from stored)::integer as stored, (select count(*) from changed)::integer as changed,
  (select count(*) from fresh where defective)::integer as defective,
  (select array_agg(extract(epoch from clock_timestamp() - action_time)::float8) from stored
    where $8 = 'live' and action_time > '-infinity') as lateness,
  (select json_agg(json_build_object('pass', pass, 'entries', entries)) from covered) as covered,
  (select pg_notify('orgtrail_feed', max(position)::text) from stored having count(*) > 0) as notified`;

const statementsOf = (form: CommitForm) => ({
  goesOn: statement(form, walkGoesOn(FIRST_FREE + pageParameters[form].length)),
  ends: statement(form, walkEnds),
});

/** The forms of the statement, by how the page comes and what becomes of the walk. Used by commit-page.ts. */
export const commitStatements = {
  rows: statementsOf('rows'),
  plain: statementsOf('plain'),
  careful: statementsOf('careful'),
} as const;
