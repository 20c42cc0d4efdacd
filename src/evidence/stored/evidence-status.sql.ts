import { desc, eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { z } from 'zod';
import { db, type Row } from '../../postgres/queries.ts';
import { evidenceLogs } from '../../postgres/tables/archive.ts';
import type { LogName } from '../notes/checkpoint.ts';

export const evidenceStates = ['building', 'ok', 'behind', 'forked', 'halted', 'ended'] as const;

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
  lagEvents: sql<number>`(select h.position from feed_head h)::float8 - ${evidenceLogs.size}`,
  adoptedSize: evidenceLogs.adoptedSize,
  keyOrdered: evidenceLogs.keyOrdered,
  /** In RFC 3339. */
  oldKeyUntil: sql<
    string | null
  >`case when ${evidenceLogs.oldKeyUntil} > clock_timestamp() then to_char(${evidenceLogs.oldKeyUntil} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end`,
  signedSize: evidenceLogs.signedSize,
  signedSecondsAgo: sql<number | null>`extract(epoch from clock_timestamp() - ${evidenceLogs.signedAt})::float8`,
  heldBy: sql<
    string | null
  >`case when ${evidenceLogs.leaseUntil} > clock_timestamp() then ${evidenceLogs.leaseOwner} end`,
  statements: sql<number>`(select j.size from evidence_logs j
    where j.name = 'journal' and j.generation = evidence_logs.generation)::float8`,
  statedSecondsAgo: sql<number | null>`(select extract(epoch from clock_timestamp() - max(c.stated_at))::float8
    from evidence_coverage c where c.generation = evidence_logs.generation)`,
  unstatedSources: sql<number>`(select count(*) from sources s where not exists (select from evidence_coverage c
    where c.generation = evidence_logs.generation and c.source_kind = s.kind and c.source_id = s.id))::float8`,
  /** Twice as long as they should be; null: the process that builds has not said how often. */
  overdueSources: sql<
    number | null
  >`case when ${evidenceLogs.statementsEvery} is not null then (select count(*) from sources s
      left join lateral (select max(c.stated_at) as at from evidence_coverage c
        where c.generation = evidence_logs.generation and c.source_kind = s.kind and c.source_id = s.id) as latest on true
    where s.last_attempt_at > clock_timestamp() - evidence_logs.statements_every
      and (latest.at is null or latest.at < clock_timestamp() - 2 * evidence_logs.statements_every))::float8 end`,
};

export const anchorStatus = z.object({
  anchor: z.string(),
  isConfigured: z.boolean().describe('By the process that built last. True for all as long as none has said.'),
  size: z.number().nullable().describe('Null: none yet.'),
  isOfEvents: z.boolean().describe('Or it keeps the journal alone, whose statements name the tree of the events.'),
  secondsAgo: z.number().nullable().describe('Since the newest checkpoints of both logs were seen there; null: never.'),
  error: z.string().nullable(),
});

export interface EvidenceStatus extends Row<typeof columns> {
  readonly anchors: readonly AnchorStatus[];
}

/** The owner of the database could rewrite what is stored. */
export const isUnanchored = ({ anchors }: Pick<EvidenceStatus, 'anchors'>): boolean =>
  !anchors.some(({ isConfigured, isOfEvents }) => isConfigured && isOfEvents);

/** Nothing is signed until an operator acts. */
export const isStopped = <T extends { readonly state: string }>(
  evidence: T | undefined,
): evidence is T & { readonly state: 'behind' | 'forked' | 'halted' } =>
  evidence !== undefined && ['behind', 'forked', 'halted'].includes(evidence.state);

/** Undefined: there is no log. The account of the collector may read this. */
export const readEvidenceStatus = async (pool: Pool): Promise<EvidenceStatus | undefined> => {
  const [row] = await db(pool)
    .select(columns)
    .from(evidenceLogs)
    .where(eq(evidenceLogs.name, 'events'))
    .orderBy(desc(evidenceLogs.generation))
    .limit(1);
  return row && { ...row, anchors: await readAnchorStatus(pool, row.generation) };
};

type AnchorStatus = Readonly<z.output<typeof anchorStatus>>;

/** Configured, used or tried, by name. */
export const readAnchorStatus = async (pool: Pool, generation: number): Promise<readonly AnchorStatus[]> => {
  const { rows } = await pool.query<AnchorStatus>(anchors, [generation]);
  return rows;
};

/** There is a row for each checkpoint that was ever kept: only the newest of each are looked up. */
const anchors = `
with recursive tried (log, anchor) as (
  select l.log, (select min(a.anchor) from evidence_anchors a where a.log = l.log and a.generation = $1)
  from (values ('events'), ('journal')) as l (log)
  union all
  select t.log, (select min(a.anchor) from evidence_anchors a where a.log = t.log and a.generation = $1 and a.anchor > t.anchor)
  from tried t where t.anchor is not null),
configured as (select l.anchors as names from evidence_logs l where l.name = 'events' and l.generation = $1),
shown (log, anchor) as (
  select t.log, t.anchor from tried t where t.anchor is not null
  union
  select 'events', u.anchor collate "C" from configured c, unnest(c.names) as u (anchor))
select s.anchor, coalesce((select s.anchor = any(c.names) from configured c), true) as "isConfigured",
  max(kept.size) filter (where s.log = 'events')::float8 as size,
  coalesce(max(kept.size) filter (where s.log = 'events'), max(kept.size), 0) > 0 as "isOfEvents",
  extract(epoch from clock_timestamp() - min(kept.at))::float8 as "secondsAgo", max(newest.error) as error
from shown s
  left join lateral (select a.error from evidence_anchors a
    where a.log = s.log and a.generation = $1 and a.anchor = s.anchor order by a.size desc limit 1) newest on true
  left join lateral (select a.size, a.at from evidence_anchors a
    where a.log = s.log and a.generation = $1 and a.anchor = s.anchor and a.at is not null order by a.size desc limit 1) kept on true
group by s.anchor order by s.anchor`;

export interface NewestCheckpoint {
  readonly log: LogName;
  readonly origin: string;
  readonly generation: number;
  readonly size: number;
  readonly root: Buffer;
  readonly note: string;
  readonly madeAt: Date;
}

/** `events` first. */
export const readNewestCheckpoints = async (pool: Pool): Promise<readonly NewestCheckpoint[]> => {
  const { rows } = await pool.query<NewestCheckpoint>(
    `select l.name as log, l.origin, l.generation, c.size::float8 as size, c.root, c.note, c.made_at as "madeAt"
     from evidence_logs l cross join lateral (
       select size, root, note, made_at from evidence_checkpoints c where c.log = l.name and c.generation = l.generation
       order by c.size desc limit 1) as c
     where l.generation = (select max(generation) from evidence_logs) order by l.name`,
  );
  return rows;
};
