alter table organizations
  add column if not exists log_asked_at timestamptz,
  add column if not exists log_open_at_misses integer;
comment on column organizations.missed_listings is 'Complete listings in a row that did not name it. From the second on its audit log is asked, and it is gone once that refuses.';
comment on column organizations.log_asked_at is 'When its audit log was last asked whether it still answers, since listings miss the organization.';
comment on column organizations.log_open_at_misses is 'How many listings had missed it when its audit log last answered; the next question waits for twice as many, or a day.';
comment on column discovery.server_time is 'Cloudflare''s own time at last_success_at, which is this database''s clock: their difference is how far the two are apart.';
