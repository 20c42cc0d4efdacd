import { z } from 'zod';
import { isLoopbackHost } from '../../postgres/loopback.ts';
import { commonSettings, urlOf } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

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

export type SyslogSettings = z.infer<typeof settings>;

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

export const syslogSettings = sinkKindSettings({
  settings,
  files: ['ca_file', 'cert_file', 'key_file'],
  contradictions,
  warnings,
});
