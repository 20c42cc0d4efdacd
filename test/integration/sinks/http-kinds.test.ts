import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { formatNames } from '../../../src/formats/registry.ts';
import type { Sink } from '../../../src/sinks/delivery.ts';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { closedAfterEach } from '../../support/sinks/closed-after-each.ts';
import type { HttpReceiver } from '../../support/sinks/http/http-receiver.ts';
import {
  type BulkOptions,
  type BulkReceiver,
  startBulkReceiver,
  startWebhookReceiver,
} from '../../support/sinks/http/http-receivers.ts';
import { attempt, attemptWith, expectComplete } from '../../support/sinks/http/http-sink-checks.ts';
import { basicAuthorization, bulkIndex, credentials, httpSinks } from '../../support/sinks/http/http-sinks.ts';
import {
  type PlainReceiver,
  type PlainReceiverOptions,
  startPlainReceiver,
} from '../../support/sinks/http/plain-receiver.ts';
import { deliverAll, ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

const { open, openSink } = closedAfterEach();

describe('what a sink http sends', () => {
  test.each([
    ['ndjson', 'native', 'application/x-ndjson'],
    ['ndjson', 'cef', 'text/plain; charset=utf-8'],
    ['array', 'ocsf', 'application/json'],
    ['array', 'cef', 'application/json'],
    ['each', 'ecs', 'application/json'],
    ['each', 'leef', 'text/plain; charset=utf-8'],
  ] as const)('%s of %s: the events to the byte, as %s, without an envelope', async (body, format, type) => {
    const receiver = await receive(body);
    const sink = sinkTo(receiver, { body, format, method: 'PUT' });
    expect(sink.maxEvents).toBe(body === 'each' ? 1 : undefined);
    const events = ordinaryEvents(sink.maxEvents ?? 3, format);
    expect(await attempt(sink, events)).toEqual(delivered);
    expect(receiver.events().map(({ text }) => text)).toEqual(events.map(({ text }) => text));
    const { headers } = receiver.requests[0] ?? {};
    expect(headers).toMatchObject({ 'content-type': type, 'content-encoding': 'gzip', 'user-agent': 'orgtrail' });
  });

  test('own headers stand beside ours or in their place; the delivery has the same name at every attempt', async () => {
    const receiver = await receive('ndjson');
    const headers = { 'Content-Type': 'application/json-lines', 'User-Agent': 'soc', 'X-A': 'b c' };
    const sink = sinkTo(receiver, { headers, token: 'bearer-token', gzip: false });
    const events = ordinaryEvents(2, 'native');
    expect(await attemptWith(receiver, sink, { kind: 'cut', at: 'answer' }, events)).toMatchObject({ kind: 'failed' });
    expect(await attempt(sink, events)).toEqual(delivered);
    const [first, second] = receiver.requests;
    expect(second?.headers).toMatchObject({
      'content-type': 'application/json-lines',
      'user-agent': 'soc',
      'x-a': 'b c',
      authorization: 'Bearer bearer-token',
    });
    expect(second?.headers).not.toHaveProperty('content-encoding');
    expect(second?.headers['idempotency-key']).toBe(first?.headers['idempotency-key']);
    expect(second?.body).toBe(first?.body);
  });

  test('a request that is larger than max_request_bytes goes out in halves; an event that is by itself is a dead letter', async () => {
    const receiver = await receive('ndjson');
    const sink = sinkTo(receiver, { max_request_bytes: 20_000 });
    const events = [...ordinaryEvents(100, 'native'), ...ordinaryEvents(1, 'native', 'x'.repeat(30_000))];
    const { deadLetters, failures } = await deliverAll(() => sink, events, 500);
    expect(failures).toEqual([]);
    expect(deadLetters.map(({ event, reason }) => [event, reason])).toEqual([
      [events.at(-1), expect.stringMatching(/^not sent: it takes 30\d{3} bytes, and max_request_bytes is 20000$/)],
    ]);
    expect(receiver.events().map(({ text }) => text)).toEqual(events.slice(0, 100).map(({ text }) => text));
    for (const { body } of receiver.requests) expect(Buffer.byteLength(body)).toBeLessThanOrEqual(20_000);
  });
});

describe('what a receiver says to a sink http', () => {
  test.each([200, 201, 202, 204])('HTTP %i is delivered', async (status) => {
    const receiver = await receive('ndjson');
    expect(await attemptWith(receiver, sinkTo(receiver), { kind: 'answer', status })).toEqual(delivered);
  });

  test('no credential of a header, of the path or of the query is in target or reason', async () => {
    const receiver = await receive('ndjson');
    const secrets = { path: 'T0123/aVeryLongPathSegment', query: 'query-credential', password: 'pass:word-9' };
    const authorization = `Basic ${Buffer.from(`user:${secrets.password}`).toString('base64')}`;
    const sink = sinkTo(
      { ...receiver, url: `${receiver.url}/${secrets.path}?code=${secrets.query}` },
      { headers: { authorization } },
    );
    const body = `${Object.values(secrets).join(' ')} ${authorization}`;
    const outcome = await attemptWith(receiver, sink, { kind: 'answer', status: 401, body });
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('check headers and token') });
    const said = `${JSON.stringify(outcome)} ${sink.target}`;
    for (const secret of ['aVeryLongPathSegment', secrets.query, secrets.password, authorization.slice(6)]) {
      expect(said).not.toContain(secret);
    }
  });
});

describe('what a webhook sends', () => {
  test('the signature is that of Standard Webhooks, over TLS; id and body stay the same at every attempt', async () => {
    const receiver = await receiveHooks({ tls: true });
    const sink = webhookTo(receiver);
    const events = ordinaryEvents(3, 'native');
    expect(await attemptWith(receiver, sink, { kind: 'cut', at: 'answer' }, events)).toMatchObject({ kind: 'failed' });
    expect(await attempt(webhookTo(receiver), events)).toEqual({ kind: 'delivered', refused: [] });
    const [first, second] = receiver.requests;
    for (const request of [first, second]) {
      if (request === undefined) throw new Error('two requests are wanted');
      expect(request.path).toBe('/hooks/orgtrail?code=query-credential');
      expect(request.headers['content-type']).toBe('application/json');
      const payload = new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
      expect(payload).toMatchObject({ type: 'orgtrail.events', timestamp: events.at(-1)?.event.receivedAt });
      expect(() => new Webhook(secret).verify(`${request.body} `, request.headers as Record<string, string>)).toThrow();
    }
    expect(second?.body).toBe(first?.body);
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(expectComplete(receiver.received(), events)).toBe(3);
    expect(sink.target).toBe(`${receiver.url}/hooks/orgtrail`);
  });

  test.each(formatNames)('the body says that its events are %s', async (format) => {
    const receiver = await receiveHooks();
    await attempt(webhookTo(receiver, { format }), ordinaryEvents(1, format));
    expect(receiver.requests[0]?.body).toContain(`"format":"${format}"`);
  });
});

describe('what a receiver says to a webhook', () => {
  test.each([200, 201, 202, 204, 299])('HTTP %i is delivered', async (status) => {
    const receiver = await receiveHooks();
    const outcome = await attemptWith(receiver, webhookTo(receiver), { kind: 'answer', status });
    expect(outcome).toEqual({ kind: 'delivered', refused: [] });
  });

  test('410 asks to be left alone: an hour, and a reason that says what to do', async () => {
    const receiver = await receiveHooks();
    const outcome = await attemptWith(receiver, webhookTo(receiver), { kind: 'answer', status: 410 });
    expect(outcome).toMatchObject({
      kind: 'failed',
      retryAfterMs: 3_600_000,
      reason: expect.stringContaining('remove the sink'),
    });
  });
});

describe('what is sent to Elasticsearch', () => {
  test('documents under their keys, over TLS, packed; the same again changes nothing', async () => {
    const receiver = await receiveBulk({ tls: true });
    const events = ordinaryEvents(20, 'ecs');
    const sink = bulkTo(receiver);
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expectComplete(receiver.received(), events);
    expect(receiver.contradictions).toEqual([]);
    expect(receiver.requests[0]?.headers['content-encoding']).toBe('gzip');
    expect(sink.target).toBe(`${receiver.url}/${bulkIndex}/_bulk`);
  });

  test('with an API key, below a path, unpacked', async () => {
    const receiver = await receiveBulk({ index: 'logs-cloudflare.audit-default', authorization: 'ApiKey aWQ6a2V5' });
    const more = {
      index: 'logs-cloudflare.audit-default',
      username: undefined,
      password: undefined,
      api_key: 'aWQ6a2V5',
      gzip: false,
    };
    expect(await attempt(bulkTo(receiver, more), ordinaryEvents(1, 'ecs'))).toEqual({ kind: 'delivered', refused: [] });
    expect(receiver.requests[0]?.headers['content-encoding']).toBeUndefined();
    const below = await attempt(bulkTo(receiver, { ...more, url: `${receiver.url}/below/` }), ordinaryEvents(1, 'ecs'));
    expect(below).toMatchObject({ kind: 'failed', reason: expect.stringContaining('HTTP 404: check url and index') });
    expect(receiver.requests.at(-1)?.path).toMatch(/^\/below\/logs-cloudflare\.audit-default\/_bulk\?filter_path=/);
  });
});

describe('what it says of the request', () => {
  test.each([
    '',
    '{}',
    '<html>',
    '{"errors":false}',
    '{"items":[]}',
    '{"items":[{"create":{"status":201}}]}',
    '{"items":[{"index":{"status":201}},{},{}]}',
  ])('HTTP 200 with %o says nothing of three documents', async (body) => {
    const receiver = await receiveBulk();
    const outcome = await attemptWith(receiver, bulkTo(receiver), { kind: 'answer', status: 200, body });
    expect(outcome).toMatchObject({ kind: 'failed' });
  });
});

describe('what it says of a document', () => {
  test.each([
    [
      400,
      'document_parsing_exception',
      "[1:83] failed to parse field [user.id] of type [long] in document with id 'x'",
    ],
    [400, 'mapper_parsing_exception', 'failed to parse'],
    [
      400,
      'strict_dynamic_mapping_exception',
      'mapping set to strict, dynamic introduction of [x] within [_doc] is not allowed',
    ],
    [400, 'illegal_argument_exception', 'Document contains at least one immense term in field="x"'],
    [400, 'illegal_argument_exception', 'Limit of total fields [1000] has been exceeded while adding new fields [1]'],
    [413, 'some_exception', 'too large'],
  ])('%i %s: refused by its index, the others are in', async (status, type, reason) => {
    const receiver = await receiveBulk(troubleWith(/entry-(1|4)\b/, status, type, reason));
    const events = ordinaryEvents(6, 'ecs');
    const outcome = await attempt(bulkTo(receiver), events);
    const told = `HTTP ${status}, ${type}: ${reason}`;
    expect(outcome).toEqual({ kind: 'delivered', refused: [1, 4].map((index) => ({ index, reason: told })) });
    expectComplete(
      receiver.received(),
      events.filter((_, index) => index !== 1 && index !== 4),
    );
  });

  test('201 and kept in the failure store of the data stream: refused by its index, and not in the data stream', async () => {
    const failureStore = new Map<string, string>();
    const trouble = troubleWith(/entry-(1|4)\b/, 400, 'document_parsing_exception', 'failed to parse');
    const receiver = await receiveBulk({ ...trouble, failureStore });
    const events = ordinaryEvents(6, 'ecs');
    const reason = 'HTTP 201, failure store: used';
    expect(await attempt(bulkTo(receiver), events)).toEqual({
      kind: 'delivered',
      refused: [1, 4].map((index) => ({ index, reason })),
    });
    const isKept = ({ key }: { key: string }) => failureStore.has(key);
    expect(events.filter(isKept)).toEqual([events[1], events[4]]);
    expectComplete(
      receiver.received(),
      events.filter((event) => !isKept(event)),
    );
  });

  test('201 of a failure store that is not applicable: delivered', async () => {
    const receiver = await receiveBulk();
    const created = { status: 201, failure_store: 'not_applicable_or_unknown' };
    const body = JSON.stringify({ errors: false, items: Array.from({ length: 3 }, () => ({ create: created })) });
    const outcome = await attemptWith(receiver, bulkTo(receiver), { kind: 'answer', status: 200, body });
    expect(outcome).toEqual({ kind: 'delivered', refused: [] });
  });

  test.each([
    [429, 'es_rejected_execution_exception', 'rejected execution of coordinating operation', 'rejected'],
    [
      429,
      'cluster_block_exception',
      'index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]',
      'watermark',
    ],
    [503, 'unavailable_shards_exception', 'primary shard is not active', 'not active'],
    [500, 'exception', 'anything', 'anything'],
    [403, 'security_exception', 'action [indices:data/write/bulk[s]] is unauthorized', 'check the credential'],
    [403, 'cluster_block_exception', 'index [x] blocked by: [FORBIDDEN/8/index write (api)]', 'blocked'],
    [404, 'index_not_found_exception', 'no such index [x]', 'check url and index'],
    [400, 'index_closed_exception', 'closed', 'closed'],
    [400, 'invalid_index_name_exception', 'Invalid index name [x]', 'Invalid index name'],
    [
      400,
      'validation_exception',
      'this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open',
      'shards',
    ],
    [400, 'illegal_argument_exception', 'no write index is defined for alias [x]', 'no write index'],
    [400, 'illegal_argument_exception', 'pipeline with id [x] does not exist', 'pipeline'],
    [400, 'illegal_argument_exception', 'data stream timestamp field [@timestamp] is missing', '@timestamp'],
  ])('%i %s, %s: failed; the next attempt finds the others there', async (status, type, reason, told) => {
    let isInTrouble = true;
    const events = ordinaryEvents(6, 'ecs');
    const receiver = await receiveBulk({
      itemTrouble: (text) => (isInTrouble && text.includes('entry-4') ? { status, type, reason } : undefined),
    });
    const sink = bulkTo(receiver);
    expect(await attempt(sink, events)).toMatchObject({ kind: 'failed', reason: expect.stringContaining(told) });
    isInTrouble = false;
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expect(new Set(receiver.received().map(({ key }) => key))).toEqual(new Set(events.map(({ key }) => key)));
    expect(receiver.contradictions).toEqual([]);
  });
});

const receive = async (body: PlainReceiverOptions['body']): Promise<PlainReceiver> =>
  open(await startPlainReceiver({ body }));

const sinkTo = ({ url }: PlainReceiver, more: object = {}): Sink =>
  openSink(createSink(sinkSettings.parse({ type: 'http', url, timeout: '10m', ...more })));

const delivered = { kind: 'delivered', refused: [] };
const { webhookSecret: secret } = credentials;

const receiveHooks = async (options = {}): Promise<HttpReceiver> => open(await startWebhookReceiver(options));
const webhookTo = (receiver: HttpReceiver, more: object = {}): Sink => openSink(httpSinks.webhook(receiver, more));

const receiveBulk = async (options: Partial<BulkOptions> = {}): Promise<BulkReceiver> =>
  open(await startBulkReceiver({ index: bulkIndex, authorization: basicAuthorization, ...options }));

const bulkTo = (receiver: BulkReceiver, more: object = {}): Sink => openSink(httpSinks.elasticsearch(receiver, more));

/** The receiver has this trouble with the documents of these entries. */
const troubleWith = (ids: RegExp, status: number, type: string, reason: string): Partial<BulkOptions> => ({
  itemTrouble: (text) => (ids.test(text) ? { status, type, reason } : undefined),
});
