import type { RequestListener } from 'node:http';
import { describe, expect, it } from 'vitest';
import { createAccountsApi } from '../../../../src/ingest/cloudflare/audit-api.ts';
import type { AccountsPage } from '../../../../src/ingest/sync/ports.ts';
import { type LocalServer, startHttpServer } from './local-server.ts';
import { createTestClient } from './test-client.ts';

const signal = new AbortController().signal;
const idsFrom = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `account-${from + n}`);

describe('GET /accounts', () => {
  // biome-ignore format: a table
  it.each<[number, number, NonNullable<Served['total']> | null, number | undefined]>([
    [120, 50, 120, 3], [77, 1, 77, 78], [77, 5, 77, 16], [77, 20, 77, 4], [77, 49, 77, 2], [60, 20, null, 4],
    // A total that is the count of the page is not believed.
    [240, 50, 'that of the page', undefined], [240, 50, 0, undefined], [240, 50, 50, undefined], [100, 50, 100, undefined],
    [120, 20, 'that of the page', undefined], [110, 20, 'that of the page', undefined], [110, 20, 20, undefined],
    [65, 20, 40, undefined], [20, 50, 20, undefined],
  ])('is walked to its end, and is complete: %i accounts, %i a page, a total of %s', async (count, pageSize, total, requests) => {
    const ids = idsFrom(0, count);
    await using server = await startHttpServer(listing({ ids, pageSize, total }));
    const pages = await walk(server);
    expect(idsOf(pages)).toEqual(ids);
    expect(pages.at(-1)).toMatchObject({ next: undefined, complete: true });
    expect(pages.slice(0, -1).some(({ complete }) => complete)).toBe(false);
    if (requests !== undefined) expect(server.requests).toHaveLength(requests);
    expect(server.requests.length).toBeLessThanOrEqual(Math.ceil(count / pageSize) + 3);
  });

  it('is complete also if all come at once, on whatever page', async () => {
    const ids = idsFrom(0, 120);
    await using server = await startHttpServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ success: true, result: ids.map((id) => ({ id })), result_info: { total_count: 120 } }),
      );
    });
    const pages = await walk(server);
    expect(idsOf(pages)).toEqual(ids);
    expect(pages.at(-1)?.complete).toBe(true);
  });

  it.each([
    ['the total is larger than what comes', { ids: idsFrom(0, 60), total: 61 }],
    ['it is always the first page that comes', { ids: idsFrom(0, 60), ignoresPage: true }],
  ] as const)('ends, and is not complete, if %s', async (_, served) => {
    await using server = await startHttpServer(listing(served));
    const pages = await walk(server);
    expect(pages.map(({ complete }) => complete)).not.toContain(true);
    expect(server.requests.length).toBeLessThanOrEqual(4);
  });

  it.each([1, 60])('passes over none if %i accounts go while it is walked, and is complete', async (gone) => {
    const ids = idsFrom(0, 330);
    const later = { ids: idsFrom(gone, 330) };
    await using server = await startHttpServer(listing({ ids }, { ids }, later));
    const pages = await walk(server);
    expect(idsOf(pages).toSorted()).toEqual(ids.toSorted());
    expect(pages.at(-1)?.complete).toBe(true);
  });

  it('is not complete if an account comes before those that have been read', async () => {
    const ids = idsFrom(0, 80);
    await using server = await startHttpServer(listing({ ids }, { ids: ['before', ...ids] }));
    expect((await walk(server)).map(({ complete }) => complete)).not.toContain(true);
  });

  it('goes on where an earlier part has ended, and is complete', async () => {
    const ids = idsFrom(0, 230);
    await using server = await startHttpServer(listing({ ids }));
    const [, second] = await walk(server);
    const before = server.requests.length;
    await using test = createTestClient(server.baseUrl);
    const rest: AccountsPage[] = [];
    for await (const page of createAccountsApi(test.client, () => {}).list(signal, second?.next)) rest.push(page);
    expect(idsOf(rest)).toEqual(ids.slice(100));
    expect(rest.at(-1)?.complete).toBe(true);
    expect(server.requests).toHaveLength(before + 3);
  });
});

interface Served {
  readonly ids: readonly string[];
  /** On a page at most, whatever is asked for. */
  readonly pageSize?: number;
  /** What is said of all pages together; null: nothing. */
  readonly total?: number | 'that of the page' | null;
  /** Whatever page is asked for, the first one comes. */
  readonly ignoresPage?: boolean;
}

/** GET /accounts, which has what `served` says at the n-th request, and then what it says last. */
const listing = (...served: readonly Served[]): RequestListener => {
  let requests = 0;
  return (request, response) => {
    const {
      ids,
      pageSize = 50,
      total = ids.length,
      ignoresPage = false,
    } = served[Math.min(requests, served.length - 1)] as Served;
    requests += 1;
    const query = new URL(request.url ?? '', 'http://localhost').searchParams;
    const page = ignoresPage ? 1 : Number(query.get('page'));
    const size = Math.min(pageSize, Number(query.get('per_page')));
    const result = ids.slice((page - 1) * size, page * size).map((id) => ({ id }));
    const { length: count } = result;
    const total_count = total === 'that of the page' ? count : (total ?? undefined);
    const counts = { page, per_page: size, count, total_count };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ success: true, errors: [], messages: [], result, result_info: counts }));
  };
};

const walk = async (server: LocalServer): Promise<readonly AccountsPage[]> => {
  await using test = createTestClient(server.baseUrl);
  const pages: AccountsPage[] = [];
  for await (const page of createAccountsApi(test.client, () => {}).list(signal)) pages.push(page);
  return pages;
};

const idsOf = (pages: readonly AccountsPage[]) => pages.flatMap(({ accounts }) => accounts.map(({ id }) => id));
