import { addRange, type Coverage, gapsIn } from '../../../ingest/planning/coverage.ts';
import type { SourceCoverage, TimeRange } from '../../../status/overview/overview.ts';
import { type Html, html } from '../html.ts';
import { countOf, spanText, timeText, zonedText } from '../words.ts';

/** The drawing is this wide, in units of its own; it is stretched to the space there is. */
const WIDTH = 1_000;
/** Narrower than this, a gap could not be seen. */
const NARROWEST = 4;
const READING_TOP = 3;
const READING_HEIGHT = 12;
const PASS_HEIGHT = 3;
const PASS_STEP = 5;

/** The part of time that a drawing shows. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What may be unread at both ends without being a gap to speak of: the next turn reads it, or the horizon passes it. Milliseconds. */
export interface Tail {
  readonly ordinaryMs: number;
  /** The history is read for the first time: what is older than all that is collected is not skipped, but comes next. */
  readonly readsHistory?: boolean;
}

/** Whether a gap is history that is not read yet. */
export const isAhead = ({ sinceMs }: SourceCoverage, { readsHistory = false }: Tail, [fromMs]: TimeRange): boolean =>
  readsHistory && fromMs <= sinceMs;

/** The gaps that an operator should know of, without holes. */
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

/**
 * Draws what has been read: a thick track of the first reading with its gaps and holes, a thin one for each settle pass, and what
 * walks are reading at this moment. Times become places linearly; nothing here is text.
 */
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

/** A walk that is under way: the window that it reads. */
const walkBar = (place: Place | null): Html | null => {
  if (place === null) return null;
  const width = Math.max(place.width, NARROWEST);
  return bar('tl-walk', { x: Math.min(place.x, WIDTH - width), width }, READING_TOP + READING_HEIGHT / 2 - 1, 2);
};

/** The same in words. */
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
