-- A month comes back for a while: docs/archive.md#thaw. Rows are written by functions alone.
create table if not exists archive_thaws (
  id bigint generated always as identity primary key,
  month date not null,
  ends_at timestamptz not null,
  reason text,
  asked_by text,
  asked_as text not null default session_user,
  asked_at timestamptz not null default clock_timestamp(),
  state text not null default 'asked' check (state in ('asked', 'thawed', 'ended', 'failed')),
  events bigint not null,
  copied bigint not null default 0,
  checked_table bigint,
  last_position bigint,
  found_to bigint,
  lease_owner text,
  lease_until timestamptz,
  error text,
  thawed_at timestamptz,
  ended_at timestamptz
);
create unique index if not exists archive_thaws_open on archive_thaws (month) where state in ('asked', 'thawed');
--> statement-breakpoint
comment on table archive_thaws is 'Months that came back from the archive, or are to. Written by functions alone: orgtrail archive thaw.';
comment on column archive_thaws.id is 'Its number.';
comment on column archive_thaws.month is 'Its first day, UTC.';
comment on column archive_thaws.ends_at is 'From then on it leaves the database again.';
comment on column archive_thaws.reason is 'Why, in the words of who asked for it.';
comment on column archive_thaws.asked_by is 'Who is said to have asked.';
comment on column archive_thaws.asked_as is 'The account of the database that asked, and the token for which it did.';
comment on column archive_thaws.asked_at is 'When.';
comment on column archive_thaws.state is 'asked; thawed: it is in the database; ended; failed: it is in the archive alone as before.';
comment on column archive_thaws.events is 'How many events its objects have.';
comment on column archive_thaws.copied is 'How many of them are in the database.';
comment on column archive_thaws.checked_table is 'The number of the table that was compared with the catalogue.';
comment on column archive_thaws.last_position is 'The highest position among them: what is behind it came later.';
comment on column archive_thaws.found_to is 'Up to here the findings of the month are noted again.';
comment on column archive_thaws.lease_owner is 'The replica that works on it.';
comment on column archive_thaws.lease_until is 'Until then no other one does.';
comment on column archive_thaws.error is 'Why it failed, or why it is still there behind its end.';
comment on column archive_thaws.thawed_at is 'When it was back.';
comment on column archive_thaws.ended_at is 'When it was gone again, or had failed.';
--> statement-breakpoint
comment on column access_log.kind is 'sign-in, sign-out, refusal, search, export, event, feed, access-log; saved-search, mute, replay; by a '
  'command: archive, evidence, hold, replay, token.';
