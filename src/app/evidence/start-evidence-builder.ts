import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Config } from '../../config/config.ts';
import type { LiveSecrets } from '../../config/live-secrets.ts';
import { OrgtrailError } from '../../errors.ts';
import { readEvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import { openFeed } from '../../feed/feed-source.ts';
import { version } from '../../package/package-files.ts';
import { createProcessIdentity } from '../../postgres/leases/process-identity.ts';
import { readSchemaState, requireCurrentSchema } from '../../postgres/schema/migrate.ts';
import { createBuilderMetrics } from '../../telemetry/evidence/builder-metrics.ts';
import type { Time } from '../../time/clock.ts';
import { cannotListen } from '../cannot-listen.ts';
import { type Database, openDatabase } from '../open-database.ts';
import { nextSignerOf, signerOf, startEvidence } from './start-evidence.ts';

/** A container often starts before its database. */
const DATABASE_CONNECT_TIMEOUT_MS = 30_000;
/** After a stop only a statement can be under way, in a database that does not answer. */
const SHUTDOWN_TIMEOUT_MS = 6_000;

const time: Time = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { ref: false, ...(signal && { signal }) }),
};

interface BuilderParts {
  readonly logger: Logger;
  readonly secrets: LiveSecrets;
  /** Whether health and metrics are served. */
  readonly isServed: boolean;
  readonly starting: AbortSignal;
}

/** A process that builds evidence, and nothing else. */
interface EvidenceBuilder {
  /** Ends what is under way and closes everything. */
  stop(): Promise<void>;
}

/**
 * Opens the database and starts to build. Needs no credential of Cloudflare, and no more rights than those of orgtrail_evidence: so it makes
 * no schema. Throws OrgtrailError `configuration` without a key, `database_outdated` if the schema is not that of this version.
 */
export const startEvidenceBuilder = async (
  config: Config,
  { logger, secrets, isServed, starting }: BuilderParts,
): Promise<EvidenceBuilder> => {
  const [signer, nextSigner] = [signerOf(config.evidence), nextSignerOf(config.evidence)];
  if (signer === undefined) {
    throw new OrgtrailError('configuration', 'ORGTRAIL_EVIDENCE_ORIGIN and ORGTRAIL_EVIDENCE_KEY_FILE must be set', {
      hint: 'docs/evidence.md says what they are',
    });
  }
  await using opened = new AsyncDisposableStack();
  const wait = { forMs: DATABASE_CONNECT_TIMEOUT_MS, signal: starting };
  const database = await openDatabase(config, logger, { wait, mustExist: true, latestUrl: secrets.databaseUrl });
  opened.defer(() => database.close());
  await requireCurrentSchema(database.pool);
  const feed = openFeed(database.latestUrl, logger);
  opened.defer(() => feed.close());
  const url = isServed ? await serve(config, database, { logger, secrets }, opened) : undefined;
  // Neither waiting nor a database that is away keeps a process alive.
  const alive = setInterval(() => {}, 60_000);
  opened.defer(() => clearInterval(alive));
  const stop = new AbortController();
  const host = { database, owner: createProcessIdentity(), feed: feed.source, sync: { time } };
  const evidence = startEvidence(config, host, { signer, nextSigner, logger, signal: stop.signal });
  opened.defer(() => evidence.close());
  logger.info({ version, ...(url !== undefined && { url }) }, 'orgtrail builds evidence');
  const running = opened.move();
  return {
    stop: async () => {
      stop.abort();
      await Promise.race([evidence.ended, sleep(SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
      await running.disposeAsync();
    },
  };
};

const serve = async (
  { http }: Config,
  { pool }: Database,
  { logger, secrets }: Pick<BuilderParts, 'logger' | 'secrets'>,
  opened: AsyncDisposableStack,
): Promise<string> => {
  const { serveBuilder } = await import('../../http/evidence/builder-server.ts');
  const metrics = createBuilderMetrics(version);
  const evidence = () => readEvidenceStatus(pool);
  const server = await serveBuilder({
    ...http,
    feedToken: secrets.feedToken,
    logger,
    evidence,
    metrics: () => metrics.scrape(evidence),
    schemaState: async () => (await readSchemaState(pool)).state,
  }).catch((error: unknown) => {
    throw cannotListen(error, http, 'health and metrics');
  });
  opened.defer(() => server.close());
  return server.url;
};
