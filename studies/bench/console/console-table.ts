import type { SearchSummary } from '../../../src/search/summary/summary.ts';
import type { ConsoleFigures, PageFigures } from './ask-console.ts';

const EXACT_MS = 5_000;
const whole = (value: number | undefined): string =>
  value === undefined ? '' : Math.round(value).toLocaleString('en');

const counted = (summary: SearchSummary | undefined): string =>
  summary === undefined ? '' : `${summary.count.isAtLeast ? 'at least ' : ''}${whole(summary.count.events)}`;

const facetsOf = (summary: SearchSummary | undefined): string => {
  if (summary === undefined) return '';
  const { facets } = summary;
  if (facets === undefined) return 'timed out';
  return facets.isSample ? `newest ${whole(facets.looked)}` : 'all';
};

const times = ({ name, limitMs, medianMs, p95Ms, cpuMs }: PageFigures): string =>
  `| ${name} | ${whole(medianMs)} | ${whole(p95Ms)} | ${whole(cpuMs)} | ${Number.isFinite(limitMs) ? whole(limitMs) : ''} |`;

const exactOf = ({ exact, exactMs }: PageFigures): string =>
  exact === undefined ? '' : `${whole(exactMs)} ms: ${counted(exact)}, ${facetsOf(exact)}`;

const missed = ({ searches, entities }: ConsoleFigures): readonly string[] => {
  const slow = [...searches, ...entities].filter(({ p95Ms, limitMs }) => p95Ms > limitMs);
  const inexact = searches.filter(
    ({ exact, exactMs }) =>
      exact !== undefined && ((exactMs ?? 0) > EXACT_MS || exact.count.isAtLeast || exact.facets?.isSample !== false),
  );
  const list = (pages: readonly PageFigures[]) => pages.map(({ name }) => name).join('; ');
  return [
    slow.length === 0 ? 'Met: every page within its limit.' : `Not met, by the p95: ${list(slow)}.`,
    inexact.length === 0 ? 'Met: exact ones within 5 s.' : `Not met, exact within 5 s: ${list(inexact)}.`,
  ];
};

/** As Markdown. */
export const renderConsole = (figures: ConsoleFigures): string => {
  const head = 'median ms | p95 ms | CPU ms of PostgreSQL | limit';
  return [
    `| page of a search, with count, histogram and ten facets | ${head} | events counted | facets of | exact ones on request |`,
    '|---|---|---|---|---|---|---|---|',
    ...figures.searches.map(
      (page) => `${times(page)} ${counted(page.summary)} | ${facetsOf(page.summary)} | ${exactOf(page)} |`,
    ),
    '',
    `| page of an entity | ${head} | events counted |`,
    '|---|---|---|---|---|---|',
    ...figures.entities.map((page) => `${times(page)} ${counted(page.summary)} |`),
    '',
    `| page of the detections | ${head} |`,
    '|---|---|---|---|---|',
    ...figures.detections.map(times),
    ...missed(figures).flatMap((line) => ['', line]),
  ].join('\n');
};
