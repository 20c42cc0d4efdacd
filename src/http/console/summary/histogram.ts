import type { SearchCoverage } from '../../../search/found-event.ts';
import type { Search } from '../../../search/search.ts';
import type { SummaryBucket, SummaryCount } from '../../../search/summary/summary.ts';
import { formatDuration } from '../../../time/duration.ts';
import { parseInstantMs } from '../../../time/instant.ts';
import { type Html, html } from '../html.ts';
import { countOf, countText, timeOf, timeText, zonedText, zoneLabel } from '../words.ts';
import { linkOf, withinTime } from './search-links.ts';

const BAR = 10;
const GAP = 1.5;
const HEIGHT = 100;

/** In the order of the stack, from below: what went wrong stands on the axis, where small numbers are seen. */
const results = ['failure', 'other', 'success'] as const;

export interface HistogramView {
  readonly search: Search;
  readonly count: Pick<SummaryCount, 'buckets' | 'bucketMs' | 'countedSinceMs'>;
  readonly gaps: readonly Pick<SearchCoverage['gaps'][number], 'since' | 'before'>[];
  /** Hours of a page that is not of a search: without zooming, and their table has another name. */
  readonly isOfHours?: boolean;
}

/** The matches over time as bars that lead to their time, stacked by result; what is not collected or not counted is hatched. */
export const histogramOf = ({ search, count, gaps, isOfHours = false }: HistogramView): Html | null => {
  const { buckets, bucketMs } = count;
  const [first, last] = [buckets[0], buckets.at(-1)];
  if (first === undefined || last === undefined || buckets.length < 2) return null;
  const what = isOfHours ? 'Events' : 'Matching events';
  const most = Math.max(1, ...buckets.map(totalOf));
  const width = buckets.length * BAR;
  const place = (ms: number) => Math.min(width, Math.max(0, ((ms - first.startMs) / bucketMs) * BAR));
  const hatch = (sinceMs: number, beforeMs: number, kind: string, words: string): Html | null => {
    const [from, to] = [place(sinceMs), place(beforeMs)];
    return to - from < 0.1
      ? null
      : html`<rect class="${kind}" fill="url(#hatch)" x="${round(from)}" y="0" width="${round(Math.max(1, to - from))}" height="${HEIGHT}"><title>${words}</title></rect>`;
  };
  const unread = gaps.map(({ since, before }) =>
    hatch(
      parseInstantMs(since) ?? 0,
      parseInstantMs(before) ?? 0,
      'hatch-unread',
      'Not collected: events of this time may be missing',
    ),
  );
  const uncounted =
    count.countedSinceMs === null
      ? null
      : hatch(first.startMs, count.countedSinceMs, 'hatch-uncounted', 'Not counted yet');
  return html`<figure class="histogram"${isOfHours ? null : html` data-histogram data-first="${first.startMs}" data-bucket="${bucketMs}" data-buckets="${buckets.length}"`}>
<div class="chart-area"><span class="chart-most" aria-hidden="true">${countText(most)}</span>
<svg class="bars" viewBox="0 0 ${width} ${HEIGHT}" preserveAspectRatio="none" role="group" aria-label="${what} over time, in steps of ${formatDuration(bucketMs)}. The table below has each step.">
<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch-line" width="2" height="6"></rect></pattern></defs>
${uncounted}${unread}
${buckets.map((bucket, index) => barOf(search, bucket, { index, bucketMs, most }))}
</svg></div>
<div class="chart-axis" aria-hidden="true"><span>${axisText(first.startMs)}</span><span>${axisText(first.startMs + Math.floor(buckets.length / 2) * bucketMs)}</span><span>${axisText(last.startMs + bucketMs)}</span></div>
<figcaption class="muted">each bar is ${formatDuration(bucketMs)} · <span class="series series-failure">failure</span> <span class="series series-other">other</span> <span class="series series-success">success</span>${gaps.length > 0 ? html` <span class="series series-unread">not collected</span>` : null} · a bar leads to its time</figcaption>
<details id="${isOfHours ? 'hours' : 'histogram'}-table"><summary>As a table</summary><div class="scroll tall" tabindex="0" role="region" aria-label="Table of ${what.toLowerCase()} over time"><table>
<thead><tr><th scope="col">From (${zoneLabel()})</th><th scope="col" class="number">Success</th><th scope="col" class="number">Failure</th><th scope="col" class="number">Other</th></tr></thead>
<tbody>${[...buckets].reverse().map((bucket) => html`<tr><td><a href="${linkOf(bucketSearch(search, bucket, bucketMs))}">${timeOf(bucket.startMs)}</a></td><td class="number">${countText(bucket.success)}</td><td class="number">${countText(bucket.failure)}</td><td class="number">${countText(bucket.other)}</td></tr>`)}</tbody>
</table></div></details></figure>`;
};

const totalOf = ({ success, failure, other }: SummaryBucket): number => success + failure + other;

const bucketSearch = (search: Search, { startMs }: SummaryBucket, bucketMs: number): Search =>
  withinTime(search, startMs, startMs + bucketMs);

const barOf = (
  search: Search,
  bucket: SummaryBucket,
  { index, bucketMs, most }: { readonly index: number; readonly bucketMs: number; readonly most: number },
): Html | null => {
  const total = totalOf(bucket);
  if (total === 0) return null;
  let top = HEIGHT;
  const parts = results.map((result) => {
    if (bucket[result] === 0) return null;
    const height = Math.max(1.5, (bucket[result] / most) * (HEIGHT - 4));
    top -= height;
    return html`<rect class="bar-${result}" x="${index * BAR + GAP / 2}" y="${round(top)}" width="${BAR - GAP}" height="${round(height)}"></rect>`;
  });
  const words = `${zonedText(bucket.startMs)}: ${countOf(total, 'event')}${bucket.failure > 0 ? `, ${countText(bucket.failure)} failed` : ''}`;
  // The Tab key leads to the same links in the table.
  return html`<a href="${linkOf(bucketSearch(search, bucket, bucketMs))}" tabindex="-1" aria-label="${words}"><title>${words}</title><rect class="bar-whole" x="${index * BAR}" y="0" width="${BAR}" height="${HEIGHT}"></rect>${parts}</a>`;
};

const round = (value: number): number => Math.round(value * 100) / 100;

const axisText = (ms: number): string => timeText(ms).slice(0, 16);
