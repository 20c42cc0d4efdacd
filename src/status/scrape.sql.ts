import type { Pool } from 'pg';
import { readArchiveStatus } from '../archive/archive-status.sql.ts';
import type { StreamLoad } from '../base/limits.ts';
import { readEvidenceStatus } from '../evidence/stored/evidence-status.sql.ts';
import type { ApiBudget } from '../ingest/cloudflare/api-budget.sql.ts';
import type { KindPolicy } from '../ingest/planning/source.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import type { AskingPace } from './source-state.ts';
import { countGoneAccounts, countOrganizations, countVanished } from './status.sql.ts';
import type { StatusReader } from './status-reader.sql.ts';

export type MetricsSource = ReturnType<typeof createMetricsSource>;

/** From the database, so that every replica shows the same. Undefined figures: of what is not read or not configured, or does not exist yet. */
export const createMetricsSource = (
  { scrub, sources, organizationIds, evidence, archive, retentionMs, ...pace }: ScrapedConfig,
  pool: Pool,
  budget: Pick<ApiBudget, 'available' | 'blockedSeconds'>,
  kinds: readonly KindPolicy[],
  {
    statusReader,
    sinks,
    streamLoad,
  }: {
    readonly statusReader: StatusReader;
    sinks(): Promise<readonly SinkStatus[]>;
    streamLoad(): StreamLoad;
  },
) => ({
  figures: () => statusReader.figures(pace),
  sinks,
  streamLoad,
  organizationCounts: () => countOrganizations(pool),
  vanishedCount: () => countVanished(pool),
  goneAccounts: async () => (sources.includes('account') ? await countGoneAccounts(pool) : undefined),
  accountListings: async () => (sources.includes('account') ? await countAccountListings(pool) : undefined),
  evidence: async () => (evidence === undefined ? undefined : await readEvidenceStatus(pool)),
  /** Also if there is no log yet. */
  isEvidenceSet: evidence !== undefined,
  archive: async () => (archive === undefined ? undefined : await readArchiveStatus(pool, retentionMs)),
  scrubRoundAge: async () => (scrub.share === 0 ? undefined : await readScrubAge(pool, kinds, organizationIds)),
  budgetAvailable: budget.available,
  blockedSeconds: budget.blockedSeconds,
});

interface ScrapedConfig extends Omit<AskingPace, 'asked'> {
  readonly scrub: { readonly share: number };
  readonly sources: readonly string[];
  readonly organizationIds: readonly string[] | undefined;
  readonly evidence: object | undefined;
  readonly archive: object | undefined;
  readonly retentionMs: number;
}

export interface AccountListings {
  readonly listed: number;
  readonly empty: number;
  readonly refused: number;
  readonly failed: number;
  readonly waiting: number;
}

/** Without listings of organizations that are gone. */
export const countAccountListings = async (pool: Pool): Promise<AccountListings> => {
  const { rows } = await pool.query<AccountListings>(
    `select count(*) filter (where state = 'listed')::integer as listed,
       count(*) filter (where state = 'empty')::integer as empty, count(*) filter (where state = 'refused')::integer as refused,
       count(*) filter (where state = 'failed')::integer as failed, count(*) filter (where state = 'waiting')::integer as waiting
     from (select case when l.last_failure in ('refused', 'unauthorized', 'not_found') then 'refused'
         when l.last_failure is not null then 'failed' when l.last_success_at is null then 'waiting'
         when l.accounts = 0 then 'empty' else 'listed' end as state
       from account_listings l left join organizations o on l.scope = 'organization:' || o.id
       where o.state is distinct from 'gone') listings`,
  );
  return rows[0] ?? { listed: 0, empty: 0, refused: 0, failed: 0, waiting: 0 };
};

/** Seconds since the oldest current (or last) round of any active organization began; before a first round, since it was first seen. */
const readScrubAge = async (
  pool: Pool,
  kinds: readonly Pick<KindPolicy, 'kind' | 'filterHash'>[],
  organizationIds: readonly string[] | undefined,
): Promise<number | undefined> => {
  const { rows } = await pool.query<{ age: number | null }>(
    // Of tens of thousands of lanes, one scan instead of a lookup each.
    `with rounds as materialized (
       select source_kind, source_id, filter_hash, to_timestamp((state #>> '{round,beganMs}')::float8 / 1000) as began_at from lanes where lane = 'scrub')
     select max(extract(epoch from clock_timestamp() - coalesce(r.began_at, a.first_seen_at, o.first_seen_at)))::float8 as age
     from sources s join unnest($1::text[], $3::text[]) k (kind, filter_hash) on k.kind = s.kind
       left join accounts a on a.id = s.account_id
       left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)
       left join rounds r on r.source_kind = s.kind and r.source_id = s.id and r.filter_hash = k.filter_hash
     where s.access = 'granted' and coalesce(a.state, o.state) = 'active' and ($2::text[] is null or o.id = any($2))`,
    [kinds.map(({ kind }) => kind), organizationIds ?? null, kinds.map(({ filterHash }) => filterHash)],
  );
  return rows[0]?.age ?? undefined;
};
