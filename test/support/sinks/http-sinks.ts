import type { Sink } from '../../../src/sinks/delivery.ts';
import { createElasticsearchSink } from '../../../src/sinks/elasticsearch/elasticsearch.ts';
import { sinkSettings } from '../../../src/sinks/settings.ts';
import { createSplunkHecSink } from '../../../src/sinks/splunk-hec/splunk-hec.ts';
import { createWebhookSink } from '../../../src/sinks/webhook/webhook.ts';
import type { HttpReceiver } from './http-receiver.ts';

/** The credentials of these sinks: nothing of them may come out anywhere. */
export const credentials = {
  webhookSecret: `whsec_${Buffer.alloc(32, 'orgtrail').toString('base64')}`,
  queryCode: 'query-credential',
  hecToken: '6f0e5bb4-1b1c-4a4e-9f0a-2d7f7c1f0a55',
  username: 'orgtrail_writer',
  password: 'pass "word" %/ä',
} as const;

const basic = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
export const basicAuthorization = `Basic ${basic}`;
export const bulkIndex = 'orgtrail-audit';

type Place = Pick<HttpReceiver, 'url' | 'caFile'>;

/** A machine with very much else to do answers late. */
const timeout = '10m';

/** Each with the settings that its receiver of http-receivers.ts wants; `more` goes on top. As the configuration reads them. */
export const httpSinks = {
  webhook: (place: Place, more: object = {}): Sink => {
    const settings = parse('webhook', place, {
      url: `${place.url}/hooks/orgtrail?code=${credentials.queryCode}`,
      secret: credentials.webhookSecret,
      ...more,
    });
    if (settings.type !== 'webhook') throw new Error('another sink');
    return createWebhookSink(settings);
  },
  splunk_hec: (place: Place, more: object = {}): Sink => {
    const settings = parse('splunk_hec', place, { token: credentials.hecToken, ...more });
    if (settings.type !== 'splunk_hec') throw new Error('another sink');
    return createSplunkHecSink(settings);
  },
  elasticsearch: (place: Place, more: object = {}): Sink => {
    const { username, password } = credentials;
    const settings = parse('elasticsearch', place, { index: bulkIndex, username, password, ...more });
    if (settings.type !== 'elasticsearch') throw new Error('another sink');
    return createElasticsearchSink(settings);
  },
} as const;

const parse = (type: keyof typeof httpSinks, { url, caFile }: Place, more: object) =>
  sinkSettings.parse({ type, url, timeout, ...(caFile !== undefined && { ca_file: caFile }), ...more });
