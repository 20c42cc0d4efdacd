import { Webhook } from 'standardwebhooks';
import type { ReceivedRequest } from '../http/http-receiver.ts';
import { startWebhookReceiver } from '../http/http-receivers.ts';
import { credentials } from '../http/http-sinks.ts';
import { isPoison, type ReceiverKind } from '../receivers.ts';
import { type OverHttp, overHttp, receiverOver } from '../receivers-over-http.ts';

const { webhookSecret: secret, queryCode } = credentials;

/** Wrong signatures, and deliveries whose id is not theirs alone. */
const breachesOf = (requests: readonly ReceivedRequest[]): string[] => {
  const bodyById = new Map<unknown, string>();
  return requests.flatMap(({ body, headers }) => {
    const id = headers['webhook-id'];
    const before = bodyById.get(id);
    bodyById.set(id, body);
    try {
      new Webhook(secret).verify(body, headers as Record<string, string>);
    } catch (error) {
      return [`${id}: ${error}`];
    }
    return before === undefined || before === body ? [] : [`${id} came with two bodies`];
  });
};

export const receiver: ReceiverKind<OverHttp> = {
  ...overHttp,
  start: async ({ refusesPoison }) => {
    const http = await startWebhookReceiver({ ...(refusesPoison && { refuses: isPoison }) });
    const url = `${http.url}/hooks/orgtrail?code=${queryCode}`;
    return receiverOver(http, { type: 'webhook', url, secret }, () => breachesOf(http.requests));
  },
  repeats: 'kept',
};
