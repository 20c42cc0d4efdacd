import { eventInstant } from '../../formats/format.ts';
import { type FormatName, formats } from '../../formats/registry.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../delivery.ts';
import {
  type Checks,
  createHttpPost,
  failedWithoutAnswer,
  type HttpAnswer,
  type HttpPostOptions,
  outcomeOfStatus,
  type ReasonText,
} from './http-post.ts';

/** How events stand in the body: each on a line, in a JSON array, or one alone in each request. */
export const bodies = ['ndjson', 'array', 'each'] as const;
type Body = (typeof bodies)[number];

interface HttpSinkOptions extends HttpPostOptions {
  /** Where it delivers to, for logs: no credential in it. */
  readonly target: string;
  readonly gzip: boolean;
  readonly body: Body;
  readonly format: FormatName;
  /** One event as it stands in the body: one line. It is JSON, if the body is an array. */
  readonly write: (event: OutgoingEvent) => string;
  /** A larger body, before it is packed, is not sent: its events go out in halves. */
  readonly maxRequestBytes: number | undefined;
  readonly checks: Checks;
  /** The token of each request, for the header `authorization`, or why there is none. No reason shows it. */
  readonly authorize?: (signal: AbortSignal) => Promise<Authorization>;
  /** What an answer that is not 2xx means, if that is another thing than usual. */
  readonly readTrouble?: (answer: HttpAnswer, reasonText: ReasonText) => DeliveryOutcome | undefined;
  /** What counts against `max_event_bytes`. Default: the bytes of what `write` gives. */
  readonly eventBytes?: (event: OutgoingEvent) => number;
  /** What an answer with 2xx means for so many events. Default: all are delivered. */
  readonly readSuccess?: (answer: HttpAnswer, eventCount: number, reasonText: ReasonText) => DeliveryOutcome;
}

type Authorization =
  | { readonly kind: 'authorized'; readonly secret: string }
  | (DeliveryOutcome & { readonly kind: 'failed' });

const delivered: DeliveryOutcome = { kind: 'delivered', refused: [] };

/**
 * A sink that makes one request of each delivery, without an envelope around its events. The header `idempotency-key` names these
 * events: it is the same at every attempt. Used by the kinds whose receiver takes plain events.
 */
export const createHttpSink = (options: HttpSinkOptions): Sink => {
  const { body, write, maxRequestBytes, readSuccess = () => delivered } = options;
  const headers = { 'content-type': contentTypeOf(options), ...options.headers };
  const http = createHttpPost({ ...options, headers });
  const deliver = async ({ id, events }: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const text = joined[body](events.map(write));
    const bytes = Buffer.byteLength(text, 'utf8');
    if (maxRequestBytes !== undefined && bytes > maxRequestBytes) {
      signal.throwIfAborted();
      return {
        kind: 'refused',
        reason: `not sent: it takes ${bytes} bytes, and max_request_bytes is ${maxRequestBytes}`,
      };
    }
    const authorized = await options.authorize?.(signal);
    if (authorized?.kind === 'failed') return authorized;
    const authorization = authorized && { authorization: `Bearer ${authorized.secret}` };
    const sent = { 'idempotency-key': id, ...authorization };
    const answer = await http.post(text, { signal, gzip: options.gzip, headers: sent });
    const isSuccess = answer.status >= 200 && answer.status < 300;
    if (isSuccess) return readSuccess(answer, events.length, http.reasonText);
    const reasonText: ReasonText = (said) =>
      http.reasonText(authorized === undefined ? said : said.replaceAll(authorized.secret, '[redacted]'));
    return options.readTrouble?.(answer, reasonText) ?? outcomeOfStatus(answer, options.checks, reasonText);
  };
  return {
    target: options.target,
    maxEvents: body === 'each' ? 1 : undefined,
    eventBytes: options.eventBytes ?? ((event) => Buffer.byteLength(write(event), 'utf8')),
    deliver: (delivery, signal) => failedWithoutAnswer(deliver(delivery, signal)),
    close: http.close,
  };
};

/** `each` never has more than one. */
const joined: Readonly<Record<Body, (items: readonly string[]) => string>> = {
  ndjson: (items) => items.map((item) => `${item}\n`).join(''),
  array: (items) => `[${items.join(',')}]`,
  each: (items) => items.join('\n'),
};

const contentTypeOf = ({ body, format }: HttpSinkOptions): string => {
  if (body === 'array') return 'application/json';
  if (!formats[format].json) return 'text/plain; charset=utf-8';
  return body === 'ndjson' ? 'application/x-ndjson' : 'application/json';
};

/**
 * Writes an event as an object for receivers that take its time from a field: the time first, then key and position, then the event
 * in its format. The time is that of the action, or that of the receipt if the entry has none.
 */
export const datedItemWriter = (timeField: string, format: FormatName): ((event: OutgoingEvent) => string) => {
  const asJson = jsonSplicer(format);
  return ({ event, key, text }) =>
    `{"${timeField}":"${eventInstant(event)}","key":${JSON.stringify(key)},"position":${event.position},"event":${asJson(text)}}`;
};

/**
 * Writes formatted events as JSON values, to be put into a larger JSON text as they are: what a format wrote as JSON keeps its
 * exact text (parsing would round large numbers), lines of other formats become strings.
 */
export const jsonSplicer = (format: FormatName): ((text: string) => string) =>
  formats[format].json ? (text) => text : (text) => JSON.stringify(text);
