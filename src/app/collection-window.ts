import { createHash } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { canonicalFilters, type Filter } from '../ingest/planning/filters.ts';
import type { KindPolicy } from '../ingest/planning/source.ts';
import { RETENTION_MS } from '../ingest/planning/upstream-retention.ts';
import { kindOf } from '../ingest/sources/registry.ts';
import { readUnreadMonths } from '../ingest/sync/partitions.sql.ts';
import type { SourceScope } from '../ingest/sync/stored-sources/load-sources.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import { readDroppedUnderOthers } from '../retention/retention.sql.ts';
import { formatDuration } from '../time/duration.ts';

/** Which sources are wanted. */
export const sourceScopeOf = ({
  accounts,
  organizationIds,
}: Pick<Config, 'accounts' | 'organizationIds'>): SourceScope => ({
  organizationIds,
  // Named organizations are all that is asked for: an account must belong to one of them.
  accounts: accounts === 'all' && organizationIds !== undefined ? 'organizations' : accounts,
});

type Wanted = Pick<Config, 'history' | 'retentionMs' | 'archive'>;

/**
 * The oldest time wanted: the configured start, the end of what is kept here or of what Cloudflare keeps, whichever is
 * latest. Whole seconds.
 */
export const horizonOf = (config: Wanted, nowMs: number): number => {
  const { history } = config;
  const startMs = 'sinceMs' in history ? history.sinceMs : Number.NEGATIVE_INFINITY;
  return wholeSecond(Math.max(startMs, nowMs - historyOf(config)));
};

const wholeSecond = (ms: number): number => Math.floor(ms / 1_000) * 1_000;

/** How much is wanted at most, as of any moment. What retention drops into an archive is wanted. */
export const historyOf = ({ history, retentionMs, archive }: Wanted): number =>
  Math.min(
    'durationMs' in history ? history.durationMs : Number.POSITIVE_INFINITY,
    RETENTION_MS,
    archive === undefined ? retentionMs : Number.POSITIVE_INFINITY,
  );

/** How the sources of each kind in force are read. `droppedUntilMs`: of some kinds, nothing older is wanted. */
export const kindPolicies = (
  config: Config,
  droppedUntilMs: ReadonlyMap<string, number> = new Map(),
): readonly KindPolicy[] =>
  config.sources.map((kind) => {
    const { retentionMs, firstEntryMs = Number.NEGATIVE_INFINITY } = kindOf({ kind });
    const filters = config.filters[kind];
    const oldestMs = Math.max(firstEntryMs, droppedUntilMs.get(kind) ?? Number.NEGATIVE_INFINITY);
    return {
      kind,
      filters,
      filterHash: hashFilters(filters),
      horizonMs: (nowMs) => Math.max(horizonOf(config, nowMs), nowMs - retentionMs, oldestMs),
      keptSinceMs: hasDeepHistory(config) ? (nowMs) => wholeSecond(nowMs - config.retentionMs) : undefined,
    };
  });

/** More is read than the database keeps. */
const hasDeepHistory = ({ archive, retentionMs }: Wanted): boolean =>
  archive !== undefined && Number.isFinite(retentionMs);

/** The same. What was dropped and had been read under other filters counts as read: it would be stored a second time. */
export const kindPoliciesWithDrops = async (config: Config, pool: Pool): Promise<readonly KindPolicy[]> =>
  kindPolicies(config, await readDroppedUnderOthers(pool, kindPolicies(config)));

/** The months that must not be dropped yet, each with one of the sources that have not been read in full. */
export const unreadMonthsOf = (
  config: Config,
  pool: Pool,
  kinds: readonly KindPolicy[],
): Promise<ReadonlyMap<string, string>> => {
  const nowMs = Date.now();
  const untilMs = nowMs - config.retentionMs;
  return readUnreadMonths(pool, kinds, sourceScopeOf(config), { nowMs, untilMs });
};

/** Says which months are not read because of the retention. Undefined: none. */
export const describeNotRead = async (config: Config, pool: Pool): Promise<string | undefined> => {
  const { retentionMs, archive } = config;
  if (archive !== undefined || !Number.isFinite(retentionMs)) return undefined;
  const nowMs = Date.now();
  const kinds = kindPolicies({ ...config, retentionMs: Number.POSITIVE_INFINITY });
  const options = { nowMs, untilMs: nowMs - retentionMs, besideMs: 0 };
  const months = [...(await readUnreadMonths(pool, kinds, sourceScopeOf(config), options)).keys()];
  if (months.length === 0) return undefined;
  const [are, from] = months.length === 1 ? ['month', months[0]] : ['months', `${months[0]} to ${months.at(-1)}`];
  return `${months.length} ${are} (${from}) are not read, or not in full: ORGTRAIL_RETENTION is ${formatDuration(retentionMs)}, and there is no ORGTRAIL_ARCHIVE`;
};

/** `none` without filters, so that people can read the common case in the tables. */
const hashFilters = (filters: readonly Filter[]): string =>
  filters.length === 0 ? 'none' : createHash('sha256').update(canonicalFilters(filters)).digest('hex').slice(0, 16);
