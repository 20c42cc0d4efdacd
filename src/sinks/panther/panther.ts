import type { Sink } from '../delivery.ts';
import { createHttpSink } from '../http/http-sink.ts';
import type { SinkKind } from '../sink-kind.ts';
import { type PantherSettings, pantherSettings } from './settings.ts';

const checks = { credential: 'secret, and header, which must be as in Panther', address: 'url' };

/** Pushes lines to an HTTP source of Panther that authenticates by a shared secret. */
const create = (settings: PantherSettings): Sink => {
  const { origin, pathname } = new URL(settings.url);
  return createHttpSink({
    url: settings.url,
    target: `${origin}${pathname}`,
    headers: { [settings.header.toLowerCase()]: settings.secret },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.secret],
    gzip: settings.gzip,
    body: 'ndjson',
    format: settings.format,
    write: ({ text }) => text,
    maxRequestBytes: settings.max_request_bytes,
    checks,
  });
};

export const panther: SinkKind<typeof pantherSettings.settings> = { ...pantherSettings, create };
