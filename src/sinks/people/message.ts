import { placeOfFinding, titleOf } from '../../findings/finding.ts';
import { eventInstant } from '../../formats/event-time.ts';
import { cleanText } from '../../formats/json-line.ts';
import { oneLine } from '../../formats/plain-text.ts';
import type { OutgoingEvent } from '../delivery.ts';

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
