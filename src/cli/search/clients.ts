import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { reasonOf } from '../../base/errors.ts';
import { cursorsOf, pageEnd } from '../../http/search/routes.ts';
import { type IncompleteReason, incompleteReasons, type SearchCoverage } from '../../search/answer.ts';
import { fixTimes, printSearch, type Search, type SearchReading, searchFields } from '../../search/query/search.ts';
import { answerSearch } from '../../search/run-search.ts';
import type { ExportFormat, SearchSource } from '../../search/search-source.ts';
import { facetFields, type SearchSummary } from '../../search/summary/summary.ts';
import { type Daemon, explainForeign, explainUnreachable, send, textOf, unreachable } from '../daemon.ts';
import { type ShownAnswer, type ShownEvent, shownOf } from './event-table.ts';
import { requireCursor } from './search-options.ts';

const LOOK_EVERY_MS = 1_000;

type More = Readonly<Record<string, string>>;

/** `search` has no faults except names unknown to the daemon. */
export const daemonClient = (daemon: Daemon, search: Search, stop: AbortSignal): SearchClient => {
  const pathOf = (path: string, more: More): string => {
    const query = printSearch(search);
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return `${path}?${query}`;
  };
  const ask = (path: string, more: More) => textOf(daemon, pathOf(path, more), stop);
  const pageText = ({ cursor, limit }: AskedPage) =>
    ask('/v1/search', { limit: String(limit), ...(cursor !== undefined && { cursor }) });
  const page = async (asked: AskedPage) => {
    const text = await pageText(asked);
    return explainForeign(daemon, () => readPageBody(JSON.parse(text), search, Date.now()));
  };
  return {
    search,
    page,
    pageJson: async function* (asked) {
      yield await pageText(asked);
    },
    summary: async () => {
      const text = await ask('/v1/search/summary', { exact: 'true' });
      return explainForeign(daemon, () => readSummaryBody(JSON.parse(text)));
    },
    coverage: async () => (await page({ cursor: undefined, limit: 1 })).coverage,
    export: async function* (format, signal) {
      const { body } = await explainUnreachable(daemon, () => send(daemon, pathOf('/v1/search', { format }), signal));
      if (body === null) return;
      try {
        yield* body;
      } catch (error) {
        signal.throwIfAborted();
        throw unreachable(daemon, `the download was cut off: ${reasonOf(error)}`, error);
      }
    },
    arrivals: async (after) => {
      const text = await ask('/v1/search/arrivals', after === undefined ? {} : { after: String(after) });
      return explainForeign(daemon, () => {
        const lines = text.trimEnd().split('\n');
        const last = lastLine.parse(JSON.parse(lines.pop() ?? ''));
        return { ...last, lines, events: lines.map((line) => shownOf(JSON.parse(line))) };
      });
    },
    waitBeyond: (_position, signal) => sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {}),
  };
};

const coverageBody = z.object({
  organizations: z.number(),
  accounts: z.number(),
  incomplete: z.number(),
  not_collected_seconds: z.number(),
  read_until: z.string().nullable(),
  collected_since: z.string().nullable(),
  filtered: z.boolean(),
  // Missing in earlier versions.
  read_once_seconds: z.number().default(0),
  archived_months: z.array(z.string()).default([]),
  dropped_months: z.array(z.string()).default([]),
});

const nearBody = z
  .object({ value: z.string(), events: z.number(), at_least: z.boolean() })
  .transform(({ value, events, at_least: atLeast }) => ({ value, events, atLeast }));
const filterBody = z
  .object({
    field: z.enum(searchFields),
    value: z.string(),
    occurs: z.boolean().nullable(),
    occurs_in_range: z.boolean().nullable(),
    near: z.array(nearBody),
  })
  .transform(({ occurs_in_range: occursInRange, ...filter }) => ({ ...filter, occursInRange }));
const emptyBody = z
  .object({ any_in_range: z.boolean().nullable(), filters: z.array(filterBody) })
  .transform(({ any_in_range: anyInRange, filters }) => ({ anyInRange, filters }));

const pageBody = z.object({
  events: z.array(z.unknown()),
  next: z.string().nullable(),
  incomplete_because: z.array(z.string()),
  coverage: coverageBody,
  empty: emptyBody.nullable(),
  batch_deletions: z.number().nullish(),
});

const valueBody = z.object({ value: z.string(), name: z.string().nullable(), events: z.number() });
const facetBody = z.object({ values: z.array(valueBody), distinct: z.number(), without: z.number() });
const summaryBody = z.object({
  events: z.number(),
  at_least: z.boolean(),
  counted_since: z.string().nullable(),
  untimed: z.number(),
  bucket_seconds: z.number(),
  histogram: z.array(z.object({ start: z.string(), success: z.number(), failure: z.number(), other: z.number() })),
  facets: z.object({ events: z.number(), sample: z.boolean(), fields: z.record(z.string(), facetBody) }).nullable(),
});

const lastLine = z
  .object({ next_position: z.number(), head: z.number(), feed_id: z.string() })
  .transform(({ next_position: until, head, feed_id: feedId }) => ({ until, head, feedId }));

/** Throws ZodError for anything but an answer of GET /v1/search. */
const readPageBody = (body: unknown, search: Search, nowMs: number): ShownAnswer => {
  const { events, next, incomplete_because: because, coverage, empty, batch_deletions: batches } = pageBody.parse(body);
  return {
    search,
    events: events.map(shownOf),
    next,
    coverage: coverageOf(coverage, search, nowMs),
    incomplete: because.filter((reason): reason is IncompleteReason => Object.hasOwn(incompleteReasons, reason)),
    empty: empty ?? undefined,
    batchDeletions: batches ?? undefined,
  };
};

const readSummaryBody = (body: unknown): SearchSummary => {
  const { facets, ...count } = summaryBody.parse(body);
  const fields = facetFields.flatMap((field) => {
    const facet = facets?.fields[field];
    return facet === undefined ? [] : [{ field, ...facet }];
  });
  return {
    count: {
      events: count.events,
      isAtLeast: count.at_least,
      countedSinceMs: count.counted_since === null ? null : Date.parse(count.counted_since),
      untimed: count.untimed,
      bucketMs: count.bucket_seconds * 1_000,
      buckets: count.histogram.map(({ start, ...results }) => ({ startMs: Date.parse(start), ...results })),
    },
    facets: facets === null ? undefined : { facets: fields, looked: facets.events, isSample: facets.sample },
  };
};

const coverageOf = (body: z.infer<typeof coverageBody>, { since }: Search, nowMs: number): SearchCoverage => {
  const { collected_since: collectedSince } = body;
  const sinceMs = since === undefined ? Number.NEGATIVE_INFINITY : since.kind === 'ago' ? nowMs - since.ms : since.ms;
  return {
    organizations: body.organizations,
    accounts: body.accounts,
    incomplete: body.incomplete,
    notCollectedSeconds: body.not_collected_seconds,
    readOnceSeconds: body.read_once_seconds,
    // Names are not in the answer.
    gaps: [],
    collectedSince,
    beginsEarlier: collectedSince !== null && sinceMs < Date.parse(collectedSince),
    collectedUntil: body.read_until,
    filtered: body.filtered,
    archivedMonths: body.archived_months,
    droppedMonths: body.dropped_months,
  };
};

/** Ends a wait whose notification is lost. */
const MAX_WAIT_MS = 60_000;
const ARRIVALS = 200;

type Wait = (position: number, timeoutMs: number, signal: AbortSignal) => Promise<void>;

/** `reading` has no faults, and ids for names. */
export const databaseClient = (source: SearchSource, reading: SearchReading, wait: Wait): SearchClient => {
  const { search } = reading;
  const ask = async ({ cursor: text, limit }: AskedPage) => {
    const cursor = requireCursor(text);
    return { cursor, answer: await answerSearch(source, reading, { cursor, limit }) };
  };
  return {
    search,
    page: async (page) => {
      const { cursor, answer } = await ask(page);
      const { next } = cursorsOf(answer.page, cursor);
      return { ...answer, search, events: answer.page.events, next };
    },
    // In pieces: 500 entries may be large.
    pageJson: async function* (page) {
      const { cursor, answer } = await ask(page);
      yield '{"events":[';
      let separator = '\n';
      for await (const texts of source.native(answer.page.events)) {
        yield `${separator}${texts.join(',\n')}`;
        separator = ',\n';
      }
      yield pageEnd(answer, cursor);
    },
    summary: (signal) => source.summary(search, 'exact', signal),
    coverage: () => source.coverage(search),
    export: async function* (format, signal) {
      for await (const { lines } of source.export(search, format, signal)) yield lines;
    },
    arrivals: async (after, signal) => {
      const found = await source.arrivals(fixTimes(search, Date.now()), { after, limit: ARRIVALS, signal });
      const lines: string[] = [];
      for await (const texts of source.native(found.events)) lines.push(...texts);
      return { ...found, lines };
    },
    waitBeyond: (position, signal) => wait(position, MAX_WAIT_MS, signal),
  };
};

type AskedPage = Readonly<{ cursor: string | undefined; limit: number }>;

/** `head`: last stored position. */
export type ShownArrivals = Readonly<{ feedId: string; head: number; until: number }> &
  Readonly<{ events: readonly ShownEvent[]; lines: readonly string[] }>;

/** Asks a database or a daemon. Rejects with OrgtrailError, SearchError, or without an answer. */
export interface SearchClient {
  readonly search: Search;
  page(page: AskedPage): Promise<ShownAnswer>;
  /** As in GET /v1/search. */
  pageJson(page: AskedPage): AsyncIterable<string>;
  summary(signal: AbortSignal): Promise<SearchSummary>;
  coverage(): Promise<SearchCoverage>;
  /** Throws if it cannot go on: an export that ends is whole. */
  export(format: ExportFormat, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Without `after`: none, and the end. */
  arrivals(after: number | undefined, signal: AbortSignal): Promise<ShownArrivals>;
  /** Resolves when there may be more, or on abort. */
  waitBeyond(position: number, signal: AbortSignal): Promise<void>;
}
