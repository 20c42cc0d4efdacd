import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Argument, Command, Option } from 'commander';
import { type CataloguedObject, readCatalogue } from '../../archive/catalogue.sql.ts';
import { loadDuck } from '../../archive/parquet/parquet.ts';
import { restoreChanges, restoreEvents } from '../../archive/restore-month.ts';
import type { ObjectStore } from '../../archive/store.ts';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { type FormatName, formatNames, formats } from '../../formats/registry.ts';
import { type CliContext, recordCommand } from '../command.ts';
import { showWork } from '../output/terminal.ts';
import { readMonth, withArchive } from './run-command.ts';

const help = `
Prints the events of a month as the feed would have, one per line in order of position, from objects whose SHA-256 is that of the
catalogue; others end the command with exit code 1. Nothing is written into the database: what was dropped there stays dropped.
With --changes it prints the later contents of its events instead, with the exact text in raw_text.

Examples:
  $ orgtrail archive restore 2024-01 > january.ndjson
  $ orgtrail archive restore 2024-01 --format ocsf --out january.ndjson
  $ orgtrail archive restore 2024-01 --changes | jq -r .raw_text`;

type Options = Readonly<{ out?: string; format: FormatName; changes?: boolean }>;

export const restoreCommand = (context: CliContext): Command =>
  new Command('restore')
    .description('Print the events of an archived month')
    .addArgument(new Argument('<month>', 'such as 2024-01').argParser(readMonth))
    .option('--out <file>', 'write to this file, which appears when it is complete')
    .addOption(new Option('--format <name>', 'docs/formats.md').choices(formatNames).default('native'))
    .option('--changes', 'the later contents of its events, instead of the events')
    .addHelpText('after', help)
    .action(async (month: string, options: Options) => {
      await loadDuck();
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
