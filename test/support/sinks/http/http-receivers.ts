import { formats } from '../../../../src/formats/registry.ts';
import { jsonElements, jsonMembers, jsonValues } from '../../feed/json-texts.ts';
import {
  type HttpReceiver,
  type ReceivedEvent,
  type ReceivedRequest,
  type ReceiverAnswer,
  type ReceiverOptions,
  startHttpReceiver,
} from './http-receiver.ts';

const json = (status: number, body: unknown): ReceiverAnswer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

/** Texts of events of line formats come as JSON strings. */
const eventText = (value: string): string => (value.startsWith('"') ? String(JSON.parse(value)) : value);

export interface WebhookOptions extends ReceiverOptions {
  /** Answers 422, and takes nothing in, if this is true for any event. */
  readonly refuses?: (text: string) => boolean;
}

/** Takes everything that is JSON of the webhook's form. Verifies no signature: `requests` have what that takes. */
export const startWebhookReceiver = async (options: WebhookOptions = {}): Promise<HttpReceiver> => {
  const events: ReceivedEvent[] = [];
  const handle = ({ body }: ReceivedRequest): ReceiverAnswer => {
    JSON.parse(body);
    const data = jsonMembers(jsonMembers(body).get('data') ?? '{}');
    const found = jsonElements(data.get('events') ?? '[]').map((element) => {
      const members = jsonMembers(element);
      return {
        key: String(JSON.parse(members.get('key') ?? '""')),
        position: Number(members.get('position')),
        text: eventText(members.get('event') ?? ''),
      };
    });
    if (found.some(({ text }) => options.refuses?.(text))) return { status: 422, body: 'no' };
    events.push(...found);
    return { status: 200, body: 'ok' };
  };
  return await startHttpReceiver({ handle, received: () => events }, options);
};

export interface HecOptions extends ReceiverOptions {
  readonly token: string;
  /** With indexer acknowledgement: what was not asked for so many times is in no index yet, and a restart forgets it. */
  readonly acknowledgeAtPoll?: number;
  readonly indexes?: readonly string[];
  /** Events that it calls invalid data. */
  readonly invalid?: (text: string) => boolean;
}

const hec = (status: number, code: number, text: string, more: object = {}) => json(status, { text, code, ...more });
const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** HEC, as Splunk documents it: tokens, channels, acknowledgement, answer codes; stops at the first event that it refuses. */
export const startHecReceiver = async (options: HecOptions): Promise<HttpReceiver> => {
  const indexed: ReceivedEvent[] = [];
  const pending = new Map<number, { readonly events: readonly ReceivedEvent[]; polls: number }>();
  let nextAckId = 0;
  const acks = options.acknowledgeAtPoll !== undefined;

  const takeIn = (body: string): ReceiverAnswer => {
    const events: ReceivedEvent[] = [];
    let trouble: ReceiverAnswer | undefined;
    for (const [number, value] of jsonValues(body).entries()) {
      const result = readHecEvent(value, number, options);
      if ('status' in result) {
        trouble = result;
        break;
      }
      events.push(result);
    }
    if (!acks) indexed.push(...events);
    if (trouble !== undefined) return trouble;
    if (events.length === 0) return hec(400, 5, 'No data');
    if (!acks) return hec(200, 0, 'Success');
    pending.set(nextAckId, { events, polls: 0 });
    return hec(200, 0, 'Success', { ackId: nextAckId++ });
  };
  const tellAcks = (body: string): ReceiverAnswer => {
    const { acks: ids } = JSON.parse(body) as { acks: number[] };
    const told = ids.map((id) => {
      const one = pending.get(id);
      if (one === undefined || ++one.polls < (options.acknowledgeAtPoll ?? 0)) return [id, false] as const;
      indexed.push(...one.events);
      pending.delete(id);
      return [id, true] as const;
    });
    return json(200, { acks: Object.fromEntries(told) });
  };
  const handle = ({ path, headers, body }: ReceivedRequest): ReceiverAnswer => {
    const { authorization, 'x-splunk-request-channel': channel } = headers;
    if (authorization === undefined) return hec(401, 2, 'Token is required');
    if (!authorization.startsWith('Splunk ')) return hec(401, 3, 'Invalid authorization');
    if (authorization !== `Splunk ${options.token}`) return hec(403, 4, 'Invalid token');
    const isAck = path === '/services/collector/ack';
    if (!isAck && path !== '/services/collector/event')
      return hec(404, 404, 'The requested URL was not found on this server.');
    if (isAck && !acks) return hec(400, 14, 'ACK is disabled');
    if (acks && channel === undefined) return hec(400, 10, 'Data channel is missing');
    if (channel !== undefined && !guid.test(String(channel))) return hec(400, 11, 'Invalid data channel');
    return isAck ? tellAcks(body) : takeIn(body);
  };
  return await startHttpReceiver({ handle, received: () => indexed, forget: () => pending.clear() }, options);
};

const readHecEvent = (value: string, number: number, options: HecOptions): ReceivedEvent | ReceiverAnswer => {
  const at = { 'invalid-event-number': number };
  let parsed: { time?: unknown; index?: unknown; event?: unknown; fields?: Readonly<Record<string, unknown>> };
  try {
    parsed = JSON.parse(value);
  } catch {
    return hec(400, 6, 'Invalid data format', at);
  }
  const { time, index, event, fields = {} } = parsed;
  const text = eventText(jsonMembers(value).get('event') ?? '');
  if (event === undefined) return hec(400, 12, 'Event field is required', at);
  if (event === '') return hec(400, 13, 'Event field cannot be blank', at);
  if (Object.values(fields).some((field) => typeof field !== 'string'))
    return hec(400, 15, 'Error in handling indexed fields', at);
  if (typeof time !== 'number' || time < 0 || options.invalid?.(text) === true)
    return hec(400, 6, 'Invalid data format', at);
  const allowed = index === undefined || options.indexes === undefined || options.indexes.includes(String(index));
  if (!allowed) return hec(400, 7, 'Incorrect index', at);
  return { key: String(fields['key']), position: Number(fields['position']), text };
};

export interface BulkOptions extends ReceiverOptions {
  readonly index: string;
  /** The header that it requires. */
  readonly authorization?: string;
  /** What it says of a document, by its text, in place of creating it. */
  readonly itemTrouble?: (
    text: string,
  ) => { readonly status: number; readonly type: string; readonly reason: string } | undefined;
  /** A data stream with a failure store: what it has trouble with with 400 is stored there and answered so. */
  readonly failureStore?: Map<string, string>;
}

export interface BulkReceiver extends HttpReceiver {
  /** Documents that came again under the key of one that is there, with another text. */
  readonly contradictions: readonly ReceivedEvent[];
}

const noIndex = { type: 'index_not_found_exception', reason: 'no such index' };
const wholeError = (status: number, type: string, reason: string) =>
  json(status, { error: { root_cause: [{ type, reason }], type, reason }, status });

/** `_bulk` with `create` alone: keeps documents by `_id`, and takes no NDJSON that is not strictly that. */
export const startBulkReceiver = async (options: BulkOptions): Promise<BulkReceiver> => {
  const documents = new Map<string, ReceivedEvent>();
  const contradictions: ReceivedEvent[] = [];
  const create = (action: string, text: string) => {
    const {
      create: { _id: key },
    } = JSON.parse(action) as { create: { _id: string } };
    if (JSON.stringify({ create: { _id: key } }) !== action) throw new Error(`no create action: ${action}`);
    const found = { key, position: positionIn(text), text };
    const before = documents.get(key);
    const id = { _index: options.index, _id: key };
    if (before !== undefined) {
      if (before.text !== text) contradictions.push(found);
      const reason = `[${key}]: version conflict, document already exists (current version [1])`;
      return { ...id, status: 409, error: { type: 'version_conflict_engine_exception', reason } };
    }
    const trouble = options.itemTrouble?.(text);
    if (trouble?.status === 400 && options.failureStore !== undefined) {
      options.failureStore.set(key, text);
      return { ...id, _version: 1, result: 'created', failure_store: 'used', status: 201 };
    }
    if (trouble !== undefined)
      return { ...id, status: trouble.status, error: { type: trouble.type, reason: trouble.reason } };
    documents.set(key, found);
    return { ...id, _version: 1, result: 'created', status: 201 };
  };
  const handle = ({ path, headers, body }: ReceivedRequest): ReceiverAnswer => {
    if (options.authorization !== undefined && headers.authorization !== options.authorization) {
      return wholeError(401, 'security_exception', `unable to authenticate with ${headers.authorization}`);
    }
    const [route, query] = path.split('?');
    if (route !== `/${options.index}/_bulk`) return wholeError(404, noIndex.type, noIndex.reason);
    if (headers['content-type'] !== 'application/x-ndjson')
      return wholeError(406, 'media_type_header_exception', 'Content-Type');
    if (!body.endsWith('\n'))
      return wholeError(400, 'illegal_argument_exception', 'The bulk request must be terminated by a newline [\\n]');
    const lines = body.slice(0, -1).split('\n');
    const items = [];
    for (let at = 0; at < lines.length; at += 2) items.push({ create: create(lines[at] ?? '', lines[at + 1] ?? '') });
    return json(
      200,
      filtered({ took: 1, errors: items.some(({ create: { status } }) => status !== 201), items }, query),
    );
  };
  const receiver = await startHttpReceiver({ handle, received: () => [...documents.values()] }, options);
  return { ...receiver, contradictions };
};

/** The position of an event in one of the formats that write JSON. Throws for what is no JSON. */
const positionIn = (text: string): number => {
  JSON.parse(text);
  for (const { json: isJson, readLine } of Object.values(formats)) {
    if (!isJson) continue;
    try {
      return readLine(text).position;
    } catch {
      // Of another format.
    }
  }
  return Number.NaN;
};

/** As `filter_path` leaves it: an answer without what was not asked for. */
const filtered = (
  answer: { took: number; errors: boolean; items: { create: { status: number; error?: object } }[] },
  query = '',
) => {
  if (!query.includes('filter_path=')) return answer;
  if (!query.includes('items.*.status')) throw new Error(`what is left of the answer says nothing: ${query}`);
  const isAsked = ([name]: [string, unknown]) => query.includes(`items.*.${name}`);
  const items = answer.items.map(({ create }) => ({
    create: Object.fromEntries(Object.entries(create).filter(isAsked)),
  }));
  return { errors: answer.errors, items };
};
