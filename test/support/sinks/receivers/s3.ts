import { type ReceivedRequest, startHttpReceiver } from '../http/http-receiver.ts';
import type { ReceiverKind } from '../receivers.ts';
import { type OverHttp, overHttp, receiverOver } from '../receivers-over-http.ts';

const keys = { access_key_id: 'access-key-of-the-receiver', secret_access_key: 'secret-key-of-the-receiver' };
/** As docs/sinks-s3.md has them. */
const path = /^\/audit\/logs\/\d{8}\/\d{16}-\d{16}-[0-9a-f]{16}\.ndjson\.gz$/;

/** Objects by name, as a bucket keeps them; test/integration/sinks/s3.test.ts has real storages. */
const startBucket = async () => {
  const objects = new Map<string, string>();
  const breaches: string[] = [];
  const handle = ({ path: name, headers, body }: ReceivedRequest) => {
    const signature = headers.authorization ?? '';
    if (!signature.startsWith(`AWS4-HMAC-SHA256 Credential=${keys.access_key_id}/`)) return { status: 403 };
    if (!path.test(name) || !body.endsWith('\n')) breaches.push(`an object ${name} of ${body.length} characters`);
    if ((objects.get(name) ?? body) !== body) breaches.push(`${name} came with another content`);
    objects.set(name, body);
    // As every storage names what it has taken.
    const etag = Buffer.from(String(headers['content-md5']), 'base64').toString('hex');
    return { status: 200, headers: { etag: `"${etag}"` } };
  };
  const http = await startHttpReceiver({ handle, received: () => [] });
  return { http, objects, breaches };
};

export const receiver: ReceiverKind<OverHttp> = {
  ...overHttp,
  start: async () => {
    const { http, objects, breaches } = await startBucket();
    const settings = { type: 's3', endpoint: http.url, bucket: 'audit', prefix: 'logs', ...keys };
    return {
      ...receiverOver(http, {}, () => breaches),
      settings,
      received: async () =>
        [...objects.values()].flatMap((body) =>
          body
            .slice(0, -1)
            .split('\n')
            .map((text) => ({ text })),
        ),
    };
  },
  awayReason: /does not answer: .*ECONNREFUSED/,
  hangReason: /does not answer: no complete answer within 2000 ms$/,
  // It takes whatever an event holds.
  canRefuse: false,
  // What is put again replaces what is there.
  repeats: 'none',
  // Statuses mean other things to it, and its client has other words: test/integration/sinks/s3.test.ts.
  http: undefined,
};
