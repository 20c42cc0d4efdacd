import { Command } from 'commander';
import { readCatalogue } from '../../archive/catalogue.sql.ts';
import { type ManifestFound, type ManifestState, readManifest } from '../../archive/manifest.ts';
import { loadDuck } from '../../archive/parquet/duckdb.ts';
import { verifyArchive } from '../../archive/verify-archive.ts';
import { exitCodes } from '../../errors.ts';
import type { CliContext } from '../cli-context.ts';
import { showWork } from '../evidence/work-line.ts';
import { counted } from '../output/counted.ts';
import { readMonth } from './run-command.ts';
import { withArchive } from './with-archive.ts';

const help = `
Reads every object of the catalogue from the bucket and compares its SHA-256. What is wrong is printed, noted in the catalogue,
and makes the exit code 1. With --contents all rows are hashed again as well, which shows that the Parquet can still be read.
Objects of an archive at another address are counted, and not read. A manifest that is not that of the catalogue is said, and
leaves the exit code as it is: it proves nothing, and \`orgtrail archive run\` writes it again. Needs the account of the daemon,
or the owner of the schema.

Examples:
  $ orgtrail archive verify
  $ orgtrail archive verify --month 2024-01 --contents
  $ orgtrail archive verify --json`;

interface Options {
  readonly month?: string;
  readonly contents?: boolean;
  readonly json?: boolean;
}

export const verifyCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('verify')
    .description('Read every object of the archive, and compare it with the catalogue')
    .option('--month <month>', 'only this month, such as 2024-01', readMonth)
    .option('--contents', 'read the rows and hash them, too')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', help)
    .action(async (options: Options) => {
      const contents = options.contents === true;
      if (contents) await loadDuck();
      const work = showWork(context);
      const result = await withArchive(context, async ({ pool, store }) => {
        const all = await readCatalogue(pool, options.month);
        const own = all.filter(({ archive }) => archive === store.name);
        let bytes = 0;
        const verified = await verifyArchive(pool, store, own, {
          contents,
          signal: context.signal,
          onObject: ({ object }) => {
            bytes += object.bytes;
            work.at('verifying', bytes / 1e6, 'MB');
          },
        });
        const faults = verified.flatMap(({ object: { month, key }, fault }) =>
          fault === undefined ? [] : [{ month, key, fault }],
        );
        const manifest = await readManifest(pool, store, context.signal);
        return {
          archive: store.name,
          objects: own.length,
          bytes,
          elsewhere: all.length - own.length,
          faults,
          manifest,
        };
      }).finally(() => work.finish());
      context.stdout.write(options.json === true ? `${JSON.stringify(result, null, 2)}\n` : describe(result));
      if (result.faults.length > 0) report(exitCodes.sourceFailed);
    });

interface Result {
  readonly archive: string;
  readonly objects: number;
  readonly bytes: number;
  readonly elsewhere: number;
  readonly faults: readonly { readonly month: string; readonly key: string; readonly fault: string }[];
  readonly manifest: ManifestFound;
}

const manifestLines: Readonly<Record<ManifestState, string | undefined>> = {
  current: undefined,
  none: undefined,
  missing: 'is not there: `orgtrail archive run` writes it',
  stale: 'is not that of the catalogue: `orgtrail archive run` writes it again',
  unknown:
    'has objects that the catalogue never had: this database may be older than the bucket (docs/operations/backup.md)',
};

const describe = ({ archive, objects, bytes, elsewhere, faults, manifest }: Result): string => {
  const lines = faults.map(({ month, key, fault }) => `${month}: ${key}: ${fault}`);
  if (elsewhere > 0) lines.push(`${counted(elsewhere, 'object')} of an archive at another address: not read`);
  const ofManifest = manifestLines[manifest.state];
  if (ofManifest !== undefined) lines.push(`the manifest ${manifest.key} ${ofManifest}`);
  if (objects === 0) return `${[...lines, `nothing was read: the catalogue has no object in ${archive}`].join('\n')}\n`;
  const read = `${counted(objects, 'object')}, ${counted(bytes, 'byte')} read`;
  return `${[...lines, faults.length === 0 ? `${read}: all as they were written` : `${read}: ${counted(faults.length, 'fault')}`].join('\n')}\n`;
};
