import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AwsV4Signer } from 'aws4fetch';
import { Agent, type Dispatcher, errors } from 'undici';
import { isUntrustedCertificate, OrgtrailError, reasonOf } from '../errors.ts';
import { encoded, type S3Address, urlOfObject } from './s3-address.ts';
import type { KeySource } from './s3-credentials.ts';
import { S3Fault } from './s3-fault.ts';
import type { S3Keys } from './s3-keys.ts';

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT';
  /** Empty: of the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface S3Answer {
  readonly status: number;
  readonly body: Buffer;
  /** In lower case. */
  header(name: string): string | undefined;
}

export interface S3Transport {
  /** Rejects with an S3Fault `network` if there is no complete answer, or with the reason of `signal`. */
  send(request: S3Request, signal: AbortSignal): Promise<S3Answer>;
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly address: S3Address;
  readonly keys: KeySource;
  /** From sending to the end of the answer. */
  readonly timeoutMs: number;
  /** An answer that is longer is a fault. */
  readonly maxBytes: number;
  /** The clock that requests are signed by. */
  readonly nowMs: () => number;
}

const CONNECTIONS = 8;
const MAX_CONNECT_MS = 10_000;

/** Signs requests and sends them, over connections that are kept. Follows no redirect. Throws OrgtrailError `configuration` for a ca_file that cannot be read. */
export const createTransport = ({ address, keys, timeoutMs, maxBytes, nowMs }: TransportOptions): S3Transport => {
  const agent = new Agent({
    connections: CONNECTIONS,
    // Said although it is the default, since NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    connect: {
      rejectUnauthorized: true,
      timeout: Math.min(timeoutMs, MAX_CONNECT_MS),
      ...(address.caFile !== undefined && { ca: readCa(address.caFile) }),
    },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  return {
    send: async (request, signal) => {
      const timeout = AbortSignal.timeout(timeoutMs);
      const over = AbortSignal.any([signal, timeout]);
      try {
        const signed = await sign(address, request, await keys.keys(over), nowMs());
        return await answerOf(await agent.request({ ...signed, signal: over }), maxBytes);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof S3Fault) throw error;
        const reason = timeout.aborted ? `no complete answer within ${timeoutMs} ms` : whyNoAnswer(error);
        throw new S3Fault('network', `${urlOfObject(address, '').host} does not answer: ${reason}`, codeOf(error));
      }
    },
    close: () => agent.destroy(),
  };
};

const readCa = (file: string): Buffer => {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new OrgtrailError('configuration', `the ca_file of an s3 address cannot be read${code}`);
  }
};

type Signed = Pick<Dispatcher.RequestOptions, 'origin' | 'path' | 'method' | 'headers' | 'body'>;

const sign = async (address: S3Address, request: S3Request, keys: S3Keys, nowMs: number): Promise<Signed> => {
  const url = urlOfObject(address, request.key);
  url.search = Object.entries(request.query ?? {})
    .map(([name, value]) => `${name}=${encoded(value)}`)
    .join('&');
  const signer = new AwsV4Signer({
    method: request.method,
    url: url.href,
    headers: {
      ...request.headers,
      'x-amz-content-sha256': createHash('sha256')
        .update(request.body ?? '')
        .digest('hex'),
    },
    accessKeyId: keys.accessKey,
    secretAccessKey: keys.secretKey,
    ...(keys.sessionToken !== undefined && { sessionToken: keys.sessionToken }),
    service: 's3',
    region: address.region,
    datetime: new Date(nowMs).toISOString().replace(/[:-]|\.\d{3}/g, ''),
  });
  const { headers } = await signer.sign();
  return {
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    method: request.method,
    headers: { 'user-agent': 'orgtrail', ...Object.fromEntries(headers) },
    body: request.body ?? null,
  };
};

const answerOf = async (response: Dispatcher.ResponseData, maxBytes: number): Promise<S3Answer> => {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw new Error(`the answer has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return {
    status: response.statusCode,
    body: Buffer.concat(chunks),
    header: (name) => {
      const value = response.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
  };
};

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

const whyNoAnswer = (error: unknown): string => {
  // The one error of undici's that comes without a code.
  if (error instanceof errors.HTTPParserError) return 'the answer is not HTTP: check scheme and port of endpoint';
  const code = codeOf(error);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return `the answer is not TLS: check scheme and port of endpoint (${code})`;
  const words = reasonOf(error);
  const text = code === undefined || words.includes(code) ? words : `${code} (${words})`;
  return isUntrustedCertificate(code) ? `${text}: name the certificate's authority in ca_file` : text;
};
