import { z } from 'zod';
import { eventInstant } from '../../formats/format.ts';
import type { DeliveryOutcome, OutgoingEvent } from '../delivery.ts';
import { answerAs, failedBy, type HttpAnswer, type ReasonText } from '../http/http-post.ts';
import {
  headersSetting,
  httpSettings,
  plainHttpWarnings,
  secretsOfAddress,
  secretsOfHeaders,
} from '../http/http-settings.ts';
import { bodies, createHttpSink, datedItemWriter, jsonSplicer } from '../http/http-sink.ts';
import {
  batchEventsSetting,
  commonSettings,
  headerSecret,
  maxAgeSetting,
  maxEventBytesSetting,
  sinkKind,
  startSetting,
  urlOf,
} from '../sink-kind.ts';

/** Settings of receivers whose address is given whole. */
const addressed = { ...commonSettings, ...httpSettings, url: urlOf('https:', 'http:') };

const httpSinkSettings = z.strictObject({
  type: z.literal('http'),
  ...addressed,
  method: z.enum(['POST', 'PUT']).default('POST'),
  headers: headersSetting,
  token: headerSecret.optional(),
  body: z.enum(bodies).default('ndjson'),
  /** Before packing. */
  max_request_bytes: z.int().min(1).optional(),
});

const secretsOfHttp = ({ url, headers }: z.infer<typeof httpSinkSettings>) => [
  ...secretsOfHeaders(headers),
  ...secretsOfAddress(url),
];

/** For any HTTP endpoint, with headers of the operator's choice. Any 2xx is success. */
export const http = sinkKind({
  settings: httpSinkSettings,
  secrets: ['headers', 'token'],
  files: ['ca_file'],
  secretAddresses: ['url'],
  derivedSecrets: secretsOfHttp,
  contradictions: ({ token, headers }) =>
    token !== undefined && headers['authorization'] !== undefined
      ? ['.token and .headers.authorization are both set: set only one']
      : [],
  warnings: ({ url }) => plainHttpWarnings(url, 'its headers and events'),
  create: (settings) => {
    const { url, token, headers, format, body, method } = settings;
    const asJson = jsonSplicer(format);
    return createHttpSink(settings, {
      url,
      // A path often is a credential.
      target: new URL(url).origin,
      method,
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
      secrets: [...(token === undefined ? [] : [token]), ...secretsOfHttp(settings)],
      body,
      write: ({ text }) => (body === 'array' ? asJson(text) : text),
      checks: { credential: 'headers and token', address: 'url' },
    });
  },
});

/** An HTTP source of Panther that authenticates by a shared secret. */
export const panther = sinkKind({
  settings: z.strictObject({
    type: z.literal('panther'),
    ...addressed,
    /** As the source in Panther names it. */
    header: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'must be the name of a header')
      .default('x-panther-secret'),
    secret: headerSecret,
    max_event_bytes: maxEventBytesSetting(980_000),
    max_request_bytes: z.int().min(1).default(990_000),
  }),
  secrets: ['secret'],
  files: ['ca_file'],
  warnings: ({ url }) => plainHttpWarnings(url, 'its secret'),
  create: (settings) => {
    const { url, header, secret } = settings;
    const { origin, pathname } = new URL(url);
    return createHttpSink(settings, {
      url,
      target: `${origin}${pathname}`,
      headers: { [header.toLowerCase()]: secret },
      secrets: [secret],
      body: 'ndjson',
      write: ({ text }) => text,
      checks: { credential: 'secret, and header, which must be as in Panther', address: 'url' },
    });
  },
});

const headerText = z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, 'must be printable ASCII');

/** An HTTP source of Sumo Logic. The time stands first, since Sumo Logic takes the first that it finds. */
export const sumo = sinkKind({
  settings: z.strictObject({
    type: z.literal('sumo'),
    ...addressed,
    /** Default: the source's own. */
    category: headerText.optional(),
    host: headerText.optional(),
    name: headerText.optional(),
    /** A day below the limit of a year. */
    max_age: maxAgeSetting('364d'),
    max_event_bytes: maxEventBytesSetting(64_000),
    max_request_bytes: z.int().min(1).default(1_000_000),
  }),
  files: ['ca_file'],
  secretAddresses: ['url'],
  derivedSecrets: ({ url }) => secretsOfAddress(url),
  warnings: ({ url }) => plainHttpWarnings(url, 'its address, which is the credential,'),
  create: (settings) => {
    const { url, category, host, name, format } = settings;
    return createHttpSink(settings, {
      url,
      target: new URL(url).origin,
      headers: {
        ...(category !== undefined && { 'x-sumo-category': category }),
        ...(host !== undefined && { 'x-sumo-host': host }),
        ...(name !== undefined && { 'x-sumo-name': name }),
      },
      secrets: secretsOfAddress(url),
      body: 'ndjson',
      itemsAreJson: true,
      write: datedItemWriter('timestamp', format),
      checks: { credential: 'url', address: 'url' },
    });
  },
});

const datadogSettings = z.strictObject({
  type: z.literal('datadog'),
  ...commonSettings,
  ...httpSettings,
  site: z
    .enum([
      'datadoghq.com',
      'us3.datadoghq.com',
      'us5.datadoghq.com',
      'datadoghq.eu',
      'ap1.datadoghq.com',
      'ap2.datadoghq.com',
      'uk1.datadoghq.com',
      'ddog-gov.com',
      'us2.ddog-gov.com',
    ])
    .default('datadoghq.com'),
  /** Replaces the site's, for a proxy. */
  url: httpSettings.url.optional(),
  api_key: headerSecret,
  source: z.string().min(1).default('cloudflare'),
  service: z.string().min(1).default('orgtrail'),
  tags: z.array(z.string().regex(/^[^,\s]+$/, 'must be without commas and spaces')).optional(),
  start: startSetting('now'),
  /** Ten minutes below the limit: a request and its repeats take time. */
  max_age: maxAgeSetting('1070m'),
  batch_events: batchEventsSetting(500, 1_000),
  max_event_bytes: maxEventBytesSetting(1_000_000),
  max_request_bytes: z.int().min(1).default(5_000_000),
});

/** Logs intake, version 2. Datadog does not look for repeats: they show by the attribute `key`. */
export const datadog = sinkKind({
  settings: datadogSettings,
  secrets: ['api_key'],
  files: ['ca_file'],
  warnings: ({ url }) => (url === undefined ? [] : plainHttpWarnings(url, 'its key')),
  create: (settings) => {
    const base = settings.url ?? `https://http-intake.logs.${settings.site}`;
    const url = `${base.replace(/\/+$/, '')}/api/v2/logs`;
    return createHttpSink(settings, {
      url,
      target: url,
      headers: { 'dd-api-key': settings.api_key },
      secrets: [settings.api_key],
      body: 'array',
      write: datadogItemWriter(settings),
      checks: { credential: 'api_key, and that it is one of this site', address: 'site and url' },
    });
  },
});

/** `message` is a string, which Datadog parses if it is JSON. */
const datadogItemWriter = ({ source, service, tags }: z.infer<typeof datadogSettings>) => {
  const facts = { ddsource: source, service, ...(tags !== undefined && { ddtags: tags.join(',') }) };
  const head = JSON.stringify(facts).slice(1, -1);
  return ({ event, key, text }: OutgoingEvent): string =>
    `{${head},"timestamp":"${eventInstant(event)}","key":${JSON.stringify(key)},"position":${event.position},"message":${JSON.stringify(text)}}`;
};

/** Axiom does not look for repeats: they show by the field `key`. */
export const axiom = sinkKind({
  settings: z.strictObject({
    type: z.literal('axiom'),
    ...commonSettings,
    ...httpSettings,
    url: httpSettings.url.default('https://api.axiom.co'),
    dataset: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'must be the name of a dataset'),
    token: headerSecret,
    max_event_bytes: maxEventBytesSetting(1_000_000),
  }),
  secrets: ['token'],
  files: ['ca_file'],
  warnings: ({ url }) => plainHttpWarnings(url, 'its token'),
  create: (settings) => {
    const { url: base, dataset, token, format } = settings;
    const { origin, hostname, pathname } = new URL(base);
    // Edge deployments have only the other path.
    const path = hostname.endsWith('.edge.axiom.co') ? `/v1/ingest/${dataset}` : `/v1/datasets/${dataset}/ingest`;
    const url = `${origin}${pathname.replace(/\/+$/, '')}${path}`;
    return createHttpSink(settings, {
      url,
      target: url,
      headers: { authorization: `Bearer ${token}` },
      secrets: [token],
      body: 'ndjson',
      itemsAreJson: true,
      write: datedItemWriter('_time', format),
      checks: { credential: 'token, and that it may ingest into dataset', address: 'url and dataset' },
      readSuccess: axiomOutcome,
    });
  },
});

/** Axiom counts the events that it does not take, and does not say which. They are found by halves, so it gets the others again. */
const axiomOutcome = (answer: HttpAnswer, eventCount: number, reasonText: ReasonText): DeliveryOutcome => {
  const said = answerAs(axiomAnswer, answer);
  if (said === undefined || said.ingested + said.failed !== eventCount) {
    const reason = reasonText(
      `HTTP ${answer.status} does not say that ${eventCount} events came: check url: ${answer.body}`,
    );
    return failedBy(answer, reason);
  }
  if (said.failed === 0) return { kind: 'delivered', refused: [] };
  const why = said.failures?.[0]?.error ?? 'no reason given';
  return { kind: 'refused', reason: reasonText(`${said.failed} of ${eventCount} events failed: ${why}`) };
};

const axiomAnswer = z.object({
  ingested: z.int(),
  failed: z.int(),
  failures: z.array(z.object({ error: z.string() })).nullish(),
});
