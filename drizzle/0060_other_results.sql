-- own transaction
-- Built before, while entries are stored (src/postgres/schema/online-index.ts). Hardly any entries have another result than these two: with it, and the index of failures, the
-- results of an organization, or of all, are counted without reading rows (docs/decisions/0073).
create index if not exists audit_events_other_results on audit_events (action_time, position) include (organization_id, action_result)
  where action_result is distinct from 'success' and action_result is distinct from 'failure';
