import { answerSearch } from '../../http/search/answer.ts';
import { cursorsOf, pageEnd } from '../../http/search/routes.ts';
import type { SearchSource } from '../../search/ports.ts';
import { fixTimes, type SearchReading } from '../../search/search.ts';
import type { AskedPage, SearchClient } from './search-client.ts';
import { requireCursor } from './search-options.ts';

/** A notification ends the wait; if one is lost, this does. */
const MAX_WAIT_MS = 60_000;
const ARRIVALS = 200;

type Wait = (position: number, timeoutMs: number, signal: AbortSignal) => Promise<void>;

/** A search in the database itself. `reading` has no faults, and ids for names. */
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
    // Some events at a time: 500 entries may be large ones.
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
