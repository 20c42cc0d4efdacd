import type { Registry } from 'prom-client';
import type { Pool } from '../../postgres/pool.ts';
import type { MetricsSource } from '../ports.ts';
import { countChangedEntries, readActivity, readOrganizationChanges, readOrganizationHours } from './activity.sql.ts';
import { readCoverage } from './coverage-status.sql.ts';
import type { OverviewSource, ProcessFigures } from './overview.ts';
import { readPace } from './reading-pace.sql.ts';

const ACTIVITY_HOURS = 48;
/** How many events there were in each hour changes little in that time, and may be dear to count. */
const KEEP_ACTIVITY_MS = 30_000;
const MAX_CHANGED_COUNTED = 10_000;

/** Requests in any five minutes. */
interface CountedLimits {
  readonly apiBudget: number;
  readonly credentials: readonly { readonly budget: number }[];
}

interface CountedRequests {
  /** To Cloudflare, in the last five minutes. */
  recentRequests(): number;
}

const limitOf = ({ apiBudget, credentials }: CountedLimits): number | undefined =>
  credentials.length > 1 ? undefined : (credentials[0]?.budget ?? apiBudget);

/** Joins the statements of the store and the metrics of this process to what the overview of the console needs. */
export const createOverviewSource = (
  pool: Pool,
  { settleDelaysMs, ...limits }: CountedLimits & { readonly settleDelaysMs: readonly number[] },
  { budgetAvailable, blockedSeconds }: Pick<MetricsSource, 'budgetAvailable' | 'blockedSeconds'>,
  process: CountedRequests & { readonly registry: Registry },
): OverviewSource => ({
  settleDelaysMs,
  coverage: (keys) => readCoverage(pool, keys),
  pace: (keys) => readPace(pool, keys),
  activity: keptFor(KEEP_ACTIVITY_MS, () => readActivity(pool, ACTIVITY_HOURS)),
  hours: (organizationId) => readOrganizationHours(pool, ACTIVITY_HOURS, organizationId),
  changes: (limit, organizationId) => readOrganizationChanges(pool, limit, organizationId),
  changedEntries: () => countChangedEntries(pool, MAX_CHANGED_COUNTED),
  budget: async () => {
    const [available, blocked] = await Promise.all([budgetAvailable(), blockedSeconds()]);
    return { available, blockedSeconds: blocked, per5Minutes: limitOf(limits) };
  },
  figures: () => processFigures(process),
});

/** One query at a time, whose answer serves all requests for a while. */
const keptFor = <T>(keepMs: number, read: () => Promise<T>): (() => Promise<T>) => {
  let kept: { readonly answer: Promise<T>; readonly untilMs: number } | undefined;
  return () => {
    if (kept !== undefined && performance.now() < kept.untilMs) return kept.answer;
    const answer = read();
    const mine = { answer, untilMs: Number.POSITIVE_INFINITY };
    kept = mine;
    answer.then(
      () => {
        if (kept === mine) kept = { answer, untilMs: performance.now() + keepMs };
      },
      () => {
        if (kept === mine) kept = undefined;
      },
    );
    return answer;
  };
};

const processFigures = async ({
  registry,
  recentRequests,
}: Parameters<typeof createOverviewSource>[3]): Promise<ProcessFigures> => {
  const values = async (name: string) => (await registry.getSingleMetric(name)?.get())?.values ?? [];
  const total = async (name: string) => (await values(name)).reduce((sum, { value }) => sum + value, 0);
  const lateness = await values('orgtrail_event_lateness_seconds');
  return {
    recentRequests: recentRequests(),
    defectiveEntries: await total('orgtrail_entries_defective_total'),
    lateness: lateness.flatMap(({ value, labels }) => {
      const bound = 'le' in labels ? labels['le'] : undefined;
      return bound === undefined ? [] : [{ seconds: Number(String(bound).replace('+Inf', 'Infinity')), events: value }];
    }),
  };
};
