import { createHash } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import type { Dispatcher } from 'undici';
import { codeOf, reasonOf } from '../errors.ts';
import { createAgent, readBody, readCa, whyNoAnswer } from '../http.ts';
import { encoded, type S3Address, urlOfObject } from './address.ts';
import { createKeySource, type KeySource, type S3KeySettings, type S3Keys } from './credentials.ts';
import { faultOf, S3Fault, textIn } from './errors.ts';

interface ObjectFacts {
  readonly sizeBytes: number;
  readonly versionId: string | undefined;
  /** RFC 3339; undefined: not locked, or the key may not ask. */
  readonly lockedUntil: string | undefined;
}

interface ObjectHead extends ObjectFacts {
  /** Hexadecimal, of the object's bytes unless a key of KMS encrypts them. */
  readonly etag: string | undefined;
  /** As given to `put`. */
  readonly sha256: string | undefined;
}

interface StoredObject extends ObjectFacts {
  readonly bytes: Buffer;
}

interface ObjectEncryption {
  readonly algorithm: 'AES256' | 'aws:kms';
  /** Of `aws:kms`; undefined: the bucket's key. */
  readonly kmsKeyId: string | undefined;
}

type LockMode = 'COMPLIANCE' | 'GOVERNANCE';

export interface PutOptions {
  /** Neither changed nor deleted before. */
  readonly lockedUntilMs?: number;
  /** Default COMPLIANCE: not even by the bucket's owner or provider. */
  readonly lockMode?: LockMode;
  readonly encryption?: ObjectEncryption;
  /** Asks for a refusal with `exists` if there is such an object. Some storages ignore that. */
  readonly once?: boolean;
  readonly contentType?: string;
  /** Hexadecimal, of the bytes: kept as metadata. */
  readonly sha256?: string;
}

interface ListOptions {
  /** Below the prefix of the address. */
  readonly folder: string;
  /** Only keys behind this one. */
  readonly after?: string;
  readonly limit?: number;
}

/** Keys below the prefix of the address, in their order as bytes. */
type ListedKeys = Readonly<{ keys: readonly string[]; more: boolean }>;

/** Keys are without the prefix of the address. Rejects with an S3Fault or the reason of the signal. */
export interface S3Bucket {
  readonly address: S3Address;
  put(
    key: string,
    bytes: Uint8Array,
    options?: PutOptions,
    signal?: AbortSignal,
  ): Promise<{ readonly versionId: string | undefined }>;
  /** Undefined: there is none. The range is exclusive of `to`. */
  get(
    key: string,
    range?: { readonly from: number; readonly to: number },
    signal?: AbortSignal,
  ): Promise<StoredObject | undefined>;
  /** Undefined: no object or no bucket, which HEAD does not tell apart. */
  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined>;
  list(options: ListOptions, signal?: AbortSignal): Promise<ListedKeys>;
  close(): Promise<void>;
}

export interface BucketOptions extends Omit<S3KeySettings, 'credentialsFile'> {
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
  readonly nowMs?: () => number;
}

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;
const SHA256_METADATA = 'x-amz-meta-sha256';
const never = new AbortController().signal;

/** Connects and reads nothing yet. Throws OrgtrailError `configuration` for an unreadable ca_file. */
export const openBucket = (address: S3Address, options: BucketOptions): S3Bucket => {
  const { timeoutMs = TIMEOUT_MS, maxBytes = MAX_BYTES, nowMs = Date.now, ...settings } = options;
  const keys = createKeySource({ ...settings, credentialsFile: address.credentialsFile });
  const transport = createTransport({ address, keys, timeoutMs, maxBytes, nowMs });
  const keyOf = (key: string) => (address.prefix === '' ? key : `${address.prefix}/${key}`);
  const send = (request: S3Request, signal = never) => sendTwice(transport, keys, address, request, signal);
  return {
    address,
    put: (key, bytes, put, signal) => putObject(send, keyOf(key), bytes, put, signal),
    get: (key, range, signal) => getObject(send, keyOf(key), range, signal),
    head: async (key, signal) => {
      const answer = await send({ method: 'HEAD', key: keyOf(key) }, signal);
      return answer.status === 404
        ? undefined
        : {
            ...factsOf(answer),
            sizeBytes: Number(answer.header('content-length')),
            etag: etagOf(answer),
            sha256: answer.header(SHA256_METADATA),
          };
    },
    list: async ({ folder, after, limit = 1_000 }, signal) => {
      const start = keyOf('');
      const prefix = `${keyOf(folder)}/`;
      const query = { 'list-type': '2', 'encoding-type': 'url', 'max-keys': String(limit), prefix };
      const answer = await send(
        { method: 'GET', key: '', query: after === undefined ? query : { ...query, 'start-after': keyOf(after) } },
        signal,
      );
      return keysOf(answer.body.toString('utf8'), start, after);
    },
    close: transport.close,
  };
};

type Send = (request: S3Request, signal?: AbortSignal) => Promise<S3Answer>;

/** Once more with newly read keys if these are refused: they may have been renewed. Resolves for 2xx, and 404 of an object. */
const sendTwice = async (
  transport: ReturnType<typeof createTransport>,
  keys: KeySource,
  address: S3Address,
  request: S3Request,
  signal: AbortSignal,
): Promise<S3Answer> => {
  const first = await transport.send(request, signal);
  const fault = refusalOf(first, address, request);
  if (fault === undefined) return first;
  if (fault.kind !== 'wrong_secret' && fault.kind !== 'expired') throw fault;
  keys.forget();
  const second = await transport.send(request, signal);
  const again = refusalOf(second, address, request);
  if (again !== undefined) throw again;
  return second;
};

const refusalOf = (answer: S3Answer, { bucket }: S3Address, { method, key }: S3Request): S3Fault | undefined => {
  const { status } = answer;
  if (status === 200 || status === 206 || status === 204) return undefined;
  const body = answer.body.toString('utf8');
  if (status === 404 && method !== 'PUT' && key !== '' && textIn(body, 'Code') !== 'NoSuchBucket') return undefined;
  const region = answer.header('x-amz-bucket-region');
  const retryAfter = answer.header('retry-after');
  const location = answer.header('location') ?? '';
  const redirectHost = URL.canParse(location) ? new URL(location).host : undefined;
  return faultOf(
    { status, body, region, retryAfter, redirectHost },
    bucket,
    `${method} of ${key === '' ? 'the list' : key}`,
  );
};

const putObject = async (
  send: Send,
  key: string,
  bytes: Uint8Array,
  options: PutOptions = {},
  signal?: AbortSignal,
): Promise<{ readonly versionId: string | undefined }> => {
  const { lockedUntilMs, once = false } = options;
  const md5 = createHash('md5').update(bytes).digest();
  const headers = headersOfPut(md5, options);
  const put = async (more: Readonly<Record<string, string>> = {}) => {
    const request: S3Request = { method: 'PUT', key, headers: { ...headers, ...more }, body: bytes };
    const sent = send(request, signal).catch((error: unknown) => Promise.reject(withLockHint(error, lockedUntilMs)));
    const answer = await sent;
    if (!isProof(answer, md5)) await mustBeThere(send, key, { bytes, answer }, signal);
    return { versionId: versionOfAnswer(answer) };
  };
  if (!once) return await put();
  try {
    return await put({ 'if-none-match': '*' });
  } catch (error) {
    // Storages without the condition refuse it.
    if (!(error instanceof S3Fault) || error.code !== 'NotImplemented') throw error;
    return await put();
  }
};

/** Storages name the MD5 of what they took, except with a key of KMS. */
const isProof = (answer: S3Answer, md5: Buffer): boolean => {
  const etag = etagOf(answer);
  const encryption = answer.header('x-amz-server-side-encryption') ?? '';
  return etag === md5.toString('hex') || (etag !== undefined && encryption.startsWith('aws:kms'));
};

/** Any other success may be of a proxy, a portal or a web server that kept nothing, or not all. */
const mustBeThere = async (
  send: Send,
  key: string,
  { bytes, answer }: { readonly bytes: Uint8Array; readonly answer: S3Answer },
  signal?: AbortSignal,
): Promise<void> => {
  const etag = etagOf(answer);
  const there = etag === undefined ? undefined : await send({ method: 'HEAD', key }, signal);
  if (there?.status === 200 && etagOf(there) === etag && Number(there.header('content-length')) === bytes.length)
    return;
  const code = `HTTP ${answer.status}`;
  const why = etag === undefined ? 'without an ETag' : 'and no object of this size and ETag there';
  throw new S3Fault(
    'other',
    `the answer is not that of an S3 storage, check endpoint (${code} ${why}): PUT of ${key}`,
    code,
  );
};

/** Weak after a proxy that compresses. */
const etagOf = (answer: S3Answer): string | undefined => answer.header('etag')?.replace(/^W\//, '').replaceAll('"', '');

const headersOfPut = (
  md5: Buffer,
  { lockedUntilMs, lockMode = 'COMPLIANCE', encryption, contentType = 'application/octet-stream', sha256 }: PutOptions,
): Readonly<Record<string, string>> => ({
  'content-type': contentType,
  // Required for a lock; also detects damage on the way.
  'content-md5': md5.toString('base64'),
  ...(sha256 !== undefined && { [SHA256_METADATA]: sha256 }),
  ...(lockedUntilMs !== undefined && {
    'x-amz-object-lock-mode': lockMode,
    'x-amz-object-lock-retain-until-date': new Date(lockedUntilMs).toISOString(),
  }),
  ...(encryption !== undefined && { 'x-amz-server-side-encryption': encryption.algorithm }),
  ...(encryption?.kmsKeyId !== undefined && { 'x-amz-server-side-encryption-aws-kms-key-id': encryption.kmsKeyId }),
});

/** Storages have no clear code for a bucket that cannot lock. */
const withLockHint = (error: unknown, lockedUntilMs: number | undefined): unknown =>
  lockedUntilMs !== undefined && error instanceof S3Fault && error.code.startsWith('Invalid') && error.kind === 'other'
    ? new S3Fault('no_lock', `${error.message}; is object lock switched on for the bucket?`, error.code)
    : error;

const getObject = async (
  send: Send,
  key: string,
  range: { readonly from: number; readonly to: number } | undefined,
  signal?: AbortSignal,
): Promise<StoredObject | undefined> => {
  const headers = range && { range: `bytes=${range.from}-${range.to - 1}` };
  const answer = await send({ method: 'GET', key, ...(headers && { headers }) }, signal);
  if (answer.status === 404) return undefined;
  const { body: bytes } = answer;
  if (
    range !== undefined &&
    (answer.status !== 206 || !(answer.header('content-range') ?? '').startsWith(`bytes ${range.from}-`))
  ) {
    throw new S3Fault('other', `the storage does not give the range that was asked for: GET of ${key}`);
  }
  return { ...factsOf(answer), bytes, sizeBytes: bytes.length };
};

/** Without versions, some storages say `null`. */
const versionOfAnswer = (answer: S3Answer): string | undefined => {
  const version = answer.header('x-amz-version-id');
  return version === 'null' ? undefined : version;
};

const factsOf = (answer: S3Answer) => ({
  versionId: versionOfAnswer(answer),
  lockedUntil: answer.header('x-amz-object-lock-retain-until-date'),
});

const keysOf = (xml: string, start: string, after: string | undefined): ListedKeys => {
  if (!xml.includes('<ListBucketResult')) throw new S3Fault('other', 'the storage answers with no list');
  const all = [...xml.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) =>
    decodeURIComponent(key.replaceAll('+', ' ')),
  );
  const own = all.filter((key) => key.startsWith(start)).map((key) => key.slice(start.length));
  // Some storages begin with the key itself.
  const from = Buffer.from(after ?? '');
  const keys = own.filter((key) => after === undefined || Buffer.compare(Buffer.from(key), from) > 0);
  const more = textIn(xml, 'IsTruncated') === 'true';
  if (more && keys.length === 0) throw new S3Fault('other', 'the storage does not list keys from one on');
  return { keys, more };
};

interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT';
  /** Empty: the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

interface S3Answer {
  readonly status: number;
  readonly body: Buffer;
  header(name: string): string | undefined;
}

const CONNECTIONS = 8;
const MAX_CONNECT_MS = 10_000;

/** Signs and sends over kept connections; follows no redirect. Throws OrgtrailError `configuration` for an unreadable ca_file. */
export const createTransport = ({
  address,
  keys,
  timeoutMs,
  maxBytes,
  nowMs,
}: {
  readonly address: S3Address;
  readonly keys: KeySource;
  /** From sending to the end of the answer. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly nowMs: () => number;
}) => {
  const connectMs = Math.min(timeoutMs, MAX_CONNECT_MS);
  const ca = readCa(address.caFile, (code) => `the ca_file of an s3 address cannot be read${code}`);
  const agent = createAgent({ connections: CONNECTIONS, connectMs, timeoutMs, ca });
  return {
    /** Rejects with an S3Fault `network` without a complete answer, or with the reason of `signal`. */
    send: async (request: S3Request, signal: AbortSignal): Promise<S3Answer> => {
      const timeout = AbortSignal.timeout(timeoutMs);
      const over = AbortSignal.any([signal, timeout]);
      try {
        const signed = await sign(address, request, await keys.keys(over), nowMs());
        return await answerOf(await agent.request({ ...signed, signal: over }), maxBytes);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof S3Fault) throw error;
        const why = timeout.aborted
          ? `no complete answer within ${timeoutMs} ms`
          : whyNoAnswer(error, 'endpoint', wordsOf);
        throw new S3Fault('network', `${urlOfObject(address, '').host} does not answer: ${why}`, codeOf(error));
      }
    },
    close: () => agent.destroy(),
  };
};

const wordsOf = (error: unknown, code: string | undefined): string => {
  const words = reasonOf(error);
  return code === undefined || words.includes(code) ? words : `${code} (${words})`;
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

const answerOf = async (response: Dispatcher.ResponseData, maxBytes: number): Promise<S3Answer> => ({
  status: response.statusCode,
  body: await readBody(response, maxBytes, `the answer has more than ${maxBytes} bytes`),
  header: (name) => {
    const value = response.headers[name];
    return Array.isArray(value) ? value[0] : value;
  },
});
