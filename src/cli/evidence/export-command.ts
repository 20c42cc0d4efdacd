import { Command } from 'commander';
import { accountIds, organizationIds } from '../../app/chosen-sources.ts';
import type { Config } from '../../app/config/config.ts';
import { publicKeysOf } from '../../app/start-evidence.ts';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { witnessesOf } from '../../evidence/anchor.ts';
import type { NamedSource } from '../../evidence/builder/ports.ts';
import type { ExportOptions } from '../../evidence/export/content.sql.ts';
import { type ExportedBundle, exportBundle } from '../../evidence/export/export-bundle.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, withDatabase } from '../command.ts';
import { readTime, timeHelp } from '../options.ts';
import { showWork } from '../output/terminal.ts';
import { collect, readInput } from './lifecycle.ts';

const exportHelp = `
DIR must not exist, or be empty. The bundle has README.txt, which says what it proves and how to verify it, FORMAT.txt, and verify.py: an auditor
needs no orgtrail, no network and no database. All of it is of one moment, as of the last signed checkpoint, also while the daemon goes on and
if nothing is signed any more (halted, behind). It is verified before it gets its name: if what is stored is not what was signed, there is no
bundle, and the exit code is 5. Retention drops no month while events are read, and tries again later.

With --organization or --account it has the events of that log alone, and proves that none of them is left out up to its last statement of
coverage (\`orgtrail evidence statement\` makes one now). Of others it has nothing but hashes. It can be compared with the checkpoints that
anchors have and with those that --anchor names, and with no others.

With --since or --before it has the content of the events that happened then, and of those without a time. Of others it has the leaf: position,
times, source, ids, and the SHA-256 of the content. So it proves that no event of that time is left out.

Examples:
  $ orgtrail evidence export bundle-2026
  $ orgtrail evidence export bundle-acme --organization 'Acme Aerospace'
  $ orgtrail evidence export bundle-may --since 2026-05-01 --before 2026-06-01
  $ orgtrail evidence export /mnt/auditor/bundle-2026 --gzip --json
  $ orgtrail evidence verify bundle-2026
  $ python3 bundle-2026/verify.py`;

interface ExportCommandOptions {
  readonly organization?: string;
  readonly account?: string;
  readonly since?: string;
  readonly before?: string;
  readonly anchor: readonly string[];
  readonly gzip?: boolean;
  readonly despiteFaults?: boolean;
  readonly json?: boolean;
}

export const exportCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('export')
    .description('Write a bundle that verifies offline, for an auditor')
    .argument('<dir>', 'the folder to make')
    .option('--organization <name or id>', 'only what is of the log of this organization')
    .option('--account <name or id>', 'only what is of the log of this account')
    .option('--since <time>', `only what happened from this time on: ${timeHelp('inclusive')}`)
    .option('--before <time>', `only what happened before this time: ${timeHelp('exclusive')}`)
    .option('--anchor <file>', 'a checkpoint that was kept elsewhere, to compare with; may be repeated', collect, [])
    .option('--gzip', 'pack the events')
    .option('--despite-faults', 'write the bundle even if it does not hold; the exit code is still 5')
    .option('--json', 'print JSON')
    .addHelpText('after', exportHelp)
    .action(async (dir: string, options: ExportCommandOptions) => {
      const { gzip = false, despiteFaults = false, json = false } = options;
      const time = timeOf(options);
      const kept = options.anchor.map((name) => ({ name, note: readInput(name) }));
      const exported = await exporting(context, dir, async (pool) => ({
        isPacked: gzip,
        despiteFaults,
        source: await sourceOf(pool, options),
        ...time,
        kept,
      }));
      print(context, dir, exported, json);
      if (!exported.report.holds) report(exitCodes.evidenceFails);
    });

/** Shows how far it is. */
const exporting = async (
  context: CliContext,
  dir: string,
  optionsOf: (pool: Pool) => Promise<Omit<ExportOptions, 'version'>>,
): Promise<ExportedBundle> => {
  const work = showWork(context);
  const observer = {
    onWritten: (index: number, size: number) => work.at('writing', index, 'leaves', size),
    onVerified: (bytes: number) => work.at('verifying', bytes / 1e6, 'MB'),
  };
  return await withDatabase(context, async (pool, { config }) =>
    exportBundle(pool, dir, {
      ...(await optionsOf(pool)),
      ...signedBy(config),
      version,
      signal: context.signal,
      observer,
    }),
  ).finally(() => work.finish());
};

const signedBy = ({ evidence }: Config): Pick<ExportOptions, 'publicKeys' | 'witnesses'> => ({
  publicKeys: publicKeysOf(evidence),
  witnesses: witnessesOf(evidence?.anchors ?? []),
});

/** Undefined: all. */
const sourceOf = async (
  pool: Pool,
  { organization, account }: Pick<ExportCommandOptions, 'organization' | 'account'>,
): Promise<NamedSource | undefined> => {
  if (organization !== undefined && account !== undefined)
    throw new OrgtrailError('usage', 'a bundle is of one log: give --organization or --account');
  const [organizationId] = await organizationIds(pool, organization === undefined ? [] : [organization]);
  if (organizationId !== undefined) return { kind: 'organization', id: organizationId };
  const [accountId] = await accountIds(pool, account === undefined ? [] : [account]);
  return accountId === undefined ? undefined : { kind: 'account', id: accountId };
};

const timeOf = ({ since, before }: ExportCommandOptions): { since: string | null; before: string | null } => {
  const nowMs = Date.now();
  const readMs = (name: string, text: string | undefined) => (text === undefined ? null : readTime(name, text, nowMs));
  const [sinceMs, beforeMs] = [readMs('--since', since), readMs('--before', before)];
  if (sinceMs !== null && beforeMs !== null && sinceMs >= beforeMs)
    throw new OrgtrailError('usage', '--before must be later than --since');
  const instant = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString().replace('Z', '000Z'));
  return { since: instant(sinceMs), before: instant(beforeMs) };
};

const print = (context: CliContext, dir: string, exported: ExportedBundle, isJson: boolean): void => {
  const { log, events, statements, bytes, files, report, anchors } = exported;
  if (isJson) {
    const json = {
      folder: dir,
      holds: report.holds,
      subject: report.subject,
      state: log.state,
      origin: log.origin,
      leaves: log.size,
      events,
      statements,
      unanchored: anchors.length === 0,
      anchors: anchors.map(({ anchor, size, at }) => ({ anchor, size, at })),
      files,
      bytes,
      faults: report.faults.map(({ message }) => message),
    };
    context.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
    return;
  }
  const lines = [
    report.subject,
    `${dir}: ${log.size} leaves, ${events} events with their content, ${statements} statements; ${files} files, ${bytes} bytes`,
    ...report.faults.map(({ message }) => `does not hold: ${message}`),
    ...(log.state === 'ok' || log.state === 'building' ? [] : [`the log is ${log.state}`]),
    ...(anchors.length === 0
      ? ['unanchored: the owner of database and key could rewrite all of it. Keep its file checkpoint elsewhere']
      : anchors.map(({ anchor, size }) => `anchored at ${anchor}, up to leaf ${size}`)),
    `to verify it: python3 ${dir}/verify.py, or orgtrail evidence verify ${dir}`,
  ];
  context.stdout.write(`${lines.join('\n')}\n`);
};

const proveHelp = `
A bundle of single events, as a search has it: DIR must not exist, or be empty. Of other events it has nothing but hashes. Exit code 5 if an event is
not the one that was signed.

Examples:
  $ orgtrail evidence prove 4711
  $ orgtrail evidence prove 4711 4712 4713 --out events --json
  $ orgtrail evidence prove --id 019c4f65-e760-7d8c-9f6f-6b58aa3aff50
  $ orgtrail evidence verify event-4711`;

interface ProveCommandOptions {
  readonly id: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
}

export const proveCommand = (context: CliContext): Command =>
  new Command('prove')
    .description('Write a bundle of single events')
    .argument('[position...]', 'positions of events in the feed')
    .option('--id <id>', 'all events with this id; may be repeated', collect, [])
    .option('--out <dir>', 'the folder to make; event-POSITION or event-ID if it is left out')
    .option('--json', 'print JSON')
    .addHelpText('after', proveHelp)
    .action(async (texts: readonly string[], { id: ids, out, json = false }: ProveCommandOptions) => {
      const given = texts.map(positionOf);
      const [first] = [...texts, ...ids];
      if (first === undefined) throw new OrgtrailError('usage', 'name a position, or an event by --id');
      const dir = out ?? `event-${first.replaceAll(/[^\w.-]/g, '_')}`;
      const exported = await exporting(context, dir, async (pool) => ({
        search: {
          query: [...texts.map((text) => `position ${text}`), ...ids.map((id) => `id ${id}`)].join(', '),
          positions: await positionsOf(pool, given, ids),
        },
      }));
      print(context, dir, exported, json);
    });

const positionOf = (text: string): number => {
  const position = Number(text);
  if (/^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(position)) return position;
  throw new OrgtrailError('usage', `${JSON.stringify(text)} is no position: a number from 1 on`);
};

/** Throws OrgtrailError `usage` for what is not stored, or not signed. */
const positionsOf = async (pool: Pool, positions: readonly number[], ids: readonly string[]): Promise<number[]> => {
  const { rows } = await pool.query<{ id: string; position: number; signed: boolean }>(
    `select e.id, e.position::float8 as position, coalesce(e.position <= l.position, false) as signed
     from audit_events e left join evidence_log l on true where e.id = any ($1::text[]) or e.position = any ($2::bigint[])`,
    [ids, positions],
  );
  const unknown = ids.find((id) => !rows.some((row) => row.id === id));
  if (unknown !== undefined)
    throw new OrgtrailError('usage', `there is no event with the id ${JSON.stringify(unknown)}`);
  const gone = positions.find((position) => !rows.some((row) => row.position === position));
  if (gone !== undefined)
    throw new OrgtrailError('usage', `position ${gone} has no event: it was dropped, or never had one`);
  const unsigned = rows.find(({ signed }) => !signed);
  if (unsigned !== undefined) throw new OrgtrailError('usage', `position ${unsigned.position} is not signed yet`);
  return rows.map(({ position }) => position);
};
