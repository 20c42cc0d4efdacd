-- Searches compare e-mail addresses and names of tokens whatever the case of their letters, and addresses by network (docs/console.md).
-- Cut: whatever an entry holds, it must fit into an index. Not partial: the planner takes no statistics from partial indexes.
create index if not exists audit_events_actor_email_folded on audit_events ((left(lower(actor_email), 400) collate "C"));
--> statement-breakpoint
create index if not exists audit_events_actor_token_name_folded on audit_events ((left(lower(actor_token_name), 400) collate "C"));
--> statement-breakpoint
-- Null for what is no address, never an error: an entry is stored whatever it holds.
create or replace function orgtrail_ip(p_text text) returns inet
language sql immutable parallel safe as $function$
  select case
    when p_text ~* '^(?:::(?:ffff:)?)?(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$' then p_text::inet
    when length(p_text) <= 40 and p_text ~* '^(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,7}:|(?:[0-9a-f]{1,4}:){1,6}:[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,5}(?::[0-9a-f]{1,4}){1,2}|(?:[0-9a-f]{1,4}:){1,4}(?::[0-9a-f]{1,4}){1,3}|(?:[0-9a-f]{1,4}:){1,3}(?::[0-9a-f]{1,4}){1,4}|(?:[0-9a-f]{1,4}:){1,2}(?::[0-9a-f]{1,4}){1,5}|[0-9a-f]{1,4}:(?::[0-9a-f]{1,4}){1,6}|:(?:(?::[0-9a-f]{1,4}){1,7}|:))$' then p_text::inet
  end
$function$;
--> statement-breakpoint
create index if not exists audit_events_actor_ip on audit_events (orgtrail_ip(actor_ip_address));
--> statement-breakpoint
-- Nearly all values of enumerations are in small letters, and found by the indexes that there are. These have the others, each in all its
-- spellings: hardly any, so they cost nothing.
create index if not exists audit_events_action_type_case on audit_events ((left(lower(action_type), 400) collate "C"), md5(action_type))
  where action_type <> lower(action_type);
--> statement-breakpoint
create index if not exists audit_events_action_result_case on audit_events ((left(lower(action_result), 400) collate "C"), md5(action_result))
  where action_result <> lower(action_result);
--> statement-breakpoint
create index if not exists audit_events_resource_product_case on audit_events ((left(lower(resource_product), 400) collate "C"), md5(resource_product))
  where resource_product <> lower(resource_product);
--> statement-breakpoint
create index if not exists audit_events_resource_type_case on audit_events ((left(lower(resource_type), 400) collate "C"), md5(resource_type))
  where resource_type <> lower(resource_type);
