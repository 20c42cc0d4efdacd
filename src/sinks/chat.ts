import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { parseDurationMs } from '../base/time.ts';
import { eventInstant } from '../formats/format.ts';
import { cleanText, oneLine } from '../formats/text.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from './delivery.ts';
import { placeOfFinding, titleOf } from './findings/finding.ts';
import {
  type Checks,
  createHttpPost,
  failedWithoutAnswer,
  type HttpAnswer,
  type HttpPostOptions,
  outcomeOfStatus,
  type ReasonText,
} from './http/http-post.ts';
import { plainHttpWarnings } from './http/http-settings.ts';
import { commonSettings, maxAgeSetting, startSetting, streamSetting, urlOf } from './sink-kind.ts';

interface MessageSinkOptions extends Omit<HttpPostOptions, 'headers'> {
  /** Where it delivers to, for logs: no credential in it. */
  readonly target: string;
  /** Most findings of one message. */
  readonly maxEvents: number;
  /** A larger message is not sent: its findings go out in halves. */
  readonly maxBytes: number;
  /** Between one message and the next: what the receiver takes without complaint. Milliseconds. */
  readonly pauseMs: number;
  readonly checks: Checks;
  /** JSON of the message with these findings. */
  readonly write: (events: readonly OutgoingEvent[]) => string;
  /** What an answer with 2xx means. Default: they are delivered. */
  readonly readSuccess?: (answer: HttpAnswer, reasonText: ReasonText) => DeliveryOutcome;
}

const delivered: DeliveryOutcome = { kind: 'delivered', refused: [] };

/** A sink that makes one message of each delivery: of several findings a digest. Used by the kinds that write to people. */
export const createMessageSink = (options: MessageSinkOptions): Sink => {
  const { maxEvents, maxBytes, pauseMs, write, readSuccess = () => delivered } = options;
  const http = createHttpPost({ ...options, headers: { 'content-type': 'application/json' } });
  let nextAtMs = 0;
  const deliver = async ({ events }: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    signal.throwIfAborted();
    if (events.length > maxEvents) {
      return { kind: 'refused', reason: `not sent: a message has ${maxEvents} findings at most` };
    }
    const body = write(events);
    const bytes = Buffer.byteLength(body, 'utf8');
    if (bytes > maxBytes) {
      return { kind: 'refused', reason: `not sent: it takes ${bytes} bytes, and a message has ${maxBytes} at most` };
    }
    await sleep(Math.max(0, nextAtMs - performance.now()), undefined, { signal });
    const answer = await http.post(body, { signal });
    nextAtMs = performance.now() + pauseMs;
    const isSuccess = answer.status >= 200 && answer.status < 300;
    return isSuccess ? readSuccess(answer, http.reasonText) : outcomeOfStatus(answer, options.checks, http.reasonText);
  };
  return {
    target: options.target,
    maxEvents,
    eventBytes: (event) => Buffer.byteLength(write([event]), 'utf8'),
    deliver: (delivery, signal) => failedWithoutAnswer(deliver(delivery, signal)),
    close: http.close,
  };
};

/** What a message says of one finding. All of it may be text of others, on one line each. */
export interface Message {
  readonly title: string;
  readonly severity: string;
  readonly place: string;
  readonly summary: string;
  /** Name and value. */
  readonly facts: readonly (readonly [string, string])[];
  /** Into the console. */
  readonly link: string | undefined;
  readonly key: string;
}

/** Control characters, also those that turn the direction of writing, are none of a message. */
const line = (text: string): string =>
  oneLine(cleanText(text))
    .replace(/\p{Bidi_Control}/gu, ' ')
    .trim();

/** The same for every kind that writes to people. */
export const messageOf = ({ event, finding, key }: OutgoingEvent, consoleUrl: string | undefined): Message => {
  const position = finding?.eventPosition ?? event.position;
  const isAlarm = finding?.alarm !== undefined;
  const facts = [
    ['Time', eventInstant(event)],
    ['Actor', isAlarm ? '' : (finding?.actor ?? '')],
    ['Address', finding?.actorIpAddress ?? ''],
    ['Position', isAlarm ? '' : String(position)],
    ['Key', key],
  ] as const;
  return {
    title: finding === undefined ? 'Event' : titleOf(finding),
    severity: finding?.severity ?? 'low',
    place: line(placeOfFinding(event)) || line(event.sourceId) || 'Cloudflare',
    summary: line(finding?.summary ?? event.id),
    facts: facts.flatMap(([name, value]) => (value === '' ? [] : [[name, line(value)] as const])),
    link:
      consoleUrl === undefined
        ? undefined
        : `${consoleUrl.replace(/\/+$/, '')}${isAlarm ? '/' : `/events/${position}`}`,
    key,
  };
};

/** The severity that matters most among these. */
export const worstOf = (messages: readonly Message[]): string =>
  ['critical', 'high', 'medium'].find((severity) => messages.some((message) => message.severity === severity)) ?? 'low';

const MAX_PAUSE_MS = 60_000;

/** Milliseconds; `0s`: none. */
export const pauseSetting = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, issue): number => {
      const ms = text === '0s' ? 0 : (parseDurationMs(text) ?? -1);
      if (ms < 0 || ms > MAX_PAUSE_MS) {
        issue.addIssue({ code: 'custom', message: 'must be a duration from 0s to 1m' });
      }
      return ms;
    });

/**
 * Settings of the kinds that write to people. A new one begins with what happens from now on, and what is older than ten days when it
 * would be sent is skipped: an outage of a week is told of, history is not.
 */
export const peopleSettings = {
  ...commonSettings,
  events: streamSetting('detections', ['detections', 'alarms']),
  start: startSetting('now'),
  max_age: maxAgeSetting('10d'),
  ca_file: z.string().optional(),
  /** Where the console is, for people: a message leads there. */
  console_url: urlOf('https:', 'http:')
    .refine((text) => !/[?#]/.test(text), 'must be a URL without query and fragment')
    .optional(),
};

/** What contradicts itself in the settings of every such kind. */
export const peopleContradictions = ({ format }: { readonly format: string }): string[] =>
  format === 'native' ? [] : ['.format does not apply: this kind writes messages of its own'];

export const peopleWarnings = (url: string, setting = 'url'): string[] =>
  plainHttpWarnings(url, 'its messages').map((text) => text.replace(/^\.url/, `.${setting}`));
