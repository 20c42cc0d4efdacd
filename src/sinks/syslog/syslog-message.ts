import { readAuditEntry } from '../../formats/audit-entry.ts';
import { classify } from '../../formats/classification.ts';
import { eventInstant, receivedInstant } from '../../formats/event-time.ts';
import { isOfAccount } from '../../formats/feed-event.ts';
import type { FormatName } from '../../formats/formats.ts';
import { cut, oneLine } from '../../formats/plain-text.ts';
import type { OutgoingEvent } from '../delivery.ts';

/** What all messages of one sink have in common. Texts are printable ASCII without spaces, as RFC 5424 requires. */
export interface SyslogHeader {
  /** 0 to 23. */
  readonly facility: number;
  readonly hostname: string;
  readonly appName: string;
  /** Becomes the MSGID: who reads it knows how to read MSG. */
  readonly format: FormatName;
}

/** 32473 is the enterprise number that RFC 5612 sets aside for examples: orgtrail has none of its own. */
const STRUCTURED_DATA_ID = 'orgtrail@32473';
/** Receivers have limits for one value, and the whole name is in the event's text. */
const NAME_LENGTH = 256;

/** RFC 5424's names for what an audit event can be. */
const severities = { warning: 4, notice: 5, informational: 6 } as const;

const severityOf = ({ event }: OutgoingEvent): number => {
  const { outcome, action } = classify(readAuditEntry(event));
  if (outcome === 'failure') return severities.warning;
  return action === 'view' ? severities.informational : severities.notice;
};

/** rsyslog takes a message with another year for one without any header (8.2504: 2100 and later). */
const plausibleYear = /^(?:19[7-9]|20\d)\d-/;

/** RFC 5424 allows six digits behind the point, stored times may have nine. */
const timestamp = ({ event }: OutgoingEvent): string => {
  const ofAction = eventInstant(event);
  const instant = plausibleYear.test(ofAction) ? ofAction : receivedInstant(event);
  return instant.replace(/(\.\d{6})\d+/, '$1');
};

/** The three that RFC 5424 has escaped; what ends a line is none of its business, but is of those who write lines. */
const parameter = (name: string, value: string): string => `${name}="${oneLine(value).replace(/["\\\]]/g, '\\$&')}"`;

/** Without what the event does not have. */
const named = (name: string, value: string | null): readonly string[] =>
  value === null ? [] : [parameter(name, cut(value, NAME_LENGTH))];

/** What a HOSTNAME may be made of; what else there is becomes `_`. `-` if there is nothing. */
export const syslogHostname = (name: string): string => name.replace(/[^\x21-\x7e]/g, '_').slice(0, 255) || '-';

/**
 * One event as an RFC 5424 message, without framing. MSG is the event's text in UTF-8 and has no byte order mark in front:
 * rsyslog and others leave it in, and what follows is then no JSON (README.md).
 */
export const syslogMessage = (outgoing: OutgoingEvent, header: SyslogHeader): string => {
  const { event, key, text } = outgoing;
  const priority = header.facility * 8 + severityOf(outgoing);
  const parameters = [
    parameter('position', String(event.position)),
    parameter('feed', event.feedId),
    parameter('key', key),
    ...named('organization', event.organizationName ?? event.organizationId),
    ...(isOfAccount(event) ? named('account', event.accountName ?? event.accountId) : []),
  ];
  const fields = [`<${priority}>1`, timestamp(outgoing), header.hostname, header.appName, '-', header.format];
  return `${fields.join(' ')} [${STRUCTURED_DATA_ID} ${parameters.join(' ')}] ${text}`;
};
