/** A detection that looks at each event by itself. */
export interface SingleEventRule {
  readonly name: string;
  readonly severity: string;
  /** What its view asks of a row of `audit_event_traits t`, apart from being no copy. A test compares it with the view. */
  readonly condition: string;
}

/**
 * The views of drizzle/0012 and later, as conditions: ten views that are asked at once are planned ten times, with all partitions, and read
 * the same rows ten times. The other detections look through weeks.
 */
export const singleEventRules: readonly SingleEventRule[] = [
  { name: 'api_token_changed', severity: 'medium', condition: 't.done and t.about_api_token' },
  { name: 'member_added', severity: 'medium', condition: 't.done and t.creates and t.about_member' },
  {
    name: 'super_administrator_added',
    severity: 'high',
    condition: `t.done and t.about_member and not t.deletes
      and (t.names_super_administrator or t.creates and t.about_organization_member and not t.requests_role)`,
  },
  {
    name: 'sso_or_mfa_changed',
    severity: 'high',
    condition: `t.done and t.about_sso_or_mfa and lower(t.action_type) is distinct from 'login'`,
  },
  {
    name: 'api_token_wide_scope',
    severity: 'high',
    condition: 't.done and t.about_api_token and not t.deletes and t.grants_widely',
  },
  { name: 'protection_removed', severity: 'high', condition: 't.deletes and t.about_protection' },
  { name: 'dns_records_deleted', severity: 'high', condition: 't.deletes_many_dns_records' },
  {
    name: 'worker_secret_or_route_changed',
    severity: 'medium',
    condition: 't.done and t.about_worker_secret_or_route',
  },
  { name: 'cloudflare_staff', severity: 'medium', condition: 't.by_cloudflare_staff' },
  { name: 'collector_token', severity: 'critical', condition: 't.touches_collector_token' },
];

/** Beside a row of `audit_event_traits t`: a row with the name of each rule that finds it. An array, since PostgreSQL prepares expressions in VALUES for each row. */
export const ruleRows = `unnest(array_remove(array[
    ${singleEventRules.map(({ name, condition }) => `case when ${condition} then '${name}' end`).join(',\n    ')}], null)) as rule (detection)`;

/** The severity of `rule.detection`. */
export const severityOfRule = `case rule.detection ${singleEventRules.map(({ name, severity }) => `when '${name}' then '${severity}'`).join(' ')} end`;
