import { z } from 'zod';
import type { Sink } from '../delivery.ts';
import { plainHttpWarnings } from '../http/http-settings.ts';
import { createHttpSink } from '../http/http-sink.ts';
import {
  commonSettings,
  headerSecret,
  maxEventBytesSetting,
  type SinkKind,
  sinkKindSettings,
  urlOf,
} from '../sink-kind.ts';

const checks = { credential: 'secret, and header, which must be as in Panther', address: 'url' };

/** An HTTP source of Panther that authenticates by a shared secret. */
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

const settings = z.strictObject({
  type: z.literal('panther'),
  ...commonSettings,
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  gzip: z.boolean().default(true),
  /** As the source in Panther names it. */
  header: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]*$/, 'must be the name of a header')
    .default('x-panther-secret'),
  secret: headerSecret,
  max_event_bytes: maxEventBytesSetting(980_000),
  max_request_bytes: z.int().min(1).default(990_000),
});

const pantherSettings = sinkKindSettings({
  settings,
  secrets: ['secret'],
  files: ['ca_file'],
  warnings: ({ url }) => plainHttpWarnings(url, 'its secret'),
});

export const panther: SinkKind<typeof pantherSettings.settings> = { ...pantherSettings, create };

type PantherSettings = z.infer<typeof settings>;
