import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Credential } from '../../../../src/ingest/cloudflare/credentials.ts';
import { startTcpServer } from './local-server.ts';
import { apiErrorOf, createTestClient, getText, startApi } from './test-client.ts';

const credentials: { credential: Credential; secrets: string[] }[] = [
  { credential: { kind: 'token', token: 'tOkEn-0123456789' }, secrets: ['tOkEn-0123456789'] },
  {
    credential: { kind: 'key', email: 'me@here.example', key: 'kEy-9876543210' },
    secrets: ['kEy-9876543210', 'me@here.example'],
  },
];

describe.each(credentials)('a $credential.kind (invariant 12)', ({ credential, secrets }) => {
  const expectNoSecret = (value: unknown) => {
    const shown = inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true }).toLowerCase();
    // A part of it would be one too many.
    for (const secret of secrets) expect(shown).not.toContain(secret.slice(0, 8).toLowerCase());
  };

  it.each([302, 400, 401, 403, 404, 418, 429, 500])('is in no error of a %i that repeats it', async (status) => {
    await using test = await startApi(parrot(status), { credential });
    const error = await apiErrorOf(getText(test.client));
    if (status >= 400) expect(error.message).toContain('[redacted]');
    expectNoSecret(error);
    expectNoSecret([test.log, test.observed]);
  });

  it('is in no error of a connection that repeats it', async () => {
    await using server = await startTcpServer((socket) => void socket.once('data', (bytes) => socket.end(bytes)));
    await using test = createTestClient(server.baseUrl, { credential });
    expectNoSecret(await apiErrorOf(getText(test.client)));
  });

  it('is not to be found in the client', async () => {
    await using test = createTestClient('http://127.0.0.1:1', { credential });
    expectNoSecret(test.client);
  });
});

/** A server that says back what it was sent, in every place that ends in an error's message. */
const parrot =
  (status: number): RequestListener =>
  (request: IncomingMessage, response: ServerResponse) => {
    const secret = request.headers.authorization?.slice('Bearer '.length) ?? String(request.headers['x-auth-key']);
    response.writeHead(status, { location: `http://${secret}.example/` });
    response.end(
      JSON.stringify({
        errors: [{ code: 1, message: `${'x'.repeat(185)}${secret}` }, { message: String(request.rawHeaders) }],
      }),
    );
  };
