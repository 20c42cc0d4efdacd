import { alignColumns, counted, printable } from '../../base/text.ts';
import { formatDuration } from '../../base/time.ts';
import { member } from '../../formats/audit-entry.ts';
import { incompleteReasons } from '../../search/answer.ts';
import { archivedMonthsSentence, droppedMonthsSentence } from '../../search/archived-months.sql.ts';
import { type Coverage, type HistoryPage, historyPage, type Summary } from '../../search/contract.ts';
import { type HistoryStep, historySteps } from '../../search/entities.ts';
import { type DiffLine, differenceLines, layOut } from '../../search/json-difference.ts';
import type { Search } from '../../search/query/search.ts';
import type { FacetField } from '../../search/summary/summary.ts';
import { countedLogs } from '../../status/source-state.ts';
import { actorOf, eventLines, resourceOf, type ShownAnswer, shownOf, timeOf } from './event-table.ts';

type Judged = Pick<Search, 'archive'> & { readonly since?: unknown };

/** Whether the time is collected, what is only in the archive, what is gone. `looked`: all of it was searched. */
export const verdict = (search: Judged, coverage: Coverage, looked: boolean): string => {
  const { archived_months: archivedMonths, dropped_months: droppedMonths } = coverage;
  return [
    collectedInWords(search, coverage, looked),
    ...(archivedMonths.length === 0 ? [] : [archivedMonthsSentence(archivedMonths, search.archive === true)]),
    ...(droppedMonths.length === 0 ? [] : [droppedMonthsSentence(droppedMonths)]),
  ].join('\n');
};

const collectedInWords = (search: Judged, coverage: Coverage, looked: boolean): string => {
  const {
    organizations,
    accounts,
    incomplete,
    collected_since: collectedSince,
    begins_earlier: beginsEarlier,
  } = coverage;
  if (organizations + accounts === 0) return 'This result proves nothing: no organization is collected.';
  if (!looked) return 'This is incomplete: the search timed out; continue with --cursor.';
  if (incomplete > 0) {
    const names = coverage.not_collected.map(({ account, organization }) =>
      printable(account ?? organization ?? '-', 40),
    );
    const which = names.length === 0 ? '' : `: ${[...new Set(names)].join(', ')}`;
    return `This may be incomplete: part of this time range has not been collected yet (${incomplete} of ${countedLogs(coverage)}${which}).`;
  }
  if (search.since !== undefined && beginsEarlier) {
    return `This may be incomplete: nothing before ${collectedSince} is collected.`;
  }
  const until = coverage.read_until === null ? '' : ` up to ${coverage.read_until}`;
  const range = `${beginsEarlier ? `since ${collectedSince}` : 'for this time range'}${until}`;
  const one = organizations + accounts === 1;
  const subject = one ? `The ${accounts === 1 ? 'account' : 'organization'} is` : `All ${countedLogs(coverage)} are`;
  const but = coverage.dropped_months.length === 0 ? '' : ', but for months that were dropped';
  const once = coverage.read_once_seconds === 0 ? '' : ', part of it read once so far';
  return `${subject} fully collected ${range}${but}${once}.`;
};

export const searchText = (search: Search, answer: ShownAnswer, width: number | undefined): string => {
  const { events, coverage, next, incomplete_because: because } = answer;
  const lines = events.length === 0 ? ['No events match.', ...emptyLines(answer)] : eventLines(events, width);
  const more = next === null ? [] : [`older events: --cursor ${next}`];
  if (answer.batch_deletions)
    more.push(`not listed: batches with another action that delete (${answer.batch_deletions}); ask for effect:delete`);
  return `${[...lines, '', ...more, verdict(search, coverage, !because.includes('search_unfinished'))].join('\n')}\n`;
};

/** Near values of those that never occur, and filters that leave nothing of the time. */
const emptyLines = ({ empty, incomplete_because: because }: ShownAnswer): readonly string[] => {
  const filters = (empty?.filters ?? []).flatMap(({ field, value, occurs, occurs_in_range: occursInRange, near }) => {
    const named = `${field} ${printable(value, 60)}`;
    const nearest = near.map((one) => `${printable(one.value, 60)} (${one.at_least ? 'at least ' : ''}${one.events})`);
    const others = nearest.length === 0 ? '' : `; near: ${nearest.join(', ')}`;
    if (occurs === false) return [`${named} occurs in no event that is in PostgreSQL${others}`];
    return occursInRange === false ? [`${named} occurs, but not in the time and organizations searched`] : [];
  });
  return because.includes('value_not_checked') ? [...filters, incompleteReasons.value_not_checked] : filters;
};

const COMPARE_MS = 2_000;
const MAX_STATE_CHARACTERS = 131_072;
const MAX_LINES = 40;
const MAX_WIDTH = 160;

const statusInWords: Readonly<Record<string, string>> = {
  exact: 'exact',
  approximate: 'approximate: the entry does not name its resource; others of its product and type may be among these',
  unavailable: 'unavailable: the entry does not say what it is about',
};

/** Made of the JSON, so that a daemon and a database print the same. */
export const historyText = (json: string): string => {
  const { history_status: status, resource, events, more, coverage } = historyPage.parse(JSON.parse(json, exactNumber));
  const deadlineMs = performance.now() + COMPARE_MS;
  const steps = historySteps(events.map(statedOf)).flatMap((step) => [...stepLines(step, deadlineMs), '']);
  const shown = `${counted(events.length, 'event')}${more ? ', the newest; older ones: --limit' : ''}`;
  const { product: resourceProduct, type: resourceType, id: resourceId } = resource;
  const subject = resourceOf({ resourceProduct, resourceType, resourceId });
  return `${[
    `History of ${printable(subject, 200)} (${statusInWords[status] ?? status})`,
    '',
    ...steps,
    shown,
    verdict({}, coverage, true),
  ].join('\n')}\n`;
};

// TypeScript does not know it yet.
const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown };

/** A number that JavaScript would write in another way stays as it is. */
const exactNumber = (_name: string, value: unknown, { source }: { readonly source?: string } = {}): unknown =>
  typeof value === 'number' && source !== undefined && String(value) !== source ? rawJSON(source) : value;

const statedOf = ({ matched_by: matchedBy, event }: HistoryPage['events'][number]) => {
  const stateOf = (name: string) => {
    const state = member(member(member(event, 'raw'), 'resource'), name);
    return state === undefined ? null : JSON.stringify(state);
  };
  const [request, response] = [stateOf('request'), stateOf('response')];
  const isLarge = [request, response].some((text) => text !== null && text.length > MAX_STATE_CHARACTERS);
  const states = isLarge ? { request: null, response: null } : { request, response };
  return { ...shownOf(event), matchedBy, ...states, stateTooLarge: isLarge };
};

const stepLines = (
  { event, state, before }: HistoryStep<ReturnType<typeof statedOf>>,
  deadlineMs: number,
): readonly string[] => {
  const what = [event.actionType ?? 'unknown action', event.actionResult].filter((part) => part !== null).join(' ');
  const head = `${timeOf(event)}  ${printable(what, 40)}  ${printable(actorOf(event), 60)}  position ${event.position}`;
  const why = event.stateTooLarge ? 'request and response are too large to show' : 'no request or response';
  if (state === undefined) return [head, `    ${why}`];
  const after = layOut(state.text);
  if (before === undefined) {
    const whole = after.trimEnd().split('\n');
    return [head, ...cut(whole.map((line) => `    ${safe(line)}`))];
  }
  const lines = differenceLines(layOut(before.text), after, deadlineMs);
  if (lines === undefined) return [head, '    too large or too different to compare'];
  return [head, ...(lines.length === 0 ? ['    the same as before'] : cut(lines.map(lineText)))];
};

const signs = { same: ' ', added: '+', removed: '-', 'left-out': '…' } as const;

const lineText = ({ kind, text }: DiffLine): string => `  ${signs[kind]} ${safe(text)}`;

/** With its indentation. */
const safe = (line: string): string => printable(line, MAX_WIDTH);

const cut = (lines: readonly string[]): readonly string[] =>
  lines.length <= MAX_LINES
    ? lines
    : [...lines.slice(0, MAX_LINES), `    (${lines.length - MAX_LINES} more lines: --json, or the console)`];

const BAR_WIDTH = 40;
const MAX_LINES_2 = 10;

type Printed = Readonly<{ search: Search; fields: readonly FacetField[]; hasHistogram: boolean }>;

export const summaryText = (summary: Summary, { search, fields, hasHistogram }: Printed): string => {
  const { facets, coverage } = summary;
  const lines = [countLine(summary), ''];
  if (hasHistogram && summary.histogram.length > 1) lines.push(...histogramLines(summary), '');
  for (const field of fields) {
    const facet = facets?.fields[field];
    if (facet === undefined) {
      lines.push(`${field}: counting its values timed out`, '');
      continue;
    }
    const shown = facet.values.slice(0, 2 * MAX_LINES_2);
    lines.push(
      ...alignColumns([
        [field.toUpperCase(), 'EVENTS'],
        ...shown.map(({ value, name, events }) => [printable(name ?? value, 60), String(events)]),
      ]),
    );
    const rest = facet.distinct - shown.length;
    if (rest > 0) lines.push(`${counted(rest, 'more value')}`);
    if (facet.without > 0) lines.push(`${counted(facet.without, 'event')} without`);
    if (facets?.sample === true) lines.push(`of the newest ${facets.events} events alone`);
    lines.push('');
  }
  lines.push(verdict(search, coverage, true));
  return `${lines.join('\n')}\n`;
};

const countLine = ({ events, at_least: isAtLeast, counted_since: countedSince, untimed }: Summary): string => {
  const without = untimed === 0 ? '' : `, ${untimed} of them without a usable time`;
  if (!isAtLeast || countedSince === null) return `${counted(events, 'event')} match${without}`;
  return `at least ${counted(events, 'event')} match${without}: counted back to ${countedSince}, older ones are not counted`;
};

type Bucket = Summary['histogram'][number];

const totalOf = ({ success, failure, other }: Bucket): number => success + failure + other;

const histogramLines = ({ histogram: all, bucket_seconds: seconds }: Summary): readonly string[] => {
  const isUsed = (bucket: Bucket): boolean => totalOf(bucket) > 0;
  const buckets = all.slice(Math.max(0, all.findIndex(isUsed)), all.findLastIndex(isUsed) + 1);
  const most = Math.max(1, ...buckets.map(totalOf));
  const rows = buckets.map((bucket) => {
    const total = totalOf(bucket);
    const width = total === 0 ? 0 : Math.max(1, Math.round((total / most) * BAR_WIDTH));
    return [
      bucket.start.slice(0, 19).concat('Z'),
      String(total),
      bucket.failure === 0 ? '' : `${bucket.failure} failed`,
      '#'.repeat(width),
    ];
  });
  return alignColumns([[`FROM (${formatDuration(seconds * 1_000)} each)`, 'EVENTS', 'FAILED', ''], ...rows]);
};
