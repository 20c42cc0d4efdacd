import { jsonElements } from '../../feed/json-texts.ts';
import {
  type HttpReceiver,
  type ReceivedEvent,
  type ReceivedRequest,
  type ReceiverAnswer,
  startHttpReceiver,
} from './http-receiver.ts';

export interface PlainReceiverOptions {
  readonly body: 'ndjson' | 'array' | 'each';
  /** What it says of a request before it takes anything in; undefined: it takes it. */
  readonly check?: (request: ReceivedRequest, items: readonly string[]) => ReceiverAnswer | undefined;
  /** An event of an item of the body. Default: the item is the event. */
  readonly readItem?: (item: string) => Partial<ReceivedEvent> & Pick<ReceivedEvent, 'text'>;
  /** Answers 400, and takes nothing in, if this is true for any event. */
  readonly refuses?: ((text: string) => boolean) | undefined;
  readonly tls?: boolean;
  readonly success?: (count: number) => ReceiverAnswer;
}

/** An event as such a receiver has it: what it is not told is undefined. */
type PlainEvent = Partial<ReceivedEvent> & Pick<ReceivedEvent, 'text'>;

export interface PlainReceiver extends HttpReceiver {
  events(): readonly PlainEvent[];
}

const asText = (item: string): PlainEvent => ({ text: item.startsWith('"') ? String(JSON.parse(item)) : item });

/** Takes events without an envelope, in one of the forms that such receivers take. */
export const startPlainReceiver = async (options: PlainReceiverOptions): Promise<PlainReceiver> => {
  const { body: form, check, readItem = asText, refuses, success = () => ({ status: 200, body: 'ok' }) } = options;
  const events: PlainEvent[] = [];
  const handle = (request: ReceivedRequest): ReceiverAnswer => {
    const items = itemsOf(request.body, form);
    if (items === undefined) return { status: 400, body: 'malformed' };
    const trouble = check?.(request, items);
    if (trouble !== undefined) return trouble;
    const found = items.map(readItem);
    if (found.some(({ text }) => refuses?.(text))) return { status: 400, body: 'no' };
    events.push(...found);
    return success(found.length);
  };
  const server = await startHttpReceiver({ handle, received: () => [] }, { tls: options.tls === true });
  return { ...server, events: () => events };
};

const itemsOf = (body: string, form: PlainReceiverOptions['body']): readonly string[] | undefined => {
  if (form === 'each') return [body];
  if (form === 'ndjson') return body.endsWith('\n') ? body.slice(0, -1).split('\n') : undefined;
  JSON.parse(body);
  return jsonElements(body);
};
