import type { RequestListener } from 'node:http';
import { ApiError } from '../../../../src/base/errors.ts';
import {
  type CloudflareClient,
  type CloudflareClientDeps,
  createCloudflareClient,
} from '../../../../src/ingest/cloudflare/client.ts';
import type { ApiText } from '../../../../src/ingest/cloudflare/wire/request.ts';
import { createServerClock } from '../../../../src/ingest/cloudflare/wire/request.ts';

import { type LocalServer, startHttpServer } from './local-server.ts';

export const TOKEN = 'v1-SeCrEt-token-0123456789';

/** A client on real sockets with a budget that never waits, retries that do not sleep, and a record of both. */
export interface TestClient extends AsyncDisposable {
  readonly client: CloudflareClient;
  /** All that happened outside of the wire, in order: `acquire`, `pause 300000 retry_after`, `sleep 500`. */
  readonly log: readonly string[];
  /** As the observer saw it: `organizations 200`, `throttled 300000`, `retry server 1 500`. */
  readonly observed: readonly string[];
}

export function createTestClient(baseUrl: string, deps: Partial<CloudflareClientDeps> = {}): TestClient {
  const log: string[] = [];
  const observed: string[] = [];
  const client = createCloudflareClient({
    baseUrl,
    credential: { kind: 'token', token: TOKEN },
    userAgent: 'orgtrail/test',
    clock: createServerClock(() => 0),
    random: () => 0,
    budget: {
      acquire: async () => void log.push('acquire'),
      pause: async (durationMs, reason) => void log.push(`pause ${durationMs} ${reason}`),
    },
    sleep: async (durationMs) => void log.push(`sleep ${durationMs}`),
    observer: {
      onAttempt: ({ endpoint, status }) => observed.push(`${endpoint} ${status}`),
      onThrottled: ({ waitMs }) => observed.push(`throttled ${waitMs}`),
      onRetry: ({ failure, attempt, waitMs }) => observed.push(`retry ${failure} ${attempt} ${waitMs}`),
    },
    ...deps,
  });
  return { client, log, observed, [Symbol.asyncDispose]: () => client.close() };
}

/** GETs `/organizations`. */
export function getText(
  client: CloudflareClient,
  options: { signal?: AbortSignal; validate?: (body: ApiText) => void } = {},
) {
  return client.get<ApiText>({
    endpoint: 'organizations',
    path: '/organizations',
    query: new URLSearchParams(),
    signal: options.signal ?? new AbortController().signal,
    decode: (answer: ApiText) => {
      options.validate?.(answer);
      return answer;
    },
  });
}

/** The ApiError that the promise rejects with; anything else fails the test. */
export async function apiErrorOf(promise: Promise<unknown>): Promise<ApiError> {
  const error = await promise.then(
    () => new Error('it did not reject'),
    (reason: unknown) => reason,
  );
  if (error instanceof ApiError) return error;
  throw error;
}

/** A server that answers with these handlers in turn, and a client for it. */
export async function startApi(
  handlers: RequestListener | RequestListener[],
  deps: Partial<CloudflareClientDeps> = {},
): Promise<TestClient & { readonly server: LocalServer }> {
  const server = await startHttpServer(...[handlers].flat());
  const { client, log, observed } = createTestClient(server.baseUrl, deps);
  const end = async () => {
    await client.close();
    await server[Symbol.asyncDispose]();
  };
  return { server, client, log, observed, [Symbol.asyncDispose]: end };
}
