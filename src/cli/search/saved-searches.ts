import type { NamedSink } from '../../app/config/sinks.ts';
import { OrgtrailError } from '../../base/errors.ts';
import { didYouMean, nearest, printable } from '../../base/text.ts';
import type { Pool } from '../../postgres/pool.ts';
import { printSearch, readSearch } from '../../search/query/search.ts';
import {
  isSavable,
  lineOf,
  readEverySeconds,
  readSavedName,
  type SavedSearch,
  savedFaults,
  savedSearchesIn,
  whyNotTold,
} from '../../search/saved-searches.sql.ts';
import { type CliContext, recordCommand, withDatabase } from '../command.ts';
import { keyOf } from '../options.ts';
import { givenFields, requireValid, type SearchOptions } from './search-options.ts';

/** For `--save`, `--tell` and `--delete-saved`. */
export const changeSaved = (options: SearchOptions, context: CliContext): Promise<void> =>
  withDatabase(context, async (pool, { config }) => {
    const told = readTold(options, config.sinks);
    if (options.deleteSaved !== undefined) return await remove(pool, options.deleteSaved, context);
    if (options.save === undefined) {
      return await tell(pool, findByName(options.saved ?? '', await savedSearchesIn(pool).list()), told, context);
    }
    const saved = await save(pool, options.save, options, context);
    if (told === undefined) return;
    await tell(pool, saved, told, context).catch(async (error: unknown) => {
      await savedSearchesIn(pool).remove(saved.id);
      throw error;
    });
  });

interface Told {
  /** Undefined: no longer. */
  readonly sink: string | undefined;
  readonly everySeconds: number;
}

const NO_SINK = 'none';

/** Throws OrgtrailError `usage`. */
const readTold = ({ tell: sink, every = '15m' }: SearchOptions, sinks: readonly NamedSink[]): Told | undefined => {
  if (sink === undefined) return undefined;
  const everySeconds = readEverySeconds(every);
  if (everySeconds === undefined)
    throw new OrgtrailError('usage', '--every must be a duration from 1m to 7d, such as 15m');
  const settings = sinks.find(({ name }) => name === sink)?.settings;
  if (settings !== undefined && settings.events !== 'searches') {
    const hint = `add a sink with "events": "searches" to ORGTRAIL_SINKS: docs/sinks.md`;
    throw new OrgtrailError('usage', `--tell: the sink ${sink} is sent ${settings.events}`, { hint });
  }
  return { sink: sink === NO_SINK ? undefined : sink, everySeconds };
};

const tell = async (
  pool: Pool,
  { id, name, search }: Pick<SavedSearch, 'id' | 'name' | 'search'>,
  told: Told | undefined,
  context: CliContext,
): Promise<void> => {
  const { sink, everySeconds = 0 } = told ?? {};
  const fault = whyNotTold(search);
  if (fault !== undefined) throw new OrgtrailError('usage', `--tell: ${fault}`);
  const outcome = await savedSearchesIn(pool).tell(id, { sink, everySeconds, by: undefined });
  if (outcome === 'no sink') {
    const hint = 'a daemon with it in ORGTRAIL_SINKS must have started: `orgtrail sink list` shows all';
    throw new OrgtrailError('usage', `--tell: there is no sink ${printable(sink ?? '', 40)}`, { hint });
  }
  await recordCommand(pool, context, {
    kind: 'saved-search',
    command: 'search --tell',
    what: { id, name, sink: sink ?? null, every_seconds: everySeconds },
  });
  const says = sink === undefined ? 'tells no sink' : `tells ${sink} what newly matches`;
  context.stdout.write(`"${printable(name, 100)}" ${says}\n`);
};

/** With the saved search: given fields replace its own, a line is added to its line. */
export const withSaved = async (
  options: SearchOptions,
  list: () => Promise<readonly SavedSearch[]>,
): Promise<SearchOptions> => {
  if (options.saved === undefined) return options;
  const { search } = findByName(options.saved, await list());
  const kept = Object.fromEntries([...new URLSearchParams(search)].map(([name, text]) => [keyOf(name), text] as const));
  const line = [kept['q'], options['q']].filter((one) => one !== undefined).join(' ');
  return { ...kept, ...options, ...(line !== '' && { q: line }) };
};

const findByName = (name: string, all: readonly SavedSearch[]): SavedSearch => {
  const lower = name.toLowerCase();
  const found = all.find((one) => one.name === name) ?? all.find((one) => one.name.toLowerCase() === lower);
  if (found !== undefined) return found;
  const names = all.map((one) => one.name);
  const near = nearest(name, names, 3).map((one) => printable(one, 100));
  throw new OrgtrailError('usage', `no search is saved as "${printable(name, 100)}"${didYouMean(near)}`, {
    hint: '`orgtrail search --list-saved` shows all',
  });
};

const save = async (pool: Pool, given: string, options: SearchOptions, context: CliContext) => {
  const reading = readSavedName(given);
  if ('fault' in reading) throw new OrgtrailError('usage', `--save: the name ${reading.fault}`);
  const { name } = reading;
  const search = printSearch(requireValid(readSearch(givenFields(options), Date.now())).search).toString();
  if (!isSavable(search)) throw new OrgtrailError('usage', 'this search is too long to be kept');
  const saved = await savedSearchesIn(pool).save({ name, search, by: undefined });
  if ('refused' in saved) throw new OrgtrailError('usage', `--save: the name ${savedFaults[saved.refused]}`);
  const what = { id: saved.id, name, search };
  await recordCommand(pool, context, { kind: 'saved-search', command: 'search --save', what });
  context.stdout.write(`saved as "${printable(name, 100)}": ${lineOf(search)}\n`);
  return what;
};

const remove = async (pool: Pool, given: string, context: CliContext): Promise<void> => {
  const { id, name, search } = findByName(given, await savedSearchesIn(pool).list());
  await savedSearchesIn(pool).remove(id);
  await recordCommand(pool, context, {
    kind: 'saved-search',
    command: 'search --delete-saved',
    what: { id, name, search },
  });
  context.stdout.write(`deleted "${printable(name, 100)}": ${lineOf(search)}\n`);
};
