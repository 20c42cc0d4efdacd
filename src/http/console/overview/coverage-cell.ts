import type { SourceCoverage, TimeRange } from '../../../status/overview/overview.ts';
import { type Html, html } from '../html.ts';
import { countOf, spanText } from '../words.ts';
import { coverageTimeline, notableGaps, type Tail } from './coverage-timeline.ts';

/** Longer, and a gap of hours could not be seen. */
const DRAWN_DAYS = 30;
const DRAWN_MS = DRAWN_DAYS * 86_400_000;

/**
 * What is collected of a source, in a table of many: a drawing of the last 30 days if something is lacking there, and words for what
 * is older. Full bars would all look alike. The first reading is drawn whole: that is its progress.
 */
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
