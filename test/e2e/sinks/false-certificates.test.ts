import { once } from 'node:events';
import { createServer as createPlainServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { expect, test } from 'vitest';
import { makeCertificates } from '../../support/network/server-certificates.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { file } = temporaryFolder();

test('with NODE_TLS_REJECT_UNAUTHORIZED=0 no library sends a secret to a server with a false certificate', async () => {
  await using certificates = await makeCertificates();
  const taken: string[] = [];
  const server = createServer(certificates.selfSigned, (socket) => {
    socket
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        taken.push(chunk.toString());
        socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
      });
  });
  // What a machine says of itself, which must not be asked beside STS.
  const machine = createPlainServer((request, response) => {
    taken.push(`${request.method} ${request.url}`);
    response.writeHead(404).end();
  });
  await using stack = new AsyncDisposableStack();
  for (const one of [server, machine]) {
    await once(one.listen(0, '127.0.0.1'), 'listening');
    stack.defer(() => void one.close());
  }
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;
  const sinks = {
    lake: { type: 's3', events: 'detections', bucket: 'bucket', endpoint: url },
    siem: {
      type: 'sentinel',
      events: 'detections',
      url,
      rule: 'dcr-0123456789abcdef',
      tenant_id: 'tenant',
      client_id: 'client',
      client_secret: 'CLIENT-SECRET',
      authority: url,
    },
  };
  const env = {
    ORGTRAIL_SINKS: JSON.stringify(sinks),
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    AWS_WEB_IDENTITY_TOKEN_FILE: file('token', 'the-token'),
    AWS_ROLE_ARN: 'arn:role',
    AWS_ENDPOINT_URL_STS: url,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${(machine.address() as AddressInfo).port}`,
  };
  for (const name of Object.keys(sinks)) {
    const { code, stderr } = await runOrgtrail(['sink', 'test', name], env);
    expect(taken, name).toEqual([]);
    expect([name, code, stderr]).toEqual([
      name,
      4,
      expect.stringMatching(/self.signed|Amazon gives none|endpoints_resolution_error/i),
    ]);
  }
});
