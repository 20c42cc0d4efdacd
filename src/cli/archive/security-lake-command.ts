import { Command, InvalidArgumentError } from 'commander';
import { loadDuck } from '../../archive/parquet/duckdb.ts';
import type { LakeObject } from '../../archive/security-lake/day-writer.ts';
import { exportLake, type SkippedMonths } from '../../archive/security-lake/export-lake.ts';
import { type LakeClass, lakeClasses } from '../../archive/security-lake/ocsf-columns.ts';
import { openObjectStore } from '../../archive/store/object-store.ts';
import { OrgtrailError } from '../../errors.ts';
import { readNamedOrganizations } from '../../organizations/named-organizations.sql.ts';
import type { CliContext } from '../cli-context.ts';
import { showWork } from '../evidence/work-line.ts';
import { noteCommand } from '../note-command.ts';
import { counted } from '../output/counted.ts';
import { readTime } from '../time-options.ts';
import { withDatabase } from '../with-database.ts';
import { withLakePlace } from './lake-place.ts';

const help = `
Writes events as OCSF 1.5.0 in Parquet, in the layout of a custom source of Amazon Security Lake:
region=REGION/accountId=ID/eventDay=YYYYMMDD/, one object a day and class, in order of time. It reads the database and, with
ORGTRAIL_ARCHIVE, months that were dropped into the archive. {class} in the address becomes 3001, 3004 and 6003: a custom source
has one class. Objects of the same days are replaced, so a run can be repeated after a stop, and each night for the last days.
Keys of the bucket are those of the AWS_ variables or of the machine, or of credentials_file in the address.

Examples:
  $ orgtrail archive security-lake --to 's3://aws-security-data-lake-eu-central-1-abc/ext/cloudflare-{class}?region=eu-central-1'
  $ orgtrail archive security-lake --class 6003 --to 's3://aws-security-data-lake-eu-central-1-abc/ext/cf-api' --since 2026-11-01
  $ orgtrail archive security-lake --to 'file:///mnt/lake/cloudflare-{class}' --region eu-central-1 --before 2026-01-01 --json`;

interface Options {
  readonly to: string;
  readonly class?: readonly LakeClass[];
  readonly region?: string;
  readonly accountId: string;
  readonly since?: string;
  readonly before?: string;
  readonly json?: boolean;
}

const DAY_MS = 86_400_000;

const readClass = (text: string, before: readonly LakeClass[] | undefined): readonly LakeClass[] => {
  const found = lakeClasses.find((each) => String(each) === text);
  if (found !== undefined) return [...new Set([...(before ?? []), found])];
  throw new InvalidArgumentError(`It must be one of ${lakeClasses.join(', ')}.`);
};

const readAccountId = (text: string): string => {
  if (/^[\w.:-]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError('It must have 1 to 64 letters, digits, _, -, . and :.');
};

export const securityLakeCommand = (context: CliContext): Command =>
  new Command('security-lake')
    .description('Write events as OCSF Parquet in the layout of Amazon Security Lake')
    .requiredOption(
      '--to <address>',
      'location of the custom source, or of several with {class} in it: s3://… or file:///…',
    )
    .option('--class <number>', `only this class of OCSF: ${lakeClasses.join(', ')}; repeatable`, readClass)
    .option('--region <name>', 'the Region of the partition (default: that of the bucket)')
    .option('--account-id <text>', 'the accountId of the partition', readAccountId, 'external')
    .option('--since <day>', 'the first day, such as 2026-01-31 or 7d (default: that of the oldest event)')
    .option('--before <day>', 'the day after the last one (default: today, whose events are not complete)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', help)
    .action((options: Options) => run(options, context));

const run = async (options: Options, context: CliContext): Promise<void> => {
  const range = daysOf(options, Date.now());
  await loadDuck('orgtrail archive security-lake');
  const work = showWork(context);
  const objects: LakeObject[] = [];
  let events = 0;
  const onObject = (object: LakeObject) => {
    objects.push(object);
    events += object.events;
    work.at('writing', events, 'events');
  };
  await withDatabase(context, async (pool, { config }) => {
    const organizationNames = new Map((await readNamedOrganizations(pool)).map(({ id, name }) => [id, name]));
    const { archive } = config;
    const store = archive && openObjectStore(archive.target, archive.s3);
    const { signal } = context;
    try {
      const { to, region, accountId, class: classes = lakeClasses } = options;
      const wanted = { to, region, accountId, classes, environment: config.aws };
      const skipped = await withLakePlace(wanted, (place) =>
        exportLake({ pool, store, signal, organizationNames, onObject }, { place, range }),
      ).finally(() => work.finish());
      const days = { sinceMs: range.sinceMs ?? null, beforeMs: range.beforeMs };
      const what = { to, classes, accountId, ...days, events };
      await noteCommand(pool, context, { kind: 'export', command: 'archive security-lake', what });
      write(context, options, { objects, skipped });
    } finally {
      await store?.close();
    }
  });
};

/** Whole days: an object of a day has all of it. */
const daysOf = ({ since, before }: Options, nowMs: number) => {
  const dayMs = (option: string, text: string): number => {
    const ms = readTime(option, text, nowMs);
    const isRelative = !/^\d+-/.test(text.trim());
    if (isRelative || ms % DAY_MS === 0) return ms - (ms % DAY_MS);
    throw new OrgtrailError('usage', `${option}: it must be a whole day of UTC, such as 2026-01-31`);
  };
  const sinceMs = since === undefined ? undefined : dayMs('--since', since);
  const beforeMs = dayMs('--before', before ?? 'now');
  if (sinceMs === undefined || sinceMs < beforeMs) return { sinceMs, beforeMs };
  throw new OrgtrailError('usage', '--before must be later than --since', {
    hint: 'without --before the last day is yesterday, since the events of today are not complete',
  });
};

interface Result {
  readonly objects: readonly LakeObject[];
  readonly skipped: SkippedMonths;
}

const write = ({ stdout, stderr }: CliContext, { json }: Options, { objects, skipped }: Result): void => {
  for (const { month, events } of skipped) {
    stderr.write(`${month} is left out: ${counted(events, 'event')} of it were dropped without an archive\n`);
  }
  const classes = lakeClasses.map((classUid) => {
    const own = objects.filter((object) => object.classUid === classUid);
    const sum = (field: 'events' | 'bytes') => own.reduce((total, object) => total + object[field], 0);
    return { class_uid: classUid, objects: own.length, events: sum('events'), bytes: sum('bytes') };
  });
  if (json === true) {
    stdout.write(`${JSON.stringify({ classes, skipped, objects: objects.map(factsOf) }, null, 2)}\n`);
    return;
  }
  for (const { class_uid, objects: count, events, bytes } of classes) {
    stdout.write(
      `${class_uid}: ${counted(events, 'event')} in ${counted(count, 'object')}, ${counted(bytes, 'byte')}\n`,
    );
  }
};

const factsOf = ({ classUid, key, events, bytes }: LakeObject) => ({ class_uid: classUid, key, events, bytes });
