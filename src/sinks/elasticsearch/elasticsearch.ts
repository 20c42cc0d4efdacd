import type { Delivery, DeliveryOutcome, Sink } from '../delivery.ts';
import { failedWithoutAnswer } from '../http/http-outcome.ts';
import { createHttpPost } from '../http/http-post.ts';
import type { SinkKind } from '../sink-kind.ts';
import { bulkOutcome } from './answers.ts';
import { basicCredential, type ElasticsearchSettings, elasticsearchSettings } from './settings.ts';

/** What is read of the answer; errors of the request as a whole always come in full. */
const ANSWER_PARTS = [
  'errors',
  'items.*.status',
  'items.*.failure_store',
  'items.*.error.type',
  'items.*.error.reason',
  'items.*.error.caused_by.reason',
];

/**
 * Pushes to Elasticsearch or OpenSearch by `_bulk`, into an index or a data stream. Documents are created, never overwritten, with
 * the key as `_id`: a repeat meets the document that is there (409) and changes nothing.
 */
const create = (settings: ElasticsearchSettings): Sink => {
  const url = new URL(settings.url);
  const path = `${url.pathname.replace(/\/+$/, '')}/${encodeURIComponent(settings.index)}/_bulk`;
  const authorization = authorizationOf(settings);
  const http = createHttpPost({
    url: settings.url,
    headers: { 'content-type': 'application/x-ndjson', ...(authorization !== undefined && { authorization }) },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: allSecrets(settings),
  });
  const deliver = async (delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const answer = await http.post(bulkBody(delivery), {
      signal,
      path: `${path}?filter_path=${ANSWER_PARTS.join(',')}`,
      gzip: settings.gzip,
    });
    return bulkOutcome(answer, delivery.events.length, http.reasonText);
  };
  return {
    target: `${url.origin}${path}`,
    deliver: (delivery, signal) => failedWithoutAnswer(deliver(delivery, signal)),
    close: http.close,
  };
};

/** The formatted text as it is: parsing it would round large numbers. */
const bulkBody = ({ events }: Delivery): string =>
  events.map(({ key, text }) => `{"create":{"_id":${JSON.stringify(key)}}}\n${text}\n`).join('');

const authorizationOf = ({ username, password, api_key: apiKey }: ElasticsearchSettings): string | undefined => {
  if (apiKey !== undefined) return `ApiKey ${apiKey}`;
  if (username === undefined || password === undefined) return undefined;
  return `Basic ${basicCredential(username, password)}`;
};

const allSecrets = (settings: ElasticsearchSettings): string[] =>
  [settings.password, settings.api_key, ...elasticsearchSettings.derivedSecrets(settings)].filter(
    (secret) => secret !== undefined,
  );

export const elasticsearch: SinkKind<typeof elasticsearchSettings.settings> = { ...elasticsearchSettings, create };
