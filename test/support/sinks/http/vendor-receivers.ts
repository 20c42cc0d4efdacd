import { jsonMembers } from '../../feed/json-texts.ts';
import { type EntraAuthority, entraApplication, startEntraAuthority } from './entra-authority.ts';
import type { ReceivedRequest, ReceiverAnswer } from './http-receiver.ts';
import { type PlainReceiver, type PlainReceiverOptions, startPlainReceiver } from './plain-receiver.ts';

// Receivers that hold the limits which each vendor documents, as of November 2026: what is refused, and what is altered with a success.

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const KB = 1_024;

const vendorSecrets = {
  datadog: 'dd-key-0123456789abcdef',
  panther: 'shared-secret-of-panther',
  sumo: 'ZaVnC4dhaV1-token-of-the-source',
  axiom: 'xaat-0123456789-axiom',
  sentinel: entraApplication.client_secret,
} as const;
export type Vendor = keyof typeof vendorSecrets;

export interface VendorReceiver extends PlainReceiver {
  /** What it took in otherwise than it was sent. */
  readonly altered: readonly string[];
  /** Where its senders get their tokens, if that is not itself. */
  readonly entra: EntraAuthority | undefined;
  /** What a sink must be told to deliver to it. */
  readonly settings: Readonly<Record<string, unknown>>;
}

interface VendorOptions {
  /** False: it takes everything, as it is. */
  readonly limits: boolean;
  readonly refuses?: PlainReceiverOptions['refuses'];
}

const SENTINEL_RULE = 'dcr-0123456789abcdef0123456789abcdef';

const bytesOf = (text: string): number => Buffer.byteLength(text, 'utf8');
const parsed = (item: string) => JSON.parse(item) as Readonly<Record<string, unknown>>;
const eventOf = (item: string) => {
  const { key, position } = parsed(item);
  const event = jsonMembers(item).get('event') ?? '';
  const text = event.startsWith('"') ? String(JSON.parse(event)) : event;
  return { key: String(key), position: Number(position), text };
};

interface VendorRules extends Pick<PlainReceiverOptions, 'body' | 'readItem' | 'success'> {
  /** Whether the request has the address and the credential that it must have. */
  readonly admit: (request: ReceivedRequest, entra: EntraAuthority | undefined) => ReceiverAnswer | undefined;
  /** What is too large; undefined: nothing. */
  readonly refuse: (request: ReceivedRequest, items: readonly string[]) => ReceiverAnswer | undefined;
  /** Of an item that it takes in otherwise. */
  readonly alter?: (item: string) => string | undefined;
}

const json = (status: number, body: unknown): ReceiverAnswer => ({ status, body: JSON.stringify(body) });
const ageMs = (time: unknown): number => Date.now() - Date.parse(String(time));

const rules: Readonly<Record<Vendor, VendorRules>> = {
  datadog: {
    body: 'array',
    admit: ({ path, headers }) => {
      if (path !== '/api/v2/logs') return { status: 404 };
      return headers['dd-api-key'] === vendorSecrets.datadog ? undefined : json(403, { errors: ['Forbidden'] });
    },
    refuse: ({ body }, items) =>
      bytesOf(body) > 5_000_000 || items.length > 1_000 ? json(413, { errors: ['Payload too large'] }) : undefined,
    alter: (item) => {
      if (bytesOf(item) > 1_000_000) return 'cut at 1 MB';
      return ageMs(parsed(item)['timestamp']) > 18 * HOUR_MS ? 'dated as of now' : undefined;
    },
    readItem: (item) => {
      const { key, position, message } = parsed(item);
      return { key: String(key), position: Number(position), text: String(message) };
    },
    success: () => json(202, {}),
  },
  panther: {
    body: 'ndjson',
    admit: ({ headers }) => (headers['x-panther-secret'] === vendorSecrets.panther ? undefined : { status: 403 }),
    refuse: ({ body, headers }) =>
      bytesOf(body) + bytesOf(JSON.stringify(headers)) > 1_000_000 ? { status: 413 } : undefined,
  },
  sumo: {
    body: 'ndjson',
    admit: ({ path }) => (path === `/receiver/v1/http/${vendorSecrets.sumo}` ? undefined : { status: 401 }),
    refuse: ({ body }) => (bytesOf(body) > 1_000_000 ? { status: 413 } : undefined),
    alter: (item) => {
      if (bytesOf(item) > 64 * KB) return 'cut into messages of 64 KB';
      // The first time in the message.
      const time = /\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(item)?.[0];
      return ageMs(time) > 365 * DAY_MS || ageMs(time) < -2 * DAY_MS ? 'dated as of its receipt' : undefined;
    },
    readItem: eventOf,
  },
  axiom: {
    body: 'ndjson',
    admit: ({ path, headers }) => {
      if (path !== '/v1/datasets/cloudflare-audit/ingest') return json(404, { message: 'dataset not found' });
      return headers.authorization === `Bearer ${vendorSecrets.axiom}`
        ? undefined
        : json(403, { message: 'Forbidden' });
    },
    refuse: (_, items) => (items.length > 10_000 ? json(400, { message: 'too many events' }) : undefined),
    alter: (item) => (bytesOf(item) > 1_000_000 ? 'not taken in' : undefined),
    readItem: eventOf,
    success: (count) => json(200, { ingested: count, failed: 0, failures: [], processedBytes: 0 }),
  },
  sentinel: {
    body: 'array',
    admit: ({ path, headers }, entra) => {
      const trouble = (status: number, code: string) =>
        json(status, { error: { code, message: `${code} of the test` } });
      if (!entra?.isValid(headers.authorization)) return trouble(401, 'AuthenticationFailed');
      const [, rule, stream] =
        /^\/dataCollectionRules\/([^/]+)\/streams\/([^?]+)\?api-version=2023-01-01$/.exec(path) ?? [];
      if (rule !== SENTINEL_RULE) return trouble(404, 'NotFound');
      return stream === 'Custom-CloudflareAudit' ? undefined : trouble(400, 'InvalidStream');
    },
    refuse: ({ body }) =>
      bytesOf(body) > 1_000_000 ? json(413, { error: { code: 'ContentLengthLimitExceeded' } }) : undefined,
    alter: (item) => {
      const row = parsed(item);
      if (Object.values(row).some((value) => bytesOf(String(value)) > 64 * KB)) return 'cut at 64 KB';
      return ageMs(row['TimeGenerated']) > 2 * DAY_MS ? 'dated as of its receipt' : undefined;
    },
    readItem: (item) => {
      const { Key, Position, Event } = parsed(item);
      return { key: String(Key), position: Number(Position), text: String(Event) };
    },
    success: () => ({ status: 204 }),
  },
};

/** The receiver of one vendor. */
export const startVendorReceiver = async (vendor: Vendor, options: VendorOptions): Promise<VendorReceiver> => {
  const { admit, refuse, alter, ...form } = rules[vendor];
  const altered: string[] = [];
  const entra = vendor === 'sentinel' ? await startEntraAuthority() : undefined;
  const server = await startPlainReceiver({
    ...form,
    refuses: options.refuses,
    check: (request, items) => {
      const trouble = admit(request, entra) ?? (options.limits ? refuse(request, items) : undefined);
      if (trouble === undefined && options.limits) {
        altered.push(...items.flatMap((item) => alter?.(item) ?? []));
      }
      return trouble;
    },
  });
  return {
    ...server,
    altered,
    entra,
    settings: { ...vendorSettings(vendor, server.url), ...entra?.settings },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await entra?.[Symbol.asyncDispose]();
    },
  };
};

const vendorSettings = (vendor: Vendor, url: string): Readonly<Record<string, unknown>> => {
  const secret = vendorSecrets[vendor];
  const own = {
    datadog: { url, api_key: secret },
    panther: { url: `${url}/http/source`, secret },
    sumo: { url: `${url}/receiver/v1/http/${secret}`, category: 'cloudflare/audit' },
    axiom: { url, dataset: 'cloudflare-audit', token: secret },
    sentinel: { url, rule: SENTINEL_RULE },
  };
  return { type: vendor, ...own[vendor] };
};
