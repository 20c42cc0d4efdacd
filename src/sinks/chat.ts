import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { parseDurationMs } from '../base/time.ts';
import { eventInstant } from '../formats/format.ts';
import { cleanText, oneLine } from '../formats/text.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from './delivery.ts';
import { type FindingKind, kindOf, placeOfFinding, titleOf } from './findings/finding.ts';
import {
  type Checks,
  createHttpPost,
  delivered,
  type HttpPostOptions,
  isSuccess,
  outcomeOfStatus,
  sinkOver,
} from './http/http-post.ts';
import { plainHttpWarnings } from './http/http-settings.ts';
import { commonSettings, maxAgeSetting, startSetting, streamSetting, urlOf } from './sink-kind.ts';

interface MessageSinkSettings {
  readonly timeout: number;
  readonly ca_file?: string | undefined;
  /** Between two messages, so that the receiver takes them without complaint. Milliseconds. */
  readonly pause: number;
}

interface MessageSinkOptions extends Omit<HttpPostOptions, 'headers' | 'timeoutMs' | 'caFile'> {
  /** For logs: without a credential. */
  readonly target: string;
  readonly maxEvents: number;
  /** A larger message is not sent; its findings go out in halves. */
  readonly maxBytes: number;
  readonly checks: Checks;
  readonly write: (events: readonly OutgoingEvent[]) => string;
}

/** Makes one message of each delivery, for the kinds that write to people: of several findings a digest. */
export const createMessageSink = (settings: MessageSinkSettings, options: MessageSinkOptions): Sink => {
  const { timeout: timeoutMs, ca_file: caFile, pause: pauseMs } = settings;
  const { maxEvents, maxBytes, write } = options;
  const http = createHttpPost({ ...options, timeoutMs, caFile, headers: { 'content-type': 'application/json' } });
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
    return isSuccess(answer) ? delivered : outcomeOfStatus(answer, options.checks, http.reasonText);
  };
  const sink = sinkOver(http, options.target, deliver);
  return { ...sink, maxEvents, eventBytes: (event) => Buffer.byteLength(write([event]), 'utf8') };
};

/** What a message says of one finding. Any of it may be text of others, on one line each. */
export type Message = Readonly<Record<'title' | 'severity' | 'place' | 'summary' | 'key', string>> &
  Readonly<{ kind: FindingKind; facts: readonly (readonly [string, string])[]; link: string | undefined }>;

/** Removes control characters, those that turn the direction of writing too. */
const line = (text: string): string =>
  oneLine(cleanText(text))
    .replace(/\p{Bidi_Control}/gu, ' ')
    .trim();

export const messageOf = ({ event, finding, key }: OutgoingEvent, consoleUrl: string | undefined): Message => {
  const position = finding?.eventPosition ?? event.position;
  const isAlarm = finding?.alarm !== undefined;
  const page = isAlarm ? '/' : (finding?.search?.link ?? `/events/${position}`);
  const facts = [
    ['Time', eventInstant(event)],
    ['Actor', isAlarm ? '' : (finding?.actor ?? '')],
    ['Address', finding?.actorIpAddress ?? ''],
    ['Position', isAlarm ? '' : String(position)],
    ['Key', key],
  ] as const;
  return {
    kind: finding === undefined ? 'detection' : kindOf(finding),
    title: finding === undefined ? 'Event' : line(titleOf(finding)),
    severity: finding?.severity ?? 'low',
    place: line(placeOfFinding(event)) || line(event.sourceId) || 'Cloudflare',
    summary: line(finding?.summary ?? event.id),
    facts: facts.flatMap(([name, value]) => (value === '' ? [] : [[name, line(value)] as const])),
    link: consoleUrl === undefined ? undefined : `${consoleUrl.replace(/\/+$/, '')}${page}`,
    key,
  };
};

/** Of several, which are of one kind. */
export const headlineOf = (messages: readonly Message[]): string => {
  const worst =
    ['critical', 'high', 'medium'].find((severity) => messages.some((message) => message.severity === severity)) ??
    'low';
  const [count, kind] = [messages.length, messages[0]?.kind];
  if (kind === 'search') return `orgtrail: ${count} messages about saved searches`;
  return `orgtrail: ${count} ${kind === 'alarm' ? 'alarms' : 'findings'}, ${worst} at most`;
};

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

/** Of the kinds that write to people. A new one begins now and skips what is older than ten days: no history, but a week's outage. */
export const peopleSettings = {
  ...commonSettings,
  events: streamSetting('detections', ['detections', 'alarms', 'searches']),
  start: startSetting('now'),
  max_age: maxAgeSetting('10d'),
  ca_file: z.string().optional(),
  console_url: urlOf('https:', 'http:')
    .refine((text) => !/[?#]/.test(text), 'must be a URL without query and fragment')
    .optional(),
};

export const peopleContradictions = ({ format }: { readonly format: string }): string[] =>
  format === 'native' ? [] : ['.format does not apply: this kind writes messages of its own'];

export const peopleWarnings = (url: string, setting = 'url'): string[] =>
  plainHttpWarnings(url, 'its messages').map((text) => text.replace(/^\.url/, `.${setting}`));
