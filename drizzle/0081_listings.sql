-- own transaction
-- Who reads a source, so that what another credential is refused does not count; and what no listing shows any more although its log answers.
alter table sources add column if not exists reader text collate "C";
--> statement-breakpoint
comment on column sources.reader is 'The credential that has read it last, as api_budget names it; null: not known. While it sends requests, what others are refused does not count.';
--> statement-breakpoint
alter table organizations add column if not exists listed_by text collate "C", add column if not exists left_at timestamptz;
--> statement-breakpoint
comment on column organizations.listed_by is 'A credential of the process whose listing named it last, as api_budget names it; null: not known. While it sends requests, the listings of others do not miss it.';
--> statement-breakpoint
comment on column organizations.left_at is 'Since when no listing shows it although its audit log answers: it is read on. Null: it is listed, or gone.';
--> statement-breakpoint
alter table accounts add column if not exists left_at timestamptz;
--> statement-breakpoint
comment on column accounts.left_at is 'Since when no listing that is read shows it although its audit log answers: it is read on. Null: it is listed, or gone.';
--> statement-breakpoint
alter table account_changes drop constraint account_changes_change_check, add constraint account_changes_change_check
  check (change in ('appeared', 'gone', 'refused', 'restored', 'renamed', 'moved', 'left'));
--> statement-breakpoint
comment on table account_changes is 'What became of accounts, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved, left.';
--> statement-breakpoint
comment on column account_changes.old_value is 'The name before, or the organization before.';
--> statement-breakpoint
alter table organization_changes drop constraint organization_changes_change_check, add constraint organization_changes_change_check
  check (change in ('appeared', 'gone', 'refused', 'restored', 'renamed', 'moved', 'left'));
--> statement-breakpoint
comment on table organization_changes is 'What became of organizations, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved, left.';
--> statement-breakpoint
comment on column organization_changes.change is 'appeared, gone, refused, restored, renamed, moved or left.';
--> statement-breakpoint
-- Each listing is walked by one process at a time, and a walk goes on at its page, in another process, too.
alter table account_listings add column if not exists lease_owner text, add column if not exists lease_until timestamptz,
  add column if not exists walk_began_at timestamptz, add column if not exists walk_page text;
--> statement-breakpoint
comment on column account_listings.scope is 'organization:ID (GET /organizations/{id}/accounts) or credential:KEY (GET /accounts): the credential as api_budget names it. Until version 0.2: by its configured name.';
--> statement-breakpoint
comment on column account_listings.lease_owner is 'The process that walks it, while lease_until is to come.';
--> statement-breakpoint
comment on column account_listings.lease_until is 'When the lease ends, unless it is renewed.';
--> statement-breakpoint
comment on column account_listings.walk_began_at is 'When the walk under way began; null: there is none.';
--> statement-breakpoint
comment on column account_listings.walk_page is 'Where the walk under way goes on; null: at its first page.';
--> statement-breakpoint
drop trigger nothing_of_the_future on account_listings;
--> statement-breakpoint
create trigger nothing_of_the_future before insert or update on account_listings for each row
  when (new.next_at > clock_timestamp() + interval '25 hours' or new.last_attempt_at > clock_timestamp() + interval '1 minute'
    or new.last_success_at > clock_timestamp() + interval '1 minute' or new.lease_until > clock_timestamp() + interval '1 hour'
    or new.walk_began_at > clock_timestamp() + interval '1 minute')
  execute function orgtrail_refuse_row('nothing was listed in the future, and no listing rests for longer than a day');
