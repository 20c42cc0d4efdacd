import { existsSync, realpathSync } from 'node:fs';
import { sep } from 'node:path';
import { Command } from 'commander';
import { exitCodes, OrgtrailError } from '../../errors.ts';
import { foundFiles } from '../../evidence/bundle/found-events.ts';
import { checkpointPath } from '../../evidence/bundle/layout.ts';
import { foundInFolder } from '../../evidence/files/file-lines.ts';
import { openFolder } from '../../evidence/files/folder-reader.ts';
import { verifyFolder } from '../../evidence/files/verify-folder.ts';
import { type FoundReader, verifyFound } from '../../evidence/verify/found/verify-found.ts';
import type { Report } from '../../evidence/verify/report.ts';
import type { Anchor } from '../../evidence/verify/verify-anchors.ts';
import type { CliContext } from '../cli-context.ts';
import { withDatabase } from '../with-database.ts';
import { readInput } from './evidence-input.ts';
import { reportJson, reportText } from './evidence-report.ts';
import { readPolicy, verifyDatabase } from './verify-evidence.ts';
import { isProofFile, verifyProofFile } from './verify-proof-file.ts';
import { showWork } from './work-line.ts';

const help = `
With DIR, a bundle of \`orgtrail evidence export\` or of a search, or the proof of one event of \`orgtrail evidence prove\`: needs neither database nor
settings. Without it, the database: hashes every stored event again and compares it with the log as of its last signed checkpoint; reads
all events, and 32 bytes of memory for each. The keys are those of --policy; else of the bundle, or of ORGTRAIL_EVIDENCE_KEY_FILE; else the
one that the database names is believed. The report says so. Exit code 5 if something does not hold.

A signed leaf covers the payload of an event (the column raw), not the columns that are made of it, which searches go by. --columns makes
them again of every payload, and compares.

Examples:
  $ orgtrail evidence verify bundle-2026
  $ orgtrail evidence verify bundle-2026 --anchor checkpoint-of-june --policy policy.txt --json
  $ orgtrail evidence verify 4711.tlog-proof --policy policy.txt
  $ orgtrail evidence verify
  $ orgtrail evidence verify --columns
  $ orgtrail evidence verify --policy policy.txt --anchor checkpoint-of-june --json`;

interface VerifyOptions {
  readonly anchor: readonly string[];
  readonly keptElsewhere?: boolean;
  readonly policy?: string;
  readonly columns?: boolean;
  readonly json?: boolean;
}

/** What a verification is held against. */
interface Given {
  readonly anchors: readonly Anchor[];
  /** The text of a policy. */
  readonly policy: Buffer | undefined;
}

export const verifyCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('verify')
    .description('Hash what is stored, or what is in a bundle, again, and compare it with the signed checkpoint')
    .argument('[dir]', 'a bundle, or a .tlog-proof beside its .json; without it the database is verified')
    .option('--anchor <file>', 'a checkpoint that was kept elsewhere; may be repeated', collect, [])
    .option('--kept-elsewhere', 'each --anchor was kept or fetched elsewhere, also if the bundle has the same one')
    .option('--policy <file>', 'whose keys count: c2sp.org/tlog-policy')
    .option('--columns', 'in the database, compare the columns of each event with its payload, too')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async (dir: string | undefined, options: VerifyOptions) => {
      const { anchor, keptElsewhere = false, policy, columns: hasColumns = false, json } = options;
      if (dir !== undefined) refuseOwnAnchors(dir, anchor);
      if (dir !== undefined && hasColumns)
        throw new OrgtrailError('usage', '--columns is for the database: a bundle has none');
      const given = {
        anchors: anchor.map((name) => ({ name, note: readInput(name), isKeptElsewhere: keptElsewhere })),
        policy: policy === undefined ? undefined : readInput(policy),
      };
      const found =
        dir === undefined
          ? await withDatabase(context, (pool, { config }) =>
              verifyDatabase(pool, { ...given, hasColumns, evidence: config.evidence }),
            )
          : await verifyFiles(context, dir, given);
      context.stdout.write(json === true ? `${JSON.stringify(reportJson(found), null, 2)}\n` : reportText(found));
      if (!found.holds) report(exitCodes.evidenceFails);
    });

const verifyFiles = async (context: CliContext, dir: string, { anchors, policy }: Given): Promise<Report> => {
  if (policy !== undefined) readPolicy(policy);
  if (!isProofFile(dir)) return await verifyBundleFolder(context, dir, { anchors, policy });
  if (anchors.length === 0) return verifyProofFile(dir, policy);
  throw new OrgtrailError(
    'usage',
    '--anchor is for bundles and the database: one event does not show what else is in the log',
  );
};

const verifyBundleFolder = async (context: CliContext, dir: string, { anchors, policy }: Given): Promise<Report> => {
  const { signal } = context;
  const work = showWork(context);
  try {
    const onHashed = (bytes: number) => work.at('comparing the files with the list in README.txt', bytes / 1e6, 'MB');
    const reader = await openFolder(dir, { signal, onHashed });
    if (isFound(reader.paths)) return await verifySearch(foundInFolder(reader), { anchors, policy });
    const onPayload = (bytes: number) => work.at('verifying', bytes / 1e6, 'MB of events');
    return await verifyFolder(reader, { anchors, ...(policy && { policy }), signal, onPayload });
  } finally {
    work.finish();
  }
};

/** Whether it is a bundle of a search, and not one of a log. */
const isFound = (paths: readonly string[]): boolean =>
  paths.includes(foundFiles.query) && !paths.includes(checkpointPath('events'));

const verifySearch = async (reader: FoundReader, { anchors, policy }: Given): Promise<Report> => {
  if (anchors.length === 0) return await verifyFound(reader, policy);
  throw new OrgtrailError(
    'usage',
    '--anchor is for bundles of a log and the database: a bundle of a search does not show what else is in the log',
  );
};

/** A bundle agrees with itself. Throws OrgtrailError `usage`. */
const refuseOwnAnchors = (dir: string, anchors: readonly string[]): void => {
  const own = anchors.find(
    (file) => existsSync(file) && existsSync(dir) && isBelow(realpathSync(dir), realpathSync(file)),
  );
  if (own === undefined) return;
  throw new OrgtrailError('usage', `${own} is a file of the bundle, which proves nothing about the bundle`, {
    hint: 'give a checkpoint that was kept elsewhere',
  });
};

const isBelow = (folder: string, file: string): boolean => file.startsWith(`${folder}${sep}`);

const collect = (file: string, before: readonly string[]): readonly string[] => [...before, file];
