-- The requests behind what is claimed, for the evidence: docs/decisions/0054. Empty and unused until ORGTRAIL_EVIDENCE_ORIGIN is set.
create table if not exists evidence_reads (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  number bigint not null check (number >= 1),
  read_at timestamptz not null,
  lane text not null,
  filter_hash text not null,
  since timestamptz not null,
  before timestamptz not null,
  pages integer not null,
  entries bigint not null,
  answers integer not null,
  first_date timestamptz,
  first_cf_ray text,
  last_date timestamptz,
  last_cf_ray text,
  bodies_sha256 bytea not null check (octet_length(bodies_sha256) = 32),
  sha256 bytea not null check (octet_length(sha256) = 32),
  primary key (source_kind, source_id, number)
);
--> statement-breakpoint
alter table evidence_coverage add column if not exists reads_count bigint;
--> statement-breakpoint
alter table evidence_coverage add column if not exists reads_after bigint;
--> statement-breakpoint
-- An instant of a statement, as JSON.
create or replace function orgtrail_instant_text(p_at timestamptz) returns text
language sql stable as $function$
  select coalesce(to_json(to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'null')
$function$;
--> statement-breakpoint
-- The line of a row in `journal/reads.ndjson`, which is hashed byte for byte: it never changes.
create or replace function orgtrail_read_text(p_row evidence_reads) returns text
language sql stable as $function$
  select format('{"number":%s,"source_kind":%s,"source_id":%s,"read_at":%s,"lane":%s,"filter_hash":%s,"since":%s,"before":%s,'
      '"pages":%s,"entries":%s,"answers":%s,"first_date":%s,"first_cf_ray":%s,"last_date":%s,"last_cf_ray":%s,"bodies_sha256":%s}',
    p_row.number, to_json(p_row.source_kind), to_json(p_row.source_id), orgtrail_instant_text(p_row.read_at), to_json(p_row.lane),
    to_json(p_row.filter_hash), orgtrail_instant_text(p_row.since), orgtrail_instant_text(p_row.before), p_row.pages, p_row.entries, p_row.answers,
    orgtrail_instant_text(p_row.first_date), coalesce(to_json(p_row.first_cf_ray)::text, 'null'),
    orgtrail_instant_text(p_row.last_date), coalesce(to_json(p_row.last_cf_ray)::text, 'null'), to_json(encode(p_row.bodies_sha256, 'hex')))
$function$;
--> statement-breakpoint
-- A time that a collector gives, within what a verifier reads: it must not be able to make a row that no verifier takes.
create or replace function orgtrail_bounded_instant(p_ms text) returns timestamptz
language sql stable as $function$
  -- From 1970 to 9999.
  select to_timestamp(least(greatest(p_ms::float8, 0), 253370764800000) / 1000) where p_ms is not null
$function$;
--> statement-breakpoint
-- Appends the record of a walk whose end is claimed, if there is a log of evidence that has not ended. Called with the row of the source locked, so its
-- numbers and its chain have no gap.
create or replace function orgtrail_note_reads(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reads jsonb) returns void
language plpgsql set plan_cache_mode = force_generic_plan as $function$
declare
  added evidence_reads;
  was evidence_reads;
begin
  if not exists (select from evidence_logs l where l.name = 'events' and l.ended_at is null
      and l.generation = (select max(g.generation) from evidence_logs g)) then
    return;
  end if;
  select * into was from evidence_reads r where r.source_kind = p_kind and r.source_id = p_source_id order by r.number desc limit 1;
  added.source_kind := p_kind;
  added.source_id := p_source_id;
  added.number := coalesce(was.number, 0) + 1;
  added.read_at := clock_timestamp();
  added.lane := left(p_lane, 64);
  added.filter_hash := left(p_filter_hash, 200);
  added.since := orgtrail_bounded_instant(p_reads ->> 'fromMs');
  added.before := orgtrail_bounded_instant(p_reads ->> 'toMs');
  added.pages := greatest((p_reads ->> 'pages')::integer, 0);
  added.entries := least(greatest((p_reads ->> 'entries')::bigint, 0), 9007199254740991);
  added.answers := greatest((p_reads ->> 'count')::integer, 0);
  added.first_date := orgtrail_bounded_instant(p_reads ->> 'firstDateMs');
  added.first_cf_ray := left(p_reads ->> 'firstCfRay', 64);
  added.last_date := orgtrail_bounded_instant(p_reads ->> 'lastDateMs');
  added.last_cf_ray := left(p_reads ->> 'lastCfRay', 64);
  added.bodies_sha256 := decode(p_reads ->> 'sha256', 'hex');
  added.sha256 := sha256(coalesce(was.sha256, decode(repeat('00', 32), 'hex')) || sha256(convert_to(orgtrail_read_text(added), 'UTF8')));
  insert into evidence_reads values (added.*);
end
$function$;
--> statement-breakpoint
-- A page and all that goes with it, and the record of the walk that ends with it. The rest is what orgtrail_commit_source_page does, which earlier
-- versions call.
create or replace function orgtrail_commit_page_2(
  p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint, p_lease_ms float8,
  p_lane text, p_filter_hash text, p_last_event_ms float8, p_event_rate float8, p_recent_event_rate float8,
  p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamptz, p_known_to timestamptz,
  p_state jsonb, p_holes jsonb, p_reading jsonb, p_page_entries integer, p_reads jsonb,
  p_raws json[], p_ids text[], p_times text[], p_firsts integer[], p_defects text[],
  p_action_type text[], p_action_result text[], p_action_description text[], p_actor_id text[], p_actor_type text[],
  p_actor_context text[], p_actor_email text[], p_actor_ip_address text[], p_actor_token_id text[], p_actor_token_name text[],
  p_raw_method text[], p_raw_uri text[], p_raw_user_agent text[], p_resource_id text[], p_resource_product text[],
  p_resource_type text[], p_resource_scope text[], p_account_id text[], p_account_name text[], p_zone_id text[], p_zone_name text[],
  p_raw_cf_ray_id text[], p_raw_status_code integer[])
returns table (fence integer, entries integer, stored integer, changed integer, defective integer, lateness float8[], covered json)
language plpgsql security definer set plan_cache_mode = force_generic_plan set jit = off as $function$
#variable_conflict use_column
begin
  select * into fence, entries, stored, changed, defective, lateness, covered
  from orgtrail_commit_source_page(
      p_kind, p_source_id, p_organization_id, p_epoch, p_owner, p_commit_seq, p_lease_ms, p_lane, p_filter_hash, p_last_event_ms,
      p_event_rate, p_recent_event_rate, p_claim_passes, p_claim_ranges, p_known_from, p_known_to, p_state, p_holes, p_reading,
      p_page_entries, p_raws, p_ids, p_times, p_firsts, p_defects, p_action_type, p_action_result, p_action_description, p_actor_id,
      p_actor_type, p_actor_context, p_actor_email, p_actor_ip_address, p_actor_token_id, p_actor_token_name, p_raw_method,
      p_raw_uri, p_raw_user_agent, p_resource_id, p_resource_product, p_resource_type, p_resource_scope, p_account_id,
      p_account_name, p_zone_id, p_zone_name, p_raw_cf_ray_id, p_raw_status_code);
  if fence = 1 and p_reads is not null then
    perform orgtrail_note_reads(p_kind, p_source_id, p_filter_hash, p_lane, p_reads);
  end if;
  return next;
end
$function$;
--> statement-breakpoint
-- As in 0034, with what the statement says of the list of requests.
create or replace function orgtrail_note_statement() returns trigger
language plpgsql as $function$
declare
  said jsonb := new.text::jsonb;
begin
  if new.kind = 'coverage' then
    insert into evidence_coverage as c (generation, source_kind, source_id, filter_hash, index, wanted_since, stated_at, reads_count, reads_after)
    values (new.generation, said ->> 'source_kind', said ->> 'source_id', said #>> '{filter,hash}', new.index,
      (said ->> 'wanted_since')::timestamptz, coalesce(said ->> 'as_of', said ->> 'at')::timestamptz,
      (said #>> '{reads,count}')::bigint, (said #>> '{reads,after,count}')::bigint)
    on conflict (generation, source_kind, source_id, filter_hash) do update
      set index = excluded.index, wanted_since = excluded.wanted_since, stated_at = excluded.stated_at,
        reads_count = excluded.reads_count, reads_after = excluded.reads_after;
  else
    update evidence_logs l set schema_version = case when new.kind = 'schema' then said ->> 'to_version' else orgtrail_schema_version() end
    where l.name = 'events' and l.generation = new.generation;
  end if;
  return null;
end
$function$;
--> statement-breakpoint
-- Deletes the rows that the last signed statement of their source no longer promises. The last one before these stays, for its hash.
create or replace function orgtrail_thin_reads() returns bigint
language plpgsql as $function$
declare
  thinned bigint;
begin
  with stated as materialized (
    select distinct on (c.source_kind, c.source_id) c.source_kind, c.source_id, c.reads_after
    from evidence_coverage c join evidence_logs l on l.name = 'journal' and l.generation = c.generation
    where c.generation = (select max(g.generation) from evidence_logs g) and c.index < l.signed_size and c.reads_after is not null
    order by c.source_kind, c.source_id, c.index desc)
  delete from evidence_reads r using stated s
  where s.reads_after > 0 and r.source_kind = s.source_kind and r.source_id = s.source_id and r.number < s.reads_after;
  get diagnostics thinned = row_count;
  return thinned;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_commit_page_2', 'orgtrail_note_reads', 'orgtrail_read_text', 'orgtrail_instant_text',
    'orgtrail_bounded_instant', 'orgtrail_thin_reads', 'orgtrail_note_statement'] loop
    execute pg_catalog.format('alter function %s set search_path = %I, pg_temp', each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
  execute pg_catalog.format('alter function %s security definer', 'orgtrail_thin_reads'::regproc::regprocedure);
end
$do$;
--> statement-breakpoint
comment on table evidence_reads is 'The requests behind what is claimed as read, while there is evidence: one row for each walk that has come to its end, written with the claim.';
--> statement-breakpoint
comment on column evidence_reads.source_kind is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_reads.source_id is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_reads.number is 'From 1, for each source.';
--> statement-breakpoint
comment on column evidence_reads.read_at is 'When it was stored.';
--> statement-breakpoint
comment on column evidence_reads.lane is 'As in lanes.';
--> statement-breakpoint
comment on column evidence_reads.filter_hash is 'Names the filter set.';
--> statement-breakpoint
comment on column evidence_reads.since is 'Of the window, as it was asked for: more than is claimed.';
--> statement-breakpoint
comment on column evidence_reads.before is 'Its end.';
--> statement-breakpoint
comment on column evidence_reads.pages is 'Pages of the walk.';
--> statement-breakpoint
comment on column evidence_reads.entries is 'Entries on these.';
--> statement-breakpoint
comment on column evidence_reads.answers is 'So many answers are hashed: those pages, and those to questions that proved the end.';
--> statement-breakpoint
comment on column evidence_reads.first_date is 'The header Date of the first one; null: it had none.';
--> statement-breakpoint
comment on column evidence_reads.first_cf_ray is 'The header CF-Ray of the first one, by which Cloudflare knows the request.';
--> statement-breakpoint
comment on column evidence_reads.last_date is 'The header Date of the last one.';
--> statement-breakpoint
comment on column evidence_reads.last_cf_ray is 'The header CF-Ray of the last one.';
--> statement-breakpoint
comment on column evidence_reads.bodies_sha256 is 'SHA-256 of the one before and the SHA-256 of the body, over these answers, from 32 zero bytes on.';
--> statement-breakpoint
comment on column evidence_reads.sha256 is 'SHA-256 of that of the row before and the SHA-256 of this row as orgtrail_read_text has it.';
--> statement-breakpoint
comment on column evidence_coverage.reads_count is 'How many rows of evidence_reads it counts.';
--> statement-breakpoint
comment on column evidence_coverage.reads_after is 'Rows up to this number are no longer promised.';
