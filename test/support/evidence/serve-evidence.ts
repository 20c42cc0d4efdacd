import { createLogger } from '../../../src/app/telemetry/log.ts';
import type { ServedStore } from '../../../src/evidence/served-store.sql.ts';
import { startHttpServer } from '../../../src/http/server.ts';

export interface EvidenceServer extends AsyncDisposable {
  readonly url: string;
  get(
    path: string,
    token?: string,
  ): Promise<{ readonly code: number; readonly headers: Headers; readonly body: Buffer }>;
}

/** The server of the daemon with what it serves of the evidence, and nothing else to give. */
export const serveEvidence = async (
  servedEvidence: ServedStore | undefined,
  feedToken?: string,
): Promise<EvidenceServer> => {
  const nothing = new Proxy({}, { get: () => () => Promise.reject(new Error('only the evidence is served')) });
  const access = { note: () => {}, tokenOf: async () => undefined, hasTokens: async () => false };
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    feedToken,
    version: '1.2.3',
    tickMs: 30_000,
    apiBudget: 900,
    observer: { answered: () => {}, signInFailed: () => {} },
    logger: createLogger({ level: 'silent', format: 'json', destination: process.stdout, secrets: [] }),
    access,
    served: [],
    servedEvidence,
    ...Object.fromEntries(['feed', 'search', 'streams', 'overview'].map((source) => [source, nothing])),
    ...Object.fromEntries(['status', 'sinks', 'schemaState', 'metrics'].map((read) => [read, async () => ''])),
  } as unknown as Parameters<typeof startHttpServer>[0]);
  return {
    url: server.url,
    get: async (path, token) => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(`${server.url}${path}`, { headers });
      return {
        code: response.status,
        headers: response.headers,
        body: Buffer.from(await response.arrayBuffer()),
      };
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
};
