import { z } from 'zod';
import type { Sink } from '../delivery.ts';
import { headersSetting, plainHttpWarnings, secretsOfAddress, secretsOfHeaders } from '../http/http-settings.ts';
import { bodies, createHttpSink, jsonSplicer } from '../http/http-sink.ts';
import { commonSettings, headerSecret, type SinkKind, sinkKindSettings, urlOf } from '../sink-kind.ts';

const checks = { credential: 'headers and token', address: 'url' };

/** For any HTTP endpoint, with headers of the operator's choice. Any 2xx is success. */
const create = (settings: HttpSettings): Sink => {
  const { url, token, headers, format, body } = settings;
  const asJson = jsonSplicer(format);
  return createHttpSink({
    url,
    // A path often is a credential.
    target: new URL(url).origin,
    method: settings.method,
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [...(token === undefined ? [] : [token]), ...plainHttpSinkSettings.derivedSecrets(settings)],
    gzip: settings.gzip,
    body,
    format,
    write: ({ text }) => (body === 'array' ? asJson(text) : text),
    maxRequestBytes: settings.max_request_bytes,
    checks,
  });
};

const settings = z.strictObject({
  type: z.literal('http'),
  ...commonSettings,
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  gzip: z.boolean().default(true),
  method: z.enum(['POST', 'PUT']).default('POST'),
  headers: headersSetting,
  token: headerSecret.optional(),
  body: z.enum(bodies).default('ndjson'),
  /** Before packing. */
  max_request_bytes: z.int().min(1).optional(),
});

const plainHttpSinkSettings = sinkKindSettings({
  settings,
  secrets: ['headers', 'token'],
  files: ['ca_file'],
  secretAddresses: ['url'],
  derivedSecrets: ({ url, headers }) => [...secretsOfHeaders(headers), ...secretsOfAddress(url)],
  contradictions: ({ token, headers }) =>
    token !== undefined && headers['authorization'] !== undefined
      ? ['.token and .headers.authorization are both set: set only one']
      : [],
  warnings: ({ url }) => plainHttpWarnings(url, 'its headers and events'),
});

export const http: SinkKind<typeof plainHttpSinkSettings.settings> = { ...plainHttpSinkSettings, create };

type HttpSettings = z.infer<typeof settings>;
