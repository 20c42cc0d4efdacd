-- Searches that people keep under a name, for all who may search (docs/console.md, docs/decisions/0069).
create table if not exists saved_searches (
  id bigint generated always as identity primary key,
  name text collate "C" not null check (length(name) between 1 and 100 and name = btrim(name)),
  search text not null check (length(search) <= 8000),
  saved_by text,
  saved_as text not null default session_user,
  saved_at timestamptz not null default clock_timestamp(),
  renamed_by text,
  renamed_at timestamptz
);
--> statement-breakpoint
create unique index if not exists saved_searches_name on saved_searches ((lower(name) collate "C"));
--> statement-breakpoint
comment on table saved_searches is 'Searches that people keep under a name. Written by orgtrail_save_search, orgtrail_rename_search and orgtrail_delete_search alone.';
--> statement-breakpoint
comment on column saved_searches.id is 'Its number.';
--> statement-breakpoint
comment on column saved_searches.name is 'Unique, whatever the case of its letters.';
--> statement-breakpoint
comment on column saved_searches.search is 'The parameters of its link, as they stand behind /events?. Relative times are kept as they were written.';
--> statement-breakpoint
comment on column saved_searches.saved_by is 'The name of the token, or ORGTRAIL_FEED_TOKEN; null: open on loopback, or saved by a command.';
--> statement-breakpoint
comment on column saved_searches.saved_as is 'The database account that saved it: that of the daemon, or of who ran the command.';
--> statement-breakpoint
comment on column saved_searches.saved_at is 'When it was saved.';
--> statement-breakpoint
comment on column saved_searches.renamed_by is 'Who renamed it last, as saved_by; null: not known, or it was not renamed.';
--> statement-breakpoint
comment on column saved_searches.renamed_at is 'When it was renamed last; null: it was not.';
--> statement-breakpoint
-- Keeps a search: `saved`, `name taken`, or `full` when 500 are kept.
create or replace function orgtrail_save_search(p_name text, p_search text, p_by text, out outcome text, out saved_id bigint)
language plpgsql as $function$
begin
  -- One at a time: else two could both be the last one that fits.
  lock table saved_searches in share row exclusive mode;
  if exists (select from saved_searches s where lower(s.name) collate "C" = lower(p_name) collate "C") then
    outcome := 'name taken';
  elsif (select count(*) from saved_searches) >= 500 then
    outcome := 'full';
  else
    insert into saved_searches (name, search, saved_by) values (p_name, p_search, left(p_by, 200)) returning id into saved_id;
    outcome := 'saved';
  end if;
end
$function$;
--> statement-breakpoint
-- `renamed`, `name taken`, or `unknown` if there is no such search.
create or replace function orgtrail_rename_search(p_id bigint, p_name text, p_by text) returns text
language plpgsql as $function$
begin
  update saved_searches s set name = p_name, renamed_by = left(p_by, 200), renamed_at = clock_timestamp() where s.id = p_id;
  return case when found then 'renamed' else 'unknown' end;
exception when unique_violation then
  return 'name taken';
end
$function$;
--> statement-breakpoint
-- False if there is no such search.
create or replace function orgtrail_delete_search(p_id bigint) returns boolean
language plpgsql as $function$
begin
  delete from saved_searches s where s.id = p_id;
  return found;
end
$function$;
--> statement-breakpoint
do $do$
declare
  signature text;
begin
  foreach signature in array array['orgtrail_save_search(text, text, text)', 'orgtrail_rename_search(bigint, text, text)', 'orgtrail_delete_search(bigint)'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp', signature, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', signature);
  end loop;
end
$do$;
