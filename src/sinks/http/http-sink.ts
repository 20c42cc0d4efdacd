import { eventInstant } from '../../formats/format.ts';
import { type FormatName, formats } from '../../formats/registry.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../delivery.ts';
import {
  type Checks,
  createHttpPost,
  delivered,
  type HttpAnswer,
  type HttpPostOptions,
  isSuccess,
  outcomeOfStatus,
  type ReasonText,
  sinkOver,
} from './http-post.ts';

/** One event per line, a JSON array, or one event per request. */
export const bodies = ['ndjson', 'array', 'each'] as const;
type Body = (typeof bodies)[number];

interface HttpSinkSettings {
  readonly timeout: number;
  readonly ca_file?: string | undefined;
  readonly gzip: boolean;
  readonly format: FormatName;
  /** A larger body, before packing, is not sent; its events go out in halves. */
  readonly max_request_bytes?: number | undefined;
}

interface HttpSinkOptions extends Omit<HttpPostOptions, 'timeoutMs' | 'caFile'> {
  /** For logs: without a credential. */
  readonly target: string;
  readonly body: Body;
  /** True: an item is JSON, whatever the format of its event. */
  readonly itemsAreJson?: boolean;
  /** One line; JSON if the body is an array. */
  readonly write: (event: OutgoingEvent) => string;
  readonly checks: Checks;
  /** The bearer token of each request, or why there is none. No reason shows it. */
  readonly authorize?: (signal: AbortSignal) => Promise<Authorization>;
  /** Meaning of an answer that is not 2xx, if unusual. */
  readonly readTrouble?: (answer: HttpAnswer, reasonText: ReasonText) => DeliveryOutcome | undefined;
  /** Counted against `max_event_bytes`. Default: the bytes of `write`. */
  readonly eventBytes?: (event: OutgoingEvent) => number;
  /** Meaning of an answer with 2xx. Default: all are delivered. */
  readonly readSuccess?: (answer: HttpAnswer, eventCount: number, reasonText: ReasonText) => DeliveryOutcome;
}

export type Authorization =
  | { readonly kind: 'authorized'; readonly secret: string }
  | (DeliveryOutcome & { readonly kind: 'failed' });

/** One request per delivery, without an envelope. `idempotency-key` names these events and is the same at every attempt. */
export const createHttpSink = (settings: HttpSinkSettings, options: HttpSinkOptions): Sink => {
  const { timeout: timeoutMs, ca_file: caFile, gzip, format, max_request_bytes: maxRequestBytes } = settings;
  const { body, write, itemsAreJson = formats[format].json, readSuccess = () => delivered } = options;
  const headers = { 'content-type': contentTypeOf(body, itemsAreJson), ...options.headers };
  const http = createHttpPost({ ...options, timeoutMs, caFile, headers });
  const deliver = async ({ id, events }: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const text = joined[body](events.map(write));
    const bytes = Buffer.byteLength(text, 'utf8');
    if (maxRequestBytes !== undefined && bytes > maxRequestBytes) {
      signal.throwIfAborted();
      const reason = `not sent: it takes ${bytes} bytes, and max_request_bytes is ${maxRequestBytes}`;
      return { kind: 'refused', reason };
    }
    const authorized = await options.authorize?.(signal);
    if (authorized?.kind === 'failed') return authorized;
    const authorization = authorized && { authorization: `Bearer ${authorized.secret}` };
    const answer = await http.post(text, { signal, gzip, headers: { 'idempotency-key': id, ...authorization } });
    if (isSuccess(answer)) return readSuccess(answer, events.length, http.reasonText);
    const reasonText: ReasonText = (said) =>
      http.reasonText(authorized === undefined ? said : said.replaceAll(authorized.secret, '[redacted]'));
    return options.readTrouble?.(answer, reasonText) ?? outcomeOfStatus(answer, options.checks, reasonText);
  };
  return {
    ...sinkOver(http, options.target, deliver),
    maxEvents: body === 'each' ? 1 : undefined,
    eventBytes: options.eventBytes ?? ((event) => Buffer.byteLength(write(event), 'utf8')),
  };
};

const joined: Readonly<Record<Body, (items: readonly string[]) => string>> = {
  ndjson: (items) => items.map((item) => `${item}\n`).join(''),
  array: (items) => `[${items.join(',')}]`,
  each: (items) => items.join('\n'),
};

const contentTypeOf = (body: Body, isJson: boolean): string => {
  if (body === 'array') return 'application/json';
  if (!isJson) return 'text/plain; charset=utf-8';
  return body === 'ndjson' ? 'application/x-ndjson' : 'application/json';
};

/** For receivers that take the time, which stands first, from a field. Without a time of the action, that of the receipt. */
export const datedItemWriter = (timeField: string, format: FormatName): ((event: OutgoingEvent) => string) => {
  const asJson = jsonSplicer(format);
  return ({ event, key, text }) =>
    `{"${timeField}":"${eventInstant(event)}","key":${JSON.stringify(key)},"position":${event.position},"event":${asJson(text)}}`;
};

/** Puts formatted events into a larger JSON text: JSON as it is (parsing would round large numbers), other lines as strings. */
export const jsonSplicer = (format: FormatName): ((text: string) => string) =>
  formats[format].json ? (text) => text : (text) => JSON.stringify(text);
