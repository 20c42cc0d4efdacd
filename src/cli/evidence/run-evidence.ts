import { Command } from 'commander';
import { startEvidenceBuilder } from '../../app/evidence/start-evidence-builder.ts';
import { keepReloading, openSecrets } from '../../app/reread-secrets.ts';
import { configWithoutFaults, readConfig } from '../../config/config.ts';
import { secretsOf } from '../../config/redaction.ts';
import { createLogger } from '../../telemetry/log.ts';
import type { CliContext } from '../cli-context.ts';

const help = `
Builds the evidence and does nothing else, so that no other process needs the key: leave ORGTRAIL_EVIDENCE_KEY_FILE out of the settings of
the daemons, which collect and serve what this one signs. Its database account needs only the role orgtrail_evidence, and no credential of
Cloudflare is used. Give it the same settings of filters as the daemons: without them it cannot state what is covered. With
ORGTRAIL_HTTP_PORT it serves /livez, /readyz, /healthz and /metrics. Runs until SIGTERM or SIGINT, as \`orgtrail run\` does. More than one
may run: one at a time builds.

Examples:
  $ orgtrail evidence run
  $ DATABASE_URL_FILE=/run/secrets/url ORGTRAIL_HTTP_PORT=8081 orgtrail evidence run`;

export const runEvidenceCommand = (context: CliContext): Command =>
  new Command('run')
    .description('Build and sign the log, in a process that does nothing else')
    .addHelpText('after', help)
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
      await aborted(context.signal);
      logger.info('stopping');
      await builder.stop();
      logger.info('stopped');
    });

const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
