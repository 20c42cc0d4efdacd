-- What each object of the archive has at least and at most, so that other engines leave out those that they need not read.
alter table archive_objects add column if not exists bounds jsonb;
--> statement-breakpoint
alter table archive_objects add column if not exists footer_bytes bigint;
--> statement-breakpoint
comment on column archive_objects.bounds is 'By the number of a column (docs/archive.md): rows with null, and the lowest and the highest value, of '
  'times in microseconds since 1970. A text is cut after 64 characters, and max raised. Null: it was not read back since an earlier version wrote it.';
--> statement-breakpoint
comment on column archive_objects.footer_bytes is 'How many bytes at its end describe it, without the last eight.';
