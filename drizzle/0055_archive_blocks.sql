-- own transaction
-- Parts of an object are believed by their own hashes, so that the feed need not read objects whole: docs/decisions/0062.
alter table archive_objects add column if not exists blocks_sha256 bytea;
--> statement-breakpoint
-- Notes the hashes of the blocks of an object that was read whole and had the bytes of its SHA-256. What is noted is never changed.
create or replace function orgtrail_note_archive_blocks(p_id bigint, p_sha256 text, p_blocks bytea) returns boolean
language plpgsql as $function$
begin
  update archive_objects o set blocks_sha256 = p_blocks
  where o.id = p_id and o.sha256 = p_sha256 and o.blocks_sha256 is null and octet_length(p_blocks) = 32 * ((o.bytes + 262143) / 262144);
  return found;
end
$function$;
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function orgtrail_note_archive_blocks(bigint, text, bytea) security definer set search_path = %I, pg_temp', current_schema());
end
$do$;
--> statement-breakpoint
revoke execute on function orgtrail_note_archive_blocks(bigint, text, bytea) from public;
--> statement-breakpoint
comment on column archive_objects.blocks_sha256 is 'The SHA-256 of each 262,144 bytes of it, one after the other. Null: it was written by an earlier version, and was not read whole since.';
