import { Command } from 'commander';
import { openDatabase } from '../app.ts';
import { loadConfig } from '../config.ts';
import { createLogger } from '../log.ts';
import { migrateDatabase } from '../store/migrate.ts';
import { secretsOf } from './secrets.ts';
import type { VerbContext } from './verb-context.ts';

const help = `
run, sync and backfill do this by themselves at start; use it where another account may change the schema.
Safe to run from many machines at once.

Example:
  $ DATABASE_URL=postgres://owner:...@db/orgtrail orgtrail migrate`;

export const migrateVerb = (context: VerbContext): Command =>
  new Command('migrate')
    .description("bring the database's schema up to this version")
    .addHelpText('after', help)
    .action(async () => {
      const config = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
      const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
      const database = await openDatabase(config, logger);
      try {
        const schema = await migrateDatabase(database.pool);
        context.stdout.write(
          `the schema is ${schema.state}: ${schema.applied} of ${schema.known} migrations applied\n`,
        );
      } finally {
        await database.close();
      }
    });
