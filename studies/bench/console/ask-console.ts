import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { pino } from 'pino';
import { SearchError } from '../../../src/base/errors.ts';
import { answerSearch } from '../../../src/search/run-search.ts';
import { type Explorer, openExplorer } from '../../../src/search/search-source.ts';
import type { SearchSummary } from '../../../src/search/summary/summary.ts';
import { listFindings, readEventMarks } from '../../../src/sinks/findings/list-findings.sql.ts';
import { findPostmaster, postgresCpuMs } from '../measure.ts';
import { type ConsoleQuestion, entitiesOf, searchesOf } from './questions.ts';

/** What one page took, over some rounds. */
export interface PageFigures {
  readonly name: string;
  readonly limitMs: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  /** Of all processes of PostgreSQL, for one page; undefined if they are of another machine. */
  readonly cpuMs: number | undefined;
  /** Of the last round. */
  readonly summary: SearchSummary | undefined;
  /** Count, histogram and facets, exact, once; undefined if the page has them. */
  readonly exactMs: number | undefined;
  readonly exact: SearchSummary | undefined;
}

export interface ConsoleFigures {
  readonly searches: readonly PageFigures[];
  readonly entities: readonly PageFigures[];
  readonly detections: readonly PageFigures[];
}

interface Asked {
  readonly client: Client;
  readonly rounds: number;
}

/** Asks as the pages of the console do, with the code and the connections that they have. `untilMs` is now. */
export const askConsole = async (
  url: string,
  client: Client,
  { rounds, untilMs, events }: { readonly rounds: number; readonly untilMs: number; readonly events: number },
): Promise<ConsoleFigures> => {
  const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };
  const explorer = openExplorer(url, pino({ level: 'silent' }), () => untilMs, rules);
  const asked = { client, rounds };
  try {
    const searches: PageFigures[] = [];
    for (const question of searchesOf(untilMs, events)) searches.push(await askSearch(explorer, question, asked));
    const entities: PageFigures[] = [];
    for (const question of entitiesOf(untilMs)) entities.push(await askEntity(explorer, question, asked));
    const detections: PageFigures[] = [];
    for (const days of [1, 7, 90]) detections.push(await askDetections(explorer, days, untilMs, asked));
    return { searches, entities, detections };
  } finally {
    await explorer.close();
  }
};

/** A page of `/events`: the list and then the marks of its events, and count, histogram and facets beside it. */
const askSearch = async (explorer: Explorer, question: ConsoleQuestion, asked: Asked): Promise<PageFigures> => {
  const { source, pool } = explorer;
  const { search } = question;
  const page = async () => {
    const reading = { search, faults: [], given: {} };
    const withMarks = async () => {
      const answer = await answerSearch(source, reading, { cursor: undefined, limit: 50 }, 100);
      await readEventMarks(pool, answer.page.events);
    };
    const [summary] = await Promise.all([source.summary(search, 'page'), withMarks()]);
    return summary;
  };
  const measured = await timed(question, page, asked);
  const isWhole = !measured.summary?.count.isAtLeast && measured.summary?.facets?.isSample === false;
  if (isWhole) return measured;
  const startedAt = performance.now();
  const exact = await source.summary(search, 'exact');
  return { ...measured, exact, exactMs: performance.now() - startedAt };
};

const askEntity = async ({ source }: Explorer, question: ConsoleQuestion, asked: Asked): Promise<PageFigures> => {
  const { search } = question;
  const page = async () => {
    await source.coverage(search, 100);
    const [, summary] = await Promise.all([source.entity(search), source.summary(search, 'entity')]);
    return summary;
  };
  return await timed(question, page, asked);
};

const askDetections = async ({ pool }: Explorer, days: number, untilMs: number, asked: Asked): Promise<PageFigures> => {
  const [since, before] = [untilMs - days * 86_400_000, untilMs].map((ms) => new Date(ms).toISOString());
  const all = {
    organization: undefined,
    severity: undefined,
    detection: undefined,
    actor: undefined,
    showMuted: false,
  };
  const page = async () => {
    await listFindings(pool, { since: since as string, before, ...all, limit: 50, offset: 0 });
    return undefined;
  };
  return await timed({ name: days === 1 ? 'a day' : `${days} days`, limitMs: Number.POSITIVE_INFINITY }, page, {
    ...asked,
    rounds: Math.min(3, asked.rounds),
  });
};

const timed = async (
  { name, limitMs }: Pick<ConsoleQuestion, 'name' | 'limitMs'>,
  page: () => Promise<SearchSummary | undefined>,
  { client, rounds }: Asked,
): Promise<PageFigures> => {
  const postmaster = await findPostmaster(client);
  let timedOut = false;
  const ask = () =>
    page().catch((error: unknown) => {
      if (!(error instanceof SearchError)) throw error;
      timedOut = true;
      return undefined;
    });
  // The first one warms up.
  let summary = await ask();
  // A statement that was cancelled may still be on its way out.
  await sleep(50);
  const cpuBefore = await postgresCpuMs(postmaster);
  const timesMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const startedAt = performance.now();
    summary = await ask();
    timesMs.push(performance.now() - startedAt);
  }
  const cpuAfter = await postgresCpuMs(postmaster);
  timesMs.sort((a, b) => a - b);
  const at = (share: number) => timesMs[Math.max(0, Math.ceil(share * timesMs.length) - 1)] ?? 0;
  const cpuMs = cpuBefore === undefined || cpuAfter === undefined ? undefined : (cpuAfter - cpuBefore) / rounds;
  console.error(`${name}: ${at(0.5).toFixed(0)} ms, CPU ${cpuMs?.toFixed(0)} ms`);
  const said = timedOut ? `${name} (timed out)` : name;
  return {
    name: said,
    limitMs,
    medianMs: at(0.5),
    p95Ms: at(0.95),
    cpuMs,
    summary,
    exactMs: undefined,
    exact: undefined,
  };
};
