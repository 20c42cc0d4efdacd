import { z } from 'zod';
import { operations } from '../../app/operations.ts';
import { OrgtrailError } from '../../base/errors.ts';
import { isOrder, perform, readBounded } from '../../base/operation.ts';
import type { EventDetail, FoundEvent } from '../../search/answer.ts';
import { cursorsOf, summaryBody, withFacets } from '../../search/contract.ts';
import { entityKinds, entitySearch, logOf } from '../../search/entities.ts';
import {
  faultsInWords,
  fixTimes,
  instantOfBound,
  MAX_CURSOR_LENGTH,
  readCursor,
  readSearch,
  type SearchField,
  type SearchReading,
} from '../../search/query/search.ts';
import { answerHistory, answerSearch, resolveNames } from '../../search/run-search.ts';
import type { SearchSource } from '../../search/search-source.ts';
import { facetFields } from '../../search/summary/summary.ts';
import { severities } from '../../sinks/findings/finding.ts';
import { readDetections } from '../../sinks/findings/read-findings.sql.ts';
import { historyText } from '../search/reports.ts';
import { completenessOf, MAX_ANSWER, short, shortened, type Tool, tool, visible } from './answer.ts';

const MAX_EVENTS = 50;
const MAX_RAW = 20_000;
const MAX_VALUES = 10;
const DEFAULT_SINCE = '7d';
type Question = { [name in keyof typeof question]?: string | undefined };
const asked = ({ query: q, since, before }: Question) => ({ q, since, before });

const misused = (words: string): OrgtrailError => new OrgtrailError('usage', words);
const time = z.string().max(100);

const question = {
  query: z
    .string()
    .max(2_000)
    .optional()
    .describe(
      'A query line: field:value terms that must all hold, a minus to exclude, commas between alternatives, * at either end for any text, quotes around values with spaces, such as "actor:mira* -action:view,login status:4xx". Fields: actor, email, ip, token, actor_id, actor_type, context, action, result, product, resource_type, resource, organization, account, zone, ray, method, status, uri, agent, id, text. A word without a field is looked for in the text of entries.',
    ),
  since: time
    .optional()
    .describe('Inclusive: 24h, 7d, 2026-01-31 or an RFC 3339 instant. Default 7d; 2000-01-01 for all.'),
  before: time.optional().describe('Exclusive, in the same forms. Default: now.'),
};

const searchEvents = tool({
  name: 'search_events',
  title: 'Search events',
  description: `Finds stored audit-log events, newest first, ${MAX_EVENTS} at most per call; "next" is the cursor of older ones.`,
  input: z.strictObject({
    ...question,
    limit: z.number().int().min(1).max(MAX_EVENTS).default(20),
    cursor: z.string().max(MAX_CURSOR_LENGTH).optional().describe('"next" of an answer to the same question.'),
  }),
  answer: async ({ source }, { limit, cursor: text, ...rest }, signal) => {
    const cursor = text === undefined ? undefined : readCursor(text);
    if (text !== undefined && cursor === undefined) throw misused('cursor is not a cursor of a search');
    const reading = await readQuestion(source, asked(rest), DEFAULT_SINCE);
    const answer = await answerSearch(source, reading, { cursor, limit, signal });
    let { page } = answer;
    const bodyOf = () => ({
      time: timeOfQuestion(reading),
      events: page.events.map(eventBody),
      next: cursorsOf(page, cursor).next,
      ...completenessOf(answer.coverage, answer.incomplete),
      why_nothing: shortened(answer.empty ?? null),
      batch_deletions: answer.batchDeletions ?? null,
    });
    // Fewer events, with the cursor after the last of them: none is lost.
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
    const summary = await source.summary(reading.search, exact ? 'exact' : 'page', signal);
    const body = shortened(withFacets(summaryBody(summary, coverage), facets, MAX_VALUES)) as object;
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
    if ((position === undefined) === (id === undefined)) throw misused('give either a position or an id');
    const detail = position === undefined ? await byId(source, id ?? '') : await source.event({ position });
    if (detail === undefined)
      throw misused('no stored event has it: it may be misspelt, or retention may have dropped it');
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
  title: 'One actor, address, token or resource, or what is new',
  description:
    'What the newest events of one actor, IP address, API token or resource show, across all organizations: first and last seen, sessions, hours of the week (UTC, Monday first), values that are new in the last week, top values. With the kind search the value is a query line, or empty: "news" is then what is new in the last week.',
  input: z.strictObject({
    kind: z.enum([...entityKinds, 'search']),
    value: z
      .string()
      .max(2_000)
      .describe('E-mail address or id of an actor; address; id or name of a token; id of a resource.'),
    since: question.since.default('90d'),
  }),
  answer: async ({ source }, { kind, value, since }, signal) => {
    const { search: read } = await readQuestion(source, kind === 'search' ? { q: value, since } : { since }, since);
    const search =
      kind === 'search' ? read : { ...entitySearch(kind, value), ...(read.since && { since: read.since }) };
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
const { since, before } = question;

/** With ids for names and fixed times. `since` applies if the query line has none. Throws OrgtrailError. */
const readQuestion = async (source: SearchSource, asked: Asked, since: string): Promise<SearchReading> => {
  const nowMs = Date.now();
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  const first = readSearch(given, nowMs);
  const read =
    first.search.since === undefined && first.faults.length === 0 ? readSearch({ ...given, since }, nowMs) : first;
  const reading = await resolveNames(source, read);
  if (reading.faults.length > 0) throw misused(faultsInWords(reading.faults));
  return { ...reading, search: fixTimes(reading.search, nowMs) };
};

const timeOfQuestion = ({ search: { since, before } }: SearchReading) => ({
  since: since === undefined ? null : instantOfBound(since, Date.now()),
  before: before === undefined ? null : instantOfBound(before, Date.now()),
});

const eventBody = (event: FoundEvent) => ({
  position: event.position,
  action_time: event.actionTime,
  received_at: event.receivedAt,
  organization: short(event.organizationName ?? event.organizationId),
  organization_id: short(event.organizationId),
  account: short(event.accountName ?? event.accountId),
  zone: short(event.zoneName ?? event.zoneId),
  action: short(event.actionType),
  result: short(event.actionResult),
  description: short(event.actionDescription),
  actor_email: short(event.actorEmail),
  actor_id: short(event.actorId),
  actor_type: short(event.actorType),
  actor_context: short(event.actorContext),
  actor_ip: short(event.actorIpAddress),
  actor_token: short(event.actorTokenName ?? event.actorTokenId),
  resource_product: short(event.resourceProduct),
  resource_type: short(event.resourceType),
  resource_id: short(event.resourceId),
  method: short(event.method),
  status: event.statusCode,
  uri: short(event.uri),
  user_agent: short(event.userAgent),
  ray_id: short(event.rayId),
  id: short(event.id),
  defects: event.defects,
  changed_later: event.changed,
});

const getHistory = tool({
  name: 'get_history',
  title: 'History of a resource',
  description:
    'What became of the resource of one event: every stored event about it, newest first, with the lines of its request or response that each changed.',
  input: z.strictObject({
    position: z.number().int().positive().describe('Of the event, as in the answers of search_events.'),
    limit: z.number().int().min(1).max(MAX_EVENTS).default(20),
  }),
  answer: async ({ source }, { position, limit }, signal) => {
    let text = '';
    for await (const { lines } of await answerHistory(source, position, { limit, signal })) text += lines.toString();
    return { body: { history: historyText(text).split('\n').map(visible) } };
  },
});

export const searchTools: readonly Tool[] = [searchEvents, countEvents, getEvent, getHistory, describeEntity];

const MAX_GAPS = 100;
const MAX_DETECTIONS = 100;
const name = z.string().max(2_000).optional();

const getCompleteness = tool({
  name: 'get_completeness',
  title: 'What of a time is collected',
  description: `Whether all of a time is collected, of one organization or account or of all: what is missing, and what Cloudflare could not serve ("holes"), ${MAX_GAPS} of each at most.`,
  input: z.strictObject({ since, before, organization: name, account: name }),
  answer: async ({ source }, asked) => {
    const reading = await readQuestion(source, asked, '7d');
    const coverage = await source.coverage(reading.search, MAX_GAPS);
    const holes = await source.holes(reading.search, MAX_GAPS);
    return { body: { time: timeOfQuestion(reading), ...completenessOf(coverage), holes: shortened(holes) } };
  },
});

const listDetections = tool({
  name: 'list_detections',
  title: 'Detections',
  description: `What the built-in detections find in a time, newest first, ${MAX_DETECTIONS} at most: each names its event by position. Bursts and sign-ins look at the last 31 days alone.`,
  input: z.strictObject({
    since,
    before,
    min_severity: z.enum(severities).default('low'),
    detection: z.string().max(100).optional().describe('One detection by its name, such as member_added.'),
    limit: z.number().int().min(1).max(MAX_DETECTIONS).default(50),
  }),
  answer: async ({ source, pool }, { min_severity: minSeverity, detection, limit, ...time }, signal) => {
    const reading = await readQuestion(source, time, '7d');
    const { since: from, before: until } = timeOfQuestion(reading);
    if (from === null) throw misused('since is missing');
    const coverage = await source.coverage(reading.search);
    const asked = { since: from, before: until ?? undefined, minSeverity, detection, limit: limit + 1, signal };
    const found = await readDetections(pool, asked);
    return {
      body: {
        time: timeOfQuestion(reading),
        detections: shortened(found.slice(0, limit)),
        more: found.length > limit,
        ...completenessOf(coverage),
      },
      events: Math.min(found.length, limit),
    };
  },
});

export const stateTools: readonly Tool[] = [getCompleteness, listDetections];

const toolOf = (operation: (typeof operations)[number]): Tool => ({
  name: operation.tool ?? '',
  title: operation.says,
  description: `${operation.says}.`,
  input: operation.input,
  answer: async ({ pool, config, orders }, given) => {
    const giver = orders && { proof: orders.proof, route: `mcp ${operation.tool}` };
    const writing = isOrder(operation) && orders !== undefined ? { pool: orders.pool, giver } : { pool };
    const source = { ...writing, config, hasArchive: config.archive !== undefined };
    return { body: shortened(await perform(operation, source, readBounded(operation, given))) };
  },
});

const tools = operations.filter(({ tool }) => tool !== undefined);
export const operationTools: readonly Tool[] = tools.filter((one) => !isOrder(one)).map(toolOf);
/** For the token of --allow-writes. */
export const orderTools: readonly Tool[] = tools.filter(isOrder).map(toolOf);

type Asked = Partial<Record<SearchField, string | undefined>>;
