import { OrgtrailError } from '../../base/errors.ts';
import { didYouMean, nearest, printable } from '../../base/text.ts';
import type { Pool } from '../../postgres/pool.ts';
import { printSearch, readSearch } from '../../search/query/search.ts';
import {
  isSavable,
  lineOf,
  readSavedName,
  type SavedSearch,
  savedFaults,
  savedSearchesIn,
} from '../../search/saved-searches.sql.ts';
import { type CliContext, recordCommand, withDatabase } from '../command.ts';
import { keyOf } from '../options.ts';
import { givenFields, requireValid, type SearchOptions } from './search-options.ts';

/** For `--save` and `--delete-saved`. */
export const changeSaved = (options: SearchOptions, context: CliContext): Promise<void> =>
  withDatabase(context, async (pool) => {
    if (options.save !== undefined) await save(pool, options.save, options, context);
    else await remove(pool, options.deleteSaved ?? '', context);
  });

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

const save = async (pool: Pool, given: string, options: SearchOptions, context: CliContext): Promise<void> => {
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
