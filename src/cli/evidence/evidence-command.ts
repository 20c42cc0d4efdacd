import { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { exitCodes } from '../../errors.ts';
import { makeKeyFile } from '../../evidence/keys/key-file.ts';
import { isUnanchored, readEvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import type { CliContext } from '../cli-context.ts';
import { withDatabase } from '../with-database.ts';
import { begin, requireEvidence } from './begin-evidence.ts';
import { checkpointCommand } from './checkpoint-command.ts';
import { endCommand } from './end-evidence.ts';
import { evidenceStatusText } from './evidence-report.ts';
import { exportCommand } from './export-command.ts';
import { forkCommand } from './fork-evidence.ts';
import { keyCommand } from './keys/key-command.ts';
import { proveCommand } from './prove-command.ts';
import { runEvidenceCommand } from './run-evidence.ts';
import { statementCommand } from './statement-command.ts';
import { verifyCommand } from './verify-command.ts';

const help = `
A signed Merkle log of what is stored, built by the daemon if ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE are set:
docs/evidence.md. Uses only the database or a bundle, so it works beside a running daemon.

Examples:
  $ orgtrail evidence init
  $ orgtrail evidence run
  $ orgtrail evidence status --json
  $ orgtrail evidence verify --anchor checkpoint-of-june
  $ orgtrail evidence export bundle-2026
  $ orgtrail evidence verify bundle-2026
  $ orgtrail evidence prove 4711`;

export const evidenceCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('evidence')
    .description('Show, begin, verify, export, fork and end the signed log of what is stored')
    .addHelpText('after', help)
    .addCommand(initCommand(context))
    .addCommand(runEvidenceCommand(context))
    .addCommand(statusCommand(context, report))
    .addCommand(checkpointCommand(context))
    .addCommand(keyCommand(context, report))
    .addCommand(statementCommand(context, report))
    .addCommand(verifyCommand(context, report))
    .addCommand(exportCommand(context, report))
    .addCommand(proveCommand(context))
    .addCommand(forkCommand(context))
    .addCommand(endCommand(context));

const initCommand = (context: CliContext): Command =>
  new Command('init')
    .description(
      'Begin the log: makes the key if there is none (and the embedded database), and states whose log it is',
    )
    .action(async () => {
      // Before an embedded database is made.
      requireEvidence(loadConfig(context.env, { needsCredential: false, interactive: context.interactive }).evidence);
      const lines = await withDatabase(
        context,
        async (pool, { config }) => {
          const evidence = requireEvidence(config.evidence);
          const isNew = evidence.signer === undefined && makeKeyFile(evidence.keyFile);
          return [
            ...(isNew ? ['made a key: keep a copy of its file, and let no other process read it'] : []),
            ...(await begin(pool, evidence)),
          ];
        },
        { makesEmbedded: true },
      );
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
