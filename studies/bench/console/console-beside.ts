// What the console costs ingestion, in rounds with and without it in turn. `npm run lab console-beside -- --help`
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { SearchError } from '../../../src/base/errors.ts';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { answerSearch } from '../../../src/search/run-search.ts';
import { type Explorer, openExplorer } from '../../../src/search/search-source.ts';
import { readEventMarks } from '../../../src/sinks/findings/list-findings.sql.ts';
import { newSource } from '../../../test/support/postgres/store-fixture.ts';
import { makeLargeHistory } from '../../../test/support/search/large-history.ts';
import { openBenchServer } from '../archive/bench-server.ts';
import { API_PAGES_A_SECOND, commitPages, nextPage, PAGE } from '../beside/paced-pages.ts';
import { pairsOf, type Round, summary } from '../beside/paired-rounds.ts';
import { searchesOf } from './questions.ts';

const help = `npm run lab console-beside -- [--data DIR] [--pairs 4] [--pages 60] [--think-ms 1000] [--json]

Pages of 1,000 entries of 1.1 kB are committed as the daemon commits them, four in a second (what the API allows), and in every other round
a person asks the searches of bench-history meanwhile, over 90 days, one after the other, with so much time to think between them. Judge by
the ratio. --data DIR uses the events that \`npm run lab bench-history -- --keep DIR\` has made, and adds to them; else 500,000 are made.`;

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    pairs: { type: 'string', default: '4' },
    pages: { type: 'string', default: '60' },
    'think-ms': { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
/** The end of the history of bench-history. */
const UNTIL_MS = Date.parse('2026-11-01T00:00:00Z');
const EVENTS = 500_000;

/** Asks one page after the other until it is stopped. Resolves with how long each took. */
const useConsole = async ({ source, pool }: Explorer, signal: AbortSignal): Promise<readonly number[]> => {
  const tookMs: number[] = [];
  while (!signal.aborted) {
    for (const { search } of searchesOf(UNTIL_MS, EVENTS)) {
      if (signal.aborted) break;
      const at = performance.now();
      const list = async () => {
        const answer = await answerSearch(
          source,
          { search, faults: [], given: {} },
          { cursor: undefined, limit: 50 },
          100,
        );
        await readEventMarks(pool, answer.page.events);
      };
      await Promise.all([source.summary(search, 'page'), list()]).catch((error: unknown) => {
        if (!(error instanceof SearchError)) throw error;
      });
      tookMs.push(performance.now() - at);
      await sleep(Number(values['think-ms']), undefined, { signal }).catch(() => {});
    }
  }
  return tookMs;
};

const measure = async (url: string): Promise<void> => {
  await using stack = new AsyncDisposableStack();
  const pool = createPool(url, 4, () => {});
  stack.defer(() => pool.end());
  await migrateDatabase(pool);
  if (values.data === undefined)
    await makeLargeHistory(pool, {
      events: EVENTS,
      organizations: 200,
      untilMs: UNTIL_MS,
      days: 90,
      withAccounts: true,
    });
  const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };
  const explorer = openExplorer(url, pino({ level: 'silent' }), () => UNTIL_MS, rules);
  stack.defer(() => explorer.close());
  let lease: Lease = await newSource(pool, `beside-${Date.now()}`);
  const pagesMs: number[] = [];
  const round = async (beside: boolean): Promise<Round> => {
    const work = Array.from({ length: Number(values.pages) }, nextPage);
    const ended = new AbortController();
    const used = beside ? useConsole(explorer, ended.signal) : Promise.resolve([]);
    const beganAt = performance.now();
    const done = await commitPages(pool, lease, work, 1_000 / API_PAGES_A_SECOND);
    const seconds = (performance.now() - beganAt) / 1_000;
    lease = done.lease;
    ended.abort();
    pagesMs.push(...(await used));
    return { entriesPerSecond: (work.length * PAGE) / seconds, tookMs: done.tookMs };
  };
  const atTheApi = summary(await pairsOf(round, Number(values.pairs)));
  const sorted = pagesMs.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
  const pages = { asked: sorted.length, medianMs: at(0.5), p95Ms: at(0.95) };
  console.log(JSON.stringify({ load: loadavg(), atTheApi, pages }, null, values.json ? 0 : 2));
};

if (values.help) console.log(help);
else {
  await using server = await openBenchServer(values.data);
  await measure(server.url);
}
