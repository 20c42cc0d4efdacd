import type { Pool, PoolClient } from 'pg';
import { SearchError } from '../../base/errors.ts';
import { parseInstantMs } from '../../base/time.ts';
import { copiesOf, hasCopy } from '../../feed/feed.ts';
import { isTimeout, readOnly } from '../../postgres/queries.ts';
import { type Severity, severities } from './finding.ts';

/** The end of the time is always asked about, in one statement. */
const FIRST_SPAN_MS = 86_400_000;
const GROWTH = 4;
/** A statement for less time than that is mostly planning. */
const LEAST_SPAN_MS = 3_600_000;
const LENIENCY_MS = 500;

export interface FindingLimits {
  readonly firstMs: number;
  /** Limit of looking at more than the first statement did: people wait for the page. */
  readonly lookMs: number;
}
const pageLimits: FindingLimits = { firstMs: 20_000, lookMs: 1_500 };

export interface AskedFindings {
  /** RFC 3339, inclusive. */
  readonly since: string;
  /** RFC 3339, exclusive; undefined: now. */
  readonly before: string | undefined;
  readonly organization: string | undefined;
  readonly severity: string | undefined;
  readonly detection: string | undefined;
  readonly actor: string | undefined;
  readonly showMuted: boolean;
  readonly limit: number;
  readonly offset: number;
}

/** As in the view `detections`. Its texts come from the entry, and so from the actor. */
export interface ListedFinding {
  readonly detection: string;
  readonly severity: string;
  /** RFC 3339; of the event that names it, and of its first event. */
  readonly actionTime: string;
  readonly firstTime: string;
  readonly events: number;
  readonly organizationId: string | null;
  /** Of the organization, else of the account. */
  readonly ownerName: string;
  readonly actor: string | null;
  readonly actorIpAddress: string | null;
  readonly summary: string;
  readonly sourceKind: string;
  readonly sourceId: string;
  readonly id: string;
  readonly muted: boolean;
}

export type FindingCount = Readonly<{ detection: string; severity: string; found: number; muted: number }>;

/** All that a rule found of an actor. */
export interface FindingGroup {
  readonly detection: string;
  readonly severity: string;
  readonly actor: string | null;
  readonly found: number;
  /** RFC 3339. */
  readonly first: string;
  readonly last: string;
  /** Of the newest. */
  readonly summary: string;
  readonly owners: readonly string[];
  readonly muted: boolean;
}

export interface FindingList {
  readonly counts: readonly FindingCount[];
  /** Critical first, then the newest. */
  readonly groups: readonly FindingGroup[];
  /** The head of the feed before. */
  readonly seen: number;
  readonly findings: readonly ListedFinding[];
  /** RFC 3339. Nothing older was looked at, since it takes longer: counts and findings begin here. Null: all was. */
  readonly lookedSince: string | null;
}

type Part = Omit<FindingList, 'lookedSince'>;

/** A time's last day, and as much before it as there is time for, newest first. Rejects with SearchError `timeout` if not even a day. */
export const listFindings = async (
  pool: Pool,
  asked: AskedFindings,
  signal?: AbortSignal,
  { firstMs, lookMs }: FindingLimits = pageLimits,
): Promise<FindingList> => {
  const beganMs = performance.now();
  const sinceMs = parseInstantMs(asked.since) ?? Number.NEGATIVE_INFINITY;
  const parts: Part[] = [];
  let before = asked.before;
  let spanMs = FIRST_SPAN_MS;
  for (;;) {
    const startedMs = performance.now();
    const nowMs = Date.now();
    const lowMs = Math.min(nowMs, (before && parseInstantMs(before)) || nowMs) - spanMs;
    // Includes a rest too short for a statement: a day that was asked for began a moment before now.
    const isLast = lowMs - LEAST_SPAN_MS <= sinceMs;
    const since = isLast ? asked.since : new Date(lowMs).toISOString();
    const listed = parts.reduce((sum, { findings }) => sum + findings.length, 0);
    const piece = { ...asked, since, before, offset: 0, limit: asked.offset + asked.limit - listed };
    const timeoutMs = parts.length === 0 ? firstMs : Math.round(lookMs - (startedMs - beganMs)) + LENIENCY_MS;
    const part = await readPart(pool, piece, timeoutMs, signal);
    if (part === undefined && parts.length === 0) {
      throw new SearchError('timeout', 'the detections take too long: ask about less time');
    }
    if (part !== undefined) parts.push(part);
    if (part === undefined || isLast) return joined(parts, asked, part === undefined ? (before ?? null) : null);
    before = since;
    const tookMs = performance.now() - startedMs;
    const fittingMs = (spanMs / tookMs) * (lookMs - (performance.now() - beganMs));
    spanMs = Math.floor(Math.min(spanMs * GROWTH, fittingMs));
    if (spanMs < LEAST_SPAN_MS) return joined(parts, asked, since);
  }
};

const joined = (parts: readonly Part[], { offset }: AskedFindings, lookedSince: string | null): FindingList => {
  const counts = new Map<string, FindingCount>();
  for (const count of parts.flatMap((part) => part.counts)) {
    const key = `${count.detection} ${count.severity}`;
    const { found = 0, muted = 0 } = counts.get(key) ?? {};
    counts.set(key, { ...count, found: count.found + found, muted: count.muted + muted });
  }
  const groups = new Map<string, FindingGroup>();
  for (const group of parts.flatMap((part) => part.groups)) {
    const key = JSON.stringify([group.detection, group.severity, group.actor]);
    const newer = groups.get(key);
    const owners = [...new Set([...(newer?.owners ?? []), ...group.owners])].slice(0, MAX_OWNERS);
    const muted = group.muted && newer?.muted !== false;
    groups.set(key, {
      ...group,
      ...newer,
      owners,
      muted,
      found: group.found + (newer?.found ?? 0),
      first: group.first,
    });
  }
  const rank = ({ severity }: FindingGroup) => severities.indexOf(severity as Severity);
  return {
    counts: [...counts.values()],
    groups: [...groups.values()].sort((a, b) => rank(b) - rank(a) || b.last.localeCompare(a.last)),
    seen: Math.min(...parts.map(({ seen }) => seen)),
    findings: parts.flatMap(({ findings }) => findings).slice(offset),
    lookedSince,
  };
};

/** Undefined on timeout. */
const readPart = async (
  pool: Pool,
  asked: AskedFindings,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Part | undefined> => {
  const read = async (client: PoolClient) => {
    // Else bursts and sign-ins are looked for in the last 31 days only.
    await client.query("select set_config('orgtrail.bursts_since', $1, true)", [asked.since]);
    const { since, before, organization, severity, detection, limit, showMuted, actor } = asked;
    const values = [since, before, organization, severity, detection, limit, showMuted, actor];
    const { rows } = await client.query<Part>(statement, values);
    return rows[0] ?? { counts: [], groups: [], seen: 0, findings: [] };
  };
  try {
    return await readOnly(pool, timeoutMs, read, signal);
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
};

const utc = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const isInTime = (row: string): string =>
  `${row}.action_time >= $1::timestamptz and ${row}.action_time < coalesce($2::timestamptz, 'infinity')
      and ($3::text is null or ${row}.organization_id = $3 or ${hasCopy(row, (copy) => `${copy}.organization_id = $3`)})`;

const shared =
  'action_time, position, organization_id, organization_name, actor, actor_ip_address, source_kind, source_id, id';
/** They look at many events. */
const views = ['delete_burst', 'failure_burst', 'sign_in_without_sso', 'sign_in_from_new_network'];

/** The views of drizzle/schema/findings.sql, as conditions: each view in one statement would be planned, and read the same rows, once more. */
/** The condition: what the view asks of `audit_event_traits t`, besides being no copy. A test compares them. */
const rules: readonly (readonly [name: string, severity: string, condition: string])[] = [
  ['api_token_changed', 'medium', 't.done and t.about_api_token'],
  ['member_added', 'medium', 't.done and t.creates and t.about_member'],
  [
    'super_administrator_added',
    'high',
    `t.done and t.about_member and not t.deletes
      and (t.names_super_administrator or t.creates and t.about_organization_member and not t.requests_role)`,
  ],
  ['sso_or_mfa_changed', 'high', `t.done and t.about_sso_or_mfa and lower(t.action_type) is distinct from 'login'`],
  ['api_token_wide_scope', 'high', 't.done and t.about_api_token and not t.deletes and t.grants_widely'],
  ['protection_removed', 'high', 't.deletes and t.about_protection'],
  ['dns_records_deleted', 'high', 't.deletes_many_dns_records'],
  ['worker_secret_or_route_changed', 'medium', 't.done and t.about_worker_secret_or_route'],
  ['scim_changed', 'medium', 't.done and t.about_scim'],
  ['cloudflare_staff', 'medium', 't.by_cloudflare_staff'],
  ['collector_token', 'critical', 't.touches_collector_token'],
];
export const singleEventRules = rules.map(([name, severity, condition]) => ({ name, severity, condition }));

const severityOfRule = `case rule.detection ${singleEventRules.map(({ name, severity }) => `when '${name}' then '${severity}'`).join(' ')} end`;

/** Beside a row of `audit_event_traits t`: a row for each rule that finds it. An array: PostgreSQL prepares VALUES for each row. */
const ruleRows = `unnest(array_remove(array[
    ${singleEventRules.map(({ name, condition }) => `case when ${condition} then '${name}' end`).join(',\n    ')}], null)) as rule (detection)`;

/** Organizations and accounts that a group names. */
const MAX_OWNERS = 4;

/** The content of the view `detections`, with one reading in place of eleven. */
const statement = `
  with seen as (
    select rule.detection, ${severityOfRule} as severity, ${shared}, t.action_time as first_time, 1 as events, t.summary
    from audit_event_traits t cross join lateral ${ruleRows}
    where ${isInTime('t')} and t.copies_of_position is null
    ${views
      .map(
        (view) => `union all select d.detection, d.severity, ${shared}, d.first_time, d.events, d.summary
    from detection_${view} d where ${isInTime('d')}`,
      )
      .join('\n    ')}
    union all select f.detection, f.severity, ${shared}, f.first_time, f.events, f.summary
    from findings f where f.detection in (select o.name from own_detections o) and f.copies_of_position is null and ${isInTime('f')}),
  found as materialized (
    select d.*, exists (select from detection_mutes m where m.detection = d.detection and (m.actor is null or m.actor = d.actor)
      and m.ended_at is null and case when m.up_to_position is null then coalesce(m.muted_until, 'infinity') > now()
        else d.position <= m.up_to_position end) as muted
    from seen d),
  wanted as (
    select f.*, coalesce(f.organization_name, f.organization_id, (select a.name from accounts a where a.id = f.source_id), f.source_id) as owner_name
    from found f where ($4::text is null or f.severity = $4) and ($5::text is null or f.detection = $5) and ($8::text is null or f.actor = $8)
      and ($7 or not f.muted)),
  listed as (
    select * from wanted f
    order by f.action_time desc, f.position desc, f.detection limit $6)
  select
    (select coalesce(json_agg(c), '[]') from (
       select f.detection, f.severity, count(*)::integer as found,
         count(*) filter (where f.muted)::integer as muted from found f group by f.detection, f.severity) c) as counts,
    (select coalesce(json_agg(json_build_object(
         'detection', l.detection, 'severity', l.severity, 'actionTime', ${utc('l.action_time')}, 'firstTime', ${utc('l.first_time')},
         'events', l.events, 'organizationId', l.organization_id,
         'ownerName', l.owner_name,
         'actor', l.actor, 'actorIpAddress', l.actor_ip_address, 'summary', l.summary,
         'sourceKind', l.source_kind, 'sourceId', l.source_id, 'id', l.id, 'muted', l.muted)
       order by l.action_time desc, l.position desc, l.detection), '[]') from listed l) as findings,
    (select coalesce(json_agg(g), '[]') from (
       select w.detection, w.severity, w.actor, count(*)::integer as found, ${utc('min(w.first_time)')} as first, ${utc('max(w.action_time)')} as last,
         (array_agg(w.summary order by w.action_time desc, w.position desc))[1] as summary,
         (array_agg(distinct w.owner_name))[1:${MAX_OWNERS}] as owners, bool_and(w.muted) as muted
       from wanted w group by w.detection, w.severity, w.actor) g) as groups,
    (select h.position::float8 from feed_head h) as seen`;

/** A page does not wait long for its marks. */
const TIMEOUT_MS = 1_500;
export type EventMark = Readonly<{ position: number; detection: string; severity: string }>;

/** Detections that name these events. Undefined: not looked up in time. */
export const readEventMarks = async (
  pool: Pool,
  events: readonly { readonly position: number; readonly sortTime: string }[],
): Promise<readonly EventMark[] | undefined> => {
  if (events.length === 0) return [];
  try {
    return await readOnly(pool, TIMEOUT_MS, async (client) => {
      const { rows: times } = await client.query<{ first: string; last: string }>(
        'select min(t)::text as first, max(t)::text as last from unnest($1::timestamptz[]) t',
        [events.map(({ sortTime }) => sortTime)],
      );
      const positions = events.map(({ position }) => position);
      const { rows } = await client.query<EventMark>(marksStatement, [positions, times[0]?.first, times[0]?.last]);
      return rows;
    });
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
};

/** As values, times $2 to $3 limit the months that are planned. A copy has the time of its original, which is in the same months. */
export const marksStatement = `
  select t.position::float8 as position, rule.detection, ${severityOfRule} as severity
  from audit_event_traits t cross join lateral ${ruleRows}
  where t.position = any ($1::bigint[]) and t.action_time >= $2::timestamptz and t.action_time <= $3::timestamptz
    and not (t.about_user and exists (select from audit_events f where ${copiesOf('t', 'f')} and f.position < t.position
      and f.action_time >= $2::timestamptz and f.action_time <= $3::timestamptz))
  order by 1, 2`;
