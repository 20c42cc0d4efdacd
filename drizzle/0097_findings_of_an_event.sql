create index if not exists findings_event on findings (event_position);
--> statement-breakpoint
comment on table findings is 'What the detections found, noted once each by a daemon, for searches and sinks, from finding_head.began_at on. '
  'The view detections has all of it, also of before.';
--> statement-breakpoint
comment on table finding_head is 'Up to which position of the feed the detections have been asked. No row: no daemon has run yet.';
