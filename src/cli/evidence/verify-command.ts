import { existsSync, realpathSync } from 'node:fs';
import { sep } from 'node:path';
import { Command } from 'commander';
import type { EvidenceConfig } from '../../app/config/config.ts';
import { publicKeysOf } from '../../app/start-evidence.ts';
import { exitCodes, OrgtrailError, reasonOf } from '../../base/errors.ts';
import { everyKey, keyHistory } from '../../evidence/append/keys-in-force.ts';
import { createEvidenceStore } from '../../evidence/builder/evidence-store.sql.ts';
import { keyOfLog } from '../../evidence/builder/signing-keys.ts';
import { type BundleReader, bundleFiles, checkpointPath } from '../../evidence/bundle/layout.ts';
import { foundFiles, readProvenEvent } from '../../evidence/bundle/records.ts';
import { foundInFolder, openFolder, verifyFolder } from '../../evidence/files/folder-reader.ts';
import { readLines } from '../../evidence/journal/statement-text.ts';
import { type Policy, parsePolicy, policyOfKeys } from '../../evidence/notes/policy.ts';
import { readableKeys, type VerifierKey } from '../../evidence/notes/signed-note.ts';
import { readStored, verifyColumns } from '../../evidence/stored/read-stored.sql.ts';
import { verifyStored } from '../../evidence/stored/verify-stored.ts';
import type { Anchor } from '../../evidence/verify/anchors.ts';
import { faultText, Report } from '../../evidence/verify/report.ts';
import { type FoundReader, verifyFound, verifyProof } from '../../evidence/verify/verify-found.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, withDatabase } from '../command.ts';
import { showWork } from '../output/terminal.ts';
import { collect, readInput } from './lifecycle.ts';

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

interface Given {
  readonly anchors: readonly Anchor[];
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
  if (!dir.endsWith(ENDING)) return await verifyBundleFolder(context, dir, { anchors, policy });
  if (anchors.length === 0) return verifyProofFile(dir, policy);
  const why = '--anchor is for bundles and the database: one event does not show what else is in the log';
  throw new OrgtrailError('usage', why);
};

const verifyBundleFolder = async (context: CliContext, dir: string, { anchors, policy }: Given): Promise<Report> => {
  const { signal } = context;
  const work = showWork(context);
  try {
    const onHashed = (bytes: number) => work.at('comparing the files with the list in README.txt', bytes / 1e6, 'MB');
    const reader = await openFolder(dir, { signal, onHashed });
    const isFound = reader.paths.includes(foundFiles.query) && !reader.paths.includes(checkpointPath('events'));
    if (isFound) return await verifySearch(foundInFolder(reader), { anchors, policy });
    const onPayload = (bytes: number) => work.at('verifying', bytes / 1e6, 'MB of events');
    return await verifyFolder(reader, { anchors, ...(policy && { policy }), signal, onPayload });
  } finally {
    work.finish();
  }
};

const verifySearch = async (reader: FoundReader, { anchors, policy }: Given): Promise<Report> => {
  if (anchors.length === 0) return await verifyFound(reader, policy);
  throw new OrgtrailError(
    'usage',
    '--anchor is for bundles of a log and the database: a bundle of a search does not show what else is in the log',
  );
};

const refuseOwnAnchors = (dir: string, anchors: readonly string[]): void => {
  const isBelow = (file: string) => realpathSync(file).startsWith(`${realpathSync(dir)}${sep}`);
  const own = anchors.find((file) => existsSync(file) && existsSync(dir) && isBelow(file));
  if (own === undefined) return;
  throw new OrgtrailError('usage', `${own} is a file of the bundle, which proves nothing about the bundle`, {
    hint: 'give a checkpoint that was kept elsewhere',
  });
};

/** Positions of one statement, which has a minute: a slow database gives some hundred thousand. */
const POSITIONS_AT_ONCE = 200_000;

export const verifyDatabase = async (
  pool: Pool,
  {
    anchors,
    policy,
    evidence,
    hasColumns = false,
  }: Given & { readonly evidence: EvidenceConfig | undefined; readonly hasColumns?: boolean },
): Promise<Report> => {
  const stored = await readStored(pool);
  if (stored === undefined) {
    throw new OrgtrailError('usage', 'no checkpoint is signed yet', { hint: 'docs/evidence.md says how to begin' });
  }
  const store = createEvidenceStore(pool, 'verify', 0);
  const copyEvents = async (until: number, take: Parameters<typeof store.copyEvents>[2]) => {
    for (let after = 0; after < until; after += POSITIONS_AT_ONCE)
      await store.copyEvents(after, Math.min(until, after + POSITIONS_AT_ONCE), take);
  };
  const compareColumns = hasColumns ? (report: Report, until: number) => verifyColumns(pool, report, until) : undefined;
  const options = { anchors, copyEvents, compareColumns };
  if (policy !== undefined) return await verifyStored(stored, { ...options, policy: readPolicy(policy) });
  const { events, journal } = stored.origins;
  const keys = publicKeysOf(evidence);
  const own = keys.flatMap((key) => [events, journal].map((origin) => keyOfLog(origin, key)));
  const report = await verifyStored(stored, {
    ...options,
    policy: policyOfKeys(own.length > 0 ? own : keysOfJournal(stored.reader)),
  });
  if (own.length === 0) report.notClaimed.push('whose keys these are: those that the database names are believed');
  return report;
};

const readPolicy = (text: Buffer): Policy => {
  try {
    return parsePolicy(text);
  } catch (error) {
    throw new OrgtrailError('usage', `--policy: ${reasonOf(error)}`);
  }
};

/** What is no key is for the verification to find. */
const keysOfJournal = (reader: BundleReader): VerifierKey[] => {
  const texts = readLines(reader.read(bundleFiles.journalEntries) ?? Buffer.alloc(0));
  const ofKeys = texts.filter((text) => /^\{"type":"(?:genesis|fork|key)"/.test(text));
  return readableKeys(everyKey(keyHistory(ofKeys)));
};

const ENDING = '.tlog-proof';

/** Verifies an event by the two files of `orgtrail evidence prove`. Without a policy, the keys beside the event are believed. */
const verifyProofFile = (path: string, policy: Buffer | undefined): Report => {
  const proof = readInput(path);
  const text = readInput(`${path.slice(0, -ENDING.length)}.json`).toString();
  const report = new Report();
  const event = report.attempt('leaf', 'the event', () => readProvenEvent(text));
  const keys = report.attempt('policy', 'the policy', () => parsePolicy(policy ?? Buffer.from(event?.policy ?? '')));
  if (event === undefined || keys === undefined) return report;
  const verified = verifyProof(proof, event, keys);
  if (policy === undefined) verified.notClaimed.push('whose keys these are: those beside the event are believed');
  verified.notClaimed.push(
    'unanchored: that the log was not rewritten with the key. Compare its checkpoint with one that was kept, by a bundle',
  );
  return verified;
};

/** No key and no checkpoint proves it: said before what holds. */
const OPERATORS_WORD =
  "the operator's word, whatever else holds: that orgtrail was given all that Cloudflare had, and stored it. To test it, ask Cloudflare for some days with a credential of your own, and compare the ids";

/** What a verification found, for people. */
export const reportText = (report: Report): string => {
  const { subject, unread, holds, isAnchored, faults, claims, notChecked, notClaimed, notCompared } = report;
  const part = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? '' : `${title}\n${lines.map((line) => `  ${line}\n`).join('')}`;
  // What an auditor has kept himself comes before what the bundle says of itself.
  const kept = faults.find(({ code }) => code === 'anchor');
  return [
    ...[
      kept && `it does not hold: ${faultText(kept)}`,
      ...notCompared.map((text) => `not compared, and not claimed: ${text}`),
      subject,
      unread,
      OPERATORS_WORD,
    ].map((line) => (line === undefined ? '' : `${line}\n`)),
    part(isAnchored ? 'holds:' : 'holds, as far as the signer is believed (unanchored):', claims),
    part('does not hold:', faults.map(faultText)),
    part('not checked:', notChecked),
    part('not claimed:', notClaimed),
    `the evidence ${holds ? 'holds' : 'does not hold'}\n`,
  ].join('');
};

const reportJson = (report: Report) => ({
  ...(report.isOfOneSource && { source: report.source ?? null }),
  ...(report.time && { time: report.time }),
  holds: report.holds,
  claims: report.claims,
  faults: report.faults,
  fault_counts: Object.fromEntries(report.faultCounts),
  coverage: report.coverage,
  not_checked: report.notChecked,
  not_claimed: report.notClaimed,
});
