import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Argument, Command, Option } from 'commander';
import { processTime } from '../../app/sync-context.ts';
import { type CataloguedObject, readCatalogue } from '../../archive/catalogue.sql.ts';
import { loadDuck } from '../../archive/parquet/parquet.ts';
import { restoreDatabase } from '../../archive/restore/restore-database.ts';
import { restoreChanges, restoreEvents } from '../../archive/restore-month.ts';
import type { ObjectStore } from '../../archive/store.ts';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { counted } from '../../base/text.ts';
import { type FormatName, formatNames, formats } from '../../formats/registry.ts';
import { type CliContext, print, recordCommand } from '../command.ts';
import { showWork } from '../output/terminal.ts';
import { collectMonth, readMonth, withArchive } from './run-command.ts';

type IntoOptions = Readonly<{
  into?: boolean;
  feed?: string;
  state?: string;
  without?: readonly string[];
  json?: boolean;
}>;

const helpOfInto = `
With --into a lost database comes back: DATABASE_URL names a new, migrated one that nothing else is at work on, by the account that owns
the schema. First come the holds and all else that was noted beside the events, as of the newest state in the bucket, then every archived
month, with its positions and bytes, compared with every hash. If it is killed, run it again: it goes on. No daemon starts before its end. The
daemon then reads from Cloudflare what was not archived. Tokens and sessions do not come back, and evidence begins again: docs/archive.md.`;

const help = `
Prints the events of a month as the feed would have, one per line in order of position, from objects whose SHA-256 is that of the
catalogue; others end the command with exit code 1. Nothing is written into the database: what was dropped there stays dropped.
With --changes it prints the later contents of its events instead, with the exact text in raw_text.
${helpOfInto}

Examples:
  $ orgtrail archive restore 2024-01 > january.ndjson
  $ orgtrail archive restore 2024-01 --format ocsf --out january.ndjson
  $ orgtrail archive restore 2024-01 --changes | jq -r .raw_text
  $ createdb audit && orgtrail migrate --roles && orgtrail archive restore --into
  $ orgtrail archive restore --into --without 2024-03 --json`;

type Options = IntoOptions & Readonly<{ out?: string; format: FormatName; changes?: boolean }>;

export const restoreCommand = (context: CliContext): Command =>
  new Command('restore')
    .description('Print the events of an archived month, or bring a lost database back')
    .addArgument(new Argument('[month]', 'such as 2024-01').argParser(readMonth))
    .option('--into', 'all months and what was noted beside them, into an empty database')
    .option('--feed <id>', 'with --into: the database with this feed, if several archive there')
    .option(
      '--state <key>',
      'with --into: this state of v1/state, not the newest; none: months alone, without holds and positions of sinks',
    )
    .addOption(new Option('--without <month>', 'with --into: give this month up; repeatable').argParser(collectMonth))
    .option('--out <file>', 'write to this file, which appears when it is complete')
    .addOption(new Option('--format <name>', 'docs/formats.md').choices(formatNames).default('native'))
    .option('--changes', 'the later contents of its events, instead of the events')
    .option('--json', 'with --into: print the result as JSON')
    .addHelpText('after', help)
    .action(async (given: string | undefined, options: Options) => {
      const month = requireMonth(given, options);
      await loadDuck();
      if (month === undefined) return await restoreInto(context, options);
      const work = showWork(context);
      const { out } = options;
      await withArchive(context, async ({ pool, store }) => {
        const objects = requireObjects(await readCatalogue(pool, month), store, month);
        const write = async (to: Writable) => {
          let lines = 0;
          await restore(store, objects, options, context.signal, async (texts) => {
            lines += texts.length;
            work.at('restoring', lines, 'rows');
            if (!to.write(texts.map((text) => `${text}\n`).join('')))
              await once(to, 'drain', { signal: context.signal });
          });
          return lines;
        };
        const lines = out === undefined ? await write(context.stdout) : await writeFileWhole(out, write);
        const what = { month, changes: options.changes === true, lines };
        await recordCommand(pool, context, { kind: 'export', command: 'archive restore', what });
      }).finally(() => work.finish());
    });

const requireObjects = (
  objects: readonly CataloguedObject[],
  store: ObjectStore,
  month: string,
): readonly CataloguedObject[] => {
  const own = objects.filter(({ archive }) => archive === store.name);
  if (own.length > 0 && own.length === objects.length) return own;
  const elsewhere = objects.find(({ archive }) => archive !== store.name)?.archive;
  throw new OrgtrailError(
    'usage',
    elsewhere === undefined ? `the archive has nothing of ${month}` : `${month} is in the archive ${elsewhere}`,
    { hint: '`orgtrail archive list` shows what there is, and where' },
  );
};

const restore = async (
  store: ObjectStore,
  objects: readonly CataloguedObject[],
  { changes, format }: Options,
  signal: AbortSignal,
  take: (lines: readonly string[]) => Promise<void>,
): Promise<void> => {
  const formatter = formats[format].format;
  if (changes !== true) {
    return await restoreEvents(store, objects, (events) => take(events.map((event) => formatter(event))), signal);
  }
  await restoreChanges(
    store,
    objects,
    (rows) =>
      take(
        rows.map(({ position, sourceKind, sourceId, eventId, seenAt, rawSha256, rawText }) =>
          JSON.stringify({
            position,
            source_kind: sourceKind,
            source_id: sourceId,
            event_id: eventId,
            seen_at: seenAt,
            raw_sha256: rawSha256,
            raw_text: rawText,
          }),
        ),
      ),
    signal,
  );
};

/** Has another name until it is complete. */
const writeFileWhole = async <T>(file: string, write: (to: Writable) => Promise<T>): Promise<T> => {
  const unfinished = `${file}.unfinished`;
  const to = createWriteStream(unfinished, { mode: 0o600 });
  const failed = new Promise<never>((_resolve, reject) => {
    to.on('error', (error) => reject(unwritable(file, error)));
  });
  failed.catch(() => {});
  const orFailed = <R>(step: Promise<R>): Promise<R> => Promise.race([step, failed]);
  try {
    await orFailed(once(to, 'open'));
    const result = await orFailed(write(to));
    to.end();
    await orFailed(finished(to));
    await rename(unfinished, file).catch((error: unknown) => Promise.reject(unwritable(file, error)));
    return result;
  } catch (error) {
    to.destroy();
    await rm(unfinished, { force: true });
    throw error;
  }
};

const unwritable = (file: string, cause: unknown): OrgtrailError =>
  new OrgtrailError('usage', `--out: ${file} cannot be written: ${reasonOf(cause)}`, { cause });

/** Brings a lost database back from the archive, with progress on stderr. */
const restoreInto = async (context: CliContext, options: IntoOptions): Promise<void> => {
  const work = showWork(context);
  const beganAt = performance.now();
  const result = await withArchive(context, async ({ pool, store, logger }) => {
    const onProgress = (events: number, all: number) => work.at('restoring', events, 'events', all);
    const { signal } = context;
    const restoring = { pool, store, time: processTime(), logger, signal, onProgress };
    const { state, months, events } = await restoreDatabase(restoring, {
      feedId: options.feed,
      key: options.state,
      without: options.without ?? [],
    });
    const { rows: sinks } = await pool.query<{ name: string; position: number }>(
      'select name, position::float8 from sinks order by name',
    );
    const what = { months: months.length, events, state: state.stateKey };
    await recordCommand(pool, context, { kind: 'archive', command: 'archive restore --into', what });
    return {
      archive: store.name,
      feed_id: state.head.feed_id,
      state: { key: state.stateKey, at: state.head.at, position: state.head.position },
      months: months.map(({ month, events: of }) => ({ month, events: of })),
      events,
      seconds: Math.round((performance.now() - beganAt) / 100) / 10,
      read_again: [...new Set([...state.head.unarchived, ...(options.without ?? [])])].sort(),
      sinks,
    };
  }).finally(() => work.finish());
  print(context, options, result, describe(result));
};

interface Result {
  readonly archive: string;
  readonly state: { readonly at: string; readonly position: number };
  readonly months: readonly { readonly month: string; readonly events: number }[];
  readonly events: number;
  readonly seconds: number;
  readonly read_again: readonly string[];
  readonly sinks: readonly { readonly name: string; readonly position: number }[];
}

const describe = ({ archive, state, months, events, seconds, read_again, sinks }: Result): string => {
  const lines = [
    ...months.map((each) => `${each.month}: ${counted(each.events, 'event')}`),
    `restored ${counted(events, 'event')} of ${counted(months.length, 'month')} in ${seconds} s, as of ${state.at} (position ${state.position}), from ${archive}`,
    read_again.length === 0
      ? 'every month with events was archived; a daemon reads what came since'
      : `a daemon reads again from Cloudflare, as far as that goes, what came since, and ${read_again.join(', ')}`,
    ...sinks.map(
      ({ name, position }) => `the sink ${name} goes on at position ${position}; what is read again is sent again`,
    ),
    'nothing is dropped for a day: compare `orgtrail hold list` with your records, then run `orgtrail hold confirm`',
  ];
  return `${lines.join('\n')}\n`;
};

/** Undefined: all of them. */
const requireMonth = (
  month: string | undefined,
  { into, feed, state, without, json }: IntoOptions,
): string | undefined => {
  if (into === true && month !== undefined)
    throw new OrgtrailError('usage', '--into brings all months back: leave the month out');
  if (into !== true && month === undefined)
    throw new OrgtrailError('usage', 'name a month such as 2024-01, or give --into to bring a lost database back');
  if (into !== true && (feed ?? state ?? without ?? (json || undefined)) !== undefined)
    throw new OrgtrailError('usage', '--feed, --state, --without and --json go with --into');
  return month;
};
