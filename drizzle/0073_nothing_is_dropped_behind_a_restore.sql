-- own transaction
-- Behind a failover or a restore a hold may be lost. So nothing is dropped for a day, unless an operator confirms that the holds are all there, and
-- nothing before the evidence, if there is some, was compared and signed on this server.
create table if not exists retention_waits (
  id bigint generated always as identity primary key,
  reason text not null,
  since timestamptz not null default clock_timestamp(),
  ends_at timestamptz not null default clock_timestamp() + interval '1 day',
  confirmed_at timestamptz,
  confirmed_by text,
  confirmed_as text
);
--> statement-breakpoint
comment on table retention_waits is 'Times from which retention drops nothing, because the database may be an older state. Written by functions alone, and confirmed by the owner: orgtrail hold confirm.';
--> statement-breakpoint
comment on column retention_waits.id is 'A number of its own.';
--> statement-breakpoint
comment on column retention_waits.reason is 'What was found.';
--> statement-breakpoint
comment on column retention_waits.since is 'When it was found.';
--> statement-breakpoint
comment on column retention_waits.ends_at is 'From then on months are dropped again.';
--> statement-breakpoint
comment on column retention_waits.confirmed_at is 'When an operator ended the wait; null: it ended by itself, or has not ended.';
--> statement-breakpoint
comment on column retention_waits.confirmed_by is 'Who is said to have confirmed.';
--> statement-breakpoint
comment on column retention_waits.confirmed_as is 'The account of the database that did.';
--> statement-breakpoint
insert into retention_waits (reason, since, ends_at)
select 'the database failed over or was restored', j.found_at, j.found_at + interval '1 day'
from position_jumps j where j.found_at > clock_timestamp() - interval '1 day';
--> statement-breakpoint
alter table feed_head add column if not exists database_oid bigint;
--> statement-breakpoint
comment on column feed_head.database_oid is 'The oid of the database that this row was last compared in: a copy of the database has another one. Null: nothing was stored yet.';
--> statement-breakpoint
update feed_head set database_oid = (select d.oid from pg_database d where d.datname = current_database()) where position > 0;
