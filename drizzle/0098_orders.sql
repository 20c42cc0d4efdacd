alter table access_tokens drop constraint if exists access_tokens_scopes_check,
  add constraint access_tokens_scopes_check check (cardinality(scopes) > 0 and scopes <@ array['feed', 'search', 'metrics', 'manage']);
alter table access_tokens add column if not exists made_by bigint references access_tokens (id);
comment on column access_tokens.made_by is 'The token with which it was made, and with which it is revoked; null: by an account.';
comment on column access_tokens.scopes is 'What it opens: feed, search (the console included), metrics; manage: it may give orders.';
comment on column access_tokens.created_as is 'The database account that made it, and the token for which it did.';
comment on column access_tokens.revoked_as is 'The database account that revoked it, and the token for which it did.';
comment on column access_tokens.access_log_proof is 'SHA-256 of what a daemon makes of the token itself at a sign-in, to read access_log and to '
  'set sinks back for it, and of an order; null: made before migration 0061, and does none of these.';
comment on column holds.created_as is 'The account of the database that added it, and the token for which it did.';
comment on column holds.released_as is 'The account of the database that released it, and the token for which it did.';
comment on column retention_waits.confirmed_as is 'The account of the database that did, and the token for which it did.';
--> statement-breakpoint
drop function if exists orgtrail_replay_sink(bytea, text, bigint, text);
