import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { accountIds, organizationIds } from '../../app/chosen-sources.ts';
import { publicKeysOf } from '../../app/start-evidence.ts';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { witnessesOf } from '../../evidence/anchor.ts';
import type { OneSource } from '../../evidence/export/copy-part.sql.ts';
import type { ExportedTime } from '../../evidence/export/copy-payload.sql.ts';
import { type Exported, exportBundle } from '../../evidence/export/export-bundle.ts';
import { type EventProof, proveEvents } from '../../evidence/export/prove.sql.ts';
import { faultText } from '../../evidence/verify/report.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, withDatabase } from '../command.ts';
import { readTime, timeHelp } from '../options.ts';
import { showWork } from '../output/terminal.ts';
import { collect, readInput } from './lifecycle.ts';

const exportHelp = `
DIR must not exist, or be empty. The bundle has README.txt, which says how to verify it, and verify.py, which does: an auditor needs no
orgtrail, no network and no database. All of it is of one moment, as of the last signed checkpoints, also while the daemon goes on and if
nothing is signed any more (halted, behind, forked). It is verified before it gets its name: if what is stored is not what was signed,
there is no bundle, and the exit code is 5. Retention drops no month while events are read, and tries again later.

With --organization or --account it has the events of that log alone, and proves that none of them is left out up to its last statement of
coverage (\`orgtrail evidence statement\` makes one now). Of other events it has nothing but salted hashes.
It can be compared with the checkpoints that --anchor names, and with few others.

With --since or --before it has the content of the events that happened then, and of those without a time. Of others it has the leaf: position,
times, source, ids, and the SHA-256 of the content. So it proves that no event of that time is left out. With --hashes-only it has
nothing but salted hashes of them, and proves of each event that is there that it was stored, not that these are all.

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
  readonly hashesOnly?: boolean;
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
    .option('--hashes-only', 'of events of other times nothing but salted hashes')
    .option('--anchor <file>', 'a checkpoint that was kept elsewhere, to compare with; may be repeated', collect, [])
    .option('--gzip', 'pack the events')
    .option('--despite-faults', 'write the bundle even if it does not hold; the exit code is still 5')
    .option('--json', 'print JSON')
    .addHelpText('after', exportHelp)
    .action(async (dir: string, options: ExportCommandOptions) => {
      const { gzip = false, despiteFaults = false, json = false } = options;
      const time = timeOf(options);
      const work = showWork(context);
      const exported = await withDatabase(context, async (pool, { config }) => {
        const { anchors = [] } = config.evidence ?? {};
        return await exportBundle(pool, {
          folder: dir,
          isPacked: gzip,
          despiteFaults,
          source: await sourceOf(pool, options),
          time,
          anchors: options.anchor.map((name) => ({ name, note: readInput(name) })),
          version,
          publicKeys: publicKeysOf(config.evidence),
          witnesses: witnessesOf(anchors),
          signal: context.signal,
          observer: {
            onWritten: (position, size) => work.at('writing', position, 'positions', size),
            onVerified: (bytes) => work.at('verifying', bytes / 1e6, 'MB of events'),
          },
        });
      }).finally(() => work.finish());
      context.stdout.write(
        json ? `${JSON.stringify(exportedJson(dir, exported), null, 2)}\n` : exportedText(dir, exported),
      );
      if (!exported.report.holds) report(exitCodes.evidenceFails);
    });

/** Undefined: all. */
const sourceOf = async (
  pool: Pool,
  { organization, account }: ExportCommandOptions,
): Promise<OneSource | undefined> => {
  if (organization !== undefined && account !== undefined)
    throw new OrgtrailError('usage', 'a bundle is of one log: give --organization or --account');
  const [organizationId] = await organizationIds(pool, organization === undefined ? [] : [organization]);
  if (organizationId !== undefined) return { kind: 'organization', id: organizationId };
  const [accountId] = await accountIds(pool, account === undefined ? [] : [account]);
  return accountId === undefined ? undefined : { kind: 'account', id: accountId };
};

const timeOf = ({ since, before, hashesOnly = false }: ExportCommandOptions): ExportedTime | undefined => {
  if (since === undefined && before === undefined) {
    if (hashesOnly)
      throw new OrgtrailError('usage', '--hashes-only is for a bundle of a time: give --since or --before');
    return undefined;
  }
  const nowMs = Date.now();
  const readMs = (name: string, text: string | undefined) => (text === undefined ? null : readTime(name, text, nowMs));
  const [sinceMs, beforeMs] = [readMs('--since', since), readMs('--before', before)];
  if (sinceMs !== null && beforeMs !== null && sinceMs >= beforeMs)
    throw new OrgtrailError('usage', '--before must be later than --since');
  const instant = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  return { since: instant(sinceMs), before: instant(beforeMs), isHashesOnly: hashesOnly };
};

const exportedJson = (folder: string, { logs, events, withheld, part, bytes, files, report, anchored }: Exported) => ({
  folder,
  ...(part && { source: report.source ?? null, complete_to: part.completeTo }),
  ...(report.time && { time: report.time }),
  holds: report.holds,
  state: logs.state,
  unanchored: anchored.length === 0,
  anchors: anchored,
  generation: logs.generation,
  events: { origin: logs.events.origin, size: logs.events.size, with_content: events, withheld },
  journal: { origin: logs.journal.origin, size: logs.journal.size },
  files,
  bytes,
  faults: report.faults.map(({ message }) => message),
});

const exportedText = (folder: string, { logs, events, withheld, part, bytes, files, report, anchored }: Exported) => {
  const ofSource = part && `${part.leaves} events of the source, all up to position ${part.completeTo}`;
  const lines = [
    ...[report.subject, ofSource].filter((line) => line !== undefined),
    `${folder}: ${logs.events.size} positions, ${events} events with their content, ${logs.journal.size} statements; ${files} files, ${bytes} bytes`,
    ...(withheld === 0
      ? []
      : [`of ${withheld} other events it shows when they happened, their ids, and the SHA-256 of their content`]),
    ...report.faults.map((fault) => `does not hold: ${faultText(fault)}`),
    ...(logs.state === 'ok' ? [] : [`the log is ${logs.state}`]),
    ...(anchored.length === 0
      ? ['unanchored: the owner of database and key could rewrite all of it. Keep its events/checkpoint elsewhere']
      : anchored.map(({ anchor, size }) => `anchored at ${anchor}${size === null ? '' : `, up to position ${size}`}`)),
    `to verify it: python3 ${folder}/verify.py, or orgtrail evidence verify ${folder}`,
  ];
  return `${lines.join('\n')}\n`;
};

const proveHelp = `
Writes POSITION.json (the event, its leaf, the keys) and POSITION.tlog-proof (c2sp.org/tlog-proof: where it stands in the log, and the
signed checkpoint) for each event, of the last signed checkpoint. Nothing of other events is in them. Files that are there stay. Exit
code 5 if an event is not the one that was signed.

Examples:
  $ orgtrail evidence prove 4711
  $ orgtrail evidence prove 4711 4712 4713 --out proofs --json
  $ orgtrail evidence prove --id 019c4f65-e760-7d8c-9f6f-6b58aa3aff50
  $ orgtrail evidence verify 4711.tlog-proof`;

interface ProveCommandOptions {
  readonly id: readonly string[];
  readonly out: string;
  readonly json?: boolean;
}

export const proveCommand = (context: CliContext): Command =>
  new Command('prove')
    .description('Write the proof of single events')
    .argument('[position...]', 'positions of events in the feed')
    .option('--id <id>', 'all events with this id; may be repeated', collect, [])
    .option('--out <dir>', 'a folder that exists', '.')
    .option('--json', 'print JSON')
    .addHelpText('after', proveHelp)
    .action(async (texts: readonly string[], { id: ids, out, json }: ProveCommandOptions) => {
      const positions = texts.map(positionOf);
      if (positions.length + ids.length === 0) throw new OrgtrailError('usage', 'name a position, or an event by --id');
      const work = showWork(context);
      const written: string[] = [];
      const logs = await withDatabase(context, async (pool, { config }) => {
        const onProven = (events: number, all: number) => work.at('proving', events, 'events', all);
        const options = { positions, ids, publicKeys: publicKeysOf(config.evidence), signal: context.signal, onProven };
        return await proveEvents(pool, options, (proof) => written.push(...write(out, proof)));
      }).finally(() => work.finish());
      const { origin, size } = logs.events;
      const shown = { log: origin, size, unanchored: true, files: written };
      context.stdout.write(json === true ? `${JSON.stringify(shown, null, 2)}\n` : `${written.join('\n')}\n`);
    });

const positionOf = (text: string): number => {
  const position = Number(text);
  if (/^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(position)) return position;
  throw new OrgtrailError('usage', `${JSON.stringify(text.slice(0, 80))} is not a position`);
};

const write = (out: string, { position, json, tlogProof }: EventProof): string[] => {
  const files = [join(out, `${position}.json`), join(out, `${position}.tlog-proof`)] as const;
  try {
    writeFileSync(files[0], json, { flag: 'wx', mode: 0o600 });
    writeFileSync(files[1], tlogProof, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new OrgtrailError('usage', `${files[0]} or ${files[1]} cannot be written (${code})`, {
      hint:
        code === 'EEXIST'
          ? 'files that are there stay: name another folder by --out'
          : '--out names a folder that exists',
    });
  }
  return [...files];
};
