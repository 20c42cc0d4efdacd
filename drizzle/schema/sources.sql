-- Organizations, accounts, how they are found, the logs that are read of them, and the budget of requests.

-- What an account other than the owner may not say: it would look as if all were well.
create function orgtrail_refuse_row() returns trigger
language plpgsql set search_path from current as $function$
begin
  if pg_has_role(session_user, (select relowner from pg_class where oid = tg_relid), 'usage') then return new; end if;
  raise exception '%: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$function$;

create table organizations (
  id text collate "C" primary key,
  name text,
  parent_id text collate "C",
  managed_by text,
  create_time timestamptz,
  meta jsonb,
  profile jsonb,
  profile_read_at timestamptz,
  listed_under text collate "C",
  children_listed_at timestamptz,
  state text not null default 'active' check (state in ('active', 'refused', 'gone')),
  missed_listings integer not null default 0,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  log_asked_at timestamptz,
  log_open_at_misses integer,
  listed_by text collate "C",
  left_at timestamptz
);
comment on table organizations is 'Every organization that the credential has reached, with the metadata of its last listing.';
comment on column organizations.id is 'Cloudflare''s id of the organization.';
comment on column organizations.name is 'As of the last listing; changes are in organization_changes.';
comment on column organizations.parent_id is 'The organization that it is below; null at the top.';
comment on column organizations.managed_by is 'Who manages it, as Cloudflare says.';
comment on column organizations.create_time is 'When it was created, as Cloudflare says.';
comment on column organizations.meta is 'The rest of what the listing says of it.';
comment on column organizations.profile is 'Its business profile (GET /organizations/{id}/profile), where the credential may read it.';
comment on column organizations.profile_read_at is 'When the profile was last asked for, whatever the answer.';
comment on column organizations.listed_under is 'The parent under which it was found, where the listing itself does not show it.';
comment on column organizations.children_listed_at is 'When organizations below it were last looked for.';
comment on column organizations.state is 'active; refused: Cloudflare answers 403; gone: no listing names it any more.';
comment on column organizations.missed_listings is 'Complete listings in a row that did not name it. From the second on its audit log is asked, '
  'and it is gone once that refuses.';
comment on column organizations.first_seen_at is 'When a listing first named it.';
comment on column organizations.last_seen_at is 'When a listing last named it.';
comment on column organizations.log_asked_at is 'When its audit log was last asked whether it still answers, since listings miss the organization.';
comment on column organizations.log_open_at_misses is 'How many listings had missed it when its audit log last answered; the next question '
  'waits for twice as many, or a day.';
comment on column organizations.listed_by is 'A credential of the process whose listing named it last, as api_budget names it; null: not known. '
  'While it sends requests, the listings of others do not miss it.';
comment on column organizations.left_at is 'Since when no listing shows it although its audit log answers: it is read on. Null: it is listed, '
  'or gone.';

create table organization_changes (
  id bigint generated always as identity primary key,
  organization_id text collate "C" not null,
  change text not null check (change in ('appeared', 'gone', 'refused', 'restored', 'renamed', 'moved', 'left')),
  old_value text,
  new_value text,
  changed_at timestamptz not null default clock_timestamp()
);
create index organization_changes_organization on organization_changes (organization_id, changed_at);
comment on table organization_changes is 'What became of organizations, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved, left.';
comment on column organization_changes.id is 'A number of its own, in the order in which changes were seen.';
comment on column organization_changes.organization_id is 'Cloudflare''s id of the organization.';
comment on column organization_changes.change is 'appeared, gone, refused, restored, renamed, moved or left.';
comment on column organization_changes.old_value is 'The name or parent before.';
comment on column organization_changes.new_value is 'The name or parent after.';
comment on column organization_changes.changed_at is 'When orgtrail saw it; it may have happened earlier.';

-- Accounts as sources: docs/decisions/07.
create table accounts (
  id text collate "C" primary key,
  name text,
  type text,
  organization_id text collate "C" references organizations (id),
  create_time timestamptz,
  settings jsonb,
  state text not null default 'active' check (state in ('active', 'gone')),
  named_by_hand boolean not null default false,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  left_at timestamptz
);
comment on table accounts is 'Every account whose log is pulled: of organizations, of GET /accounts, or named in ORGTRAIL_ACCOUNTS.';
comment on column accounts.id is 'Cloudflare''s id of the account.';
comment on column accounts.name is 'As of the last listing; changes are in account_changes.';
comment on column accounts.type is 'standard or enterprise, as Cloudflare says.';
comment on column accounts.organization_id is 'The organization that it belongs to now, as far as listings say; null if it belongs to none that '
  'is known.';
comment on column accounts.create_time is 'When it was created, as Cloudflare says.';
comment on column accounts.settings is 'The settings that a listing shows, among them whether the API may be used.';
comment on column accounts.state is 'active; gone: no listing that ever showed it does any more, and its log refuses.';
comment on column accounts.named_by_hand is 'Named in ORGTRAIL_ACCOUNTS: pulled whether or not a listing shows it.';
comment on column accounts.first_seen_at is 'When it was first seen.';
comment on column accounts.last_seen_at is 'When a listing last named it.';
comment on column accounts.left_at is 'Since when no listing that is read shows it although its audit log answers: it is read on. Null: it is '
  'listed, or gone.';

-- Each listing of accounts is walked by one process at a time, and a walk goes on at its page, in another process, too.
create table account_listings (
  scope text collate "C" primary key,
  credential text,
  next_at timestamptz,
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  last_failure text,
  last_error text,
  accounts integer,
  lease_owner text,
  lease_until timestamptz,
  walk_began_at timestamptz,
  walk_page text,
  short_since timestamptz
);
comment on table account_listings is 'Each listing that accounts are found by, with its own pause.';
comment on column account_listings.scope is 'organization:ID (GET /organizations/{id}/accounts) or credential:KEY (GET /accounts): the '
  'credential as api_budget names it. Until version 0.2: by its configured name.';
comment on column account_listings.credential is 'The credential that it was last listed with.';
comment on column account_listings.next_at is 'It is listed again from then on; null: at once.';
comment on column account_listings.last_attempt_at is 'When it was last tried.';
comment on column account_listings.last_success_at is 'When it last reached its end.';
comment on column account_listings.last_failure is 'The kind of the last failure; null after a success.';
comment on column account_listings.last_error is 'The same in words.';
comment on column account_listings.accounts is 'How many accounts its last complete listing named.';
comment on column account_listings.lease_owner is 'The process that walks it, while lease_until is to come.';
comment on column account_listings.lease_until is 'When the lease ends, unless it is renewed.';
comment on column account_listings.walk_began_at is 'When the walk under way began; null: there is none.';
comment on column account_listings.walk_page is 'Where the walk under way goes on; null: at its first page.';
comment on column account_listings.short_since is 'Since when the listing names fewer than it counts: last_error says how many. Null: the last '
  'one was complete, or failed otherwise.';

create table account_organizations (
  account_id text collate "C" not null references accounts (id),
  scope text collate "C" not null references account_listings (scope),
  organization_id text collate "C",
  missed integer not null default 0,
  last_listed_at timestamptz not null default clock_timestamp(),
  primary key (account_id, scope)
);
comment on table account_organizations is 'Which listing shows which account, and what it says of its organization.';
comment on column account_organizations.account_id is 'The account.';
comment on column account_organizations.scope is 'The listing that shows it.';
comment on column account_organizations.organization_id is 'The organization that the listing says it belongs to; null if it says none.';
comment on column account_organizations.missed is 'Complete listings of the scope in a row that did not name it.';
comment on column account_organizations.last_listed_at is 'When the listing last named it.';

create table account_changes (
  id bigint generated always as identity primary key,
  account_id text collate "C" not null references accounts (id),
  change text not null check (change in ('appeared', 'gone', 'refused', 'restored', 'renamed', 'moved', 'left')),
  old_value text,
  new_value text,
  changed_at timestamptz not null default clock_timestamp()
);
comment on table account_changes is 'What became of accounts, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved, left.';
comment on column account_changes.id is 'Counts changes.';
comment on column account_changes.account_id is 'The account.';
comment on column account_changes.change is 'What happened.';
comment on column account_changes.old_value is 'The name before, or the organization before.';
comment on column account_changes.new_value is 'The name since, or the organization since.';
comment on column account_changes.changed_at is 'When orgtrail saw it.';

create table discovery (
  only_row boolean default true primary key check (only_row),
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  last_error text,
  organizations integer,
  lease_owner text,
  lease_until timestamptz,
  server_time timestamptz,
  short_since timestamptz
);
comment on table discovery is 'The last walk of GET /organizations: readiness depends on its age.';
comment on column discovery.only_row is 'There is one row.';
comment on column discovery.last_attempt_at is 'When something was last tried.';
comment on column discovery.last_success_at is 'When it last succeeded.';
comment on column discovery.last_error is 'What went wrong last, in words; null since the last success.';
comment on column discovery.organizations is 'How many the last listing named.';
comment on column discovery.lease_owner is 'The replica that lists the organizations, while lease_until is to come.';
comment on column discovery.lease_until is 'When the lease ends, unless it is renewed.';
comment on column discovery.server_time is 'Cloudflare''s own time at last_success_at, which is this database''s clock: their difference is how '
  'far the two are apart.';
comment on column discovery.short_since is 'Since when the listing names fewer than it counts, or not every credential answers it: last_error '
  'says which. Null: the last one was complete, or failed.';

insert into discovery default values;

create table sources (
  kind text collate "C" not null,
  id text collate "C" not null,
  organization_id text collate "C" references organizations (id),
  filter_hash text not null,
  wanted_since timestamptz not null,
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamptz,
  commit_seq bigint not null default 0,
  last_attempt_at timestamptz,
  last_event_at timestamptz,
  event_rate float8,
  recent_event_rate float8,
  largest_page integer not null default 0,
  wanted_history interval,
  account_id text collate "C" references accounts (id),
  access text not null default 'granted' check (access in ('granted', 'refused')),
  refused_since timestamptz,
  credential text,
  reader text collate "C",
  primary key (kind, id),
  constraint sources_one_owner check (num_nonnulls(organization_id, account_id) = 1)
);
comment on table sources is 'One row per log that is pulled; also the lease that lets one replica at a time walk it.';
comment on column sources.kind is 'organization: its audit log.';
comment on column sources.id is 'Within the kind: the organization''s id.';
comment on column sources.organization_id is 'Cloudflare''s id of the organization.';
comment on column sources.filter_hash is 'Names the filter set in force; coverage read under another one does not count.';
comment on column sources.wanted_since is 'The horizon at the last planning: nothing older is wanted.';
comment on column sources.lease_owner is 'Who holds the lease, while lease_until is to come.';
comment on column sources.lease_epoch is 'Counts leases: a later one ends all earlier ones.';
comment on column sources.lease_until is 'When the lease ends, unless it is renewed.';
comment on column sources.commit_seq is 'Counts page commits; a statement that expects another value writes nothing.';
comment on column sources.last_attempt_at is 'When something was last tried.';
comment on column sources.last_event_at is 'The latest time of an entry that was read.';
comment on column sources.event_rate is 'Events per hour over the last days, as the live lane saw them; null before its first page. How often '
  'the source is asked depends on it.';
comment on column sources.recent_event_rate is 'Events per hour over about the last hour that was read.';
comment on column sources.largest_page is 'The most entries that a page of this source has ever had. One as large that says that it is the last '
  'may have been cut, and must be proven.';
comment on column sources.wanted_history is 'Nothing older than this is wanted, as of now: wanted_since alone would stand still between two '
  'listings.';
comment on column sources.account_id is 'The account whose log it is; null for the log of an organization. One of both is always null.';
comment on column sources.access is 'granted; refused: Cloudflare answers 403 for this log.';
comment on column sources.refused_since is 'Since when it is refused.';
comment on column sources.credential is 'The credential that reads it.';
comment on column sources.reader is 'The credential that has read it last, as api_budget names it; null: not known. While it sends requests, '
  'what others are refused does not count.';

create table api_budget (
  credential text primary key,
  next_free_at timestamptz not null default '-infinity',
  blocked_until timestamptz not null default '-infinity',
  blocked_because text
);
comment on table api_budget is 'The request budget that all replicas share, one row per credential fingerprint (a truncated hash, not the '
  'credential).';
comment on column api_budget.credential is 'A hash that tells credentials apart, and nothing about them.';
comment on column api_budget.next_free_at is 'When the next request may go out, if all of the burst is used.';
comment on column api_budget.blocked_until is 'Until then Retry-After stops all requests.';
comment on column api_budget.blocked_because is 'What Cloudflare said when it blocked.';

-- For readers, who do not see whose budgets these are.
create view requests_blocked as
select max(blocked_until) as blocked_until, (array_agg(blocked_because order by blocked_until desc))[1] as because
from api_budget where blocked_until > now();
comment on view requests_blocked is 'Until when requests to Cloudflare wait, of the credential that waits longest, and why; null if none does.';
comment on column requests_blocked.blocked_until is 'No request is sent before this.';
comment on column requests_blocked.because is 'retry_after: Cloudflare has answered 429; ratelimit: it has said that little is left.';

-- Takes the lease of a source, and says how it stands: what src/ingest/sync/store/leases.sql.ts documents. A function for its plan, which is kept:
-- planning took most of the time. With the caller's own rights. No row if another process holds the source.
create function orgtrail_claim_source(p_kind text, p_source_id text, p_owner text, p_lease_ms float8, p_filter_hash text)
returns table (epoch float8, commit_seq float8, source json)
language plpgsql set plan_cache_mode = force_generic_plan set jit = off as $function$
#variable_conflict use_column
begin
  -- Skips a row that is locked: the process that is writing to it holds the source.
  with free as (
    select kind, id from sources
    where kind = p_kind and id = p_source_id
      and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = p_owner)
    for update skip locked)
  update sources s set lease_owner = p_owner, lease_epoch = lease_epoch + 1,
    lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000)
  from free where s.kind = free.kind and s.id = free.id
  returning s.lease_epoch, s.commit_seq into epoch, commit_seq;
  if not found then return; end if;
  -- A statement of its own: it sees what was committed while the one before waited.
  select to_json(state) into source from (
    select s.kind, s.id, s.event_rate as "eventRate", s.recent_event_rate as "recentEventRate", s.largest_page as "largestPage",
      o.id as "organizationId",
      s.access = 'refused' or s.account_id is null and o.state = 'refused' as refused,
      coalesce((select json_agg(json_build_array(c.pass, (
          select json_agg(json_build_array((extract(epoch from lower(r)) * 1000), (extract(epoch from upper(r)) * 1000)) order by r) from unnest(c.ranges) r)))
        from coverage c
        where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = p_filter_hash), '[]') as coverage,
      (select json_agg(json_build_array((extract(epoch from lower(r)) * 1000), (extract(epoch from upper(r)) * 1000)) order by r)
        from coverage c cross join lateral unnest(c.ranges - c.proven) r
        where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = p_filter_hash and c.pass = 0) as unproven,
      (select json_agg(json_build_array((extract(epoch from lower(r)) * 1000), (extract(epoch from upper(r)) * 1000)) order by r)
        from coverage c cross join lateral unnest(c.read_before) r
        where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = p_filter_hash and c.pass = 0) as "readBefore",
      coalesce((select json_agg(json_build_object('lane', l.lane, 'state', l.state,
          'rest_ms', greatest(0, (extract(epoch from l.next_attempt_at - clock_timestamp()) * 1000))))
        from lanes l
        where l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = p_filter_hash), '[]') as lanes,
      coalesce((select json_agg(json_build_object('pass', h.pass, 'range', json_build_array((extract(epoch from h.since) * 1000), (extract(epoch from h.before) * 1000)),
          'reason', h.reason, 'due', h.next_attempt_at <= clock_timestamp()))
        from coverage_holes h
        where h.source_kind = s.kind and h.source_id = s.id and h.filter_hash = p_filter_hash), '[]') as holes
    from sources s left join accounts a on a.id = s.account_id
      left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)
    where s.kind = p_kind and s.id = p_source_id) state;
  return next;
end
$function$;

-- Counts requests for each of these rows of the budget (src/ingest/cloudflare/api-budget.sql.ts), as many of p_needed as all of them have room
-- for, and up to p_ahead more that leave half of the burst free. Returns how many. A row that is not there yet has room for the burst. With the
-- caller's own rights.
create function orgtrail_take_requests(p_credentials text[], p_spacing_ms float8, p_tolerance_ms float8, p_needed integer, p_ahead integer)
returns integer
language plpgsql set plan_cache_mode = force_generic_plan as $function$
declare
  -- In whole microseconds, as the times in the rows are.
  tolerance_ms constant float8 := extract(epoch from make_interval(secs => p_tolerance_ms / 1000)) * 1000;
  ahead_ms float8;
  granted integer;
  taken bigint;
begin
  -- Infinity if a row is blocked. The rows stay locked to the end.
  with known as (
    select b.next_free_at, b.blocked_until
    from unnest(p_credentials) with ordinality as wanted (credential, place) join api_budget b using (credential)
    order by place for update of b)
  select coalesce(max(case when blocked_until > clock_timestamp() then 'infinity'
    else extract(epoch from greatest(next_free_at, clock_timestamp()) - clock_timestamp())::float8 * 1000 end), 0)
  into ahead_ms from known;
  if ahead_ms > tolerance_ms then
    -- No budget is used up for so long: the clock of the database went back. The burst counts as used, so that no more goes out than may.
    update api_budget b set next_free_at = clock_timestamp() + make_interval(secs => p_tolerance_ms / 1000)
    where b.credential = any(p_credentials) and b.next_free_at > clock_timestamp() + interval '10 minutes';
    return 0;
  end if;
  granted := least(p_needed, 1 + floor((tolerance_ms - ahead_ms) / p_spacing_ms)::integer);
  if granted = p_needed then
    granted := granted + greatest(0, least(p_ahead, floor((tolerance_ms / 2 - ahead_ms) / p_spacing_ms)::integer - granted));
  end if;
  insert into api_budget as b (credential, next_free_at)
  select credential, clock_timestamp() + make_interval(secs => granted * p_spacing_ms / 1000) from unnest(p_credentials) credential
  on conflict (credential) do update set
    next_free_at = greatest(b.next_free_at, clock_timestamp()) + make_interval(secs => granted * p_spacing_ms / 1000)
  -- Another process may have made a row that was not there.
  where b.blocked_until <= clock_timestamp()
    and b.next_free_at <= clock_timestamp() + make_interval(secs => (p_tolerance_ms - (granted - 1) * p_spacing_ms) / 1000);
  get diagnostics taken = row_count;
  return case when taken = cardinality(p_credentials) then granted else 0 end;
end
$function$;

create trigger nothing_of_the_future before insert or update on account_listings for each row
  when (new.next_at > clock_timestamp() + interval '25 hours' or new.last_attempt_at > clock_timestamp() + interval '1 minute'
    or new.last_success_at > clock_timestamp() + interval '1 minute' or new.lease_until > clock_timestamp() + interval '1 hour'
    or new.walk_began_at > clock_timestamp() + interval '1 minute')
  execute function orgtrail_refuse_row('nothing was listed in the future, and no listing rests for longer than a day');
create trigger nothing_of_the_future before insert or update on discovery for each row
  when (new.last_success_at > clock_timestamp() + interval '60 seconds' or new.last_attempt_at > clock_timestamp() + interval '60 seconds'
    or new.lease_until > clock_timestamp() + interval '1 hour')
  execute function orgtrail_refuse_row('nothing was listed in the future, and no lease is longer than an hour');
create trigger nothing_of_the_future before insert or update of wanted_since, wanted_history on sources for each row
  when (new.wanted_since > clock_timestamp() - interval '4 minutes' or new.wanted_history < interval '5 minutes')
  execute function orgtrail_refuse_row('what is wanted begins five minutes ago or earlier: otherwise nothing would ever be missing');
create trigger leases_end before insert or update of lease_until on sources for each row
  when (new.lease_until > clock_timestamp() + interval '1 hour') execute function orgtrail_refuse_row('no lease is longer than an hour');
