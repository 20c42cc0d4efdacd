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
import { commonSettings, sinkKind, urlOf } from '../../sink-kind.ts';
import { openSyslogConnection, type SyslogConnection, type TlsMaterial } from './syslog-connection.ts';

/** RFC 5425's port, and the usual one for TCP. */
const defaultPorts = { 'tls:': 6514, 'tcp:': 514 } as const;
type Refused = { readonly index: number; readonly reason: string };

/** RFC 5424 with octet counting (RFC 6587, 5425). The receiver acknowledges by reading to the end and closing (docs/decisions/16). */
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
  cert_file: z.string().optional(),
  key_file: z.string().optional(),
  /** RFC 5424: 13 is log audit. */
  facility: z.int().min(0).max(23).default(13),
  hostname: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .optional(),
  app_name: z
    .string()
    .regex(/^[\x21-\x7e]{1,48}$/)
    .default('orgtrail'),
  /** Longer messages become dead letters: receivers cut or split them. */
  max_message_bytes: z
    .int()
    .min(480)
    .max(64 * 1024 * 1024)
    .default(2_000_000),
  /**
   * `close`: the receiver has read to the end and closed, over TLS with close_notify. `tcp_close`: without close_notify, which
   * rsyslog's gtls driver never sends. `none`: sent.
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

export const syslog = sinkKind({
  settings,
  files: ['ca_file', 'cert_file', 'key_file'],
  contradictions,
  warnings,
  create,
});

/** Replaces what a HOSTNAME may not contain by `_`; `-` if nothing is left. */
export const syslogHostname = (name: string): string => name.replace(/[^\x21-\x7e]/g, '_').slice(0, 255) || '-';

/** One RFC 5424 message without framing. MSG has no byte order mark: rsyslog and others leave it in, and the rest is then no JSON. */
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

const severities = { warning: 4, notice: 5, informational: 6 } as const;

/** RFC 5424's three escapes; line ends, because some receivers write lines. */
const parameter = (name: string, value: string): string => `${name}="${oneLine(value).replace(/["\\\]]/g, '\\$&')}"`;

const named = (name: string, value: string | null): readonly string[] =>
  value === null ? [] : [parameter(name, cut(value, NAME_LENGTH))];
/** Receivers have limits for one value, and the whole name is in the event's text. */
const NAME_LENGTH = 256;

/** RFC 5424 allows six fractional digits; stored times may have nine. */
const timestamp = ({ event }: OutgoingEvent): string => {
  const ofAction = eventInstant(event);
  const instant = plausibleYear.test(ofAction) ? ofAction : receivedInstant(event);
  return instant.replace(/(\.\d{6})\d+/, '$1');
};

/** rsyslog takes a message of another year for one without a header (8.2504: 2100 and later). */
const plausibleYear = /^(?:19[7-9]|20\d)\d-/;
/** RFC 5612's example enterprise number: orgtrail has none of its own. */
const STRUCTURED_DATA_ID = 'orgtrail@32473';

/** A refused certificate is part of the reason and must stay on one line. */
const failed = (error: unknown): DeliveryOutcome & { readonly kind: 'failed' } => ({
  kind: 'failed',
  reason: cut(oneLine(reasonOf(error)), REASON_LENGTH),
});

const REASON_LENGTH = 500;

const tooLate = (timeoutMs: number, isConnected: boolean): Error =>
  new Error(
    isConnected
      ? `the receiver has not read everything and closed within ${formatDuration(timeoutMs)}`
      : `no connection within ${formatDuration(timeoutMs)}`,
  );

type SyslogSettings = z.infer<typeof settings>;

/** Printable ASCII without spaces, as RFC 5424 requires. */
export interface SyslogHeader {
  readonly facility: number;
  readonly hostname: string;
  readonly appName: string;
  /** Becomes the MSGID: tells how to read MSG. */
  readonly format: FormatName;
}
