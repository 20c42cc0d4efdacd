import { z } from 'zod';
import type { Sink } from '../delivery.ts';
import { plainHttpWarnings, secretsOfAddress } from '../http/http-settings.ts';
import { createHttpSink, datedItemWriter } from '../http/http-sink.ts';
import {
  commonSettings,
  maxAgeSetting,
  maxEventBytesSetting,
  type SinkKind,
  sinkKindSettings,
  urlOf,
} from '../sink-kind.ts';

const checks = { credential: 'url', address: 'url' };

/** An HTTP source of Sumo Logic. The time stands first, since Sumo Logic takes the first that it finds. */
const create = (settings: SumoSettings): Sink => {
  const { url, category, host, name } = settings;
  return createHttpSink({
    url,
    target: new URL(url).origin,
    headers: {
      ...(category !== undefined && { 'x-sumo-category': category }),
      ...(host !== undefined && { 'x-sumo-host': host }),
      ...(name !== undefined && { 'x-sumo-name': name }),
    },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: sumoSettings.derivedSecrets(settings),
    gzip: settings.gzip,
    body: 'ndjson',
    // An item is JSON, whatever the format of its event.
    format: 'native',
    write: datedItemWriter('timestamp', settings.format),
    maxRequestBytes: settings.max_request_bytes,
    checks,
  });
};

const headerText = z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, 'must be printable ASCII');

const settings = z.strictObject({
  type: z.literal('sumo'),
  ...commonSettings,
  /** Its path is the credential. */
  url: urlOf('https:', 'http:'),
  ca_file: z.string().optional(),
  gzip: z.boolean().default(true),
  /** Default: the source's own. */
  category: headerText.optional(),
  host: headerText.optional(),
  name: headerText.optional(),
  /** A day below the limit of a year. */
  max_age: maxAgeSetting('364d'),
  max_event_bytes: maxEventBytesSetting(64_000),
  max_request_bytes: z.int().min(1).default(1_000_000),
});

const sumoSettings = sinkKindSettings({
  settings,
  files: ['ca_file'],
  secretAddresses: ['url'],
  derivedSecrets: ({ url }) => secretsOfAddress(url),
  warnings: ({ url }) => plainHttpWarnings(url, 'its address, which is the credential,'),
});

export const sumo: SinkKind<typeof sumoSettings.settings> = { ...sumoSettings, create };

type SumoSettings = z.infer<typeof settings>;
