import { createHash } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { canonicalFilters, type Filter } from '../ingest/planning/filters.ts';
import type { KindPolicy } from '../ingest/planning/source.ts';
import { RETENTION_MS } from '../ingest/planning/upstream-retention.ts';
import { kindOf } from '../ingest/sources/registry.ts';

/**
 * The oldest time wanted: the configured start, the end of what is kept here or of what Cloudflare keeps, whichever is
 * latest. Whole seconds.
 */
export const horizonOf = (config: Pick<Config, 'history' | 'retentionMs'>, nowMs: number): number => {
  const { history } = config;
  const startMs = 'sinceMs' in history ? history.sinceMs : Number.NEGATIVE_INFINITY;
  return Math.floor(Math.max(startMs, nowMs - historyOf(config)) / 1_000) * 1_000;
};

/** How much is wanted at most, as of any moment. */
export const historyOf = ({ history, retentionMs }: Pick<Config, 'history' | 'retentionMs'>): number =>
  Math.min('durationMs' in history ? history.durationMs : Number.POSITIVE_INFINITY, RETENTION_MS, retentionMs);

/** How the sources of each kind in force are read. */
export const kindPolicies = (config: Config): readonly KindPolicy[] =>
  config.sources.map((kind) => {
    const { retentionMs, firstEntryMs = Number.NEGATIVE_INFINITY } = kindOf({ kind });
    const filters = config.filters[kind];
    return {
      kind,
      filters,
      filterHash: hashFilters(filters),
      horizonMs: (nowMs) => Math.max(horizonOf(config, nowMs), nowMs - retentionMs, firstEntryMs),
    };
  });

/** `none` without filters, so that people can read the common case in the tables. */
const hashFilters = (filters: readonly Filter[]): string =>
  filters.length === 0 ? 'none' : createHash('sha256').update(canonicalFilters(filters)).digest('hex').slice(0, 16);
