import { z } from 'zod';
import { OrgtrailError } from '../../errors.ts';
import { answerSearch } from '../../http/search/answer.ts';
import { cursorsOf } from '../../http/search/routes.ts';
import { summaryBody } from '../../http/search/summary-routes.ts';
import { entityKinds, entitySearch } from '../../search/entity/entity.ts';
import type { EventDetail } from '../../search/found-event.ts';
import { logOf } from '../../search/history/resource-history.ts';
import type { SearchSource } from '../../search/ports.ts';
import { MAX_CURSOR_LENGTH, readCursor } from '../../search/search-cursor.ts';
import { facetFields } from '../../search/summary/summary.ts';
import { completenessOf, MAX_ANSWER, shortened, visible } from './answer.ts';
import { eventBody, question, readQuestion, timeOfQuestion } from './questions.ts';
import { type Tool, tool } from './tool.ts';

const MAX_EVENTS = 50;
const MAX_RAW = 20_000;
const MAX_VALUES = 10;

const DEFAULT_SINCE = '7d';
const asked = ({ query, since, before }: { [name in keyof typeof question]?: string | undefined }) => ({
  q: query,
  since,
  before,
});

const searchEvents = tool({
  name: 'search_events',
  title: 'Search events',
  description: `Finds stored audit-log events, newest first, ${MAX_EVENTS} at most per call; "next" is the cursor of older ones.`,
  input: z.strictObject({
    ...question,
    archive: z
      .boolean()
      .default(false)
      .describe('Search months that are in the archive alone as well ("archived_months" of an answer): slower.'),
    limit: z.number().int().min(1).max(MAX_EVENTS).default(20),
    cursor: z.string().max(MAX_CURSOR_LENGTH).optional().describe('"next" of an answer to the same question.'),
  }),
  answer: async ({ source }, { archive, limit, cursor: text, ...rest }, signal) => {
    const cursor = text === undefined ? undefined : readCursor(text);
    if (text !== undefined && cursor === undefined)
      throw new OrgtrailError('usage', 'cursor is not a cursor of a search');
    const wanted = { ...asked(rest), ...(archive && { archive: 'true' }) };
    const reading = await readQuestion(source, wanted, DEFAULT_SINCE);
    const answer = await answerSearch(source, reading, { cursor, limit, signal });
    let { page } = answer;
    const bodyOf = () => ({
      time: timeOfQuestion(reading),
      events: page.events.map(eventBody),
      next: cursorsOf(page, cursor).next,
      archived_months_read: answer.page.archivedMonths ?? null,
      ...completenessOf(answer.coverage, answer.incomplete),
      why_nothing: shortened(answer.empty ?? null),
    });
    // Fewer events, and the cursor behind the last one of them: none is lost.
    while (page.events.length > 1 && JSON.stringify(bodyOf(), undefined, 1).length > MAX_ANSWER) {
      page = { events: page.events.slice(0, Math.ceil(page.events.length / 2)), more: true, reached: undefined };
    }
    return { body: bodyOf(), events: page.events.length };
  },
});

const countEvents = tool({
  name: 'count_events',
  title: 'Count events',
  description: `Counts the events of a search, with a histogram over time by result and the ${MAX_VALUES} most frequent values of fields. "at_least" and "sample" say that not all was counted.`,
  input: z.strictObject({
    ...question,
    facets: z
      .array(z.enum(facetFields))
      .max(facetFields.length)
      .default([])
      .describe('Fields whose values are wanted.'),
    exact: z.boolean().default(false).describe('Count for up to 10 s instead of 1 s.'),
  }),
  answer: async ({ source }, { facets, exact, ...rest }, signal) => {
    const reading = await readQuestion(source, asked(rest), DEFAULT_SINCE);
    // Before the events: what it calls collected must be stored by then.
    const coverage = await source.coverage(reading.search);
    const { count, facets: found } = await source.summary(reading.search, exact ? 'exact' : 'page', signal);
    const few = found?.facets.map((facet) => ({ ...facet, values: facet.values.slice(0, MAX_VALUES) }));
    const summary = { count, facets: found && few && { ...found, facets: few } };
    const body = shortened(summaryBody(summary, facets)) as object;
    return { body: { time: timeOfQuestion(reading), ...body, ...completenessOf(coverage) } };
  },
});

const getEvent = tool({
  name: 'get_event',
  title: 'One event',
  description: `One event by its position or by its id, with the entry as Cloudflare sent it (up to ${MAX_RAW} characters) and its later changes.`,
  input: z.strictObject({
    position: z.number().int().positive().optional().describe('As in the answers of search_events.'),
    id: z.string().min(1).max(300).optional().describe('The id of the entry; the newest one that has it.'),
  }),
  answer: async ({ source }, { position, id }) => {
    if ((position === undefined) === (id === undefined))
      throw new OrgtrailError('usage', 'give either a position or an id');
    const detail = position === undefined ? await byId(source, id ?? '') : await source.event({ position });
    if (detail === undefined)
      throw new OrgtrailError('usage', 'no stored event has it: it may be misspelt, or retention may have dropped it');
    const coverage = await source.coverage(logOf(detail.event));
    return { body: { ...detailBody(detail), ...completenessOf(coverage) }, events: 1 };
  },
});

const byId = async (source: SearchSource, id: string): Promise<EventDetail | undefined> => {
  const search = { defects: false, changed: false, terms: [{ field: 'id' as const, isNegated: false, values: [id] }] };
  const { events } = await source.search(search, { cursor: undefined, limit: 1 });
  return events[0] === undefined ? undefined : await source.event({ position: events[0].position });
};

const detailBody = ({ event, rawText, changes, changesInAll, copiesInAll }: EventDetail) => ({
  event: eventBody(event),
  entry: visible(rawText.slice(0, MAX_RAW)),
  entry_characters: rawText.length,
  entry_is_cut: rawText.length > MAX_RAW,
  later_changes: changes
    .slice(0, 2)
    .map(({ seenAt, rawText: text }) => ({ seen_at: seenAt, entry: visible(text.slice(0, MAX_RAW / 4)) })),
  later_changes_in_all: changesInAll,
  copies_in_all: copiesInAll,
});

const describeEntity = tool({
  name: 'describe_entity',
  title: 'One actor, address, token or resource',
  description:
    'What the newest events of one actor, IP address, API token or resource show, across all organizations: first and last seen, sessions, hours of the week (UTC, Monday first), values that are new in the last week, top values.',
  input: z.strictObject({
    kind: z.enum(entityKinds),
    value: z
      .string()
      .min(1)
      .max(2_000)
      .describe('E-mail address or id of an actor; address; id or name of a token; id of a resource.'),
    since: question.since.default('90d'),
  }),
  answer: async ({ source }, { kind, value, since }, signal) => {
    const { search: read } = await readQuestion(source, { since }, since);
    const search = { ...entitySearch(kind, value), ...(read.since && { since: read.since }) };
    const coverage = await source.coverage(search);
    const [report, summary] = await Promise.all([
      source.entity(search, signal),
      source.summary(search, 'entity', signal),
    ]);
    const { hours, ...rest } = report;
    const few = summary.facets?.facets.map((facet) => ({ ...facet, values: facet.values.slice(0, MAX_VALUES) }));
    return {
      body: {
        ...(shortened({ ...rest, facets: few ?? null }) as object),
        hours: hours.map((day) => day.join(' ')),
        events: summary.count.events,
        at_least: summary.count.isAtLeast,
        ...completenessOf(coverage),
      },
    };
  },
});

export const searchTools: readonly Tool[] = [searchEvents, countEvents, getEvent, describeEntity];
