import pino from 'pino';
import { cursorsOf } from '../../../src/search/contract.ts';
import { readCursor, readSearch } from '../../../src/search/query/search.ts';
import { answerSearch } from '../../../src/search/run-search.ts';
import { openExplorer } from '../../../src/search/search-source.ts';
import { type ArchiveWorld, openFileArchive } from './archive-world.ts';

export type Query = Readonly<Record<string, string>>;
const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };

export const openSearch = (world: ArchiveWorld) => {
  const explorer = openExplorer(world.database.daemonUrl, pino({ level: 'silent' }), Date.now, rules);
  const { source } = explorer;
  /** One page, with all that a reader gets of it. */
  const page = async (query: Query, cursorText: string | null | undefined, limit: number) => {
    const cursor = typeof cursorText === 'string' ? readCursor(cursorText) : undefined;
    const answer = await answerSearch(source, readSearch(query, Date.now()), { cursor, limit });
    const texts: string[] = [];
    for await (const some of source.native(answer.page.events)) texts.push(...some);
    return { events: answer.page.events, texts, ...cursorsOf(answer.page, cursor) };
  };
  const reading = (query: Query) => readSearch(query, Date.now()).search;
  return {
    source,
    page,
    reading,
    summary: async (query: Query) => await source.summary(reading(query), 'exact'),
    /** What it says beside its events. */
    answer: async (query: Query = {}, from = source) => {
      const reading = readSearch(query, Date.now());
      return { ...reading, ...(await answerSearch(from, reading, { cursor: undefined, limit: 500 })) };
    },
    /** As lines of JSON. `between` runs once the first lines are there. */
    exported: async (query: Query = {}, between?: () => Promise<unknown>) => {
      let text = '';
      for await (const { lines } of source.export(readSearch(query, Date.now()).search, 'ndjson')) {
        if (text === '') await between?.();
        text += lines;
      }
      return text;
    },
    /** The pages of a search to its end, and back. Throws if a cursor leads to itself. */
    walk: async (query: Query, limit: number, isBothWays: boolean) => {
      const pages = [await page(query, undefined, limit)];
      const follow = async (name: 'next' | 'previous') => {
        const met = new Set<string>();
        for (let cursor = pages.at(-1)?.[name]; cursor; cursor = pages.at(-1)?.[name]) {
          if (met.has(cursor)) throw new Error(`the cursor ${name} of ${JSON.stringify(query)} leads to itself`);
          met.add(cursor);
          pages.push(await page(query, cursor, limit));
        }
      };
      await follow('next');
      if (isBothWays) await follow('previous');
      return pages;
    },
    [Symbol.asyncDispose]: () => explorer.close(),
  };
};

/** A database whose old months go into a folder, and searches of both. */
export const openSearchedArchive = async () => {
  const world = await openFileArchive();
  const search = openSearch(world);
  return {
    ...world,
    ...search,
    [Symbol.asyncDispose]: async () => {
      await search[Symbol.asyncDispose]();
      await world[Symbol.asyncDispose]();
    },
  };
};
