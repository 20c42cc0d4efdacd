import { createHmac } from 'node:crypto';
import type { Delivery, DeliveryOutcome, Sink } from '../delivery.ts';
import { failedWithoutAnswer } from '../http/http-outcome.ts';
import { createHttpPost } from '../http/http-post.ts';
import { jsonSplicer } from '../http/json-splice.ts';
import type { SinkKind } from '../sink-kind.ts';
import { webhookOutcome } from './answers.ts';
import { SECRET_PREFIX, type WebhookSettings, webhookSettings } from './settings.ts';

/**
 * Pushes to any HTTPS endpoint, signed as Standard Webhooks 1.0.0 says. `webhook-id` is the delivery's id, so that it is the same at
 * every attempt; the time in `webhook-timestamp` is that of the attempt. Any 2xx is success.
 */
const create = (settings: WebhookSettings): Sink => {
  const url = new URL(settings.url);
  const http = createHttpPost({
    url: settings.url,
    headers: { 'content-type': 'application/json' },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.secret, ...webhookSettings.derivedSecrets(settings)],
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
  return {
    target: `${url.origin}${url.pathname}`,
    deliver: (delivery, signal) => failedWithoutAnswer(deliver(delivery, signal)),
    close: http.close,
  };
};

/** As answers of the feed have it. */
const checkpointHeader = ({ checkpoint }: Delivery): Record<string, string> =>
  checkpoint === undefined ? {} : { 'orgtrail-evidence': `${checkpoint.size} ${checkpoint.root}` };

const signedHeaders = (id: string, body: string, secret: string, nowMs: number): Record<string, string> => {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
};

/** The same body for the same delivery, at every attempt. */
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

export const webhook: SinkKind<typeof webhookSettings.settings> = { ...webhookSettings, create };
