import { createHash } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { canonicalFilters } from '../ingest/planning/filters.ts';
import { RETENTION_MS } from '../ingest/planning/upstream-retention.ts';

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

/** `none` without filters, so that people can read the common case in the tables. */
export const hashFilters = (config: Config): string =>
  config.filters.length === 0
    ? 'none'
    : createHash('sha256').update(canonicalFilters(config.filters)).digest('hex').slice(0, 16);
