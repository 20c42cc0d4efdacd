create table if not exists sinks (
  name text collate "C" primary key,
  kind text not null,
  target text not null,
  position bigint not null check (position >= 0),
  batch_until bigint,
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamptz,
  failures integer not null default 0,
  refused_in_row integer not null default 0,
  next_attempt_at timestamptz,
  delivered bigint not null default 0,
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  last_error text,
  created_at timestamptz not null default clock_timestamp()
);
--> statement-breakpoint
create table if not exists sink_dead_letters (
  sink text collate "C" not null references sinks (name) on delete cascade,
  position bigint not null,
  reason text not null,
  refused_at timestamptz not null default clock_timestamp(),
  primary key (sink, position)
);
--> statement-breakpoint
comment on table sinks is 'Where events are pushed to, one row per sink of ORGTRAIL_SINKS, and how far each is.';
--> statement-breakpoint
comment on column sinks.position is 'All events up to here are delivered or in sink_dead_letters. May be set back: orgtrail sink replay.';
--> statement-breakpoint
comment on column sinks.batch_until is 'The last position of the delivery under way: after a restart the same events go out under the same key.';
--> statement-breakpoint
comment on column sinks.lease_owner is 'The replica that delivers, while lease_until is to come; lease_epoch counts such leases.';
--> statement-breakpoint
comment on column sinks.refused_in_row is 'Dead letters since something was last accepted: too many of them mean a wrong setting, not wrong events.';
--> statement-breakpoint
comment on table sink_dead_letters is 'Events that a sink refuses for good, and why. The event itself is in audit_events, by its position.';
