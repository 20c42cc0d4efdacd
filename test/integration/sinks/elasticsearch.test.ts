import { afterEach, describe, expect, test } from 'vitest';
import type { Sink } from '../../../src/sinks/delivery.ts';
import { type BulkOptions, type BulkReceiver, startBulkReceiver } from '../../support/sinks/http/http-receivers.ts';
import { attempt, attemptWith, expectComplete } from '../../support/sinks/http/http-sink-checks.ts';
import { basicAuthorization, bulkIndex, httpSinks } from '../../support/sinks/http/http-sinks.ts';
import { ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

describe('what is sent', () => {
  test('documents under their keys, over TLS, packed; the same again changes nothing', async () => {
    const receiver = await receive({ tls: true });
    const events = ordinaryEvents(20, 'ecs');
    const sink = sinkTo(receiver);
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expectComplete(receiver.received(), events);
    expect(receiver.contradictions).toEqual([]);
    expect(receiver.requests[0]?.headers['content-encoding']).toBe('gzip');
    expect(sink.target).toBe(`${receiver.url}/${bulkIndex}/_bulk`);
  });

  test('with an API key, below a path, unpacked', async () => {
    const receiver = await receive({ index: 'logs-cloudflare.audit-default', authorization: 'ApiKey aWQ6a2V5' });
    const more = {
      index: 'logs-cloudflare.audit-default',
      username: undefined,
      password: undefined,
      api_key: 'aWQ6a2V5',
      gzip: false,
    };
    expect(await attempt(sinkTo(receiver, more), ordinaryEvents(1, 'ecs'))).toEqual({ kind: 'delivered', refused: [] });
    expect(receiver.requests[0]?.headers['content-encoding']).toBeUndefined();
    const below = await attempt(sinkTo(receiver, { ...more, url: `${receiver.url}/below/` }), ordinaryEvents(1, 'ecs'));
    expect(below).toMatchObject({ kind: 'failed', reason: expect.stringContaining('HTTP 404: check url and index') });
    expect(receiver.requests.at(-1)?.path).toMatch(/^\/below\/logs-cloudflare\.audit-default\/_bulk\?filter_path=/);
  });
});

describe('what it says of the request', () => {
  test('a credential that it does not know', async () => {
    const receiver = await receive({ authorization: 'Basic other' });
    const outcome = await attempt(sinkTo(receiver), ordinaryEvents(1, 'ecs'));
    expect(outcome).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('HTTP 401: check the credential'),
    });
    expect(JSON.stringify(outcome)).not.toContain(basicAuthorization.slice(6));
  });

  test.each([
    '',
    '{}',
    '<html>',
    '{"errors":false}',
    '{"items":[]}',
    '{"items":[{"create":{"status":201}}]}',
    '{"items":[{"index":{"status":201}},{},{}]}',
  ])('HTTP 200 with %o says nothing of three documents', async (body) => {
    const receiver = await receive();
    const outcome = await attemptWith(receiver, sinkTo(receiver), { kind: 'answer', status: 200, body });
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
    const receiver = await receive(troubleWith(/entry-(1|4)\b/, status, type, reason));
    const events = ordinaryEvents(6, 'ecs');
    const outcome = await attempt(sinkTo(receiver), events);
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
    const receiver = await receive({ ...trouble, failureStore });
    const events = ordinaryEvents(6, 'ecs');
    const reason = 'HTTP 201, failure store: used';
    expect(await attempt(sinkTo(receiver), events)).toEqual({
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
    const receiver = await receive();
    const created = { status: 201, failure_store: 'not_applicable_or_unknown' };
    const body = JSON.stringify({ errors: false, items: Array.from({ length: 3 }, () => ({ create: created })) });
    const outcome = await attemptWith(receiver, sinkTo(receiver), { kind: 'answer', status: 200, body });
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
    const receiver = await receive({
      itemTrouble: (text) => (isInTrouble && text.includes('entry-4') ? { status, type, reason } : undefined),
    });
    const sink = sinkTo(receiver);
    expect(await attempt(sink, events)).toMatchObject({ kind: 'failed', reason: expect.stringContaining(told) });
    isInTrouble = false;
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expect(new Set(receiver.received().map(({ key }) => key))).toEqual(new Set(events.map(({ key }) => key)));
    expect(receiver.contradictions).toEqual([]);
  });
});

const opened: AsyncDisposable[] = [];

const receive = async (options: Partial<BulkOptions> = {}): Promise<BulkReceiver> => {
  const receiver = await startBulkReceiver({ index: bulkIndex, authorization: basicAuthorization, ...options });
  opened.push(receiver);
  return receiver;
};

const sinkTo = (receiver: BulkReceiver, more: object = {}): Sink => {
  const sink = httpSinks.elasticsearch(receiver, more);
  opened.push({ [Symbol.asyncDispose]: () => sink.close() });
  return sink;
};

/** The receiver has this trouble with the documents of these entries. */
const troubleWith = (ids: RegExp, status: number, type: string, reason: string): Partial<BulkOptions> => ({
  itemTrouble: (text) => (ids.test(text) ? { status, type, reason } : undefined),
});
