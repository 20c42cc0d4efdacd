import { createHmac } from 'node:crypto';
import { MAX_RETRY_AFTER_MS } from '../../ingest/cloudflare/wire/rate-limit-headers.ts';
import type { Delivery, DeliveryOutcome, Sink } from '../delivery.ts';
import { failedBy, failedWithoutAnswer, outcomeOfStatus } from '../http/http-outcome.ts';
import { createHttpPost } from '../http/http-post.ts';
import { jsonSplicer } from '../json-splice.ts';
import type { SettingsOf } from '../settings.ts';

const PREFIX = 'whsec_';

/**
 * Pushes to any HTTPS endpoint, signed as Standard Webhooks 1.0.0 says. `webhook-id` is the delivery's id, so that it is the same at
 * every attempt; the time in `webhook-timestamp` is that of the attempt. Any 2xx is success.
 */
export const createWebhookSink = (settings: SettingsOf<'webhook'>): Sink => {
  const url = new URL(settings.url);
  const http = createHttpPost({
    url: settings.url,
    headers: { 'content-type': 'application/json' },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    // A query often is a credential, as `?code=…`.
    secrets: [settings.secret, settings.secret.slice(PREFIX.length), ...url.searchParams.values(), url.search.slice(1)],
  });
  const write = bodyWriter(settings.format);
  const checks = { credential: 'secret, and what else the receiver wants', address: 'url' };
  const deliver = async (delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const body = write(delivery);
    const answer = await http.post(body, {
      signal,
      headers: signedHeaders(delivery.id, body, settings.secret, Date.now()),
    });
    if (answer.status >= 200 && answer.status < 300) return { kind: 'delivered', refused: [] };
    if (answer.status !== 410) return outcomeOfStatus(answer, checks, http.reasonText);
    // The receiver asks to be left alone for good; only the operator can take it out of the configuration.
    const reason = 'HTTP 410: the receiver wants no more webhooks; remove the sink or change its url';
    return failedBy({ ...answer, retryAfterMs: MAX_RETRY_AFTER_MS }, reason);
  };
  return {
    target: `${url.origin}${url.pathname}`,
    deliver: (delivery, signal) => failedWithoutAnswer(deliver(delivery, signal)),
    close: http.close,
  };
};

const signedHeaders = (id: string, body: string, secret: string, nowMs: number): Record<string, string> => {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const key = Buffer.from(secret.slice(PREFIX.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
};

/** The same body for the same delivery, at every attempt. */
const bodyWriter = (format: SettingsOf<'webhook'>['format']) => {
  const asJson = jsonSplicer(format);
  return ({ events }: Delivery): string => {
    const list = events.map(
      ({ key, event, text }) => `{"key":${JSON.stringify(key)},"position":${event.position},"event":${asJson(text)}}`,
    );
    const timestamp = JSON.stringify(events.at(-1)?.event.receivedAt);
    return `{"type":"orgtrail.events","timestamp":${timestamp},"data":{"format":"${format}","events":[${list.join(',')}]}}`;
  };
};
