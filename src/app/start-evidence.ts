import type { Logger } from 'pino';
import type { Config, EvidenceConfig } from '../config/config.ts';
import { buildForever } from '../evidence/builder/build-forever.ts';
import { createEvidenceStore } from '../evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../evidence/builder/ports.ts';
import { signerOfCommand } from '../evidence/keys/command-signer.ts';
import { publicKeyOfFile, signerOfFile } from '../evidence/keys/key-file.ts';
import type { ServedStore } from '../evidence/served/served-evidence.ts';
import { createServedStore } from '../evidence/served/served-store.sql.ts';
import { version } from '../package/package-files.ts';
import { openPool } from '../postgres/open-pool.ts';
import { logEvidence } from '../telemetry/evidence/log-evidence.ts';
import type { App } from './open-app.ts';

/** One statement at a time, and the renewal of the lease beside it. */
const CONNECTIONS = 2;

export interface RunningEvidence {
  /** Resolves once a stop was asked for and no statement is under way any more. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

interface EvidenceParts {
  /** Of `signerOf`. */
  readonly signer: LogSigner | undefined;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What signs, by the settings; undefined if none is set. Throws OrgtrailError `configuration` for a key that cannot be used. */
export const signerOf = (evidence: EvidenceConfig | undefined): LogSigner | undefined => {
  if (evidence?.keyFile === undefined) return undefined;
  const { keyFile, signer } = evidence;
  return signer === undefined ? signerOfFile(keyFile) : signerOfCommand(signer, publicKeyOfFile(keyFile));
};

/**
 * Starts to build the evidence beside ingestion, if it is configured. Called by the daemon, once the schema is current.
 */
export const startEvidence = (config: Config, app: App, { signer, logger, signal }: EvidenceParts): RunningEvidence => {
  const nothing = { ended: Promise.resolve(), close: async () => {} };
  const { evidence, leaseMs } = config;
  if (evidence === undefined) return nothing;
  if (signer === undefined) {
    logger.info('evidence is not built here: ORGTRAIL_EVIDENCE_KEY_FILE is not set');
    return nothing;
  }
  logger.warn(
    'evidence is unanchored: no checkpoint is kept outside this database, so its owner could rewrite all of it',
  );
  const { pool, close } = openPool({ url: app.database.latestUrl, size: CONNECTIONS, logger });
  const ended = buildForever({
    store: createEvidenceStore(pool, app.owner, leaseMs),
    signer,
    base: evidence.base,
    version,
    observer: logEvidence(logger),
    time: app.sync.time,
    leaseMs,
    intervalMs: evidence.intervalMs,
    waitBeyond: (position, timeoutMs, abort) => app.feed.waitBeyond(position, timeoutMs, abort),
    onError: (reason) => logger.error({ reason }, 'building the evidence failed; it is retried'),
    signal,
  });
  return { ended, close };
};

/** What is served of the evidence over HTTP, on connections of its own; nothing if none is configured. */
export const serveEvidence = (
  { evidence }: Config,
  { database }: Pick<App, 'database'>,
  logger: Logger,
): { readonly store: ServedStore | undefined; close(): Promise<void> } => {
  if (evidence === undefined) return { store: undefined, close: async () => {} };
  const { pool, close } = openPool({
    url: database.latestUrl,
    size: CONNECTIONS,
    sharedFor: 'the evidence',
    logger,
  });
  return { store: createServedStore(pool), close };
};
