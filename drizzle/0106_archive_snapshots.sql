-- An Iceberg table over the objects of the archive.
create table if not exists archive_snapshots (
  archive text not null,
  kind text not null check (kind in ('events', 'changes')),
  number bigint not null,
  at timestamptz not null,
  operation text not null check (operation in ('append', 'replace', 'overwrite')),
  base text not null,
  entry json,
  manifests json,
  written_at timestamptz,
  primary key (archive, kind, number)
);
--> statement-breakpoint
comment on table archive_snapshots is 'The snapshots of the Iceberg tables over the objects (docs/lake.md). The database gives the numbers, so that all writers write the same '
  'bytes. Written by functions alone.';
--> statement-breakpoint
comment on column archive_snapshots.archive is 'As archive_policy.archive.';
--> statement-breakpoint
comment on column archive_snapshots.kind is 'Which table: events, or changes.';
--> statement-breakpoint
comment on column archive_snapshots.number is 'Its number and its sequence number. Numbers that another database has used in the bucket are left out.';
--> statement-breakpoint
comment on column archive_snapshots.at is 'Its time, in milliseconds; later than that of the number before.';
--> statement-breakpoint
comment on column archive_snapshots.operation is 'append: objects were added; replace: objects with the same rows took the place of others; overwrite: objects with other rows did.';
--> statement-breakpoint
comment on column archive_snapshots.base is 'How other engines name the address of the archive.';
--> statement-breakpoint
comment on column archive_snapshots.entry is 'What the metadata says of it; null: it is not written yet.';
--> statement-breakpoint
comment on column archive_snapshots.manifests is 'What its manifest list has; null: it is not written yet.';
--> statement-breakpoint
comment on column archive_snapshots.written_at is 'When its metadata was in the bucket; null: it is not yet.';
--> statement-breakpoint
alter table archive_objects add column if not exists added_in bigint;
--> statement-breakpoint
alter table archive_objects add column if not exists removed_in bigint;
--> statement-breakpoint
comment on column archive_objects.added_in is 'The number of the snapshot of the Iceberg table that it came with (archive_snapshots). Null: none yet.';
--> statement-breakpoint
comment on column archive_objects.removed_in is 'The number of the snapshot that it left with, after another object took its place. Null: it has not left.';
