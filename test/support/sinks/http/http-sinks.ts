import type { Sink } from '../../../../src/sinks/delivery.ts';
import { createSink, sinkSettings } from '../../../../src/sinks/registry.ts';
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

const { username, password } = credentials;

/** Each with the settings that its receiver of http-receivers.ts requires; `more` goes on top. As the configuration reads them. */
export const httpSinks = {
  webhook: (place: Place, more: object = {}): Sink => {
    const url = `${place.url}/hooks/orgtrail?code=${credentials.queryCode}`;
    return sinkTo('webhook', place, { url, secret: credentials.webhookSecret, ...more });
  },
  splunk_hec: (place: Place, more: object = {}): Sink =>
    sinkTo('splunk_hec', place, { token: credentials.hecToken, ...more }),
  elasticsearch: (place: Place, more: object = {}): Sink =>
    sinkTo('elasticsearch', place, { index: bulkIndex, username, password, ...more }),
} as const;

const sinkTo = (type: string, { url, caFile }: Place, more: object): Sink =>
  createSink(sinkSettings.parse({ type, url, timeout, ...(caFile !== undefined && { ca_file: caFile }), ...more }));
