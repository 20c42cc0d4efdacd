import { z } from 'zod';
import type { SearchCoverage } from '../../search/found-event.ts';
import type { Search } from '../../search/search.ts';
import { searchFields } from '../../search/search.ts';
import { type IncompleteReason, incompleteReasons } from '../../search/search-answer.ts';
import { facetFields, type SearchSummary } from '../../search/summary/summary.ts';
import { type ShownAnswer, shownOf } from './shown-event.ts';

const coverageBody = z.object({
  organizations: z.number(),
  accounts: z.number(),
  incomplete: z.number(),
  not_collected_seconds: z.number(),
  read_until: z.string().nullable(),
  collected_since: z.string().nullable(),
  filtered: z.boolean(),
  // Daemons of earlier versions do not say it.
  read_once_seconds: z.number().default(0),
  archived_months: z.array(z.string()).default([]),
  dropped_months: z.array(z.string()).default([]),
});

const nearBody = z.object({ value: z.string(), events: z.number(), at_least: z.boolean() });
const filterBody = z.object({
  field: z.enum(searchFields),
  value: z.string(),
  occurs: z.boolean().nullable(),
  occurs_in_range: z.boolean().nullable(),
  near: z.array(nearBody),
});

const pageBody = z.object({
  events: z.array(z.unknown()),
  next: z.string().nullable(),
  incomplete_because: z.array(z.string()),
  coverage: coverageBody,
  empty: z.object({ any_in_range: z.boolean().nullable(), filters: z.array(filterBody) }).nullable(),
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

const lastLine = z.object({ next_position: z.number(), head: z.number(), feed_id: z.string() });

/** What GET /v1/search answers. Throws ZodError for anything else. */
export const readPageBody = (body: unknown, search: Search, nowMs: number): ShownAnswer => {
  const { events, next, incomplete_because: because, coverage, empty } = pageBody.parse(body);
  return {
    search,
    events: events.map(shownOf),
    next,
    coverage: coverageOf(coverage, search, nowMs),
    incomplete: because.filter((reason): reason is IncompleteReason => Object.hasOwn(incompleteReasons, reason)),
    empty: empty === null ? undefined : emptyOf(empty),
  };
};

/** The same of GET /v1/search/summary. */
export const readSummaryBody = (body: unknown): SearchSummary => {
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

/** The last line of GET /v1/search/arrivals. */
export const readLastLine = (
  line: string,
): { readonly until: number; readonly head: number; readonly feedId: string } => {
  const { next_position: until, head, feed_id: feedId } = lastLine.parse(JSON.parse(line));
  return { until, head, feedId };
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
    // Their names are not in the answer.
    gaps: [],
    collectedSince,
    beginsEarlier: collectedSince !== null && sinceMs < Date.parse(collectedSince),
    collectedUntil: body.read_until,
    filtered: body.filtered,
    archivedMonths: body.archived_months,
    droppedMonths: body.dropped_months,
  };
};

const emptyOf = ({
  any_in_range: anyInRange,
  filters,
}: NonNullable<z.infer<typeof pageBody>['empty']>): ShownAnswer['empty'] => ({
  anyInRange,
  filters: filters.map(({ field, value, occurs, occurs_in_range: occursInRange, near }) => ({
    field,
    value,
    occurs,
    occursInRange,
    near: near.map((one) => ({ value: one.value, events: one.events, atLeast: one.at_least })),
  })),
});
