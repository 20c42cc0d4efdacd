import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { listen } from '../../support/network/listen.ts';
import { databaseOfTests, type TestDatabase } from '../../support/postgres/database.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

const credentials = [
  { CLOUDFLARE_API_TOKEN: 'token-that-must-stay' },
  { CLOUDFLARE_EMAIL: 'me-that-must-stay@example.com', CLOUDFLARE_API_KEY: 'key-that-must-stay' },
];

describe.each(credentials)('a credential (%o) goes to the configured host only (invariant 12)', (credential) => {
  // A source that is known already would be retried for a minute if nothing can be listed.
  const database = databaseOfTests();
  const runAgainst = runnerAgainst(database);

  test.each([301, 302, 303, 307, 308])('where the listing is answered with a %i to another', async (status) => {
    const misled = (_path: string, other: string) => ({ status, location: `${other}/client/v4/organizations` });
    const { code, stderr } = await runAgainst('sync', credential, misled);
    expect(stderr).toContain('redirects are not followed');
    expect(code).not.toBe(0);
  });

  test.each([301, 302, 303, 307, 308])('where an audit log is answered with a %i to another', async (status) => {
    const { code, stdout } = await runAgainst('check', credential, (path, other) =>
      path.includes('/logs/audit')
        ? { status, location: `${other}/client/v4/x` }
        : envelope([{ id: 'o1', name: 'One' }]),
    );
    expect(stdout).toContain('redirects are not followed');
    expect(code).not.toBe(0);
  });

  test('where cursors, page tokens, ids and all of result_info are URLs of another', async () => {
    const { requests } = await runAgainst('sync', credential, (path, other) => {
      const { searchParams } = new URL(path, 'http://x');
      const next = `${other}/client/v4/next?x=1`;
      const links = { next, next_page: next, href: next, links: { next }, url: next };
      if (path.includes('/logs/audit'))
        return envelope([], searchParams.has('cursor') ? links : { ...links, cursor: next });
      if (path.includes('/profile')) return envelope({ href: next });
      const id = searchParams.has('page_token') ? `@${other.slice(7)}/` : `//${other.slice(7)}/x`;
      const token = searchParams.has('page_token') ? links : { ...links, next_page_token: next };
      return envelope([{ id, name: 'Evil', links }], token);
    });
    expect(requests.some((path) => /\/logs\/audit\?.*cursor=http%3A%2F%2F127/.test(path))).toBe(true);
    expect(requests.some((path) => /\/organizations\?.*page_token=http%3A%2F%2F127/.test(path))).toBe(true);
    expect(requests.some((path) => path.startsWith('/client/v4/organizations/%2F%2F127'))).toBe(true);
    expect(requests.some((path) => path.startsWith('/client/v4/organizations/%40127'))).toBe(true);
  });
});

const answerAll = async (onRequest: (request: IncomingMessage, response: ServerResponse) => void) => {
  const requests: string[] = [];
  const headers: string[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    headers.push(request.rawHeaders.join('\n'));
    onRequest(request, response);
  }).on('connection', () => {
    connections += 1;
  });
  const { port, stop } = await listen(server);
  const origin = `http://127.0.0.1:${port}`;
  return { requests, headers, origin, connections: () => connections, [Symbol.asyncDispose]: stop };
};

/** One run of a command, with one way of authenticating, against an API that leads to `other` in its own way. */
const runnerAgainst =
  (database: TestDatabase) =>
  async (
    command: 'check' | 'sync',
    credential: Readonly<Record<string, string>>,
    misled: (path: string, other: string) => { status?: number; location?: string; body?: unknown },
  ) => {
    await using other = await answerAll((_request, response) => void response.end('{}'));
    await using api = await answerAll((request, response) => {
      const { status = 200, location, body } = misled(request.url ?? '', other.origin);
      response.writeHead(status, {
        'content-type': 'application/json',
        ...(location !== undefined && { location, refresh: `0; url=${location}`, link: `<${location}>; rel="next"` }),
      });
      response.end(JSON.stringify(body ?? {}));
    });
    const env = { ...credential, CLOUDFLARE_BASE_URL: `${api.origin}/client/v4`, DATABASE_URL: database.daemonUrl };
    const result = await runInProcess([command], { ...env, ORGTRAIL_API_BUDGET: '1000000', ORGTRAIL_HISTORY: '1d' });
    const output = result.stdout + result.stderr;
    for (const secret of Object.values(credential)) {
      expect(output).not.toContain(secret);
      // The headers are where it belongs: else this test would prove nothing.
      expect(api.headers.join('\n')).toContain(secret);
    }
    expect(other.connections(), 'the other host was never spoken to').toBe(0);
    return { ...result, requests: api.requests };
  };

const envelope = (result: unknown, info: Record<string, unknown> = {}) => ({
  body: { success: true, errors: [], messages: [], result, result_info: info },
});
