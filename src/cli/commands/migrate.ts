import { Command } from 'commander';
import { loadConfig, secretsOf } from '../../app/config/config.ts';
import { openDatabase } from '../../app/open-database.ts';
import { createLogger, logBlocked, migrateWithLog } from '../../app/telemetry/log.ts';
import { setRetentionPolicy } from '../../archive/retention.sql.ts';
import { OrgtrailError } from '../../base/errors.ts';
import { formatDuration } from '../../base/time.ts';
import { createSearchIndex, type SearchIndexKind, searchIndexes } from '../../postgres/schema/online-index.ts';
import { createPublications } from '../../postgres/schema/publications.ts';
import type { CliContext } from '../command.ts';

const help = `
run, sync and backfill migrate by themselves at start; use this command if only another account may change the schema.
Safe to run from many machines at once.

--roles makes three roles without login, orgtrail_ingest (all that run, sync and backfill need; it may insert events, but not change them),
orgtrail_reader (select on every table and view, but for the salts of the evidence) and orgtrail_evidence (what building the evidence needs
beside it: docs/evidence.md), and gives them exactly these rights in this database. You can run it
again at any time; later versions of orgtrail keep the rights up to date when they migrate. Needs an account that owns the
schema and may create roles, or the roles made beforehand: create role orgtrail_ingest; create role orgtrail_reader; create role orgtrail_evidence.
With ORGTRAIL_RETENTION set here, orgtrail_ingest may also drop whole months that are older than that, and nothing younger
(table retention_policy); without it, nothing at all.

--publication makes the publications orgtrail (events, by insert only) and orgtrail_organizations for logical replication to
another PostgreSQL, Kafka, ClickHouse or a warehouse: docs/logical-replication.md. You can run it again at any time. Needs an
account that owns the tables and may create in the database, not a superuser.

--search-index makes the contents of requests and responses quick to find in all of history, by containment (json) or by any
part of the text (text, which needs the extension pg_trgm). It is built month by month while the daemon runs. Its cost:
docs/decisions/20. To remove it: drop index audit_events_payload (or audit_events_text).

Examples:
  $ DATABASE_URL=postgres://owner:...@db/orgtrail orgtrail migrate
  $ DATABASE_URL=postgres://owner:...@db/orgtrail orgtrail migrate --roles
  $ DATABASE_URL=postgres://owner:...@db/orgtrail orgtrail migrate --publication
  $ DATABASE_URL=postgres://owner:...@db/orgtrail orgtrail migrate --search-index json
  $ psql -c 'grant orgtrail_ingest to orgtrail_daemon' -c 'grant orgtrail_reader to siem'`;

export const migrateCommand = (context: CliContext): Command =>
  new Command('migrate')
    .description("Bring the database's schema up to this version")
    .option('--roles', 'create the roles orgtrail_ingest and orgtrail_reader, with the rights that they need')
    .option('--search-index [kinds]', 'make entries searchable by their content: json (default), text, or json,text')
    .option('--publication', 'create the publications for logical replication')
    .addHelpText('after', help)
    .action(async (options: { roles?: boolean; publication?: boolean; searchIndex?: string | true }) => {
      const kinds = options.searchIndex === undefined ? [] : readKinds(options.searchIndex);
      // stdout tells what it did, the log what takes long.
      const config = loadConfig(context.env, {
        needsCredential: false,
        interactive: context.interactive,
        logLevel: 'warn',
      });
      const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
      const database = await openDatabase(config, logger);
      try {
        const schema = await migrateWithLog(database.pool, logger, { roles: options.roles === true });
        context.stdout.write(
          `the schema is ${schema.state}: ${schema.applied} of ${schema.known} migrations applied\n`,
        );
        if (options.roles === true) {
          await setRetentionPolicy(database.pool, config.retentionMs);
          context.stdout.write(describeRoles(config.retentionMs));
        }
        for (const kind of kinds) {
          await createSearchIndex(database.pool, kind, {
            onPartition: (partition) => context.stdout.write(`indexing ${partition}\n`),
            onBlocked: logBlocked(logger),
          });
          context.stdout.write(`the search index for ${kind} is ready: docs/cookbook.md shows how to query it\n`);
        }
        if (options.publication === true) {
          context.stdout.write(describePublications(await createPublications(database.pool)));
        }
      } finally {
        await database.close();
      }
    });

const readKinds = (text: string | true): readonly SearchIndexKind[] => {
  const kinds = text === true ? ['json'] : text.split(',').map((kind) => kind.trim());
  if (kinds.every((kind): kind is SearchIndexKind => Object.hasOwn(searchIndexes, kind))) return kinds;
  throw new OrgtrailError('usage', `--search-index must be json, text or json,text, not ${JSON.stringify(text)}`);
};

const describeRoles = (retentionMs: number): string => {
  const rights = 'orgtrail_ingest and orgtrail_reader have their rights: grant them to the accounts you use\n';
  if (retentionMs === Number.POSITIVE_INFINITY) return rights;
  return `${rights}orgtrail_ingest may drop months that are older than ${formatDuration(retentionMs)} (ORGTRAIL_RETENTION)\n`;
};

const describePublications = ({ walLevel }: { readonly walLevel: string }): string => {
  const made =
    'the publications orgtrail and orgtrail_organizations are ready: docs/logical-replication.md shows how to use them\n';
  if (walLevel === 'logical') return made;
  return `${made}but wal_level is ${walLevel}: nothing can be replicated before the server is restarted with wal_level = logical\n`;
};
