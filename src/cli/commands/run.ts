import { Command } from 'commander';
import { loadConfig, secretsOf } from '../../app/config/config.ts';
import { keepReloading, openSecrets } from '../../app/config/live-secrets.ts';
import { startDaemon } from '../../app/start-daemon.ts';
import { createLogger } from '../../app/telemetry/log.ts';
import type { CliContext } from '../command.ts';

const help = `
Runs until SIGTERM or SIGINT, and finishes the current page first. A second signal exits immediately; no data is lost.
Secrets from files (NAME_FILE, ORGTRAIL_CONFIG) are read again on SIGHUP, every minute, and if one is refused: a rotated
secret needs no restart.

Examples:
  $ CLOUDFLARE_API_TOKEN=... orgtrail run
  $ ORGTRAIL_CONFIG=/etc/orgtrail/orgtrail.yaml orgtrail run
  $ CLOUDFLARE_API_TOKEN_FILE=/run/secrets/token DATABASE_URL=postgres://... ORGTRAIL_HTTP_HOST=0.0.0.0 orgtrail run
  $ curl -s localhost:8080/healthz`;

export const runCommand = (context: CliContext): Command =>
  new Command('run')
    .description('Run the daemon: continuously collects audit logs, serves the console, the feed, health and metrics')
    .addHelpText('after', help)
    .action(async () => {
      const config = loadConfig(context.env, { needsCredential: true, interactive: context.interactive });
      const hidden = secretsOf(config);
      const logger = createLogger({ ...config.log, destination: context.stdout, secrets: hidden });
      for (const file of [context.settingsFile, context.env['ORGTRAIL_CONFIG']]) {
        if (file) logger.info({ file }, 'settings loaded from a file');
      }
      const secrets = openSecrets(context.env, config, { logger, hidden });
      keepReloading(secrets, logger, context);
      const daemon = await startDaemon(config, logger, {}, context.signal, secrets);
      await aborted(context.signal);
      logger.info('stopping');
      await daemon.stop();
      logger.info('stopped');
    });

const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
