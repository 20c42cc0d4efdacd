import type { RequestListener } from 'node:http';
import { expect, it } from 'vitest';
import type { ApiError } from '../../../../src/base/errors.ts';
import { type AuditPageRequest, connectAuditApi, fetchAuditPage } from '../../../../src/ingest/cloudflare/audit-api.ts';
import { type ApiText, createServerClock } from '../../../../src/ingest/cloudflare/wire/request.ts';
import { startWalk } from '../../../../src/ingest/planning/walk.ts';
import { answer, startHttpServer } from './local-server.ts';
import { apiErrorOf, startApi, TOKEN } from './test-client.ts';

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

it('a 429 without a time is about the window if a narrow one is answered, and a block of all else', async () => {
  const day = startWalk('backfill', { fromMs: 0, toMs: 86_400_000 }, { readAtMs: 86_400_000 });
  const [refused, entries] = [answer(429), answer(200, '{"success":true,"result":[]}')];
  const ask = async (handlers: RequestListener[]) => {
    const waits: number[] = [];
    await using server = await startHttpServer(...handlers);
    const { api, close } = connectAuditApi({
      baseUrl: server.baseUrl,
      credential: { kind: 'token', token: TOKEN },
      budget: { acquire: async () => {}, pause: async (durationMs) => void waits.push(durationMs) },
      clock: createServerClock(() => 0),
      filtersOf: () => [],
      onUnreadable: () => {},
      version: '1',
    });
    const asked = api.fetchPage({ kind: 'organization', id: 'o1' }, day, new AbortController().signal);
    const failure = await asked.then(
      () => undefined,
      (error: ApiError) => error.failure,
    );
    await close();
    return { failure, waits };
  };
  expect(await ask([refused, entries])).toEqual({ failure: 'bad_request', waits: [] });
  const ten = Array<RequestListener>(10).fill(answer(429, {}, { 'retry-after': '1' }));
  expect(await ask([...ten, entries])).toMatchObject({ failure: 'throttled' });
  expect(await ask([refused, refused, entries])).toEqual({ failure: undefined, waits: [30_000] });
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
