import { sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { z } from 'zod';
import { OrgtrailError } from '../../base/errors.ts';
import { db, type Row } from '../../postgres/queries.ts';
import { evidenceLog } from '../../postgres/tables/archive.ts';
import { readNewestCheckpoint } from '../builder/load-log.sql.ts';
import type { NewestCheckpoint } from '../builder/ports.ts';
import { BLOCK_LEAVES } from './verify-block.ts';

export const evidenceStates = ['building', 'ok', 'behind', 'halted', 'no key', 'ended'] as const;

/** Restored or failed over since it was last written: whether it can go on is not known. */
const isElsewhere = sql`evidence_log.state in ('ok', 'building') and evidence_log.timeline <> (select h.timeline from feed_head h)`;
const NOT_COMPARED =
  'the database failed over or was restored, and no process that has the key of the log has compared it since';
const blocks = sql`ceil(evidence_log.signed_size / ${BLOCK_LEAVES}::numeric)`;

const columns = {
  number: evidenceLog.number,
  origin: sql<string>`evidence_log.base || '/' || evidence_log.feed_id || '.' || evidence_log.number`,
  state: sql<
    (typeof evidenceStates)[number]
  >`case when ${evidenceLog.endedAt} is not null then 'ended' when ${isElsewhere} then 'halted' else ${evidenceLog.state} end`,
  stateReason: sql<string | null>`case when ${evidenceLog.endedAt} is not null then ${evidenceLog.endedReason}
    when ${isElsewhere} then ${NOT_COMPARED} else ${evidenceLog.stateReason} end`,
  size: evidenceLog.size,
  root: evidenceLog.root,
  lagEvents: sql<number>`(select h.position from feed_head h)::float8 - ${evidenceLog.position}`,
  adoptedPosition: evidenceLog.adoptedPosition,
  keyOrdered: evidenceLog.keyOrdered,
  /** In RFC 3339. */
  oldKeyUntil: sql<
    string | null
  >`case when ${evidenceLog.oldKeyUntil} > clock_timestamp() then to_char(${evidenceLog.oldKeyUntil} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end`,
  signedSize: evidenceLog.signedSize,
  signedPosition: evidenceLog.signedPosition,
  signedSecondsAgo: sql<number | null>`extract(epoch from clock_timestamp() - ${evidenceLog.signedAt})::float8`,
  heldBy: sql<
    string | null
  >`case when ${evidenceLog.leaseUntil} > clock_timestamp() then ${evidenceLog.leaseOwner} end`,
  statedSecondsAgo: sql<
    number | null
  >`(select extract(epoch from clock_timestamp() - max(c.stated_at))::float8 from evidence_coverage c)`,
  unstatedSources: sql<number>`(select count(*) from sources s where not exists (select from evidence_coverage c
    where c.source_kind = s.kind and c.source_id = s.id and c.index is not null))::float8`,
  /** Twice as long as they should be; null: the process that builds has not said how often. */
  overdueSources: sql<
    number | null
  >`case when ${evidenceLog.statementsEvery} is not null then (select count(*) from sources s
      left join lateral (select max(c.stated_at) as at from evidence_coverage c
        where c.source_kind = s.kind and c.source_id = s.id) as latest on true
    where s.last_attempt_at > clock_timestamp() - evidence_log.statements_every
      and (latest.at is null or latest.at < clock_timestamp() - 2 * evidence_log.statements_every))::float8 end`,
  heldBack: evidenceLog.heldBack,
  /** Of the block that was not compared for longest; null: not all of them have been. */
  verifiedSecondsAgo: sql<
    number | null
  >`(select case when count(*) >= ${blocks} then extract(epoch from clock_timestamp() - min(v.at)) end
    from evidence_verified v where v.block >= 0)::float8`,
  verificationFaults: sql<number>`(select coalesce(sum(cardinality(v.faults)), 0) from evidence_verified v)::float8`,
};

export const anchorStatus = z.object({
  anchor: z.string(),
  isConfigured: z.boolean().describe('By the process that built last. True for all as long as none has said.'),
  size: z.number().nullable().describe('Null: none yet.'),
  secondsAgo: z.number().nullable().describe('Since the newest checkpoint was seen there; null: never.'),
  error: z.string().nullable(),
});

export interface EvidenceStatus extends Row<typeof columns> {
  readonly anchors: readonly AnchorStatus[];
}

/** The owner of the database could rewrite what is stored. */
export const isUnanchored = ({ anchors }: Pick<EvidenceStatus, 'anchors'>): boolean =>
  !anchors.some(({ isConfigured, size }) => isConfigured && size !== null);

/** Nothing is signed until an operator acts. */
export const isStopped = <T extends { readonly state: string }>(
  evidence: T | undefined,
): evidence is T & { readonly state: 'behind' | 'halted' | 'no key' } =>
  evidence !== undefined && ['behind', 'halted', 'no key'].includes(evidence.state);

/** Undefined: there is no log. The account of the collector may read this. */
export const readEvidenceStatus = async (pool: Pool): Promise<EvidenceStatus | undefined> => {
  const [row] = await db(pool).select(columns).from(evidenceLog);
  return row && { ...row, anchors: await readAnchorStatus(pool) };
};

type AnchorStatus = Readonly<z.output<typeof anchorStatus>>;

/** Configured, used or tried, by name: what each has of this log. */
export const readAnchorStatus = async (pool: Pool): Promise<readonly AnchorStatus[]> => {
  const { rows } = await pool.query<AnchorStatus>(anchors);
  return rows;
};

/** There is a row for each checkpoint that was ever kept: only the newest of each are looked up. */
const anchors = `
with recursive tried (anchor) as (
  select (select min(a.anchor) from evidence_anchors a)
  union all
  select (select min(a.anchor) from evidence_anchors a where a.anchor > t.anchor) from tried t where t.anchor is not null),
log as (select l.number, l.anchors as names from evidence_log l),
shown (anchor) as (
  select t.anchor from tried t where t.anchor is not null union select u.anchor collate "C" from log, unnest(log.names) as u (anchor))
select s.anchor, coalesce(s.anchor = any(log.names), true) as "isConfigured", kept.size::float8 as size,
  extract(epoch from clock_timestamp() - kept.at)::float8 as "secondsAgo", newest.error
from shown s cross join log
  left join lateral (select a.error from evidence_anchors a where a.number = log.number and a.anchor = s.anchor
    order by a.size desc limit 1) newest on true
  left join lateral (select a.size, a.at from evidence_anchors a where a.number = log.number and a.anchor = s.anchor and a.at is not null
    order by a.size desc limit 1) kept on true
order by s.anchor`;

/** Throws OrgtrailError `usage` if nothing is signed yet. */
export const requireCheckpoint = async (pool: Pool): Promise<NewestCheckpoint> => {
  const newest = await readNewestCheckpoint(pool);
  if (newest !== undefined) return newest;
  throw new OrgtrailError('usage', 'no checkpoint is signed yet', { hint: 'docs/evidence.md says how to begin' });
};
