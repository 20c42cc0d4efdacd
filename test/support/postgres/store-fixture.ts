import type { Pool } from 'pg';
import { type Page, type PageBody, readPageBody } from '../../../src/ingest/entries/page.ts';
import type { Coverage } from '../../../src/ingest/planning/coverage.ts';
import { idleLane, type LaneState } from '../../../src/ingest/planning/lane.ts';
import type { CommitResult, KindPolicy, Lease, PageCommit } from '../../../src/ingest/planning/source.ts';
import { startWalk, type Walk } from '../../../src/ingest/planning/walk.ts';
import { commitPage } from '../../../src/ingest/sync/commit/commit-page.sql.ts';
import { recordListing } from '../../../src/ingest/sync/discovery/organizations.sql.ts';
import { claimSource } from '../../../src/ingest/sync/store/leases.sql.ts';
import type { SourceScope } from '../../../src/ingest/sync/store/sources.sql.ts';
import { syncSources } from '../../../src/ingest/sync/store/sources.sql.ts';

/** No test takes so long, whatever the machine has to do: a test ends a lease itself where one has to run out. */
export const LEASE_MS = 600_000;
export const FILTERS = 'filters-in-force';
/** The first of the times of test entries. */
export const T0 = Date.UTC(2026, 0, 10);
export const HORIZON = Date.UTC(2025, 6, 1);
/** More than lies between the two and today. */
export const HISTORY_MS = 5_000 * 86_400_000;
/** A retention that keeps T0 and drops what is of 2024, on whatever day a test runs. */
export const RETENTION_DAYS = Math.ceil((Date.now() - Date.UTC(2025, 0, 1)) / 86_400_000);
export const RETENTION_MS = RETENTION_DAYS * 86_400_000;
const OWNER = 'host/1/test';

/** The logs of organizations, as they are read under these filters. */
export const organizationKind = (filterHash = FILTERS, horizonMs = HORIZON): readonly KindPolicy[] => [
  { kind: 'organization', filters: [], filterHash, horizonMs: () => horizonMs },
];

/** All organizations, or these, and no account. */
export const scopeOf = (organizationIds?: readonly string[]): SourceScope => ({ organizationIds, accounts: [] });

/** The source key of an organization. */
export const sourceOf = (id: string) => ({ kind: 'organization', id });

/** Makes the organizations known, with a source each. */
export const addSources = async (pool: Pool, ids: readonly string[]): Promise<void> => {
  const found = ids.map((id) => ({ id, name: `Name of ${id}` }));
  await recordListing(pool, found, { complete: false, within: undefined });
  await syncSources(pool, organizationKind(), HORIZON, HISTORY_MS);
};

/** A lease of the source, regardless of its holder. */
export const takeLease = async (pool: Pool, id: string, owner = OWNER): Promise<Lease> => {
  const claimed = await claimSource(pool, sourceOf(id), owner, LEASE_MS, FILTERS);
  if (claimed === undefined) throw new Error(`the source ${id} is held by another process`);
  return claimed.lease;
};

/** A source of its own for one test, with its lease. */
export const newSource = async (pool: Pool, id: string): Promise<Lease> => {
  await addSources(pool, [id]);
  return await takeLease(pool, id);
};

/** The exact text of an entry as Cloudflare sends them; `more` is merged into its top level. */
export const entryText = (id: string, timeMs: number = T0, more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    action: { type: 'create', result: 'success', time: new Date(timeMs).toISOString() },
    actor: { email: 'someone@example.com' },
    id,
    ...more,
  });

/** What a client makes of a body of this text. */
export const pageBody = (text: string): PageBody => ({ bytes: Buffer.from(text), text, validUtf8: true });

/** `TEST_FAST_PATH=off npx vitest run --project integration`: everything holds without the fast path of pages. */
const isFastPathOn = process.env['TEST_FAST_PATH'] !== 'off';

/** The page that a response with these exact entries is read as. */
export const pageOf = (entries: readonly string[], cursor?: string, fastPath = isFastPathOn): Page =>
  readPageBody(
    pageBody(
      `{"success":true,"result":[${entries.join(',')}],"result_info":{"count":${entries.length},"cursor":${JSON.stringify(cursor ?? '')}}}`,
    ),
    { fastPath },
  );

/** The same page, as if it had to be read entry by entry. */
export const asCareful = (page: Page): Page => ({ ...page, kind: 'careful', validUtf8: true });

export const anyWalk = (cursor: string, more: Partial<Walk> = {}): Walk => ({
  ...startWalk('live', { fromMs: T0, toMs: T0 + 3_600_000 }, { readAtMs: T0 + 3_600_000 }),
  cursor,
  pages: 1,
  ...more,
});

/** A lane with an open walk. */
export const walking = (walk: Walk): LaneState => ({ ...idleLane, walk });

export const commitOf = (lease: Lease, page: Page, more: Partial<PageCommit> = {}): PageCommit => ({
  lease,
  page,
  filterHash: FILTERS,
  lane: 'live',
  state: idleLane,
  claims: [],
  eventRate: undefined,
  ...more,
});

export const commit = async (
  pool: Pool,
  lease: Lease,
  page: Page | readonly string[],
  more: Partial<PageCommit> = {},
): Promise<CommitResult> => await commitPage(pool, commitOf(lease, isPage(page) ? page : pageOf(page), more), LEASE_MS);

const isPage = (page: Page | readonly string[]): page is Page => !Array.isArray(page);

/** Commits one page after the other under the same lease; every one of them must be committed. */
export const commitAll = async (
  pool: Pool,
  first: Lease,
  pages: readonly (Page | readonly string[])[],
): Promise<(CommitResult & { kind: 'committed' })[]> => {
  const results: (CommitResult & { kind: 'committed' })[] = [];
  let lease = first;
  for (const page of pages) {
    const result = await commit(pool, lease, page);
    if (result.kind !== 'committed') throw new Error('fenced');
    results.push(result);
    lease = result.lease;
  }
  return results;
};

/** One pass's claim of a stretch that begins `from` seconds after T0. */
export const seconds = (from: number, to: number): Coverage => [{ fromMs: T0 + from * 1_000, toMs: T0 + to * 1_000 }];

const tables = ['sources', 'coverage', 'lanes', 'coverage_holes', 'audit_events', 'audit_event_changes', 'feed_head'];

/**
 * Everything that a commit could have changed, for comparing before with after. Each new connection of a pool may note in the head
 * of the feed that the database is at work: these two columns are no commit's.
 */
export const everything = async (pool: Pool): Promise<Readonly<Record<string, readonly string[]>>> => {
  const entries = tables.map(async (table) => {
    const { rows } = await pool.query<{ line: string }>(
      `select (to_jsonb(t) - 'alive_at' - 'database_oid')::text as line from ${table} t order by 1`,
    );
    return [table, rows.map((row) => row.line)] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
};

export interface StoredEvent {
  readonly id: string;
  readonly source_id: string;
  readonly position: number;
  readonly time: string;
  readonly raw: string;
  readonly defects: readonly string[] | null;
}

/** The stored events of a source in the order of their positions; `raw` is the exact text. */
export const eventsOf = async (pool: Pool, sourceId: string): Promise<readonly StoredEvent[]> => {
  const { rows } = await pool.query<StoredEvent>(
    `select id, source_id, position::float8 as position, raw::text as raw, defects,
       case when action_time = '-infinity' then '-infinity'
         else to_char(action_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end as time
     from audit_events where source_id = $1 order by position`,
    [sourceId],
  );
  return rows;
};
