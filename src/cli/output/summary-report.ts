import type { SearchCoverage } from '../../search/found-event.ts';
import type { Search } from '../../search/search.ts';
import type { FacetField, SearchSummary, SummaryBucket, SummaryCount } from '../../search/summary/summary.ts';
import { formatDuration } from '../../time/duration.ts';
import { counted } from './counted.ts';
import { verdict } from './search-report.ts';
import { alignColumns, printable } from './terminal-table.ts';

const BAR_WIDTH = 40;
const MAX_LINES = 10;

export interface SummaryQuestion {
  readonly search: Search;
  readonly coverage: SearchCoverage;
  /** Whose values are printed. */
  readonly fields: readonly FacetField[];
  readonly hasHistogram: boolean;
}

/** How many events match, when they happened, the top values, and whether that is complete. */
export const summaryText = (
  { count, facets }: SearchSummary,
  { search, coverage, fields, hasHistogram }: SummaryQuestion,
): string => {
  const lines = [countLine(count), ''];
  if (hasHistogram && count.buckets.length > 1) lines.push(...histogramLines(count), '');
  for (const field of fields) {
    const facet = facets?.facets.find((one) => one.field === field);
    if (facet === undefined) {
      lines.push(`${field}: counting its values timed out`, '');
      continue;
    }
    const shown = facet.values.slice(0, 2 * MAX_LINES);
    lines.push(
      ...alignColumns([
        [field.toUpperCase(), 'EVENTS'],
        ...shown.map(({ value, name, events }) => [printable(name ?? value, 60), String(events)]),
      ]),
    );
    const rest = facet.distinct - shown.length;
    if (rest > 0) lines.push(`${counted(rest, 'more value')}`);
    if (facet.without > 0) lines.push(`${counted(facet.without, 'event')} without`);
    if (facets?.isSample === true) lines.push(`of the newest ${facets.looked} events alone`);
    lines.push('');
  }
  lines.push(verdict(search, coverage, true));
  return `${lines.join('\n')}\n`;
};

const countLine = ({ events, isAtLeast, countedSinceMs, untimed }: SummaryCount): string => {
  const without = untimed === 0 ? '' : `, ${untimed} of them without a usable time`;
  if (!isAtLeast || countedSinceMs === null) return `${counted(events, 'event')} match${without}`;
  return `at least ${counted(events, 'event')} match${without}: counted back to ${new Date(countedSinceMs).toISOString()}, older ones are not counted`;
};

const totalOf = ({ success, failure, other }: SummaryBucket): number => success + failure + other;

/** From the first event to the last one. */
const histogramLines = ({ buckets: all, bucketMs }: SummaryCount): readonly string[] => {
  const isUsed = (bucket: SummaryBucket): boolean => totalOf(bucket) > 0;
  const buckets = all.slice(Math.max(0, all.findIndex(isUsed)), all.findLastIndex(isUsed) + 1);
  const most = Math.max(1, ...buckets.map(totalOf));
  const rows = buckets.map((bucket) => {
    const total = totalOf(bucket);
    const width = total === 0 ? 0 : Math.max(1, Math.round((total / most) * BAR_WIDTH));
    return [
      new Date(bucket.startMs).toISOString().slice(0, 19).concat('Z'),
      String(total),
      bucket.failure === 0 ? '' : `${bucket.failure} failed`,
      '#'.repeat(width),
    ];
  });
  return alignColumns([[`FROM (${formatDuration(bucketMs)} each)`, 'EVENTS', 'FAILED', ''], ...rows]);
};
