import { once } from 'node:events';
import { Command } from 'commander';
import { configWithoutFaults, loadConfig, readConfig, secretsOf } from '../../app/config/config.ts';
import { keepReloading, openSecrets } from '../../app/config/live-secrets.ts';
import { startEvidenceBuilder } from '../../app/start-evidence.ts';
import { createLogger } from '../../app/telemetry/log.ts';
import { makeKeyFile } from '../../evidence/keys.ts';
import { type CliContext, withDatabase } from '../command.ts';
import { groupCommand } from '../operation-command.ts';
import { exportCommand, proveCommand } from './export-command.ts';
import { keyCommand } from './key-command.ts';
import { begin, endCommand, requireEvidence } from './lifecycle.ts';
import { nextCommand } from './next-command.ts';
import { statementCommand } from './statement-command.ts';
import { sampleCommand, verifyCommand } from './verify-command.ts';

const evidenceGroup = {
  name: 'evidence',
  says: 'Show, begin, verify, export, continue and end the signed log of what is stored',
  help: `
A signed Merkle log of what is stored, built by the daemon if ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE are set:
docs/evidence.md. Uses only the database or a bundle, so it works beside a running daemon.

Examples:
  $ orgtrail evidence init
  $ orgtrail evidence run
  $ orgtrail evidence status --json
  $ orgtrail evidence verify --anchor checkpoint-of-june
  $ orgtrail evidence export bundle-2026
  $ orgtrail evidence verify bundle-2026
  $ orgtrail evidence prove 4711`,
};

export const evidenceCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  groupCommand(evidenceGroup, context, report)
    .addCommand(initCommand(context))
    .addCommand(runEvidenceCommand(context))
    .addCommand(keyCommand(context, report))
    .addCommand(statementCommand(context, report))
    .addCommand(verifyCommand(context, report))
    .addCommand(exportCommand(context, report))
    .addCommand(proveCommand(context))
    .addCommand(sampleCommand(context))
    .addCommand(nextCommand(context))
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

const buildHelp = `
Builds the evidence and does nothing else, so that no other process needs the key: leave ORGTRAIL_EVIDENCE_KEY_FILE out of the settings of
the daemons, which collect and serve what this one signs. Its database account needs only the role orgtrail_evidence, and no credential of
Cloudflare is used. Give it the same settings of filters as the daemons: without them it cannot state what is covered. With
ORGTRAIL_HTTP_PORT it serves /livez, /readyz, /healthz and /metrics. Runs until SIGTERM or SIGINT, as \`orgtrail run\` does. More than one
may run: one at a time builds.

Examples:
  $ orgtrail evidence run
  $ DATABASE_URL_FILE=/run/secrets/url ORGTRAIL_HTTP_PORT=8081 orgtrail evidence run`;

const runEvidenceCommand = (context: CliContext): Command =>
  new Command('run')
    .description('Build and sign the log, in a process that does nothing else')
    .addHelpText('after', buildHelp)
    .action(async () => {
      const read = readConfig(context.env, { needsCredential: false, interactive: context.interactive });
      const config = configWithoutFaults(read);
      const hidden = secretsOf(config);
      const logger = createLogger({ ...config.log, destination: context.stdout, secrets: hidden });
      for (const warning of config.unknownSettings) logger.warn(warning);
      const secrets = openSecrets(context.env, config, { logger, hidden });
      keepReloading(secrets, logger, context);
      const isServed = read.settings['ORGTRAIL_HTTP_PORT'] !== undefined;
      const builder = await startEvidenceBuilder(config, { logger, secrets, isServed, starting: context.signal });
      if (!context.signal.aborted) await once(context.signal, 'abort');
      logger.info('stopping');
      await builder.stop();
      logger.info('stopped');
    });
