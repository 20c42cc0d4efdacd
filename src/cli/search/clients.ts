import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../../base/errors.ts';
import {
  type Coverage,
  coverageBody,
  lastArrival,
  pageEnd,
  pageRest,
  type Summary,
  searchPage,
  searchSummary,
} from '../../search/contract.ts';
import { fixTimes, printSearch, type Search, type SearchReading } from '../../search/query/search.ts';
import { answerHistory, answerSearch, answerSummary } from '../../search/run-search.ts';
import type { ExportFormat, SearchSource } from '../../search/search-source.ts';
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
    return explainForeign(daemon, () => {
      const { events, ...rest } = searchPage.parse(JSON.parse(text));
      return { ...rest, events: events.map(shownOf) };
    });
  };
  return {
    search,
    page,
    pageJson: async function* (asked) {
      yield await pageText(asked);
    },
    summary: async () => {
      const text = await ask('/v1/search/summary', { exact: 'true' });
      return explainForeign(daemon, () => searchSummary.parse(JSON.parse(text)));
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
        const { next_position: until, head, feed_id: feedId } = lastArrival.parse(JSON.parse(lines.pop() ?? ''));
        return { until, head, feedId, lines, events: lines.map((line) => shownOf(JSON.parse(line))) };
      });
    },
    historyJson: async function* (position, limit) {
      const path = `/v1/search/history?position=${position}&limit=${limit}`;
      yield await textOf(daemon, path, stop);
    },
    waitBeyond: (_position, signal) => sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {}),
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
    const answer = await answerSearch(source, reading, { cursor, limit });
    return { ...pageRest(answer, cursor), events: answer.page.events };
  };
  return {
    search,
    page: ask,
    // In pieces: 500 entries may be large.
    pageJson: async function* (page) {
      const { events, ...rest } = await ask(page);
      yield '{"events":[';
      let separator = '\n';
      for await (const texts of source.native(events)) {
        yield `${separator}${texts.join(',\n')}`;
        separator = ',\n';
      }
      yield pageEnd(rest);
    },
    summary: (signal) => answerSummary(source, search, 'exact', signal),
    coverage: async () => coverageBody(await source.coverage(search)),
    export: async function* (format, signal) {
      for await (const { lines } of source.export(search, format, signal)) yield lines;
    },
    arrivals: async (after, signal) => {
      const found = await source.arrivals(fixTimes(search, Date.now()), { after, limit: ARRIVALS, signal });
      const lines: string[] = [];
      for await (const texts of source.native(found.events)) lines.push(...texts);
      return { ...found, lines };
    },
    historyJson: async function* (position, limit, signal) {
      for await (const { lines } of await answerHistory(source, position, { limit, signal })) yield lines;
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
  summary(signal: AbortSignal): Promise<Summary>;
  coverage(): Promise<Coverage>;
  /** Throws if it cannot go on: an export that ends is whole. */
  export(format: ExportFormat, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Without `after`: none, and the end. */
  arrivals(after: number | undefined, signal: AbortSignal): Promise<ShownArrivals>;
  /** In pieces, as in GET /v1/search/history. */
  historyJson(position: number, limit: number, signal: AbortSignal): AsyncIterable<string | Buffer>;
  /** Resolves when there may be more, or on abort. */
  waitBeyond(position: number, signal: AbortSignal): Promise<void>;
}
