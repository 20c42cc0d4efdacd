-- Findings are acknowledged: what has been found up to now leaves the list, what is found later does not.
alter table detection_mutes add column if not exists up_to_position bigint;
comment on column detection_mutes.up_to_position is 'Of an acknowledgement: only findings at positions up to this one. Null: of a mute.';
comment on table detection_mutes is 'Findings that the console leaves out of its list, muted or acknowledged, by whom and why. The views, the feed, sinks and Sigma '
  'know nothing of it (docs/detections.md).';
--> statement-breakpoint
-- It asks which detections the operator has.
create table if not exists own_detections (
  name text primary key,
  position bigint not null,
  asked_at timestamptz,
  failed_at timestamptz,
  error text
);
