import pino from 'pino';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { useArchive } from '../../../src/archive/catalogue.sql.ts';
import { createArchivedMonths } from '../../../src/archive/search/archived-months.ts';
import { createMatchMemory } from '../../../src/archive/search/match-memory.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import { answerSearch } from '../../../src/http/search/answer.ts';
import { cursorsOf } from '../../../src/http/search/routes.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { readSearch } from '../../../src/search/search.ts';
import { readCursor } from '../../../src/search/search-cursor.ts';
import { openExplorer, type SearchedArchive } from '../../../src/search/search-source.ts';
import { RETENTION_MS } from '../postgres/store-fixture.ts';
import { openArchiveWorld, smallObjects } from './archive-world.ts';

export type Query = Readonly<Record<string, string>>;
const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };

/** A database whose old months go into a folder, and searches of both. `archive`: false: they have no archive; else what differs of it. */
export const openSearchedArchive = async (archive: false | Partial<SearchedArchive> = {}) => {
  const world = await openArchiveWorld();
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  const store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
  const explorer = openExplorer(
    world.database.daemonUrl,
    pino({ level: 'silent' }),
    Date.now,
    rules,
    archive === false
      ? undefined
      : (pool) => ({ months: createArchivedMonths(pool, store), memory: createMatchMemory(), ...archive }),
  );
  const into = (month: string, maxRows = smallObjects.maxRows) =>
    archiveMonth({ pool: world.daemon, store, limits: { ...smallObjects, maxRows } }, month);
  /** One page, with all that a reader gets of it. */
  const page = async (query: Query, cursorText: string | null | undefined, limit: number) => {
    const cursor = typeof cursorText === 'string' ? readCursor(cursorText) : undefined;
    const answer = await answerSearch(explorer.source, readSearch(query, Date.now()), { cursor, limit });
    const texts: string[] = [];
    for await (const some of explorer.source.native(answer.page.events)) texts.push(...some);
    return { events: answer.page.events, texts, ...cursorsOf(answer.page, cursor) };
  };
  return {
    ...world,
    source: explorer.source,
    archive: into,
    drop: (maxRows?: number) => dropOldMonths(world.daemon, RETENTION_MS, (month) => into(month, maxRows)),
    page,
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
    [Symbol.asyncDispose]: async () => {
      await explorer.close();
      await world[Symbol.asyncDispose]();
    },
  };
};
