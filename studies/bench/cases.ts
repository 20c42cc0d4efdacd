import type { BenchDatabase, BenchServer } from './bench-database.ts';
import { compare, type Entrant, type Measured } from './compare.ts';
import { type PageSource, startContender, startPageSource } from './contenders/children.ts';
import type { ContenderName } from './contenders/contender.ts';
import { storeManyEvents } from './many-rows.ts';

export interface CaseOptions {
  readonly server: BenchServer;
  readonly rounds: number;
  readonly entries: number;
  /** Of the case `large`. */
  readonly preload: number;
  readonly progress: (line: string) => void;
}

export interface CaseResult {
  readonly name: string;
  readonly title: string;
  readonly lines: readonly Measured[];
  readonly notes: readonly string[];
}

const DAY_MS = 86_400_000;
/** The loop of single inserts is measured on a part: its rate is what counts. */
const SLOW_SHARE = 0.25;

const logs = (organizations: number, entries: number, latencyMs = 0) =>
  startPageSource({ latencyMs, simulator: { seed: 4, organizations, entries, historyMs: 180 * DAY_MS } });

const entrants = (
  names: readonly ContenderName[],
  database: BenchDatabase,
  entries: number,
  reset: () => Promise<void>,
): readonly Entrant[] =>
  names.map((name) => {
    const limit = name === 'sdk-single' ? Math.ceil(entries * SLOW_SHARE) : entries;
    return { name, contender: name, database, entries: limit, reset };
  });

const contenders = ['orgtrail', 'sdk-single', 'sdk-500', 'copy', 'copy-2', 'read'] as const;

interface LoadCase {
  readonly title: string;
  readonly organizations: number;
  readonly latencyMs?: number;
  readonly contenders: readonly ContenderName[];
}

const loads: Readonly<Record<string, LoadCase>> = {
  'first-load': {
    title: 'First load: 12 organizations of uneven size, empty table',
    organizations: 12,
    contenders: contenders,
  },
  one: { title: 'First load of one organization', organizations: 1, contenders: ['orgtrail', 'copy', 'read'] },
  many: {
    title: 'First load: 200 organizations of uneven size',
    organizations: 200,
    contenders: ['orgtrail', 'sdk-single', 'sdk-500', 'copy'],
  },
  latency: {
    title: 'First load: 12 organizations, every answer of the API 100 ms late',
    organizations: 12,
    latencyMs: 100,
    contenders: ['orgtrail', 'sdk-single', 'sdk-500'],
  },
};

const runLoad = async (name: string, load: LoadCase, options: CaseOptions): Promise<CaseResult> => {
  await using source = await logs(load.organizations, options.entries, load.latencyMs);
  const database = await options.server.createDatabase();
  const all = entrants(load.contenders, database, source.entries, database.empty);
  const lines = await compare(all, source, options.rounds, options.progress);
  const notes = name === 'many' ? [await idleRequests(database, source)] : [];
  await database.drop();
  return { name, title: load.title, lines, notes };
};

/** What a further cycle asks where nothing is new. */
const idleRequests = async (database: BenchDatabase, source: PageSource): Promise<string> => {
  await database.empty();
  await using contender = startContender('orgtrail');
  const options = { databaseUrl: database.url, baseUrl: source.baseUrl(), organizations: [], entries: 0 };
  await contender.prepare({ ...options, concurrency: 4 });
  await contender.run();
  const before = await source.requests();
  await contender.run();
  const after = await source.requests();
  const perOrganization = (after.audit - before.audit) / source.organizations().length;
  return `A further cycle, without anything new: ${perOrganization.toFixed(2)} requests an organization, and ${after.other - before.other} for the listing.`;
};

const runReplay = async (options: CaseOptions): Promise<CaseResult> => {
  await using source = await logs(12, options.entries);
  const database = await options.server.createDatabase();
  await fill(database, source);
  const all = entrants(['orgtrail', 'sdk-single', 'sdk-500', 'read'], database, source.entries, database.forget);
  const lines = await compare(all, source, options.rounds, options.progress);
  await database.drop();
  return { name: 'replay', title: 'Replay: all is known, and read again', lines, notes: [] };
};

const fill = async (database: BenchDatabase, source: PageSource, set?: number): Promise<void> => {
  await using contender = startContender('orgtrail');
  const organizations = source.organizations(set);
  const options = { databaseUrl: database.url, baseUrl: source.baseUrl(set), organizations, entries: source.entries };
  await contender.prepare({ ...options, concurrency: 4 });
  await contender.run();
};

/** Each round loads further organizations, so that nothing has to be deleted. */
const runLarge = async (options: CaseOptions): Promise<CaseResult> => {
  await using source = await logs(12, options.entries);
  const [empty, large] = [await options.server.createDatabase(), await options.server.createDatabase()];
  await fill(large, source, 9_999);
  await storeManyEvents(large.admin, options.preload, options.progress);
  // Of sets of their own: what one has loaded, the other must not find there.
  const sets = { orgtrail: (round: number) => round, copy: (round: number) => 5_000 + round } as const;
  const one = (contender: 'orgtrail' | 'copy', where: 'empty' | 'large'): Entrant => ({
    name: `${contender}, ${where} table`,
    contender,
    entries: source.entries,
    set: sets[contender],
    database: where === 'empty' ? empty : large,
    reset: where === 'empty' ? empty.empty : large.forgetOrganizations,
  });
  const entrants = [one('orgtrail', 'empty'), one('orgtrail', 'large'), one('copy', 'empty'), one('copy', 'large')];
  const lines = await compare(entrants, source, options.rounds, options.progress);
  const { rows } = await large.admin.query('select pg_size_pretty(pg_database_size(current_database())) as size');
  await Promise.all([empty.drop(), large.drop()]);
  const notes = [`${options.preload} rows were there before, in the same months; the database had ${rows[0]?.size}.`];
  return { name: 'large', title: 'First load on top of many rows, beside an empty table', lines, notes };
};

export const cases: Readonly<Record<string, (options: CaseOptions) => Promise<CaseResult>>> = {
  ...Object.fromEntries(
    Object.entries(loads).map(([name, load]) => [name, (options: CaseOptions) => runLoad(name, load, options)]),
  ),
  replay: runReplay,
  large: runLarge,
};
