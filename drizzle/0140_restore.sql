-- A lost database comes back from the archive: docs/archive.md#a-lost-database. Written by the owner alone.
create table if not exists archive_restores (
  id bigint generated always as identity primary key,
  archive text not null,
  state_key text not null,
  state_sha256 text not null,
  begun_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
--> statement-breakpoint
comment on table archive_restores is 'The archive that this database was restored from. While one has not ended, nothing is stored.';
comment on column archive_restores.id is 'Its number.';
comment on column archive_restores.archive is 'As archive_policy.archive.';
comment on column archive_restores.state_key is 'The object with the state of the lost database.';
comment on column archive_restores.state_sha256 is 'SHA-256 of its bytes.';
comment on column archive_restores.begun_at is 'When it was begun.';
comment on column archive_restores.ended_at is 'When every month was back; null: orgtrail archive restore --into goes on.';
