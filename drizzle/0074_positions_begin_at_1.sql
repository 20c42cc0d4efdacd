-- own transaction
-- Not validated: that would read every event. `orgtrail evidence verify` counts those that were there before.
alter table audit_events drop constraint if exists audit_events_position_from_1,
  add constraint audit_events_position_from_1 check (position > 0) not valid;
