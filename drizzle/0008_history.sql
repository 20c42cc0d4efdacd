-- For the questions people ask (docs/decisions/0017 has what each costs). On the parent: every partition has them, and every new one.
create index if not exists audit_events_time on audit_events (action_time, position);
--> statement-breakpoint
create index if not exists audit_events_organization on audit_events (organization_id, action_time, position);
--> statement-breakpoint
-- Values that come often are one entry with a list of rows: without the time these stay small, and a month holds few rows of each.
create index if not exists audit_events_actor_id on audit_events (actor_id);
--> statement-breakpoint
create index if not exists audit_events_actor_email on audit_events (actor_email);
--> statement-breakpoint
create index if not exists audit_events_actor_ip_address on audit_events (actor_ip_address);
--> statement-breakpoint
create index if not exists audit_events_actor_token_id on audit_events (actor_token_id) where actor_token_id is not null;
--> statement-breakpoint
create index if not exists audit_events_resource_id on audit_events (resource_id);
--> statement-breakpoint
create index if not exists audit_events_resource_type on audit_events (resource_type, action_type, action_time);
--> statement-breakpoint
create index if not exists audit_events_failures on audit_events (action_time, position) include (organization_id, actor_email, actor_ip_address)
  where action_result = 'failure';
--> statement-breakpoint
-- Immutable, so that it can be indexed (orgtrail migrate --search-index), and null instead of an error where jsonb cannot hold the entry.
create or replace function orgtrail_payload(raw json, defects text[]) returns jsonb
language sql immutable parallel safe as $function$
  select case when defects && array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database']
    then null else raw::jsonb end
$function$;
--> statement-breakpoint
create or replace view audit_history as
select e.position, e.action_time, e.received_at, e.organization_id, o.name as organization_name,
  e.action_type, e.action_result, e.action_description,
  e.actor_id, e.actor_type, e.actor_context, e.actor_email, e.actor_ip_address, e.actor_token_id, e.actor_token_name,
  e.resource_id, e.resource_product, e.resource_type, e.resource_scope,
  orgtrail_payload(e.raw, e.defects) #> '{resource,request}' as request,
  orgtrail_payload(e.raw, e.defects) #> '{resource,response}' as response,
  e.raw_cf_ray_id, e.raw_method, e.raw_status_code, e.raw_uri, e.raw_user_agent,
  e.source_kind, e.source_id, e.id, orgtrail_payload(e.raw, e.defects) as payload, e.defects
from audit_events e
left join organizations o on o.id = e.organization_id;
--> statement-breakpoint
-- Every column explains itself: what has no comment yet gets its own words, or those of its name.
do $$
declare
  said record;
begin
  for said in
    select c.oid, a.attnum, c.oid::regclass as relation, a.attname, w.words
    from (values
      ('organizations', 'id', 'Cloudflare''s id of the organization.'),
      ('organizations', 'name', 'As of the last listing; changes are in organization_changes.'),
      ('organizations', 'parent_id', 'The organization that it is below; null at the top.'),
      ('organizations', 'managed_by', 'Who manages it, as Cloudflare says.'),
      ('organizations', 'create_time', 'When it was created, as Cloudflare says.'),
      ('organizations', 'meta', 'The rest of what the listing says of it.'),
      ('organizations', 'profile', 'Its business profile (GET /organizations/{id}/profile), where the credential may read it.'),
      ('organizations', 'profile_read_at', 'When the profile was last asked for, whatever the answer.'),
      ('organizations', 'children_listed_at', 'When organizations below it were last looked for.'),
      ('organizations', 'state', 'active; refused: Cloudflare answers 403; gone: no listing names it any more.'),
      ('organizations', 'first_seen_at', 'When a listing first named it.'),
      ('organizations', 'last_seen_at', 'When a listing last named it.'),
      ('organization_changes', 'id', 'A number of its own, in the order in which changes were seen.'),
      ('organization_changes', 'change', 'appeared, gone, refused, restored, renamed or moved.'),
      ('organization_changes', 'old_value', 'The name or parent before.'),
      ('organization_changes', 'new_value', 'The name or parent after.'),
      ('organization_changes', 'changed_at', 'When orgtrail saw it; it may have happened earlier.'),
      ('sources', 'kind', 'organization: its audit log.'),
      ('sources', 'id', 'Within the kind: the organization''s id.'),
      ('sources', 'last_event_at', 'The latest time of an entry that was read.'),
      ('coverage', 'pass', '0: read for the first time; 1, 2, …: read again after that settle delay.'),
      ('coverage', 'ranges', 'What has been read, as ranges [since, before).'),
      ('walks', 'lane', 'live, settle or backfill: what it is for.'),
      ('walks', 'since', 'What it reads begins here.'),
      ('walks', 'before', 'What it reads ends before this.'),
      ('walks', 'started_at', 'When it began, by Cloudflare''s clock.'),
      ('walks', 'cursor', 'Cloudflare''s cursor of the next page; null: the first one.'),
      ('walks', 'seq', 'The commit_seq of the source at its last page.'),
      ('walks', 'pages', 'Pages read.'),
      ('walks', 'empty_pages', 'Empty pages in a row.'),
      ('walks', 'entries', 'Entries read.'),
      ('walks', 'last_time', 'The latest time of an entry so far.'),
      ('walks', 'in_order', 'Times have only ascended so far: then it may end at any page.'),
      ('walks', 'page_limit', 'Entries asked for per page.'),
      ('walks', 'stalls', 'How often it got no further with a page.'),
      ('walks', 'stalled_entries', 'Entries on the page that got no further.'),
      ('walks', 'lookback_ms', 'Requests begin so much before since.'),
      ('audit_events', 'id', 'Cloudflare''s id of the entry; sha256:… where it has none or one that is too long.'),
      ('audit_events', 'received_at', 'When it was stored.'),
      ('audit_event_changes', 'id', 'A number of its own, in the order in which changes were seen.'),
      ('audit_event_changes', 'event_id', 'The id of the entry.'),
      ('audit_event_changes', 'raw', 'The later content, as Cloudflare sent it.'),
      ('audit_event_changes', 'raw_sha256', 'Of raw: the same content is recorded once.'),
      ('audit_event_changes', 'seen_at', 'When it was read.'),
      ('feed_head', 'only_row', 'There is one row.'),
      ('feed_head', 'feed_id', 'Names this numbering of positions: made once, with the schema.'),
      ('feed_head', 'position', 'The last one given out.'),
      ('api_budget', 'credential', 'A hash that tells credentials apart, and nothing about them.'),
      ('api_budget', 'next_free_at', 'When the next request may go out, if all of the burst is used.'),
      ('api_budget', 'blocked_until', 'Until then Retry-After stops all requests.'),
      ('api_budget', 'blocked_because', 'What Cloudflare said when it blocked.'),
      ('discovery', 'only_row', 'There is one row.'),
      ('discovery', 'organizations', 'How many the last listing named.'),
      ('sinks', 'name', 'As in ORGTRAIL_SINKS.'),
      ('sinks', 'kind', 'syslog, splunk_hec, elasticsearch, webhook or file.'),
      ('sinks', 'target', 'Where it delivers to, without any credential.'),
      ('sinks', 'delivered', 'Events accepted so far, repeats included.'),
      ('sinks', 'created_at', 'When it was first served.'),
      ('sink_dead_letters', 'sink', 'The name of the sink.'),
      ('sink_dead_letters', 'position', 'The event that is refused.'),
      ('sink_dead_letters', 'reason', 'What the receiver said.'),
      ('sink_dead_letters', 'refused_at', 'When it was last refused.'),
      ('collector_tokens', 'token_id', 'The id of the API token, which is no secret.'),
      ('collector_tokens', 'note', 'For people.'),
      ('collector_tokens', 'added_at', 'When it was added.'),
      ('holds', 'id', 'Its number: orgtrail hold release takes it.'),
      ('holds', 'organization_id', 'Whose events are held; null: those of every organization.'),
      ('holds', 'since', 'From this action_time on; -infinity: from the beginning.'),
      ('holds', 'before', 'Before this action_time; infinity: those to come, too.'),
      ('holds', 'reason', 'Why, in the words of who added it.'),
      ('holds', 'created_by', 'Who wanted it, by his own account.'),
      ('holds', 'created_as', 'The account of the database that added it.'),
      ('holds', 'created_at', 'When it was added.'),
      ('holds', 'released_by', 'Who released it, by his own account.'),
      ('holds', 'released_as', 'The account of the database that released it.'),
      ('holds', 'released_at', 'When it was released; null: it is in force.'),
      ('retention_drops', 'id', 'Its number: a reader of the feed that knows of it says dropped=….'),
      ('retention_drops', 'partition', 'The table that held the month.'),
      ('retention_drops', 'month', 'Its first day, UTC.'),
      ('retention_drops', 'events', 'How many events were dropped.'),
      ('retention_drops', 'changes', 'Rows of audit_event_changes about them, which went with them.'),
      ('retention_drops', 'first_position', 'The lowest position among them. Others between it and last_position may be kept.'),
      ('retention_drops', 'last_position', 'The highest position among them.'),
      ('retention_drops', 'bytes', 'Size of the table and its indexes.'),
      ('retention_drops', 'ids_sha256', 'SHA-256 of the lines ''source_kind source_id id'' in order of position: a backup can be compared. Null above 2,000,000 events.'),
      ('retention_drops', 'retention', 'The retention that was in force.'),
      ('retention_drops', 'dropped_at', 'When.'),
      ('retention_drops', 'dropped_as', 'The account of the database that did it.'),
      ('retention_policy', 'only_row', 'There is one row or none.'),
      ('retention_policy', 'shortest', 'Nothing younger may be dropped.'),
      ('retention_policy', 'set_at', 'When it was set.'),
      ('coverage_gaps', 'since', 'The gap begins here.'),
      ('coverage_gaps', 'before', 'And ends before this.'),
      ('coverage_gaps', 'duration', 'How long it is.'),
      ('sync_status', 'organization_state', 'active, refused or gone: organizations.state.'),
      ('sync_status', 'lag_seconds', 'From the end of what has been read to now.'),
      ('sync_status', 'gap_seconds', 'Time that has not been read, from the horizon to now.'),
      ('sync_status', 'retention_slack_seconds', 'Until the oldest unread time leaves the retention of Cloudflare.'),
      ('sync_status', 'open_walks', 'Walks that are under way.'),
      ('sync_status', 'walking_pages', 'Pages that these have read.'),
      ('sync_status', 'walking_entries', 'Entries that these have read.'),
      ('sync_status', 'wanted_since', 'The horizon: nothing older is wanted.'),
      ('audit_history', 'position', 'Orders the feed: who has seen p never later meets a row below p.'),
      ('audit_history', 'request', 'resource.request of the entry: what was sent to the API.'),
      ('audit_history', 'response', 'resource.response of the entry: what the API answered.'),
      ('audit_history', 'payload', 'The whole entry. For containment: payload @> ''{"resource": {"request": {"name": "x"}}}''.'),
      ('audit_feed', 'position', 'Follow it: gapless, in commit order, unique.'),
      ('audit_feed', 'feed_id', 'Which numbering the position belongs to.'),
      ('audit_feed', 'raw', 'What Cloudflare sent, to the byte, as text.'),
      ('audit_feed', 'defects', 'Null where the entry could be read in full; else names with commas between.'),
      ('audit_feed', 'action_time', 'Null where the entry has no time that can be read.'),
      ('audit_event_traits', 'deletes', 'Did not fail, and deletes something.'),
      ('audit_event_traits', 'creates', 'Creates something, whether it failed or not.'),
      ('audit_event_traits', 'about_api_token', 'API tokens or keys by type, product, description or path.'),
      ('audit_event_traits', 'about_member', 'Members or invitations by name or by path.'),
      ('audit_event_traits', 'about_organization_member', 'Members of an organization, by path.'),
      ('audit_event_traits', 'names_super_administrator', 'The request or the response names that role.'),
      ('audit_event_traits', 'by_cloudflare_staff', 'Cloudflare''s own staff did it.'),
      ('audit_event_traits', 'touches_collector_token', 'By, or about, one of collector_tokens.'),
      (null, 'source_kind', 'organization: the audit log of one.'),
      (null, 'source_id', 'Within the kind: the organization''s id.'),
      (null, 'organization_id', 'Cloudflare''s id of the organization.'),
      (null, 'organization_name', 'As of the last listing.'),
      (null, 'id', 'The id of the entry; unique within its source.'),
      (null, 'position', 'Of the event in the feed.'),
      (null, 'action_time', 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.'),
      (null, 'received_at', 'When orgtrail stored it.'),
      (null, 'action_type', 'action.type: create, update, delete, view; others may come.'),
      (null, 'action_result', 'action.result: success or failure; others may come.'),
      (null, 'action_description', 'action.description: what was done, in words.'),
      (null, 'actor_id', 'actor.id: who did it.'),
      (null, 'actor_type', 'actor.type: user, account, cloudflare_admin, …'),
      (null, 'actor_context', 'actor.context: dash, api_token, api_key, …'),
      (null, 'actor_email', 'actor.email, where the actor has one.'),
      (null, 'actor_ip_address', 'actor.ip_address: from where.'),
      (null, 'actor_token_id', 'actor.token_id: with which API token (no secret).'),
      (null, 'actor_token_name', 'actor.token_name.'),
      (null, 'raw_cf_ray_id', 'raw.cf_ray_id (or cf_rayid) of the request.'),
      (null, 'raw_method', 'raw.method: the HTTP method.'),
      (null, 'raw_status_code', 'raw.status_code: the HTTP status.'),
      (null, 'raw_uri', 'raw.uri: the path that was called.'),
      (null, 'raw_user_agent', 'raw.user_agent.'),
      (null, 'resource_id', 'resource.id: what it was done to.'),
      (null, 'resource_product', 'resource.product.'),
      (null, 'resource_type', 'resource.type.'),
      (null, 'resource_scope', 'resource.scope; as JSON text where it is no string.'),
      (null, 'raw', 'What Cloudflare sent.'),
      (null, 'defects', 'Null where the entry could be read in full; else what could not.'),
      (null, 'detection', 'Its name; the view detection_… has only this one.'),
      (null, 'severity', 'low, medium, high or critical.'),
      (null, 'summary', 'For people: texts of the entry, shortened. Still text of others: do not trust it.'),
      (null, 'events', 'How many events it takes.'),
      (null, 'first_time', 'When the first of them happened.'),
      (null, 'actor', 'E-mail address, else name of the token, else id, else type.'),
      (null, 'lease_owner', 'Who holds the lease, while lease_until is to come.'),
      (null, 'lease_epoch', 'Counts leases: a later one ends all earlier ones.'),
      (null, 'lease_until', 'When the lease ends, unless it is renewed.'),
      (null, 'failures', 'Failed attempts in a row.'),
      (null, 'next_attempt_at', 'It rests until then.'),
      (null, 'last_attempt_at', 'When something was last tried.'),
      (null, 'last_success_at', 'When it last succeeded.'),
      (null, 'last_failure', 'The kind of the last failure; null since the last success.'),
      (null, 'last_error', 'What went wrong last, in words; null since the last success.'),
      (null, 'last_event_at', 'The latest time of an entry that was read.'),
      (null, 'filter_hash', 'Names the filter set that it was read under.'),
      (null, 'wanted_since', 'The horizon: nothing older is wanted.')
    ) as w (relation, attname, words)
    join pg_attribute a on a.attname = w.attname and a.attnum > 0 and not a.attisdropped
    join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'v') and not c.relispartition
      and c.relnamespace = current_schema()::regnamespace and c.relname = any (array['api_budget', 'audit_event_changes', 'audit_event_traits', 'audit_events', 'audit_feed', 'audit_history', 'collector_tokens', 'coverage', 'coverage_gaps', 'detection_api_token_changed', 'detection_cloudflare_staff', 'detection_collector_token', 'detection_delete_burst', 'detection_failure_burst', 'detection_member_added', 'detection_sso_or_mfa_changed', 'detection_super_administrator_added', 'detections', 'discovery', 'feed_head', 'holds', 'organization_changes', 'organizations', 'retention_drops', 'retention_policy', 'sink_dead_letters', 'sinks', 'sources', 'sync_status', 'walks'])
    where w.relation is null or w.relation = c.relname
    order by w.relation nulls last
  loop
    if col_description(said.oid, said.attnum) is null then
      execute format('comment on column %s.%I is %L', said.relation, said.attname, said.words);
    end if;
  end loop;
end
$$;
