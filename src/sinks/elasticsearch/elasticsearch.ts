import type { Delivery, DeliveryOutcome, Sink } from '../delivery.ts';
import { failedWithoutAnswer } from '../http/http-outcome.ts';
import { createHttpPost } from '../http/http-post.ts';
import type { SettingsOf } from '../settings.ts';
import { bulkOutcome } from './elasticsearch-answer.ts';

/** What is read of the answer; errors of the request as a whole come in full all the same. */
const ANSWER_PARTS = [
  'errors',
  'items.*.status',
  'items.*.error.type',
  'items.*.error.reason',
  'items.*.error.caused_by.reason',
];

/**
 * Pushes to Elasticsearch or OpenSearch by `_bulk`, into an index or a data stream. Documents are created, never overwritten, with
 * the key as `_id`: a repeat meets the document that is there (409) and changes nothing.
 */
export const createElasticsearchSink = (settings: SettingsOf<'elasticsearch'>): Sink => {
  const url = new URL(settings.url);
  const path = `${url.pathname.replace(/\/+$/, '')}/${encodeURIComponent(settings.index)}/_bulk`;
  const { authorization, secrets } = credentialOf(settings);
  const http = createHttpPost({
    url: settings.url,
    headers: { 'content-type': 'application/x-ndjson', ...(authorization !== undefined && { authorization }) },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets,
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

const credentialOf = ({ username, password, api_key: apiKey }: SettingsOf<'elasticsearch'>) => {
  if (apiKey !== undefined) {
    // It is base64 of id and key, either of which a receiver may show.
    const key = Buffer.from(apiKey, 'base64').toString('utf8').split(':')[1];
    return { authorization: `ApiKey ${apiKey}`, secrets: [apiKey, ...(key === undefined ? [] : [key])] };
  }
  if (username === undefined || password === undefined) return { authorization: undefined, secrets: [] };
  const basic = Buffer.from(`${username}:${password}`, 'utf8').toString('base64');
  return { authorization: `Basic ${basic}`, secrets: [basic, password] };
};
