import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Dispatcher } from 'undici';
import type { z } from 'zod';
import { codeOf } from '../../base/errors.ts';
import { createAgent, readBody, readCa, whyNoAnswer } from '../../base/http.ts';
import { parseRetryAfter } from '../../ingest/cloudflare/wire/request.ts';
import type { DeliveryOutcome, Sink } from '../delivery.ts';

/** `_bulk` answers with some 50 bytes per event, and up to 500 for a refused one. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const PIECE_BYTES = 65_536;
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
  readonly bytes: Uint8Array;
  readonly contentType: string | undefined;
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

interface PostOptions {
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** Replaces that of the URL. */
  readonly path?: string;
  readonly gzip?: boolean;
}

/** One receiver over a kept connection, without redirects. Throws OrgtrailError `configuration` if `caFile` cannot be read. */
export const createHttpPost = (given: HttpPostOptions) => {
  const { url, method = 'POST', headers, timeoutMs, caFile, secrets } = given;
  const target = new URL(url);
  const reasonText = createReasonText(secrets);
  const ca = readCa(caFile, (code) => `The ca_file of a sink cannot be read${code}.`);
  const agent = createAgent({ connections: 1, connectMs: CONNECT_TIMEOUT_MS, timeoutMs, ca });
  return {
    /** Fit to be stored and shown. */
    reasonText,
    /** Rejects with NoAnswer or the reason of `signal`. */
    post: async (body: string | Uint8Array, options: PostOptions): Promise<HttpAnswer> => {
      const packed = options.gzip === true ? await gzipped(body) : Buffer.from(body);
      let isSent = packed.length === 0;
      const pieces = async function* () {
        for (let at = 0; at < packed.length; at += PIECE_BYTES) {
          isSent = at + PIECE_BYTES >= packed.length;
          yield packed.subarray(at, at + PIECE_BYTES);
        }
      };
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
            'content-length': String(packed.length),
          },
          body: Readable.from(pieces()),
          signal: AbortSignal.any([options.signal, timeout]),
        });
        const answer = await readAnswer(response, target);
        // A refusal may come early; what has not been read is not delivered.
        if (isSuccess(answer) && !isSent) throw new Error(`HTTP ${answer.status} came before all was sent`);
        return answer;
      } catch (error) {
        options.signal.throwIfAborted();
        const code = codeOf(error) ?? '';
        if (timeout.aborted || timeoutCodes.has(code)) {
          throw new NoAnswer(reasonText(`no complete answer within ${timeoutMs} ms`), 'slow');
        }
        const why = reasonText(whyNoAnswer(error, 'url', wordsOf));
        throw new NoAnswer(why, unconnectedCodes.has(code) ? 'receiver' : undefined);
      }
    },
    close: () => agent.destroy(),
  };
};

export type HttpPost = ReturnType<typeof createHttpPost>;

/** `target`: for logs, without a credential. */
export const sinkOver = (http: HttpPost, target: string, deliver: Sink['deliver']): Sink => ({
  target,
  deliver: (delivery, signal) => failedWithoutAnswer(deliver(delivery, signal)),
  close: http.close,
});

const readAnswer = async (response: Dispatcher.ResponseData, target: URL): Promise<HttpAnswer> => {
  const body = await readBody(response, MAX_ANSWER_BYTES, `the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
  const { 'retry-after': retryAfter, location, 'content-type': contentType } = response.headers;
  return {
    status: response.statusCode,
    body: body.toString('utf8'),
    bytes: body,
    contentType: typeof contentType === 'string' ? contentType.toLowerCase() : undefined,
    retryAfterMs: typeof retryAfter === 'string' ? parseRetryAfter(retryAfter, Date.now()) : undefined,
    redirectHost:
      typeof location === 'string' && URL.canParse(location, target.href) ? new URL(location, target).host : undefined,
  };
};

const timeoutCodes = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** Errors before anything is sent. */
const unconnected = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
];
export const unconnectedCodes: ReadonlySet<string> = new Set(unconnected);

const wordsOf = (error: unknown, code: string | undefined): string => {
  if (!(error instanceof Error)) return 'no answer';
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return `no connection within ${CONNECT_TIMEOUT_MS} ms`;
  // Happy Eyeballs fails with an AggregateError that has a code and no message.
  return code === undefined ? error.message : error.message === '' ? code : `${code} (${error.message})`;
};

export const delivered: DeliveryOutcome = { kind: 'delivered', refused: [] };

export const isSuccess = ({ status }: Pick<HttpAnswer, 'status'>): boolean => status >= 200 && status < 300;

/** The JSON of an answer; undefined if it is something else. */
export const answerAs = <T>(schema: z.ZodType<T>, { body }: HttpAnswer): T | undefined => {
  try {
    return schema.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
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
  // Too many requests: also without a word on how long.
  ...((answer.retryAfterMs !== undefined || answer.status === 429) && { retryAfterMs: answer.retryAfterMs ?? 0 }),
});

/** Meaning of an answer that is not 2xx, unless the receiver's protocol says more. */
export const outcomeOfStatus = (answer: HttpAnswer, checks: Checks, reasonText: ReasonText): DeliveryOutcome => {
  const { status, redirectHost } = answer;
  const said = answer.body.trim() === '' ? '' : `: ${answer.body}`;
  if (status >= 300 && status < 400) {
    const where = redirectHost === undefined ? '' : ` to ${redirectHost}`;
    const reason = `HTTP ${status}: redirects${where}, which is not followed; set url to the target`;
    return failedBy(answer, reasonText(reason));
  }
  if (status === 400 || status === 413 || status === 422) {
    return { kind: 'refused', reason: reasonText(`HTTP ${status}${said}`) };
  }
  const check =
    status === 401 || status === 403 ? checks.credential : status === 404 || status === 405 ? checks.address : '';
  return failedBy(answer, reasonText(`HTTP ${status}${check === '' ? '' : `: check ${check}`}${said}`));
};

/** Resolves with `failed` without a complete answer: the receiver may have the events or not. */
const failedWithoutAnswer = async (outcome: Promise<DeliveryOutcome>): Promise<DeliveryOutcome> => {
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
