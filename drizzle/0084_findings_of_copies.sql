-- A finding in the log of each account that has a copy of its entry, so that a sink for one account is told of it; null: where it was found.
alter table findings add column copies_of_position bigint;
--> statement-breakpoint
comment on column findings.copies_of_position is 'Of a copy of the finding in the log of another account that the user may use: the event_position of the finding. Null: it was found here. A sink is told of one of them.';
