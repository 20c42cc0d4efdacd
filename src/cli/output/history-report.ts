import { type DiffLine, differenceLines, layOut } from '../../http/console/events/difference.ts';
import type { SearchCoverage } from '../../search/found-event.ts';
import {
  type HistoryStep,
  historyStatus,
  historySteps,
  logOf,
  type ResourceHistory,
} from '../../search/history/resource-history.ts';
import type { SearchSource } from '../../search/ports.ts';
import { counted } from './counted.ts';
import { actorOf, resourceOf, timeOf } from './event-table.ts';
import { verdict } from './search-report.ts';
import { printable } from './terminal-table.ts';

const COMPARE_MS = 2_000;
const MAX_LINES = 40;
const MAX_WIDTH = 160;

const statusInWords = {
  exact: 'exact',
  approximate: 'approximate: the entry does not name its resource; others of its product and type may be among these',
  unavailable: 'unavailable: the entry does not say what it is about',
} as const;

/** The history of a resource, newest first, each event with the lines that it changed. */
export const historyText = (history: ResourceHistory, coverage: SearchCoverage): string => {
  const { subject, events, more } = history;
  const deadlineMs = performance.now() + COMPARE_MS;
  const steps = historySteps(history).flatMap((step) => [...stepLines(step, deadlineMs), '']);
  const shown = `${counted(events.length, 'event')}${more ? ', the newest; older ones: --limit' : ''}`;
  return `${[
    `History of ${printable(resourceOf(subject), 200)} (${statusInWords[historyStatus(history)]})`,
    '',
    ...steps,
    shown,
    verdict(logOf(subject), coverage, true),
  ].join('\n')}\n`;
};

const stepLines = ({ event, state, before }: HistoryStep, deadlineMs: number): readonly string[] => {
  const what = [event.actionType ?? 'unknown action', event.actionResult].filter((part) => part !== null).join(' ');
  const head = `${timeOf(event)}  ${printable(what, 40)}  ${printable(actorOf(event), 60)}  position ${event.position}`;
  if (state === undefined) {
    return [
      head,
      `    ${event.stateTooLarge ? 'request and response are too large to show' : 'no request or response'}`,
    ];
  }
  const after = layOut(state.text);
  if (before === undefined)
    return [
      head,
      ...cut(
        after
          .trimEnd()
          .split('\n')
          .map((line) => `    ${safe(line)}`),
      ),
    ];
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

/** The same as JSON: the events in the feed's native format, each with how it was matched. */
export async function* historyJson(source: SearchSource, history: ResourceHistory): AsyncGenerator<string, void, void> {
  const { subject, events, more } = history;
  yield `{"history_of":${subject.position},"history_status":"${historyStatus(history)}","events":[`;
  let done = 0;
  for await (const texts of source.native(events)) {
    for (const text of texts) {
      yield `${done === 0 ? '\n' : ',\n'}{"matched_by":"${events[done]?.matchedBy}","event":${text}}`;
      done += 1;
    }
  }
  yield `\n],"more":${more}}\n`;
}
