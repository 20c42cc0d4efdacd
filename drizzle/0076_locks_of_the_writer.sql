-- own transaction
alter table alarm_cursors add column if not exists noted_at timestamptz;
--> statement-breakpoint
comment on column alarm_cursors.noted_at is 'When the daemon noted alarms for this sink last; null: the sink is sent something else now, or was registered by an earlier version.';
