import { expect, it } from 'vitest';
import { type AuditPageRequest, fetchAuditPage } from '../../../../src/ingest/cloudflare/audit-api.ts';
import type { ApiText } from '../../../../src/ingest/cloudflare/wire/request.ts';
import { answer } from './local-server.ts';
import { apiErrorOf, startApi } from './test-client.ts';

it('fetchPage asks for both bounds in UTC with milliseconds, in its direction, with repeated filters', async () => {
  await using test = await startApi(answer(200, '{"result":[ ]}'));
  const filters = [
    ['action_type.not', 'view'],
    ['action_type.not', 'update'],
    ['actor_email.not', 'a+b@x.example'],
  ] as const;
  const { text } = await fetchAuditPage(test.client, page({ filters }));
  expect(text).toBe('{"result":[ ]}');
  expect(test.server.requests[0]?.url).toBe(
    '/client/v4/organizations/o1/logs/audit?since=2026-04-01T00%3A00%3A00.005Z&before=2026-04-02T00%3A00%3A00.000Z' +
      '&direction=asc&limit=1000&action_type.not=view&action_type.not=update&actor_email.not=a%2Bb%40x.example',
  );
  expect(test.observed).toEqual(['organization_audit_logs 200']);
});

it('fetchPage asks for the newest first as well', async () => {
  await using test = await startApi(answer(200));
  await fetchAuditPage(test.client, page({ direction: 'desc' }));
  expect(new URL(test.server.requests[0]?.url ?? '', test.server.baseUrl).searchParams.getAll('direction')).toEqual([
    'desc',
  ]);
});

it('fetchPage encodes the cursor, and sends everything else again with it', async () => {
  await using test = await startApi(answer(200));
  await fetchAuditPage(test.client, page({ filters: [['action_type.not', 'view']] }));
  await fetchAuditPage(test.client, page({ filters: [['action_type.not', 'view']], cursor: 'a=b-_+/' }));
  const [first, second] = test.server.requests.map((request) => request.url);
  expect(second).toBe(`${first}&cursor=a%3Db-_%2B%2F`);
  expect(new URL(`http://x${second}`).searchParams.get('cursor')).toBe('a=b-_+/');
});

it('fetchPage keeps an odd organization id in its place in the path', async () => {
  await using test = await startApi(answer(200));
  await fetchAuditPage(test.client, page({ source: { kind: 'organization', id: 'a/../b?c#d é\ud800' } }));
  expect(test.server.requests[0]?.url).toMatch(
    /^\/client\/v4\/organizations\/a%2F..%2Fb%3Fc%23d%20%C3%A9%EF%BF%BD\/logs\/audit\?/,
  );
  for (const id of ['', '.', '..']) {
    expect(await apiErrorOf(fetchAuditPage(test.client, page({ source: { kind: 'organization', id } })))).toMatchObject(
      { failure: 'bad_request' },
    );
  }
  expect(test.server.requests).toHaveLength(1);
});

const page = (more: Partial<AuditPageRequest<ApiText>> = {}): AuditPageRequest<ApiText> => ({
  source: { kind: 'organization', id: 'o1' },
  since: Date.UTC(2026, 3, 1, 0, 0, 0, 5),
  before: Date.UTC(2026, 3, 2),
  direction: 'asc',
  limit: 1000,
  filters: [],
  signal: new AbortController().signal,
  decode: (answer) => answer,
  ...more,
});
