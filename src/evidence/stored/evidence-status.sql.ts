import { desc, eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row } from '../../postgres/db.ts';
import { evidenceLogs } from '../../postgres/tables/evidence.ts';
import { type AnchorStatus, readAnchorStatus } from './anchor-status.sql.ts';

export const evidenceStates = ['building', 'ok', 'behind', 'forked', 'halted', 'ended'] as const;

const secondsSince = (column: typeof evidenceLogs.signedAt) =>
  sql<number | null>`extract(epoch from clock_timestamp() - ${column})::float8`;

/** Restored or failed over since it was last written: whether it can go on is not known. */
const isElsewhere = sql`evidence_logs.state in ('ok', 'building') and evidence_logs.timeline <> (select h.timeline from feed_head h)`;
const NOT_COMPARED =
  'the database failed over or was restored, and no process that has the key of the log has compared it since';

const columns = {
  generation: evidenceLogs.generation,
  origin: evidenceLogs.origin,
  state: sql<
    (typeof evidenceStates)[number]
  >`case when ${evidenceLogs.endedAt} is not null then 'ended' when ${isElsewhere} then 'halted' else ${evidenceLogs.state} end`,
  stateReason: sql<string | null>`case when ${evidenceLogs.endedAt} is not null then ${evidenceLogs.endedReason}
    when ${isElsewhere} then ${NOT_COMPARED} else ${evidenceLogs.stateReason} end`,
  size: evidenceLogs.size,
  root: evidenceLogs.root,
  /** Events that have no leaf yet. */
  lagEvents: sql<number>`(select h.position from feed_head h)::float8 - ${evidenceLogs.size}`,
  adoptedSize: evidenceLogs.adoptedSize,
  /** Why another key is ordered that no process has stated yet. */
  keyOrdered: evidenceLogs.keyOrdered,
  /** Until then the key before signs as well, in RFC 3339. */
  oldKeyUntil: sql<
    string | null
  >`case when ${evidenceLogs.oldKeyUntil} > clock_timestamp() then to_char(${evidenceLogs.oldKeyUntil} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end`,
  signedSize: evidenceLogs.signedSize,
  /** Of the last checkpoint that was signed; null before the first. */
  signedSecondsAgo: secondsSince(evidenceLogs.signedAt),
  heldBy: sql<
    string | null
  >`case when ${evidenceLogs.leaseUntil} > clock_timestamp() then ${evidenceLogs.leaseOwner} end`,
  statements: sql<number>`(select j.size from evidence_logs j
    where j.name = 'journal' and j.generation = evidence_logs.generation)::float8`,
  /** Since the newest statement of coverage was read; null before the first. */
  statedSecondsAgo: sql<number | null>`(select extract(epoch from clock_timestamp() - max(c.stated_at))::float8
    from evidence_coverage c where c.generation = evidence_logs.generation)`,
  /** Sources whose coverage was never stated. */
  unstatedSources: sql<number>`(select count(*) from sources s where not exists (select from evidence_coverage c
    where c.generation = evidence_logs.generation and c.source_kind = s.kind and c.source_id = s.id))::float8`,
  /** Sources that are read and were not stated for twice as long as they should be; null: the process that builds has not said how often. */
  overdueSources: sql<
    number | null
  >`case when ${evidenceLogs.statementsEvery} is not null then (select count(*) from sources s
      left join lateral (select max(c.stated_at) as at from evidence_coverage c
        where c.generation = evidence_logs.generation and c.source_kind = s.kind and c.source_id = s.id) as latest on true
    where s.last_attempt_at > clock_timestamp() - evidence_logs.statements_every
      and (latest.at is null or latest.at < clock_timestamp() - 2 * evidence_logs.statements_every))::float8 end`,
};

/** How the log `events` of the newest generation stands. */
export interface EvidenceStatus extends Row<typeof columns> {
  readonly anchors: readonly AnchorStatus[];
}

/** No anchor that is configured has a checkpoint that speaks of events: the owner of the database could rewrite what is stored. */
export const isUnanchored = ({ anchors }: Pick<EvidenceStatus, 'anchors'>): boolean =>
  !anchors.some(({ isConfigured, isOfEvents }) => isConfigured && isOfEvents);

/** Undefined: there is no log. Needs no more than the account of the collector may read. */
export const readEvidenceStatus = async (pool: Pool): Promise<EvidenceStatus | undefined> => {
  const [row] = await db(pool)
    .select(columns)
    .from(evidenceLogs)
    .where(eq(evidenceLogs.name, 'events'))
    .orderBy(desc(evidenceLogs.generation))
    .limit(1);
  return row && { ...row, anchors: await readAnchorStatus(pool, row.generation) };
};
