import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { OrgtrailError } from '../base/errors.ts';
import { version } from '../base/package-files.ts';
import type { Time } from '../base/time.ts';
import { anchorForever, readAnchors } from '../evidence/anchors/anchor-forever.ts';
import { openAnchors } from '../evidence/anchors/open-anchors.ts';
import { anchorOfSink, createAnchorStore, keysAtAnchors } from '../evidence/anchors/stored-anchors.sql.ts';
import { type BuildingOptions, buildForever } from '../evidence/builder/build-forever.ts';
import type { CoverageOptions } from '../evidence/builder/coverage-schedule.ts';
import { createEvidenceStore, noteBuilderSettings } from '../evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../evidence/builder/ports.ts';
import { publicKeyOfFile, signerOfCommand, signerOfFile } from '../evidence/keys.ts';
import { createShownEvidence } from '../evidence/shown-evidence.sql.ts';
import { readEvidenceStatus } from '../evidence/stored/evidence-status.sql.ts';
import { verifyForever } from '../evidence/stored/verify-forever.ts';
import { openFeed } from '../feed/open-feed.ts';
import { canonicalFilters } from '../ingest/sources/source-kind.ts';
import { createProcessIdentity } from '../postgres/leases.ts';
import { openPool } from '../postgres/open-pool.ts';
import type { Pool } from '../postgres/pool.ts';
import { readSchemaState, requireCurrentSchema } from '../postgres/schema/migrate.ts';
import type { Config, EvidenceConfig } from './config/config.ts';
import type { LiveSecrets } from './config/live-secrets.ts';
import type { App } from './open-app.ts';
import { type Database, openDatabase } from './open-database.ts';
import { cannotListen, DATABASE_CONNECT_TIMEOUT_MS, SHUTDOWN_TIMEOUT_MS } from './process.ts';
import { kindPolicies, processTime } from './sync-context.ts';
import { logAnchors, logEvidence } from './telemetry/log-delivery.ts';
import { createBuilderMetrics } from './telemetry/metrics.ts';

/** One statement at a time, the renewal of the lease beside it, and anchors. */
const CONNECTIONS = 3;

interface RunningEvidence {
  /** Resolves once a stop was asked for and no statement is under way any more. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

interface EvidenceHost {
  readonly database: Pick<App['database'], 'latestUrl'>;
  readonly owner: string;
  readonly feed: Pick<App['feed'], 'waitBeyond'>;
  readonly sync: { readonly time: Time };
}

interface EvidenceParts {
  readonly signer: LogSigner | undefined;
  readonly nextSigner: LogSigner | undefined;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const NOTHING: RunningEvidence = { ended: Promise.resolve(), close: async () => {} };

const NEXT_KEY_FILE = 'ORGTRAIL_EVIDENCE_NEXT_KEY_FILE';

/** Undefined if none is set. Throws OrgtrailError `configuration` for a key that cannot be used. */
export const signerOf = (evidence: EvidenceConfig | undefined): LogSigner | undefined => {
  if (evidence?.keyFile === undefined) return undefined;
  const { keyFile, signer } = evidence;
  return signer === undefined ? signerOfFile(keyFile) : signerOfCommand(signer, publicKeyOfFile(keyFile));
};

export const nextSignerOf = (evidence: EvidenceConfig | undefined): LogSigner | undefined => {
  if (evidence?.nextKeyFile === undefined) return undefined;
  const { nextKeyFile, nextSigner } = evidence;
  return nextSigner === undefined
    ? signerOfFile(nextKeyFile, NEXT_KEY_FILE)
    : signerOfCommand(nextSigner, publicKeyOfFile(nextKeyFile, NEXT_KEY_FILE), 'ORGTRAIL_EVIDENCE_NEXT_SIGNER');
};

export const publicKeysOf = (evidence: EvidenceConfig | undefined): readonly Buffer[] => [
  ...(evidence?.keyFile === undefined ? [] : [publicKeyOfFile(evidence.keyFile)]),
  ...(evidence?.nextKeyFile === undefined ? [] : [publicKeyOfFile(evidence.nextKeyFile, NEXT_KEY_FILE)]),
];

/** Names the filters of this process, since only hashes are stored. */
export const coverageOf = (config: Config, everyMs: number): CoverageOptions => ({
  filters: kindPolicies(config).map(({ kind, filters, filterHash }) => ({
    kind,
    hash: filterHash,
    text: canonicalFilters(filters),
  })),
  everyMs,
});

/** Nothing if it is not configured. The schema must be current. */
const startEvidence = (
  config: Config,
  app: EvidenceHost,
  { signer, nextSigner, logger, signal }: EvidenceParts,
): RunningEvidence => {
  const { evidence, leaseMs } = config;
  if (evidence === undefined) return NOTHING;
  if (signer === undefined) {
    logger.info('evidence is not built here: ORGTRAIL_EVIDENCE_KEY_FILE is not set');
    return NOTHING;
  }
  if (evidence.anchors.length === 0 && anchorsOfSinks(config).length === 0) {
    logger.warn(
      'evidence is unanchored: no checkpoint is kept outside this database, so its owner could rewrite all of it',
    );
  }
  const { pool, close } = openPool({ url: app.database.latestUrl, size: CONNECTIONS, logger });
  const own = [signer, ...(nextSigner === undefined ? [] : [nextSigner])].map(({ publicKey }) => publicKey);
  const store = createEvidenceStore(pool, app.owner, leaseMs);
  const observer = logEvidence(logger);
  const { time } = app.sync;
  const ended = buildForever({
    ...anchoringOf(pool, evidence, { own, logger, time }),
    store,
    signer,
    nextSigner,
    base: evidence.base,
    version,
    observer,
    verify: (claim, lost) =>
      verifyForever(
        claim,
        {
          pool,
          store,
          time,
          observer,
          onError: (reason) =>
            logger.error({ reason }, 'the evidence could not be compared with what is stored; it is retried'),
        },
        lost,
      ),
    coverage: coverageOf(config, evidence.statementsMs),
    noteSettings: (claim) =>
      noteBuilderSettings(pool, claim, {
        anchors: [...evidence.anchors.map(({ name }) => name), ...anchorsOfSinks(config)],
        statementsMs: evidence.statementsMs,
      }),
    time,
    leaseMs,
    intervalMs: evidence.intervalMs,
    waitBeyond: (position, timeoutMs, abort) => app.feed.waitBeyond(position, timeoutMs, abort),
    onError: (reason) => logger.error({ reason }, 'building the evidence failed; it is retried'),
    signal,
  });
  return { ended, close };
};

/** A key that cannot be used does not stop ingestion: it is looked for again after each interval. */
export const startEvidenceOnceUsable = (
  config: Config,
  app: EvidenceHost,
  { logger, signal }: Pick<EvidenceParts, 'logger' | 'signal'>,
): RunningEvidence => {
  const { evidence } = config;
  let running: RunningEvidence | undefined;
  const start = (): string | undefined => {
    try {
      const signers = { signer: signerOf(evidence), nextSigner: nextSignerOf(evidence) };
      running = startEvidence(config, app, { ...signers, logger, signal });
      return undefined;
    } catch (error) {
      if (error instanceof OrgtrailError) return error.message;
      throw error;
    }
  };
  const told = start();
  if (told === undefined || evidence === undefined) return running ?? NOTHING;
  logger.error({ reason: told }, 'the evidence cannot be signed here; event collection continues');
  const { pool, close } = openPool({ url: app.database.latestUrl, size: 1, logger });
  const store = createEvidenceStore(pool, app.owner, config.leaseMs);
  const waiting = async (): Promise<void> => {
    for (let reason: string | undefined = told; reason !== undefined; reason = signal.aborted ? undefined : start()) {
      await store.refuse(reason).catch(() => {});
      await app.sync.time.sleep(evidence.intervalMs, signal).catch(() => {});
    }
    await running?.ended;
  };
  return {
    ended: waiting(),
    close: async () => {
      await running?.close();
      await close();
    },
  };
};

const anchorsOfSinks = ({ sinks }: Config): string[] =>
  sinks.filter(({ settings }) => settings.checkpoints === true).map(({ name }) => anchorOfSink(name));

const anchoringOf = (
  pool: Pool,
  { anchors: targets, s3 }: EvidenceConfig,
  { own, logger, time }: { readonly own: readonly Buffer[]; readonly logger: Logger; readonly time: Time },
): Pick<BuildingOptions, 'anchor' | 'readAnchors'> => {
  if (targets.length === 0) return {};
  const anchors = openAnchors(targets, s3);
  const observer = logAnchors(logger);
  const readKeys = (origin: string) => keysAtAnchors(pool, origin, own);
  return {
    readAnchors: async ({ number, origin }) =>
      await readAnchors(anchors, { number, origin, keys: await readKeys(origin) }, observer),
    anchor: (builder, signal) =>
      anchorForever(anchors, {
        store: createAnchorStore(pool),
        readKeys,
        observer,
        learn: (found) => builder.learn(found),
        time,
        signal,
      }),
  };
};

/** On connections of its own. If none is configured, the console still shows a log that there is. */
export const serveEvidence = ({ evidence }: Config, { database }: Pick<App, 'database'>, logger: Logger) => {
  if (evidence === undefined) {
    return { shown: createShownEvidence(database.pool, false), close: async () => {} };
  }
  const { pool, close } = openPool({ url: database.latestUrl, size: CONNECTIONS, sharedFor: 'the evidence', logger });
  return { shown: createShownEvidence(pool, true), close };
};

interface BuilderParts {
  readonly logger: Logger;
  readonly secrets: LiveSecrets;
  readonly isServed: boolean;
  readonly starting: AbortSignal;
}

/** Needs only the rights of orgtrail_evidence, so it makes no schema. Throws OrgtrailError `configuration` without a key, `database_outdated`. */
export const startEvidenceBuilder = async (config: Config, { logger, secrets, isServed, starting }: BuilderParts) => {
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
  const host = { database, owner: createProcessIdentity(), feed: feed.source, sync: { time: processTime() } };
  const evidence = startEvidence(config, host, { signer, nextSigner, logger, signal: stop.signal });
  opened.defer(() => evidence.close());
  logger.info({ version, ...(url !== undefined && { url }) }, 'orgtrail builds evidence');
  const running = opened.move();
  return {
    stop: async (): Promise<void> => {
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
  const { serveBuilder } = await import('../http/health.routes.ts');
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
