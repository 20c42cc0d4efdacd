-- own transaction
-- Built before, while entries are stored (src/postgres/schema/online-index.ts). A Bloom filter for each MB: nothing is written to it with an event, but when a MB is full
-- (docs/decisions/0017).
create index if not exists audit_events_ray on audit_events
  using brin (raw_cf_ray_id text_bloom_ops (n_distinct_per_range = 2000, false_positive_rate = 0.01))
  with (pages_per_range = 128, autosummarize = on);
--> statement-breakpoint
-- Hardly any entries have defects.
create index if not exists audit_events_defects on audit_events (action_time, position) where defects is not null;
