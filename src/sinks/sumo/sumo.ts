import type { Sink } from '../delivery.ts';
import { datedItemWriter } from '../http/dated-item.ts';
import { createHttpSink } from '../http/http-sink.ts';
import type { SinkKind } from '../sink-kind.ts';
import { type SumoSettings, sumoSettings } from './settings.ts';

const checks = { credential: 'url', address: 'url' };

/** Pushes lines to an HTTP source of Sumo Logic. The time stands first, since Sumo Logic takes the first one that it finds. */
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
    // An item is JSON, whatever the format of its event is.
    format: 'native',
    write: datedItemWriter('timestamp', settings.format),
    maxRequestBytes: settings.max_request_bytes,
    checks,
  });
};

export const sumo: SinkKind<typeof sumoSettings.settings> = { ...sumoSettings, create };
