import { Command } from 'commander';
import { exitCodes } from '../../errors.ts';
import { makeKeyFile } from '../../evidence/keys/key-file.ts';
import { isUnanchored, readEvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import type { CliContext } from '../cli-context.ts';
import { withDatabase } from '../with-database.ts';
import { begin, requireEvidence } from './begin-evidence.ts';
import { checkpointCommand } from './checkpoint-command.ts';
import { endCommand } from './end-evidence.ts';
import { readInput } from './evidence-input.ts';
import { evidenceStatusText } from './evidence-report.ts';
import { forkCommand } from './fork-evidence.ts';
import { keyCommand } from './key-command.ts';
import { statementCommand } from './statement-command.ts';
import { verifyDatabase } from './verify-evidence.ts';

const help = `
A signed Merkle log of what is stored, built by the daemon if ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE are set:
docs/evidence.md. Uses only the database, so it works beside a running daemon.

Examples:
  $ orgtrail evidence init
  $ orgtrail evidence status --json
  $ orgtrail evidence verify --anchor checkpoint-of-june`;

const verifyHelp = `
Hashes every stored event again and compares it with the log as of its last signed checkpoint; reads all events, and 32 bytes of memory
for each. The key is that of ORGTRAIL_EVIDENCE_KEY_FILE, or of --policy; without both, the one that the database names is believed, and
the report says so. Exit code 5 if something does not hold.

Examples:
  $ orgtrail evidence verify
  $ orgtrail evidence verify --policy policy.txt --anchor checkpoint-of-june --json`;

export const evidenceCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('evidence')
    .description('Show, begin, verify, fork and end the signed log of what is stored')
    .addHelpText('after', help)
    .addCommand(initCommand(context))
    .addCommand(statusCommand(context, report))
    .addCommand(checkpointCommand(context))
    .addCommand(keyCommand(context))
    .addCommand(statementCommand(context, report))
    .addCommand(verifyCommand(context, report))
    .addCommand(forkCommand(context))
    .addCommand(endCommand(context));

const initCommand = (context: CliContext): Command =>
  new Command('init')
    .description('Begin the log: makes the key if there is none, and states whose log it is')
    .action(async () => {
      const lines = await withDatabase(context, async (pool, { config }) => {
        const evidence = requireEvidence(config.evidence);
        const isNew = evidence.signer === undefined && makeKeyFile(evidence.keyFile);
        return [
          ...(isNew ? ['made a key: keep a copy of its file, and let no other process read it'] : []),
          ...(await begin(pool, evidence)),
        ];
      });
      context.stdout.write(`${lines.join('\n')}\n`);
    });

const statusCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('status')
    .description('Show how the log stands; exit code 5 if nothing is signed any more')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => {
      const status = await withDatabase(context, readEvidenceStatus);
      if (options.json === true) {
        const shown = status && { ...status, root: status.root.toString('base64'), unanchored: isUnanchored(status) };
        context.stdout.write(`${JSON.stringify(shown ?? null, null, 2)}\n`);
      } else {
        context.stdout.write(status === undefined ? 'no evidence yet: docs/evidence.md\n' : evidenceStatusText(status));
      }
      if (status !== undefined && ['behind', 'forked', 'halted'].includes(status.state))
        report(exitCodes.evidenceFails);
    });

interface VerifyOptions {
  readonly anchor: readonly string[];
  readonly policy?: string;
  readonly json?: boolean;
}

const verifyCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('verify')
    .description('Hash what is stored again, and compare it with the last signed checkpoint')
    .option('--anchor <file>', 'a checkpoint that was kept elsewhere; may be repeated', collect, [])
    .option('--policy <file>', 'whose keys count: c2sp.org/tlog-policy')
    .option('--json', 'print JSON')
    .addHelpText('after', verifyHelp)
    .action(async ({ anchor, policy, json }: VerifyOptions) => {
      const anchors = anchor.map((name) => ({ name, note: readInput(name) }));
      const found = await withDatabase(context, (pool, { config }) =>
        verifyDatabase(pool, {
          anchors,
          policy: policy === undefined ? undefined : readInput(policy),
          evidence: config.evidence,
        }),
      );
      const { holds, faults, claims, notClaimed, faultCounts } = found;
      if (json === true) {
        const shown = { holds, claims, faults, fault_counts: Object.fromEntries(faultCounts), not_claimed: notClaimed };
        context.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
      } else {
        const part = (title: string, lines: readonly string[]) =>
          lines.length === 0 ? '' : `${title}\n${lines.map((line) => `  ${line}\n`).join('')}`;
        context.stdout.write(part('holds:', claims));
        context.stdout.write(
          part(
            'does not hold:',
            faults.map(({ message }) => message),
          ),
        );
        context.stdout.write(part('not claimed:', notClaimed));
      }
      if (!holds) report(exitCodes.evidenceFails);
    });

const collect = (file: string, before: readonly string[]): readonly string[] => [...before, file];
