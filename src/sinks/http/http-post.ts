import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Agent, type Dispatcher, errors } from 'undici';
import { isUntrustedCertificate, OrgtrailError } from '../../base/errors.ts';
import { parseRetryAfter } from '../../ingest/cloudflare/wire/rate-limit-headers.ts';
import type { DeliveryOutcome } from '../delivery.ts';

/** `_bulk` answers with some 50 bytes per event, and up to 500 for a refused one. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const gzipped = promisify(gzip);

export interface HttpPostOptions {
  /** Only its host ever gets the headers. */
  readonly url: string;
  readonly method?: 'POST' | 'PUT' | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** From sending to the end of the answer. */
  readonly timeoutMs: number;
  /** PEM file of the authority that signed the receiver's certificate, if not a public one. */
  readonly caFile: string | undefined;
  /** Never shown in a reason, wherever a receiver repeats them. */
  readonly secrets: readonly string[];
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly retryAfterMs: number | undefined;
  readonly redirectHost: string | undefined;
}

/** No complete answer: whether the request took effect is unknown. The message can be shown as a reason. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /** Receiver: no connection, so nothing was sent. */
  readonly because: 'slow' | 'receiver' | undefined;

  constructor(message: string, because: 'slow' | 'receiver' | undefined) {
    super(message);
    this.because = because;
  }
}

/** One receiver over a kept connection, without following redirects. */
export interface HttpPost {
  /** Rejects with NoAnswer or the reason of `signal`. `path` replaces that of the URL; `gzip` packs the body. */
  post(
    body: string,
    options: {
      readonly signal: AbortSignal;
      readonly headers?: Readonly<Record<string, string>>;
      readonly path?: string;
      readonly gzip?: boolean;
    },
  ): Promise<HttpAnswer>;
  /** Fit to be stored and shown. */
  readonly reasonText: ReasonText;
  close(): Promise<void>;
}

/** Throws OrgtrailError `configuration` if `caFile` cannot be read. */
export const createHttpPost = (given: HttpPostOptions): HttpPost => {
  const { url, method = 'POST', headers, timeoutMs, caFile, secrets } = given;
  const target = new URL(url);
  const reasonText = createReasonText(secrets);
  const agent = new Agent({
    connections: 1,
    // Said although it is the default, since NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    connect: {
      rejectUnauthorized: true,
      timeout: CONNECT_TIMEOUT_MS,
      ...(caFile !== undefined && { ca: readCa(caFile) }),
    },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  return {
    reasonText,
    post: async (body, options) => {
      const packed = options.gzip === true ? await gzipped(body) : body;
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        const response = await agent.request({
          origin: target.origin,
          path: options.path ?? `${target.pathname}${target.search}`,
          method,
          headers: {
            'user-agent': 'orgtrail',
            ...headers,
            ...options.headers,
            ...(options.gzip === true && { 'content-encoding': 'gzip' }),
          },
          body: packed,
          signal: AbortSignal.any([options.signal, timeout]),
        });
        return await readAnswer(response, target);
      } catch (error) {
        options.signal.throwIfAborted();
        const code = codeOf(error) ?? '';
        if (timeout.aborted || timeoutCodes.has(code)) throw new NoAnswer(reasonText(timedOut(timeoutMs)), 'slow');
        throw new NoAnswer(reasonText(whyNoAnswer(error)), unconnectedCodes.has(code) ? 'receiver' : undefined);
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
    throw new OrgtrailError('configuration', `The ca_file of a sink cannot be read${code}.`);
  }
};

const readAnswer = async (response: Dispatcher.ResponseData, target: URL): Promise<HttpAnswer> => {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ANSWER_BYTES) throw new Error(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  const { 'retry-after': retryAfter, location } = response.headers;
  return {
    status: response.statusCode,
    body: Buffer.concat(chunks).toString('utf8'),
    retryAfterMs: typeof retryAfter === 'string' ? parseRetryAfter(retryAfter, Date.now()) : undefined,
    redirectHost:
      typeof location === 'string' && URL.canParse(location, target.href) ? new URL(location, target).host : undefined,
  };
};

const timedOut = (timeoutMs: number): string => `no complete answer within ${timeoutMs} ms`;

const timeoutCodes = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** Errors before anything is sent. */
export const unconnectedCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

const whyNoAnswer = (error: unknown): string => {
  if (!(error instanceof Error)) return 'no answer';
  // The one error of undici's that comes without a code: an answer that is not HTTP.
  if (error instanceof errors.HTTPParserError) return 'the answer is not HTTP: check scheme and port of url';
  const code = codeOf(error);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return `the answer is not TLS: check scheme and port of url (${code})`;
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return `no connection within ${CONNECT_TIMEOUT_MS} ms`;
  // Happy Eyeballs fails with an AggregateError that has a code and no message.
  const text = code === undefined ? error.message : error.message === '' ? code : `${code} (${error.message})`;
  return isUntrustedCertificate(code) ? `${text}: name the certificate's authority in ca_file` : text;
};

/** What to look at when a receiver does not let the sink in, or does not know the path. */
export interface Checks {
  /** 401 and 403. */
  readonly credential: string;
  /** 404 and 405. */
  readonly address: string;
}

export const failedBy = (answer: HttpAnswer, reason: string): DeliveryOutcome => ({
  kind: 'failed',
  reason,
  ...(answer.retryAfterMs !== undefined && { retryAfterMs: answer.retryAfterMs }),
});

/** Meaning of an answer that is not 2xx, unless the receiver's protocol says more. */
export const outcomeOfStatus = (answer: HttpAnswer, checks: Checks, reasonText: ReasonText): DeliveryOutcome => {
  const { status, redirectHost } = answer;
  const said = answer.body.trim() === '' ? '' : `: ${answer.body}`;
  if (status >= 300 && status < 400) {
    const where = redirectHost === undefined ? '' : ` to ${redirectHost}`;
    return failedBy(
      answer,
      reasonText(`HTTP ${status}: redirects${where}, which is not followed; set url to the target`),
    );
  }
  if (status === 400 || status === 413 || status === 422) {
    return { kind: 'refused', reason: reasonText(`HTTP ${status}${said}`) };
  }
  const check =
    status === 401 || status === 403 ? checks.credential : status === 404 || status === 405 ? checks.address : '';
  return failedBy(answer, reasonText(`HTTP ${status}${check === '' ? '' : `: check ${check}`}${said}`));
};

/** Resolves with `failed` without a complete answer: the receiver may have the events or not. */
export const failedWithoutAnswer = async (outcome: Promise<DeliveryOutcome>): Promise<DeliveryOutcome> => {
  try {
    return await outcome;
  } catch (error) {
    if (error instanceof NoAnswer)
      return { kind: 'failed', reason: error.message, ...(error.because !== undefined && { because: error.because }) };
    throw error;
  }
};

/** Reasons stand in the database, in `status` and in the log. */
const MAX_REASON_LENGTH = 300;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const unprintable = /[\s\u0000-\u001f\u007f-\u009f\p{Bidi_Control}\p{Zl}\p{Zp}]+/gu;

export type ReasonText = (text: string) => string;

/** One short printable line without the `secrets` that a receiver may echo, also as JSON and URLs write them. */
export const createReasonText = (secrets: readonly string[]): ReasonText => {
  const forms = secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]);
  // Longest first: a part cut out of it would leave the rest.
  const hidden = [...new Set(forms)].filter((form) => form !== '').sort((a, b) => b.length - a.length);
  return (text) => {
    const redacted = hidden.reduce((rest, form) => rest.replaceAll(form, '[redacted]'), text);
    const line = redacted.replace(unprintable, ' ').trim().toWellFormed();
    return line.length <= MAX_REASON_LENGTH ? line : `${line.slice(0, MAX_REASON_LENGTH - 1).toWellFormed()}…`;
  };
};
