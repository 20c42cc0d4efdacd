import type { Pool } from 'pg';

export interface CheckFinding {
  readonly kind: string;
  readonly id: string;
  readonly missing: number;
  readonly extra: number;
  readonly changed: number;
  readonly fixed: number;
  readonly ids: readonly string[];
  /** Why it was not compared to its end. */
  readonly failure?: string;
}

interface CheckResult {
  readonly id: number;
  readonly since: Date;
  readonly before: Date;
  readonly beganAt: Date;
  readonly endedAt: Date | null;
  readonly compared: number;
  readonly missing: number;
  readonly extra: number;
  readonly changed: number;
  readonly fixedMissing: number;
  readonly fixedChanged: number;
  readonly doneBy: string | null;
  readonly doneAs: string;
}

export interface VerifyRun extends CheckResult {
  readonly sources: number;
  /** Logs that were not compared to the end. */
  readonly failed: number;
  readonly fixes: boolean;
  readonly findings: readonly CheckFinding[];
}

export interface ScrubRoundResult extends CheckResult {
  readonly sourceKind: string;
  readonly sourceId: string;
  readonly name: string | null;
  readonly round: number;
  readonly lastReadAt: Date;
  /** From 0 to 1. */
  readonly share: number;
}

export interface CheckPage<T> {
  readonly rows: readonly T[];
  readonly nextBefore: number | undefined;
}

export interface AskedChecks {
  readonly before: number | undefined;
  readonly limit: number;
  /** Those that found something. */
  readonly found: boolean;
}

/** Of all rounds that are kept. */
export interface ScrubTotals {
  readonly sources: number;
  readonly underWay: number;
  /** Rounds that found something. */
  readonly withFindings: number;
  readonly missing: number;
  readonly changed: number;
}

const result = `id::float8 as id, since, before, began_at as "beganAt", ended_at as "endedAt", compared::float8 as compared, missing::float8 as missing,
  extra::float8 as extra, changed::float8 as changed, fixed_missing::float8 as "fixedMissing", fixed_changed::float8 as "fixedChanged",
  done_by as "doneBy", done_as as "doneAs"`;

const pageOf = <T extends { readonly id: number }>(rows: readonly T[], limit: number): CheckPage<T> => ({
  rows: rows.slice(0, limit),
  nextBefore: rows.length > limit ? rows[limit - 1]?.id : undefined,
});

const asked = `kind = $1 and ($2::bigint is null or id < $2) and (not $3 or missing + extra + changed + failed > 0) order by id desc limit $4 + 1`;
const parameters = (kind: 'verify' | 'scrub', { before, found, limit }: AskedChecks) => [
  kind,
  before ?? null,
  found,
  limit,
];

/** Newest first. */
export const readVerifyRuns = async (pool: Pool, page: AskedChecks): Promise<CheckPage<VerifyRun>> => {
  const { rows } = await pool.query<VerifyRun>(
    `select ${result}, sources, failed, fixes, findings from checks where ${asked}`,
    parameters('verify', page),
  );
  return pageOf(rows, page.limit);
};

/** Those that began last first. */
export const readScrubRounds = async (pool: Pool, page: AskedChecks): Promise<CheckPage<ScrubRoundResult>> => {
  const { rows } = await pool.query<ScrubRoundResult>(
    `select c.*, coalesce(a.name, o.name) as name from (
       select ${result}, source_kind as "sourceKind", source_id as "sourceId", round, last_read_at as "lastReadAt",
         least(1, read_seconds / greatest(1, extract(epoch from before - since)))::float8 as share
       from checks where ${asked}) c
       left join sources s on s.kind = c."sourceKind" and s.id = c."sourceId"
       left join accounts a on a.id = s.account_id left join organizations o on o.id = s.organization_id
     order by c.id desc`,
    parameters('scrub', page),
  );
  return pageOf(rows, page.limit);
};

export const readScrubTotals = async (pool: Pool): Promise<ScrubTotals> => {
  const { rows } = await pool.query<ScrubTotals>(
    `select count(distinct (source_kind, source_id))::integer as sources, count(*) filter (where is_last and ended_at is null)::integer as "underWay",
       count(*) filter (where missing + changed > 0)::integer as "withFindings", coalesce(sum(missing), 0)::float8 as missing,
       coalesce(sum(changed), 0)::float8 as changed
     from (select *, id = max(id) over (partition by source_kind, source_id) as is_last from checks where kind = 'scrub') c`,
  );
  return rows[0] ?? { sources: 0, underWay: 0, withFindings: 0, missing: 0, changed: 0 };
};
