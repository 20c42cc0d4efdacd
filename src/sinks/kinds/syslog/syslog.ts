import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { z } from 'zod';
import { isLoopbackHost } from '../../../base/addresses.ts';
import { reasonOf } from '../../../base/errors.ts';
import { formatDuration } from '../../../base/time.ts';
import { readAuditEntry } from '../../../formats/audit-entry.ts';
import { classify } from '../../../formats/classification.ts';
import { eventInstant, isOfAccount, receivedInstant } from '../../../formats/format.ts';
import type { FormatName } from '../../../formats/registry.ts';
import { cut, oneLine } from '../../../formats/text.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../../delivery.ts';
import { commonSettings, type SinkKind, sinkKindSettings, urlOf } from '../../sink-kind.ts';
import { openSyslogConnection, type SyslogConnection, type TlsMaterial } from './syslog-connection.ts';

/** The port of RFC 5425, and the usual one for TCP. */
const defaultPorts = { 'tls:': 6514, 'tcp:': 514 } as const;

type Refused = { readonly index: number; readonly reason: string };

/**
 * RFC 5424 messages over TCP or TLS with octet counting (RFC 6587, RFC 5425), a connection for each delivery. Syslog has no
 * acknowledgement; what stands for one is that the receiver reads to the end and closes (docs/decisions/16).
 * Certificates are read again for each connection.
 */
const create = (settings: SyslogSettings): Sink => {
  const url = new URL(settings.url);
  const isTls = url.protocol === 'tls:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port || defaultPorts[isTls ? 'tls:' : 'tcp:']);
  const header: SyslogHeader = {
    facility: settings.facility,
    hostname: settings.hostname ?? syslogHostname(hostname()),
    appName: settings.app_name,
    format: settings.format,
  };
  return {
    target: `${url.protocol}//${url.hostname}:${port}`,
    deliver: async (delivery, signal) => {
      const timeout = AbortSignal.timeout(settings.timeout);
      const ending = AbortSignal.any([signal, timeout]);
      let connection: SyslogConnection | undefined;
      try {
        const tls = isTls ? await tlsMaterial(settings) : undefined;
        connection = await openSyslogConnection({ host, port, tls }, ending);
        const refused = await writeAll(connection, delivery, header, settings.max_message_bytes);
        await connection.finish(settings.confirm);
        return { kind: 'delivered', refused };
      } catch (error) {
        signal.throwIfAborted();
        const isConnected = connection !== undefined;
        const outcome = failed(timeout.aborted ? tooLate(settings.timeout, isConnected) : error);
        if (!isConnected) return { ...outcome, because: 'receiver' };
        return timeout.aborted ? { ...outcome, because: 'slow' } : outcome;
      } finally {
        connection?.destroy();
      }
    },
    close: async () => {},
  };
};

const writeAll = async (
  connection: SyslogConnection,
  { events }: Delivery,
  header: SyslogHeader,
  maxMessageBytes: number,
): Promise<Refused[]> => {
  const refused: Refused[] = [];
  for (const [index, event] of events.entries()) {
    const message = Buffer.from(syslogMessage(event, header), 'utf8');
    if (message.length > maxMessageBytes) {
      refused.push({ index, reason: `${message.length} bytes, and max_message_bytes is ${maxMessageBytes}` });
    } else {
      await connection.write(Buffer.concat([Buffer.from(`${message.length} `), message]));
    }
  }
  return refused;
};

const tlsMaterial = async ({ ca_file, cert_file, key_file }: SyslogSettings): Promise<TlsMaterial> => {
  const read = async (name: string, path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    return await readFile(path).catch((error: unknown) => {
      throw new Error(`${name}: ${reasonOf(error)}`);
    });
  };
  return {
    ca: await read('ca_file', ca_file),
    cert: await read('cert_file', cert_file),
    key: await read('key_file', key_file),
  };
};

const settings = z.strictObject({
  type: z.literal('syslog'),
  ...commonSettings,
  url: urlOf('tls:', 'tcp:'),
  ca_file: z.string().optional(),
  /** Client certificate. */
  cert_file: z.string().optional(),
  key_file: z.string().optional(),
  /** RFC 5424 facility number; 13 is log audit. */
  facility: z.int().min(0).max(23).default(13),
  hostname: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .optional(),
  app_name: z
    .string()
    .regex(/^[\x21-\x7e]{1,48}$/)
    .default('orgtrail'),
  /** Longer messages are a dead letter: receivers cut or split them. */
  max_message_bytes: z
    .int()
    .min(480)
    .max(64 * 1024 * 1024)
    .default(2_000_000),
  /**
   * `close`: delivered is what the receiver has read to its end, which it shows by closing, over TLS with close_notify.
   * `tcp_close`: the same without close_notify, which rsyslog's gtls driver never sends. `none`: what was sent.
   */
  confirm: z.enum(['close', 'tcp_close', 'none']).default('close'),
});

const contradictions = ({ ca_file: ca, cert_file: cert, key_file: key, url }: SyslogSettings): string[] => {
  const faults: string[] = [];
  if ((cert === undefined) !== (key === undefined)) faults.push(' needs cert_file and key_file together');
  if (new URL(url).protocol === 'tcp:' && (ca ?? cert ?? key) !== undefined) {
    faults.push(' has files for TLS, but its url is not tls:');
  }
  return faults;
};

const warnings = ({ url }: SyslogSettings): string[] => {
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'tcp:' || isLoopbackHost(hostname)) return [];
  return [`.url sends events in plain text to ${hostname}: use tls:`];
};

const syslogSettings = sinkKindSettings({
  settings,
  files: ['ca_file', 'cert_file', 'key_file'],
  contradictions,
  warnings,
});

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

const severityOf = ({ event }: OutgoingEvent): number => {
  const { outcome, action } = classify(readAuditEntry(event));
  if (outcome === 'failure') return severities.warning;
  return action === 'view' ? severities.informational : severities.notice;
};

/** RFC 5424's names for what an audit event can be. */
const severities = { warning: 4, notice: 5, informational: 6 } as const;

/** The three that RFC 5424 has escaped; what ends a line is none of its business, but is of those who write lines. */
const parameter = (name: string, value: string): string => `${name}="${oneLine(value).replace(/["\\\]]/g, '\\$&')}"`;

/** Without what the event does not have. */
const named = (name: string, value: string | null): readonly string[] =>
  value === null ? [] : [parameter(name, cut(value, NAME_LENGTH))];
/** Receivers have limits for one value, and the whole name is in the event's text. */
const NAME_LENGTH = 256;

/** RFC 5424 allows six digits behind the point, stored times may have nine. */
const timestamp = ({ event }: OutgoingEvent): string => {
  const ofAction = eventInstant(event);
  const instant = plausibleYear.test(ofAction) ? ofAction : receivedInstant(event);
  return instant.replace(/(\.\d{6})\d+/, '$1');
};

/** rsyslog takes a message with another year for one without any header (8.2504: 2100 and later). */
const plausibleYear = /^(?:19[7-9]|20\d)\d-/;

/** 32473 is the enterprise number that RFC 5612 sets aside for examples: orgtrail has none of its own. */
const STRUCTURED_DATA_ID = 'orgtrail@32473';

/** A certificate that is refused is part of the reason: whatever it says, it stays on one line. */
const failed = (error: unknown): DeliveryOutcome & { readonly kind: 'failed' } => ({
  kind: 'failed',
  reason: cut(oneLine(reasonOf(error)), REASON_LENGTH),
});

// Syslog has no answers: what a receiver says is how its connection ends (syslog-connection.ts).

const REASON_LENGTH = 500;

/** The receiver took longer than it may. */
const tooLate = (timeoutMs: number, isConnected: boolean): Error =>
  new Error(
    isConnected
      ? `the receiver has not read everything and closed within ${formatDuration(timeoutMs)}`
      : `no connection within ${formatDuration(timeoutMs)}`,
  );

export const syslog: SinkKind<typeof syslogSettings.settings> = { ...syslogSettings, create };

type SyslogSettings = z.infer<typeof settings>;

/** What all messages of one sink have in common. Texts are printable ASCII without spaces, as RFC 5424 requires. */
export interface SyslogHeader {
  /** 0 to 23. */
  readonly facility: number;
  readonly hostname: string;
  readonly appName: string;
  /** Becomes the MSGID: who reads it knows how to read MSG. */
  readonly format: FormatName;
}
