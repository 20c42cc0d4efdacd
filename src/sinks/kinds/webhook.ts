import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { MAX_RETRY_AFTER_MS } from '../../ingest/cloudflare/wire/request.ts';
import type { Delivery, DeliveryOutcome, Sink } from '../delivery.ts';
import {
  createHttpPost,
  delivered,
  failedBy,
  type HttpAnswer,
  isSuccess,
  outcomeOfStatus,
  type ReasonText,
  sinkOver,
} from '../http/http-post.ts';
import { plainHttpWarnings } from '../http/http-settings.ts';
import { jsonSplicer } from '../http/http-sink.ts';
import { commonSettings, sinkKind, urlOf } from '../sink-kind.ts';

/** Standard Webhooks 1.0.0. `webhook-id` is the same at every attempt, `webhook-timestamp` the time of the attempt. Any 2xx is success. */
const create = (settings: WebhookSettings): Sink => {
  const url = new URL(settings.url);
  const http = createHttpPost({
    url: settings.url,
    headers: { 'content-type': 'application/json' },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.secret, ...derivedSecrets(settings)],
  });
  const write = bodyWriter(settings.format);
  const deliver = async (delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const body = write(delivery);
    const answer = await http.post(body, {
      signal,
      headers: { ...signedHeaders(delivery.id, body, settings.secret, Date.now()), ...checkpointHeader(delivery) },
    });
    return webhookOutcome(answer, http.reasonText);
  };
  return sinkOver(http, `${url.origin}${url.pathname}`, deliver);
};

/** As in answers of the feed. */
const checkpointHeader = ({ checkpoint }: Delivery): Record<string, string> =>
  checkpoint === undefined ? {} : { 'orgtrail-evidence': `${checkpoint.size} ${checkpoint.root}` };

const signedHeaders = (id: string, body: string, secret: string, nowMs: number): Record<string, string> => {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
};

const bodyWriter = (format: WebhookSettings['format']) => {
  const asJson = jsonSplicer(format);
  return ({ events, checkpoint }: Delivery): string => {
    const timestamp = JSON.stringify(events.at(-1)?.event.receivedAt);
    if (checkpoint !== undefined)
      return `{"type":"orgtrail.checkpoint","timestamp":${timestamp},"data":{"orgtrail_checkpoint":${checkpoint.record}}}`;
    const list = events.map(
      ({ key, event, text }) => `{"key":${JSON.stringify(key)},"position":${event.position},"event":${asJson(text)}}`,
    );
    return `{"type":"orgtrail.events","timestamp":${timestamp},"data":{"format":"${format}","events":[${list.join(',')}]}}`;
  };
};

const isWebhookSecret = (text: string): boolean => {
  const base64 = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(text)?.[1];
  const { length } = Buffer.from(base64 ?? '', 'base64');
  return length >= 24 && length <= 64;
};
const makeOne = '`echo "whsec_$(openssl rand -base64 32)"` makes one';

const settings = z.strictObject({
  type: z.literal('webhook'),
  ...commonSettings,
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  /** Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes. */
  secret: z
    .string({ error: ({ input }) => (input === undefined ? `is missing: ${makeOne}` : undefined) })
    .trim()
    .refine(isWebhookSecret, `must be whsec_ and base64 of 24 to 64 bytes: ${makeOne}`),
});

const derivedSecrets = ({ secret, url }: WebhookSettings): string[] => {
  const { search, searchParams } = new URL(url);
  // A query often is a credential, as `?code=...`.
  return [secret.slice(SECRET_PREFIX.length), search.slice(1), ...searchParams.values()];
};

export const webhook = sinkKind({
  settings,
  secrets: ['secret'],
  files: ['ca_file'],
  secretAddresses: ['url'],
  derivedSecrets,
  warnings: ({ url }) => plainHttpWarnings(url, 'what it signs'),
  create,
});

const SECRET_PREFIX = 'whsec_';

const webhookOutcome = (answer: HttpAnswer, reasonText: ReasonText): DeliveryOutcome => {
  if (isSuccess(answer)) return delivered;
  if (answer.status !== 410) return outcomeOfStatus(answer, checks, reasonText);
  // Only the operator can remove the sink from the configuration.
  const reason = 'HTTP 410: the receiver has unsubscribed; remove the sink or change its url';
  return failedBy({ ...answer, retryAfterMs: MAX_RETRY_AFTER_MS }, reason);
};

const checks = { credential: 'secret, and other credentials that the receiver requires', address: 'url' };
type WebhookSettings = z.infer<typeof settings>;
