import { describe, expect, test } from 'vitest';
import { sinkSettings } from '../../../src/sinks/registry.ts';

const secretOf = (bytes: number): string => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;
const base = {
  webhook: { type: 'webhook', url: 'https://example.com/hook?code=1', secret: secretOf(32) },
  splunk_hec: { type: 'splunk_hec', url: 'https://splunk.example.com:8088', token: 'a-token' },
  elasticsearch: { type: 'elasticsearch', url: 'https://es.example.com:9200', index: 'logs-cloudflare.audit-default' },
} as const;

describe('settings of the sinks over HTTP', () => {
  test.each([
    base.webhook,
    { ...base.webhook, secret: secretOf(24) },
    { ...base.webhook, secret: secretOf(64) },
    base.splunk_hec,
    {
      ...base.splunk_hec,
      index: 'audit',
      host: 'h',
      source: 's',
      sourcetype: 't',
      ack: true,
      ack_timeout: '10m',
      gzip: false,
    },
    base.elasticsearch,
    { ...base.elasticsearch, username: 'u', password: 'p:ä', gzip: false },
    { ...base.elasticsearch, api_key: 'aWQ6a2V5' },
  ])('valid %#', (settings) => {
    expect(faultsOf(settings)).toEqual([]);
  });

  test.each([
    [{ ...base.webhook, secret: secretOf(23) }, /^secret: must be whsec_/],
    [{ ...base.webhook, secret: secretOf(65) }, /^secret: must be whsec_/],
    [{ ...base.webhook, secret: secretOf(32).slice(0, -1) }, /^secret: must be whsec_/],
    [{ ...base.webhook, secret: secretOf(32).slice(6) }, /^secret: must be whsec_/],
    [{ ...base.webhook, url: 'https://user:password@example.com/' }, /^url: /],
    [{ ...base.webhook, url: 'ftp://example.com/' }, /^url: /],
    [{ ...base.webhook, gzip: true }, /gzip/],
    [{ ...base.splunk_hec, token: 'two words' }, /^token: must be printable/],
    [{ ...base.splunk_hec, token: 'br\noken' }, /^token: must be printable/],
    [{ ...base.splunk_hec, url: 'https://splunk.example.com:8088?token=1' }, /^url: must be a URL without query/],
    [{ ...base.splunk_hec, ack_timeout: '1ms' }, /^ack_timeout: /],
    [{ ...base.elasticsearch, index: 'Upper' }, /^index: /],
    [{ ...base.elasticsearch, index: 'a/b' }, /^index: /],
    [{ ...base.elasticsearch, format: 'cef' }, /^format: /],
    [{ ...base.elasticsearch, username: 'a:b', password: 'p' }, /^username: /],
  ])('faulty %#', (settings, fault) => {
    const faults = faultsOf(settings);
    expect(faults).toEqual([expect.stringMatching(fault)]);
    expect(faults.join()).not.toContain('password@');
  });
});

const faultsOf = (settings: object): string[] => {
  const result = sinkSettings.safeParse(settings);
  return result.success ? [] : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
};
