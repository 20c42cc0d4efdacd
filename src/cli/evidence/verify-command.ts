import { existsSync, realpathSync } from 'node:fs';
import { sep } from 'node:path';
import { Command } from 'commander';
import { publicKeysOf } from '../../app/start-evidence.ts';
import { exitCodes, OrgtrailError, reasonOf } from '../../base/errors.ts';
import { bundleFiles } from '../../evidence/bundle/layout.ts';
import { EvidenceFault } from '../../evidence/bytes.ts';
import { openFolder } from '../../evidence/files/folder-reader.ts';
import { type Policy, parsePolicy } from '../../evidence/notes/checkpoint.ts';
import { parseNote } from '../../evidence/notes/signed-note.ts';
import { verifyStored } from '../../evidence/stored/verify-forever.ts';
import { Report, reportJson, reportLines } from '../../evidence/verify/report.ts';
import {
  type Draw,
  drawn,
  type Fetched,
  percent,
  probability,
  readFetched,
  unitsOf,
} from '../../evidence/verify/sample.ts';
import { openBundle, verifyBundle } from '../../evidence/verify/verify-bundle.ts';
import { type CliContext, withDatabase } from '../command.ts';
import { showWork } from '../output/terminal.ts';
import { collect, readInput } from './lifecycle.ts';

const help = `
With DIR, a bundle: needs neither database nor settings. Without it, the database: hashes every stored event and statement again, makes the columns
of each event again of its payload, and compares all of it with the log as of its last signed checkpoint. A daemon that builds does that by itself
within each week.

The keys are those of --policy; else those of the bundle, and the report says so. A checkpoint that --anchor
names must be the beginning of this log: what you kept yourself counts, a copy from the bundle proves nothing. Exit code 5 if something does not
hold, 2 if DIR is no bundle.

--compare takes what Cloudflare answered for some days (\`orgtrail fetch\`, or curl) and says what is missing on either side; with the --days and
--word of \`orgtrail evidence sample\` it knows which days were drawn, also those without an entry.

Examples:
  $ orgtrail evidence verify
  $ orgtrail evidence verify bundle-2026
  $ orgtrail evidence verify bundle-2026 --anchor checkpoint-of-june --policy policy.txt --json
  $ orgtrail evidence verify bundle-2026 --compare FILE --days 20 --word 'seven green apples'`;

interface DrawOptions {
  readonly days?: string;
  readonly all?: boolean;
  readonly word?: string;
  readonly once?: boolean;
}

interface VerifyOptions extends DrawOptions {
  readonly anchor: readonly string[];
  readonly compare: readonly string[];
  readonly policy?: string;
  readonly json?: boolean;
}

export const verifyCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  withDraw(
    new Command('verify')
      .description('Hash what is stored, or what is in a bundle, again, and compare it with the signed checkpoint')
      .argument('[dir]', 'a bundle; without it the database is verified')
      .option('--anchor <file>', 'a checkpoint that was kept elsewhere; may be repeated', collect, [])
      .option('--policy <file>', 'whose keys count, in the form of policy.txt')
      .option('--compare <file>', 'what Cloudflare answered for some days; may be repeated', collect, [])
      .option('--json', 'print JSON'),
  )
    .addHelpText('after', help)
    .action(async (dir: string | undefined, options: VerifyOptions) => {
      const { anchor, compare, policy, json } = options;
      const draw = drawOf(options);
      if (dir === undefined) return await verifyDatabase(context, report, options);
      refuseOwnAnchors(dir, anchor);
      if (draw !== undefined && compare.length === 0)
        throw new OrgtrailError('usage', '--days, --all and --word are for --compare');
      const files = compare.map(readAnswers);
      const reader = open(context, dir);
      try {
        const found = await verifyBundle(reader.reader, {
          kept: anchor.map((name) => ({ name, note: readInput(name) })),
          policy: policy === undefined ? undefined : readPolicy(readInput(policy)),
          compare: compare.length === 0 ? undefined : { files, draw },
        });
        reader.finish();
        context.stdout.write(
          json === true ? `${JSON.stringify(reportJson(found), null, 2)}\n` : `${reportLines(found).join('\n')}\n`,
        );
        if (!found.holds) report(exitCodes.evidenceFails);
      } finally {
        reader.finish();
      }
    });

/** The account needs what `orgtrail_evidence` may read. */
const verifyDatabase = async (
  context: CliContext,
  report: (exitCode: number) => void,
  { anchor, compare, policy, json }: VerifyOptions,
): Promise<void> => {
  if (compare.length > 0) throw new OrgtrailError('usage', '--compare is for a bundle');
  const kept = anchor.map((name) => ({ name, note: readInput(name) }));
  const work = showWork(context);
  const found = await withDatabase(context, (pool, { config }) =>
    verifyStored(pool, {
      kept,
      policy: policy === undefined ? undefined : readPolicy(readInput(policy)),
      publicKeys: publicKeysOf(config.evidence),
      onBlock: (leaves, size) => work.at('comparing', leaves, 'leaves', size),
    }),
  ).finally(() => work.finish());
  const { origin, size, faults, believed } = found;
  const shown = { log: origin, size, holds: faults.length === 0, keys_believed: believed, faults };
  const lines = [
    ...faults.map((fault) => `does not hold: ${fault}`),
    `${size} leaves of ${origin}${believed ? ', by the key that the database names' : ''}`,
    faults.length === 0 ? 'what is stored is what was signed' : 'what is stored is not what was signed',
  ];
  context.stdout.write(json === true ? `${JSON.stringify(shown, null, 2)}\n` : `${lines.join('\n')}\n`);
  if (faults.length > 0) report(exitCodes.evidenceFails);
};

const withDraw = (command: Command): Command =>
  command
    .option('--days <count>', 'so many days are drawn')
    .option('--all', 'all days, in place of a draw')
    .option('--word <text>', 'what the auditor thinks of after the checkpoint is in their hands')
    .option('--once', 'also days that were read once: younger ones can still get late entries');

const DEFAULT_DAYS = 25;

/** Undefined: no draw. */
const drawOf = ({ days, all, word, once = false }: DrawOptions): Draw | undefined => {
  if (days === undefined && all !== true && word === undefined) return undefined;
  if (days !== undefined && !/^[1-9]\d{0,4}$/.test(days))
    throw new OrgtrailError('usage', '--days must be a number from 1 on');
  return { days: all === true ? undefined : Number(days ?? DEFAULT_DAYS), word: word ?? '', once };
};

/** Throws OrgtrailError `usage` for what is no bundle. */
const open = (context: CliContext, dir: string) => {
  const work = showWork(context);
  const reader = openFolder(dir, { signal: context.signal, onRead: (bytes) => work.at('reading', bytes / 1e6, 'MB') });
  const isBundle = reader.paths.includes(bundleFiles.checkpoint) || reader.paths.includes(bundleFiles.statements);
  if (!isBundle) {
    const isOld = reader.paths.includes('events/checkpoint') || reader.paths.includes('query.json');
    throw new OrgtrailError('usage', `${dir} is no bundle of evidence`, {
      hint: isOld ? 'it is of format 1: verify it with its own verify.py' : 'orgtrail evidence export writes one',
    });
  }
  return { reader, finish: () => work.finish() };
};

const refuseOwnAnchors = (dir: string, anchors: readonly string[]): void => {
  const isBelow = (file: string) => realpathSync(file).startsWith(`${realpathSync(dir)}${sep}`);
  const own = anchors.find((file) => existsSync(file) && existsSync(dir) && isBelow(file));
  if (own === undefined) return;
  throw new OrgtrailError('usage', `${own} is a file of the bundle, which proves nothing about the bundle`, {
    hint: 'give a checkpoint that was kept elsewhere',
  });
};

/** Throws OrgtrailError `usage` for what cannot be compared. */
const readAnswers = (name: string): Fetched => {
  try {
    return readFetched(readInput(name).toString());
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    throw new OrgtrailError('usage', `--compare: ${name} ${error.message}`, { hint: 'fetch it again' });
  }
};

const readPolicy = (text: Buffer): Policy => {
  try {
    return parsePolicy(text);
  } catch (error) {
    throw new OrgtrailError('usage', `--policy: ${reasonOf(error)}`);
  }
};

const sampleHelp = `
Draws days of what the bundle states as read again, for an auditor who fetches them from Cloudflare with a credential of their own and
compares: nothing else shows that nothing was left out. The word is one that you think of after the checkpoint is in your hands, so
that the operator could not prepare for the draw. Says with which probability the draw finds something.

Examples:
  $ orgtrail evidence sample bundle-2026 --days 20 --word 'seven green apples'
  $ orgtrail evidence sample bundle-2026 --all --json`;

export const sampleCommand = (context: CliContext): Command =>
  withDraw(
    new Command('sample')
      .description('Draw days to fetch from Cloudflare, and compare')
      .argument('<dir>', 'a bundle')
      .option('--json', 'print JSON'),
  )
    .addHelpText('after', sampleHelp)
    .action(async (dir: string, options: DrawOptions & { readonly json?: boolean }) => {
      const draw = drawOf(options) ?? { days: DEFAULT_DAYS, word: '', once: options.once === true };
      const { reader, finish } = open(context, dir);
      const report = new Report();
      const opened = await openBundle(report, reader).finally(finish);
      if (opened === undefined || !report.holds)
        throw new OrgtrailError('evidence_fails', `${dir} does not hold`, { hint: `orgtrail evidence verify ${dir}` });
      const { statements, coverage, note } = opened;
      const units = unitsOf(coverage, statements, draw.once);
      const days = drawn(units, parseNote(note).text, draw).map(({ number, day }) => {
        const { kind = '', id = '' } = statements.sources.get(number) ?? {};
        return { kind, id, day };
      });
      const found = [1, 10, 60].map((lacking) => ({
        lacking,
        probability: probability(units.length, Math.min(lacking, units.length), days.length),
      }));
      const json = { units: units.length, word: draw.word, days, finds: found };
      const lines = [
        `${days.length} of ${units.length} days${draw.word === '' ? ', without a word: the operator could have tried checkpoints until the draw suits' : ` by the word ${JSON.stringify(draw.word)}`}`,
        ...days.map(({ kind, id, day }) => `  orgtrail fetch --${kind} ${id} --day ${day} >> FILE`),
        ...found.map(
          (one) =>
            `if ${one.lacking} of ${units.length} days lack something, this draw finds it with ${percent(one.probability)}`,
        ),
        `then: orgtrail evidence verify ${dir} --compare FILE${draw.days === undefined ? ' --all' : ` --days ${draw.days}`}${draw.word === '' ? '' : ` --word ${JSON.stringify(draw.word)}`}`,
      ];
      context.stdout.write(options.json === true ? `${JSON.stringify(json, null, 2)}\n` : `${lines.join('\n')}\n`);
    });
