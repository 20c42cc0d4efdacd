import { type HttpReceiver, type ReceivedRequest, type ReceiverAnswer, startHttpReceiver } from './http-receiver.ts';

// Receivers of messages that hold what Slack, Teams and PagerDuty document, as of November 2026.

export type Messenger = 'slack' | 'teams' | 'pagerduty';

const messengerSecrets = {
  slack: '/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX',
  teams: '/workflows/0123456789abcdef/triggers/manual/paths/invoke?sig=signature-of-the-workflow',
  pagerduty: 'routingkey0123456789abcdef012345',
} as const;

export interface Messages extends HttpReceiver {
  /** Every message that was taken in. */
  readonly bodies: readonly string[];
  /** The keys that they name, in order. */
  keys(): readonly string[];
  /** What it was sent against its rules. */
  readonly breaches: readonly string[];
}

interface MessengerOptions {
  readonly refuses?: ((text: string) => boolean) | undefined;
  /** Answers 429 to a message within so long after another. */
  readonly oneIn?: number;
}

type Json = Readonly<Record<string, unknown>>;
const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? value : []);

/** What Slack would show of the texts of a message: everything that is a text anywhere in it. */
const textsIn = (value: unknown): readonly string[] => {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === 'text' && typeof inner === 'string' ? [inner] : textsIn(inner),
  );
};

const slack = ({ path, body }: ReceivedRequest, breaches: string[]): ReceiverAnswer => {
  if (path !== messengerSecrets.slack) return { status: 404, body: 'no_service' };
  const message = JSON.parse(body) as Json;
  const blocks = list(message['blocks']);
  const texts = textsIn(message);
  if (blocks.length > 50 || texts.some((text) => text.length > 3_000 || text === '')) {
    return { status: 400, body: 'invalid_blocks' };
  }
  for (const text of texts) {
    const rest = text.replace(/<https?:\/\/[^<>|]+\|[^<>|]+>/g, '').replace(/&(amp|lt|gt);/g, '');
    if (/[&<>]/.test(rest)) breaches.push(`not escaped: ${text}`);
  }
  return { status: 200, body: 'ok' };
};

const teams = ({ path, body }: ReceivedRequest, breaches: string[]): ReceiverAnswer => {
  if (path !== messengerSecrets.teams)
    return { status: 401, body: '{"error":{"code":"DirectApiAuthorizationRequired"}}' };
  if (Buffer.byteLength(body) > 28 * 1_024) return { status: 413, body: 'Request Entity Too Large' };
  const { type, attachments } = JSON.parse(body) as Json;
  const [card] = list(attachments);
  const content = card?.['content'] as Json | undefined;
  if (type !== 'message' || card?.['contentType'] !== 'application/vnd.microsoft.card.adaptive') return { status: 400 };
  if (content?.['type'] !== 'AdaptiveCard' || content['version'] !== '1.4') return { status: 400 };
  for (const item of list(content['body'])) {
    if (item['type'] === 'TextBlock') breaches.push('a text block, which reads Markdown in texts of others');
  }
  return { status: 202 };
};

const pagerduty = ({ path, body }: ReceivedRequest): ReceiverAnswer => {
  if (path !== '/v2/enqueue') return { status: 404 };
  if (Buffer.byteLength(body) > 512 * 1_024) return { status: 413 };
  const event = JSON.parse(body) as Json;
  const payload = (event['payload'] ?? {}) as Readonly<Record<string, string>>;
  const faults = [
    event['routing_key'] === messengerSecrets.pagerduty ? '' : "'routing_key' is invalid",
    ['trigger', 'resolve'].includes(String(event['event_action'])) ? '' : "'event_action' is invalid",
    String(event['dedup_key']).length <= 255 ? '' : "'dedup_key' is too long",
    payload['source'] ? '' : "'payload.source' is missing or blank",
    payload['summary'] && payload['summary'].length <= 1_024 ? '' : "'payload.summary' is missing or too long",
    ['critical', 'error', 'warning', 'info'].includes(payload['severity'] ?? '') ? '' : "'payload.severity' is invalid",
    Number.isNaN(Date.parse(payload['timestamp'] ?? '')) ? "'payload.timestamp' is invalid" : '',
  ].filter((fault) => fault !== '');
  if (faults.length > 0) {
    const said = { status: 'invalid event', message: 'Event object is invalid', errors: faults };
    return { status: 400, body: JSON.stringify(said) };
  }
  const said = { status: 'success', message: 'Event processed', dedup_key: event['dedup_key'] };
  return { status: 202, body: JSON.stringify(said) };
};

const handlers = { slack, teams, pagerduty };

/** 43 characters, as the messages name them. */
const keysIn = (body: string): readonly string[] =>
  [...body.matchAll(/(?:Key: |"dedup_key":")([\w-]{43})/g)].flatMap(([, key]) => key ?? []);

/** The other end of a kind that writes to people. */
export const startMessenger = async (kind: Messenger, options: MessengerOptions = {}): Promise<Messages> => {
  const bodies: string[] = [];
  const breaches: string[] = [];
  let lastAtMs = Number.NEGATIVE_INFINITY;
  const handle = (request: ReceivedRequest): ReceiverAnswer => {
    if (options.refuses?.(request.body) === true) return { status: 400, body: 'no' };
    if (performance.now() - lastAtMs < (options.oneIn ?? 0)) {
      return { status: 429, headers: { 'retry-after': '1' }, body: 'rate_limited' };
    }
    const answer = handlers[kind](request, breaches);
    if (answer.status < 300) {
      bodies.push(request.body);
      lastAtMs = performance.now();
    }
    return answer;
  };
  const server = await startHttpReceiver({ handle, received: () => [] });
  return { ...server, bodies, breaches, keys: () => bodies.flatMap(keysIn) };
};

/** What a sink must be told to deliver to it. */
export const messengerSettings = (kind: Messenger, url: string): Readonly<Record<string, unknown>> => {
  const own = {
    slack: { webhook_url: `${url}${messengerSecrets.slack}` },
    teams: { webhook_url: `${url}${messengerSecrets.teams}` },
    pagerduty: { url, routing_key: messengerSecrets.pagerduty },
  };
  return { type: kind, pause: '0s', ...own[kind] };
};
