import { addRange, type Coverage, gapsIn } from '../../../ingest/planning/coverage.ts';
import type { Search } from '../../../search/query/search.ts';
import type { Activity, SourceCoverage, TimeRange } from '../../../status/overview.sql.ts';
import { type Html, html } from '../html.ts';
import { histogramOf } from '../summary.ts';
import { countOf, spanText, timeText, zonedText } from '../words.ts';

/** In units of the drawing, which is stretched to the space there is. */
const WIDTH = 1_000;
const NARROWEST = 4;
const READING_TOP = 3;
const READING_HEIGHT = 12;
const PASS_HEIGHT = 3;
const PASS_STEP = 5;

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Tolerance at both ends, in milliseconds: the next turn reads it, or the horizon passes it. */
export interface Tail {
  readonly ordinaryMs: number;
  /** On a first reading, what is older than all that is collected is not skipped, but comes next. */
  readonly readsHistory?: boolean;
}

export const isAhead = ({ sinceMs }: SourceCoverage, { readsHistory = false }: Tail, [fromMs]: TimeRange): boolean =>
  readsHistory && fromMs <= sinceMs;

export const notableGaps = (
  { gaps, holes, sinceMs, nowMs }: SourceCoverage,
  { ordinaryMs }: Tail,
): readonly TimeRange[] => {
  const cannotBeHad = holes.reduce<Coverage>((all, { range: [fromMs, toMs] }) => addRange(all, { fromMs, toMs }), []);
  return gaps
    .filter(([fromMs, toMs]) => toMs - fromMs > ordinaryMs || (fromMs > sinceMs && toMs < nowMs))
    .flatMap(([fromMs, toMs]) => gapsIn({ fromMs, toMs }, cannotBeHad))
    .map(({ fromMs, toMs }) => [fromMs, toMs] as const);
};

/** A thick track of the first reading with gaps and holes, a thin one for each settle pass, and what walks are reading now. */
export const coverageTimeline = (coverage: SourceCoverage, span: Span, tail: Tail, passes: number): Html => {
  const height = READING_TOP + READING_HEIGHT + 4 + passes * PASS_STEP;
  const place = placer(span);
  const whole = place([coverage.sinceMs, coverage.nowMs]);
  return html`<svg class="timeline" viewBox="0 0 ${WIDTH} ${height}" preserveAspectRatio="none" role="img"
 aria-label="${timelineWords(coverage, span, tail)}">
<rect class="tl-ground" x="0" y="${READING_TOP}" width="${WIDTH}" height="${READING_HEIGHT}"></rect>
${whole && bar('tl-read', whole, READING_TOP, READING_HEIGHT)}
${notableGaps(coverage, tail).map((gap) => gapBar(isAhead(coverage, tail, gap), place(gap)))}
${coverage.holes.map(({ range }) => tallBar('tl-hole', place(range)))}
${Array.from({ length: passes }, (_, index) => passTrack(coverage, index, place))}
${coverage.walks.map((walk) => walkBar(place(walk.range)))}
</svg>`;
};

interface Place {
  readonly x: number;
  readonly width: number;
}

const placer =
  ({ fromMs, toMs }: Span) =>
  ([since, before]: TimeRange): Place | null => {
    const scale = WIDTH / Math.max(1, toMs - fromMs);
    const x = (Math.max(since, fromMs) - fromMs) * scale;
    const end = (Math.min(before, toMs) - fromMs) * scale;
    return end <= x ? null : { x, width: end - x };
  };

const bar = (name: string, { x, width }: Place, y: number, height: number): Html =>
  html`<rect class="${name}" x="${rounded(x)}" y="${y}" width="${rounded(width)}" height="${height}"></rect>`;

const rounded = (value: number): number => Math.round(value * 100) / 100;

const gapBar = (ahead: boolean, place: Place | null): Html | null =>
  ahead ? place && bar('tl-ahead', place, READING_TOP, READING_HEIGHT) : tallBar('tl-gap', place);

/** Taller than the track: it can be told without seeing its colour. */
const tallBar = (name: 'tl-gap' | 'tl-hole', place: Place | null): Html | null => {
  if (place === null) return null;
  const width = Math.max(place.width, NARROWEST);
  return bar(name, { x: Math.min(place.x, WIDTH - width), width }, 0, READING_HEIGHT + 2 * READING_TOP);
};

const passTrack = (coverage: SourceCoverage, index: number, place: ReturnType<typeof placer>): Html => {
  const y = READING_TOP + READING_HEIGHT + 5 + index * PASS_STEP;
  const ranges = coverage.passes.find(({ pass }) => pass === index + 1)?.ranges ?? [];
  return html`<rect class="tl-ground" x="0" y="${y}" width="${WIDTH}" height="${PASS_HEIGHT}"></rect>${ranges.map(
    (range) => {
      const at = place(range);
      return at && bar('tl-pass', at, y, PASS_HEIGHT);
    },
  )}`;
};

const walkBar = (place: Place | null): Html | null => {
  if (place === null) return null;
  const width = Math.max(place.width, NARROWEST);
  return bar('tl-walk', { x: Math.min(place.x, WIDTH - width), width }, READING_TOP + READING_HEIGHT / 2 - 1, 2);
};

const timelineWords = (coverage: SourceCoverage, span: Span, tail: Tail): string => {
  const shown = notableGaps(coverage, tail).filter(([from, to]) => to > span.fromMs && from < span.toMs);
  const inside = shown.filter((gap) => !isAhead(coverage, tail, gap));
  const ahead = shown.find((gap) => isAhead(coverage, tail, gap));
  const named = inside.slice(-3).map((gap) => gapWords(gap));
  const more =
    inside.length > 3 ? `, the newest: ${named.join('; ')}` : named.length > 0 ? `: ${named.join('; ')}` : '';
  const holes = coverage.holes.filter(({ range: [from, to] }) => to > span.fromMs && from < span.toMs).length;
  const lacking = holes === 0 ? '' : `. Not available: ${countOf(holes, 'hole')}`;
  const walks =
    coverage.walks.length > 0 ? `. Being collected: ${coverage.walks.map(({ lane }) => lane).join(', ')}` : '';
  return `${timeText(span.fromMs)} to ${zonedText(span.toMs)}: ${inside.length === 0 ? 'collected' : `not collected: ${countOf(inside.length, 'stretch', 'stretches')}`}${more}${ahead ? `. Not read yet: ${gapWords(ahead)}` : ''}${lacking}${walks}.`;
};

const gapWords = ([fromMs, toMs]: TimeRange): string =>
  `${timeText(fromMs)} to ${timeText(toMs)} (${spanText((toMs - fromMs) / 1_000)})`;

const DRAWN_DAYS = 30;
const DRAWN_MS = DRAWN_DAYS * 86_400_000;

/** Draws the last 30 days if something is lacking there (full bars would all look alike), a first reading whole: that is its progress. */
export const coverageCell = (coverage: SourceCoverage, tail: Tail, passes: number): Html => {
  const { sinceMs, nowMs } = coverage;
  const fromMs = tail.readsHistory === true ? sinceMs : Math.max(sinceMs, nowMs - DRAWN_MS);
  const gaps = notableGaps(coverage, tail);
  const holes = coverage.holes.map(({ range }) => range);
  const lacking = [...gaps, ...holes];
  if (lacking.length === 0) return html`<p class="sub">${spanOf(sinceMs, nowMs)}, up to the delay</p>`;
  const drawing = lacking.some(([, toMs]) => toMs > fromMs)
    ? coverageTimeline(coverage, { fromMs, toMs: nowMs }, tail, passes)
    : null;
  if (fromMs === sinceMs) return html`${drawing}`;
  const recent = drawing === null ? `Last ${DRAWN_DAYS}d: up to the delay.` : `Last ${DRAWN_DAYS}d.`;
  return html`${drawing}<p class="sub">${recent} ${olderWords(gaps, holes, { sinceMs, fromMs })}</p>`;
};

const spanOf = (fromMs: number, toMs: number): string => spanText((toMs - fromMs) / 1_000);

const olderWords = (
  gaps: readonly TimeRange[],
  holes: readonly TimeRange[],
  { sinceMs, fromMs }: { readonly sinceMs: number; readonly fromMs: number },
): string => {
  const lackingMs = gaps.reduce(
    (sum, [from, to]) => sum + Math.max(0, Math.min(to, fromMs) - Math.max(from, sinceMs)),
    0,
  );
  const older = holes.filter(([from]) => from < fromMs).length;
  const parts = [
    ...(lackingMs === 0 ? [] : [`${spanText(lackingMs / 1_000)} not collected`]),
    ...(older === 0 ? [] : [countOf(older, 'hole')]),
  ];
  const before = `The ${spanOf(sinceMs, fromMs)} before`;
  return parts.length === 0 ? `${before}: collected.` : `${before}: ${parts.join(', ')}.`;
};

const HOUR_MS = 3_600_000;
const MAX_GAPS = 100;

/** `gaps`: what is hatched. */
export const hoursChart = (
  hours: Activity['hours'],
  { organization, gaps = [] }: { readonly organization?: string; readonly gaps?: readonly TimeRange[] } = {},
): Html => {
  const total = hours.reduce((sum, { success, failure, other }) => sum + success + failure + other, 0);
  const search: Search = { defects: false, changed: false, ...(organization !== undefined && { organization }) };
  const chart = histogramOf({
    search,
    count: { buckets: hours, bucketMs: HOUR_MS, countedSinceMs: null },
    gaps: gaps.map(([from, to]) => ({ since: new Date(from).toISOString(), before: new Date(to).toISOString() })),
    isOfHours: true,
  });
  if (chart === null) return html`<p class="muted">No hours yet.</p>`;
  return html`<p class="muted">${countOf(total, 'event')} in ${hours.length} hours, by the time of the action</p>${chart}`;
};

/** Of any of these logs, holes included. */
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
