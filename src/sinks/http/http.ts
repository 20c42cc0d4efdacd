import type { Sink } from '../delivery.ts';
import type { SinkKind } from '../sink-kind.ts';
import { createHttpSink } from './http-sink.ts';
import { jsonSplicer } from './json-splice.ts';
import { type HttpSettings, plainHttpSinkSettings } from './settings.ts';

const checks = { credential: 'headers and token', address: 'url' };

/** Pushes plain events to any HTTP endpoint, with headers that the operator chooses. Any 2xx is success. */
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

export const http: SinkKind<typeof plainHttpSinkSettings.settings> = { ...plainHttpSinkSettings, create };
