-- own transaction
-- What was read a second time and compared with what is stored, and with what result: docs/decisions/0075. Rows are written by the functions
-- below alone, which keep a bounded number of them.
create table if not exists checks (
  id bigint generated always as identity primary key,
  kind text not null,
  source_kind text,
  source_id text,
  filter_hash text,
  round integer,
  since timestamptz not null,
  before timestamptz not null,
  began_at timestamptz not null,
  last_read_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  read_seconds double precision not null default 0,
  sources integer not null default 1,
  compared bigint not null default 0,
  missing bigint not null default 0,
  extra bigint not null default 0,
  changed bigint not null default 0,
  fixed_missing bigint not null default 0,
  fixed_changed bigint not null default 0,
  failed integer not null default 0,
  fixes boolean not null,
  findings jsonb not null default '[]',
  done_by text,
  done_as text not null default session_user,
  constraint checks_kind check (kind in ('verify', 'scrub'))
);
--> statement-breakpoint
create unique index if not exists checks_rounds on checks (source_kind, source_id, filter_hash, round, began_at) where kind = 'scrub';
--> statement-breakpoint
comment on table checks is 'Runs of orgtrail verify, and rounds of the scrub lane with one row for each source and round: what was compared, when, by whom and with what result. The newest are kept: 1,000 runs; of each source 3 rounds, and 20 that found something.';
--> statement-breakpoint
comment on column checks.id is 'Its number: the higher, the later it was noted first.';
--> statement-breakpoint
comment on column checks.kind is 'verify: a run of the command; scrub: a round of the daemon.';
--> statement-breakpoint
comment on column checks.source_kind is 'Of a round: the kind of log that it reads. Null for a run, which may read many.';
--> statement-breakpoint
comment on column checks.source_id is 'Of a round: which log.';
--> statement-breakpoint
comment on column checks.filter_hash is 'Of a round: the filter set that it reads under.';
--> statement-breakpoint
comment on column checks.round is 'Of a round: its number for this source, as in coverage_proof.';
--> statement-breakpoint
comment on column checks.since is 'The time that is compared begins here.';
--> statement-breakpoint
comment on column checks.before is 'And ends before this.';
--> statement-breakpoint
comment on column checks.began_at is 'When it began.';
--> statement-breakpoint
comment on column checks.last_read_at is 'When it read last.';
--> statement-breakpoint
comment on column checks.ended_at is 'When it ended; null: it is under way, or was left for a later round.';
--> statement-breakpoint
comment on column checks.read_seconds is 'Of a round: how much time it has read to a credible end.';
--> statement-breakpoint
comment on column checks.sources is 'How many logs were compared.';
--> statement-breakpoint
comment on column checks.compared is 'Entries that Cloudflare served and that were held against the store. A round counts those of each page: in pages that overlap or come again they count again.';
--> statement-breakpoint
comment on column checks.missing is 'Entries that were served and not stored.';
--> statement-breakpoint
comment on column checks.extra is 'Of a run: entries that are stored and were not served, not even when they were asked for once more.';
--> statement-breakpoint
comment on column checks.changed is 'Entries that were served with other content than all that is stored of them.';
--> statement-breakpoint
comment on column checks.fixed_missing is 'Of those missing, how many were stored then.';
--> statement-breakpoint
comment on column checks.fixed_changed is 'Of those changed, for how many the other content was recorded then.';
--> statement-breakpoint
comment on column checks.failed is 'Of a run: how many logs were not compared to the end.';
--> statement-breakpoint
comment on column checks.fixes is 'Whether it stores what it finds missing: a round always does, a run with --fix.';
--> statement-breakpoint
comment on column checks.findings is 'Of a run: what differs in each log, no more than 100 of them, with some of the ids.';
--> statement-breakpoint
comment on column checks.done_by is 'Of a run: who is said to have made it (--by). Of a round: the process that read last.';
--> statement-breakpoint
comment on column checks.done_as is 'The account of the database.';
--> statement-breakpoint
-- Keeps the result of a run of orgtrail verify. What an account of a collector says of itself is no evidence: it bounds, and does not judge.
create or replace function orgtrail_note_verification(p_run jsonb) returns bigint
language plpgsql as $function$
declare
  made bigint;
  now_at constant timestamptz := clock_timestamp();
  long_ago constant timestamptz := timestamptz '2009-01-01 00:00:00+00';
  count_of constant jsonb := case when jsonb_typeof(p_run -> 'counts') = 'object' then p_run -> 'counts' else '{}' end;
  began constant timestamptz := least(now_at, greatest(long_ago, coalesce((p_run ->> 'beganAt')::timestamptz, now_at)));
begin
  -- One at a time, so that the limit holds.
  perform pg_advisory_xact_lock(hashtext('orgtrail_note_verification'));
  insert into checks (kind, since, before, began_at, last_read_at, ended_at, sources, compared, missing, extra, changed, fixed_missing,
    fixed_changed, failed, fixes, findings, done_by)
  values ('verify',
    greatest(long_ago, coalesce((p_run ->> 'since')::timestamptz, long_ago)), least(now_at, coalesce((p_run ->> 'before')::timestamptz, now_at)),
    began, now_at, now_at,
    coalesce((count_of ->> 'sources')::integer, 0), coalesce((count_of ->> 'compared')::bigint, 0), coalesce((count_of ->> 'missing')::bigint, 0),
    coalesce((count_of ->> 'extra')::bigint, 0), coalesce((count_of ->> 'changed')::bigint, 0), coalesce((count_of ->> 'fixedMissing')::bigint, 0),
    coalesce((count_of ->> 'fixedChanged')::bigint, 0), coalesce((count_of ->> 'failed')::integer, 0),
    coalesce((p_run ->> 'fixes')::boolean, false),
    case when jsonb_typeof(p_run -> 'findings') = 'array' and jsonb_array_length(p_run -> 'findings') <= 100
      and length(p_run ->> 'findings') <= 200000 then p_run -> 'findings' else '[]' end,
    left(p_run ->> 'by', 200))
  returning id into made;
  delete from checks c where c.kind = 'verify' and c.id <= (
    select k.id from checks k where k.kind = 'verify' order by k.id desc offset 1000 limit 1);
  return made;
end
$function$;
--> statement-breakpoint
-- Adds what a page of the scrub lane showed to the row of its round. The first page of a round drops what is too much of earlier ones.
create or replace function orgtrail_note_scrub(p_kind text, p_source_id text, p_filter_hash text, p_owner text, p_part jsonb) returns void
language plpgsql as $function$
declare
  is_new boolean;
  now_at constant timestamptz := clock_timestamp();
  long_ago constant timestamptz := timestamptz '2009-01-01 00:00:00+00';
  entries constant bigint := greatest(0, least(100000, coalesce((p_part ->> 'entries')::bigint, 0)));
  missing_now constant bigint := greatest(0, least(entries, coalesce((p_part ->> 'missing')::bigint, 0)));
  changed_now constant bigint := greatest(0, least(entries, coalesce((p_part ->> 'changed')::bigint, 0)));
  seconds constant double precision := greatest(0, least(1e9, coalesce((p_part ->> 'seconds')::double precision, 0)));
  ended constant timestamptz := case when (p_part ->> 'ended')::boolean then now_at end;
begin
  if not exists (select from sources s where s.kind = p_kind and s.id = p_source_id) then
    raise exception 'there is no such source' using errcode = 'check_violation';
  end if;
  insert into checks as c (kind, source_kind, source_id, filter_hash, round, since, before, began_at, last_read_at, ended_at, read_seconds,
    compared, missing, changed, fixed_missing, fixed_changed, fixes, done_by)
  values ('scrub', p_kind, p_source_id, left(p_filter_hash, 100), greatest(1, coalesce((p_part ->> 'round')::integer, 1)),
    greatest(long_ago, coalesce(to_timestamp((p_part ->> 'sinceMs')::float8 / 1000), long_ago)),
    least(now_at, greatest(long_ago, coalesce(to_timestamp((p_part ->> 'beforeMs')::float8 / 1000), now_at))),
    -- Cloudflare's clock may be ahead; the same number gives the same time.
    least(now_at + interval '1 hour', greatest(long_ago, coalesce(to_timestamp((p_part ->> 'beganMs')::float8 / 1000), long_ago))),
    now_at, ended, seconds, entries, missing_now, changed_now, missing_now, changed_now, true, left(p_owner, 200))
  on conflict (source_kind, source_id, filter_hash, round, began_at) where kind = 'scrub' do update set
    last_read_at = excluded.last_read_at, ended_at = coalesce(excluded.ended_at, c.ended_at), read_seconds = c.read_seconds + excluded.read_seconds,
    compared = c.compared + excluded.compared, missing = c.missing + excluded.missing, changed = c.changed + excluded.changed,
    fixed_missing = c.fixed_missing + excluded.missing, fixed_changed = c.fixed_changed + excluded.changed, done_by = excluded.done_by
  returning c.xmax = 0 into is_new;
  if is_new then
    delete from checks c using (
      select k.id, k.missing + k.changed > 0 as found, row_number() over (partition by k.missing + k.changed > 0 order by k.id desc) as number
      from checks k where k.kind = 'scrub' and k.source_kind = p_kind and k.source_id = p_source_id) old
    where c.id = old.id and old.number > case when old.found then 20 else 3 end;
  end if;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_note_verification', 'orgtrail_note_scrub'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
