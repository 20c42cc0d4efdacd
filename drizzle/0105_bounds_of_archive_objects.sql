-- What each object of the archive has at least and at most, so that other engines leave out those that they need not read.
alter table archive_objects add column if not exists bounds jsonb;
--> statement-breakpoint
alter table archive_objects add column if not exists footer_bytes bigint;
--> statement-breakpoint
comment on column archive_objects.bounds is 'By the number of a column (docs/archive.md): rows with null, and the lowest and the highest value, of '
  'times in microseconds since 1970. A text is cut after 64 characters, and max raised. Null: it was not read back since an earlier version wrote it.';
--> statement-breakpoint
comment on column archive_objects.footer_bytes is 'How many bytes at its end describe it, without the last eight.';
--> statement-breakpoint
create or replace function orgtrail_note_archive_bounds(p_id bigint, p_sha256 text, p_bounds jsonb, p_footer_bytes bigint) returns boolean
language plpgsql as $function$
begin
  update archive_objects o set bounds = p_bounds, footer_bytes = p_footer_bytes
  where o.id = p_id and o.sha256 = p_sha256 and o.bounds is null;
  return found;
end
$function$;
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function orgtrail_note_archive_bounds security definer set search_path = %I, pg_temp', current_schema());
  execute 'revoke execute on function orgtrail_note_archive_bounds from public';
end
$do$;
