import type { Search } from '../../../search/search.ts';
import type { Activity, SourceCoverage, TimeRange } from '../../../status/overview/overview.ts';
import { type Html, html } from '../html.ts';
import { histogramOf } from '../summary/histogram.ts';
import { countOf } from '../words.ts';
import { notableGaps, type Tail } from './coverage-timeline.ts';

const HOUR_MS = 3_600_000;
/** The longest of them are hatched. */
const MAX_GAPS = 100;

/** Events per hour by result as bars that lead to their events. `gaps`: what is hatched. */
export const hoursChart = (
  hours: Activity['hours'],
  { organization, gaps = [] }: { readonly organization?: string; readonly gaps?: readonly TimeRange[] } = {},
): Html => {
  const total = hours.reduce((sum, { success, failure, other }) => sum + success + failure + other, 0);
  const search: Search = { defects: false, changed: false, ...(organization !== undefined && { organization }) };
  const chart = histogramOf({
    search,
    count: { buckets: hours, bucketMs: HOUR_MS, countedSinceMs: null },
    gaps: gaps.map(([fromMs, toMs]) => ({ since: instantOf(fromMs), before: instantOf(toMs) })),
    isOfHours: true,
  });
  if (chart === null) return html`<p class="muted">No hours yet.</p>`;
  return html`<p class="muted">${countOf(total, 'event')} in ${hours.length} hours, by the time of the action</p>${chart}`;
};

const instantOf = (ms: number): string => new Date(ms).toISOString();

/** What is not collected of these hours in any of these logs, holes included. */
export const gapsOfHours = (
  hours: Activity['hours'],
  coverage: readonly SourceCoverage[],
  tail: Tail,
): readonly TimeRange[] => {
  const sinceMs = hours[0]?.startMs ?? Number.POSITIVE_INFINITY;
  return coverage
    .flatMap((one) => [...notableGaps(one, tail), ...one.holes.map(({ range }) => range)])
    .flatMap(([fromMs, toMs]): TimeRange[] => (toMs > sinceMs ? [[Math.max(fromMs, sinceMs), toMs]] : []))
    .sort((a, b) => b[1] - b[0] - (a[1] - a[0]))
    .slice(0, MAX_GAPS);
};
